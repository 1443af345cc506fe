//! A request's body is never the next request, also where its answer is stored and the body is nobody's.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::cache::{Stage, is_hit, reply};
use crate::support::client::{Client, Request};
use crate::support::wire::Broken;

/// Pairs of requests on all connections together.
const PAIRS: usize = 5_000;
const CONNECTIONS: usize = 10;
/// Pairs that are sent before their answers are read.
const AHEAD: usize = 5;

/// A body that would be a request if it were read as one.
fn smuggled(n: usize) -> String {
    format!("GET /smuggled HTTP/1.1\r\nHost: tide.test\r\nX-N: {n}\r\n\r\n")
}

/// Sends pairs - a GET with a body for what is stored, then another GET - and checks that each answer is its own.
async fn pairs(client: &mut Client, connection: usize, count: usize) -> Result<(), Broken> {
    let next = format!("/next-{connection}");
    for batch in 0..count / AHEAD {
        let mut bytes = Vec::new();
        for n in 0..AHEAD {
            let mut with_body = Request::post("/hot", smuggled(n)).method("GET");
            if (batch + n) % 2 == 0 {
                with_body = with_body.chunked(7);
            }
            bytes.extend(with_body.head_bytes());
            bytes.extend(with_body.body_bytes());
            bytes.extend(Request::get(&next).head_bytes());
        }
        client.send_bytes(&bytes).await?;
        for _ in 0..AHEAD {
            let hot = client.answer("GET").await?;
            assert!(
                hot.status == 200 && hot.text().starts_with("/hot "),
                "{}",
                hot.text()
            );
            let own = client.answer("GET").await?;
            assert!(
                own.status == 200 && own.text().starts_with(&format!("{next} ")),
                "{}",
                own.text()
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_get_with_a_body_of_what_is_stored_leaves_nothing_behind_for_the_next_request() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=600");
    stage.get("/hot").await;
    assert!(is_hit(&stage.get("/hot").await));
    let began = Instant::now();
    let mut all = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut client = stage.tide.connect().await;
        all.spawn(async move { pairs(&mut client, connection, PAIRS / CONNECTIONS).await });
    }
    for ended in all.join_all().await {
        ended.expect("every pair is answered on its connection");
    }
    println!("{PAIRS} pairs in {:?}", began.elapsed());
    assert_eq!(stage.asked("/smuggled"), 0);
}

#[tokio::test]
async fn a_hit_between_other_requests_answers_its_own() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| match seen.target() {
        "/hot" => reply(seen, 200, "Cache-Control: max-age=600"),
        _ => reply(seen, 200, "Cache-Control: no-store"),
    });
    stage.get("/hot").await;
    let mut client = stage.tide.connect().await;
    for n in 0..50 {
        let (cold, post) = (format!("/cold-{n}"), format!("/post-{n}"));
        let order = [
            Request::get("/hot"),
            Request::get(&cold),
            Request::new("HEAD", "/hot"),
            Request::post(&post, "body"),
            Request::get("/hot").field("If-None-Match", "*"),
            Request::get("/hot").field("Range", "bytes=0-3"),
        ];
        let bytes: Vec<u8> = order
            .iter()
            .flat_map(|r| [r.head_bytes(), r.body_bytes()].concat())
            .collect();
        client.send_bytes(&bytes).await.unwrap();
        let mut got = Vec::new();
        for request in &order {
            let answer = client.answer(request.its_method()).await.unwrap();
            let text = answer.text();
            got.push((answer.status, text.split(' ').next().unwrap().to_owned()));
        }
        let expected = [
            (200, "/hot"),
            (200, &cold),
            (200, ""),
            (200, &post),
            (304, ""),
            (206, "/hot"),
        ];
        assert_eq!(
            got,
            expected.map(|(status, text)| (status, text.to_owned()))
        );
    }
}
