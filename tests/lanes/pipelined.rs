//! Requests that are sent ahead, and connections that end: in the lane the same limits hold, and the same order.

use super::{LANES, Stage, answers, is_hit, sized};
use crate::support::client::Request;
use crate::support::reply::Reply;
use crate::support::{ms, pattern};

#[tokio::test]
async fn hits_that_are_sent_at_once_come_in_their_order() {
    let stage = Stage::open().await;
    let targets = ["/sized/10", "/sized/100000", "/a", "/sized/2000"];
    stage.stores(&targets).await;
    let stored = stage.tide.get("/a").await.body;
    stage.express(1).await;
    let mut client = stage.tide.connect().await;
    for round in 0..5 {
        let requests: Vec<Request> = (0..16)
            .map(|n| match (n + round) % 5 {
                4 => Request::new("HEAD", "/a"),
                at => Request::get(targets[at]),
            })
            .collect();
        let (answers, closed) = answers(&mut client, &requests).await;
        assert!(!closed && answers.len() == 16 && answers.iter().all(is_hit));
        for (n, answer) in answers.iter().enumerate() {
            let due = match (n + round) % 5 {
                0 => pattern(10),
                1 => pattern(100_000),
                2 => stored.clone(),
                3 => pattern(2_000),
                _ => Vec::new(),
            };
            assert!(answer.body == due, "{round}, {n}: {}", answer.text());
        }
    }
    stage.express(1 + 5 * 16).await;
    assert_eq!(stage.app.requests(), targets.len());
}

#[tokio::test]
async fn between_misses_and_writes_hits_keep_their_place() {
    let stage = Stage::open().await;
    stage.app.answers(|seen| match seen.method() {
        "GET" => sized(seen),
        _ => Reply::mirror(),
    });
    stage.stores(&["/sized/50", "/sized/70000"]).await;
    let mut client = stage.tide.connect().await;
    for round in 0..4 {
        let requests = [
            Request::get("/sized/50"),
            Request::get(&format!("/miss/{round}")),
            Request::get("/sized/70000"),
            Request::post("/written", "a body of its own"),
            Request::get("/sized/50"),
            Request::get("/sized/70000"),
            Request::post("/written", "in chunks").chunked(4),
            Request::get(&format!("/sized/{}", 60 + round)),
            Request::get("/sized/50"),
        ];
        let (answers, closed) = answers(&mut client, &requests).await;
        assert!(!closed);
        let hits: Vec<bool> = answers.iter().map(is_hit).collect();
        let due = [true, false, true, false, true, true, false, false, true];
        assert_eq!(hits, due);
        let bodies: Vec<Vec<u8>> = answers.into_iter().map(|a| a.body).collect();
        assert!(bodies[1].starts_with(format!("/miss/{round} ").as_bytes()));
        assert_eq!(bodies[3], b"a body of its own");
        assert_eq!(bodies[6], b"in chunks");
        assert_eq!(bodies[7], pattern(60 + round));
        for (at, size) in [(0, 50), (2, 70_000), (4, 50), (5, 70_000), (8, 50)] {
            assert!(bodies[at] == pattern(size), "{round}, {at}");
        }
    }
    stage.express(4 * 5).await;
}

#[tokio::test]
async fn who_sends_too_many_at_once_gets_as_many_answers_in_the_lane() {
    let mut got = Vec::new();
    for (lane, in_lane) in LANES.into_iter().zip([false, true]) {
        let stage = Stage::with(lane, "limits: { pipeline: 4 }\n", "cache: true").await;
        stage.stores(&["/page"]).await;
        let mut each = Vec::new();
        // As many as may be, one more, and far more.
        for sent in [5, 6, 20] {
            let requests = vec![Request::get("/page"); sent];
            let mut client = stage.tide.connect().await;
            let (answers, closed) = answers(&mut client, &requests).await;
            assert!(answers.iter().all(is_hit));
            each.push((sent, answers.len(), closed));
        }
        let all: usize = each.iter().map(|(_, answers, _)| answers).sum();
        stage.express(if in_lane { all } else { 0 }).await;
        got.push(each);
    }
    assert_eq!(got[0], got[1]);
    assert_eq!(got[1][0], (5, 5, false), "four may be sent ahead");
    assert!(got[1][2].1 < 20 && got[1][2].2, "{got:?}");
}

#[tokio::test]
async fn a_connection_ends_after_its_last_hit_and_says_so() {
    for at_once in [false, true] {
        let top = "limits: { requests_per_connection: 5 }\n";
        let stage = Stage::with("on", top, "cache: true").await;
        stage.stores(&["/page"]).await;
        let mut client = stage.tide.connect().await;
        if at_once {
            let (all, closed) = answers(&mut client, &vec![Request::get("/page"); 9]).await;
            assert!(closed && all.len() == 5, "{} answers", all.len());
        } else {
            for n in 1..=5 {
                let answer = client.ask(&Request::get("/page")).await.unwrap();
                assert_eq!(answer.stays_open, n < 5, "{n}");
            }
            assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
        }
        stage.express(5).await;
        stage.tide.stands_at(0).await;
    }
}

#[tokio::test]
async fn who_asks_for_the_end_of_the_connection_gets_it_behind_the_hit() {
    let stage = Stage::open().await;
    stage.stores(&["/sized/300000"]).await;
    let last = Request::get("/sized/300000").field("Connection", "close");
    let mut client = stage.tide.connect().await;
    let before = client.ask(&Request::get("/sized/300000")).await.unwrap();
    assert!(before.stays_open);
    let answer = client.ask(&last).await.unwrap();
    assert!(is_hit(&answer) && answer.body == pattern(300_000));
    assert_eq!(answer.head.get("connection"), Some("close"));
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    // What is sent behind it is nobody's business any more, and takes nothing of the answer away.
    let mut client = stage.tide.connect().await;
    let (answers, closed) = answers(&mut client, &[last, Request::get("/sized/300000")]).await;
    assert!(closed && answers.len() == 1 && answers[0].body == pattern(300_000));
    stage.express(3).await;
    stage.tide.stands_at(0).await;
}

#[tokio::test]
async fn who_has_asked_all_it_wants_gets_its_hits() {
    let stage = Stage::open().await;
    stage.stores(&["/sized/300000"]).await;
    let mut client = stage.tide.connect().await;
    let requests = vec![Request::get("/sized/300000"); 3];
    client.send_bytes(&super::at_once(&requests)).await.unwrap();
    client.shut().await;
    for _ in 0..3 {
        let answer = client.answer("GET").await.unwrap();
        assert!(is_hit(&answer) && answer.body == pattern(300_000));
    }
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    stage.express(3).await;
    stage.tide.stands_at(0).await;
}
