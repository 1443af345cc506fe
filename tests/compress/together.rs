//! Many who want the same at once: one fetch and one form each, and nobody waits for anybody else.

use std::time::Duration;

use super::*;
use crate::support::Gate;
use crate::support::client::Client;
use crate::support::reply::Step;

const CACHED: &str = "cache: true\ncompress: { max_cpu: 100% }";
const ALL: [&str; 5] = ["zstd", "br", "gzip", "deflate", "identity"];

/// A client that has asked for `/` in this encoding.
async fn asks(stage: &Stage, takes: &str) -> Client {
    let mut client = stage.tide.connect().await;
    let request = Request::get("/").field("Accept-Encoding", takes);
    client.send(&request).await.unwrap();
    client
}

/// Letters that compress to three quarters or so, whatever the encoding: more than the buffers on the way take.
fn letters(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(bytes as u64);
    (0..bytes).map(|_| b'!' + random.u8(..64)).collect()
}

/// The origin sends the body in halves: the second one waits for the gate.
fn in_halves(stage: &Stage, body: &[u8]) -> Gate {
    let gate = Gate::closed();
    let (first, second) = body.split_at(body.len() / 2);
    let (first, second, behind) = (first.to_vec(), second.to_vec(), gate.clone());
    stage.answers(move |_| {
        let length = first.len() + second.len();
        let fields = vec![("content-length".to_owned(), length.to_string())];
        let reply = Reply::steps([
            Step::Head(200, fields),
            Step::Bytes(first.clone()),
            Step::Gate(behind.clone()),
            Step::Bytes(second.clone()),
        ]);
        with(reply, JSON)
    });
    gate
}

#[tokio::test]
async fn whatever_they_take_they_share_one_fetch() {
    for length in [2_000, 300_000] {
        let stage = Stage::open(CACHED).await;
        let body = json(length);
        let gate = Gate::closed();
        let (page, behind) = (body.clone(), gate.clone());
        stage.answers(move |_| with(Reply::text(page.clone()).when(&behind), JSON));
        let mut clients = Vec::new();
        for takes in ALL.into_iter().cycle().take(25) {
            clients.push((takes, asks(&stage, takes).await));
        }
        let in_flight = "tidegate_http_requests_in_flight";
        stage.tide.metric_is(in_flight, &[], 25.0).await;
        gate.open();
        for (takes, mut client) in clients {
            let answer = client.answer("GET").await.unwrap();
            assert_eq!(encoding(&answer), takes);
            assert!(decoded(&answer) == body, "{length}: {takes}");
        }
        assert_eq!(stage.app.requests(), 1);
        for takes in &ALL[..4] {
            stage.keeps(takes, "live", 1.0).await;
        }
    }
}

#[tokio::test]
async fn who_comes_while_it_is_fetched_reads_along_in_any_encoding() {
    let stage = Stage::open(CACHED).await;
    let body = json(300_000);
    let gate = in_halves(&stage, &body);
    let mut clients = Vec::new();
    for takes in ALL.into_iter().cycle().take(10) {
        let mut client = asks(&stage, takes).await;
        // It has come: its head is here, and the other half is not.
        let head = client.head().await.unwrap();
        assert_eq!(head.get("content-encoding").unwrap_or("identity"), takes);
        clients.push((takes, head, client));
    }
    gate.open();
    for (takes, head, client) in clients {
        assert!(rest(head, client).await == body, "{takes}");
    }
    assert_eq!(stage.app.requests(), 1);
}

/// The decoded body behind a head.
async fn rest(head: crate::support::wire::Head, mut client: Client) -> Vec<u8> {
    let bytes = match head.get("content-length") {
        Some(length) => client.exactly(length.parse().unwrap()).await.unwrap(),
        None => {
            let mut bytes = Vec::new();
            while let Some(chunk) = client.chunk().await.unwrap() {
                bytes.extend(chunk);
            }
            bytes
        }
    };
    let takes = head.get("content-encoding").unwrap_or("identity");
    decode(takes, &bytes)
}

#[tokio::test]
async fn who_leaves_while_its_form_is_made_leaves_it_to_the_others() {
    let stage = Stage::open(CACHED).await;
    let body = json(300_000);
    let gate = in_halves(&stage, &body);
    let mut leaver = asks(&stage, "br").await;
    leaver.head().await.unwrap();
    let mut stayer = asks(&stage, "br").await;
    let head = stayer.head().await.unwrap();
    leaver.reset();
    stage.tide.stands_at(1).await;
    gate.open();
    assert!(rest(head, stayer).await == body);
    stage.keeps("br", "live", 1.0).await;
    let hit = stage.get("/", "br").await;
    assert!(decoded(&hit) == body);
    assert!(hit.head.get("content-length").is_some());
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn what_everybody_left_is_whole_for_who_comes_then() {
    let stage = Stage::open(CACHED).await;
    let body = json(300_000);
    let gate = in_halves(&stage, &body);
    for _ in 0..3 {
        let mut leaver = asks(&stage, "br").await;
        leaver.head().await.unwrap();
        leaver.reset();
    }
    stage.tide.stands_at(0).await;
    let mut late = asks(&stage, "br").await;
    gate.open();
    let answer = late.answer("GET").await.unwrap();
    assert_eq!(encoding(&answer), "br");
    assert!(decoded(&answer) == body);
}

#[tokio::test]
async fn who_leaves_a_form_of_a_stored_body_hurts_nobody() {
    let stage = Stage::open("cache: true\ncompress: { level: { br: 9 }, max_cpu: 100% }").await;
    let body = json(1 << 20);
    stage.says(body.clone(), JSON);
    stage.get("/", "identity").await;
    let mut leavers = Vec::new();
    for _ in 0..5 {
        leavers.push(asks(&stage, "br").await);
    }
    let mut stayer = asks(&stage, "br").await;
    leavers.into_iter().for_each(Client::reset);
    let answer = stayer.answer("GET").await.unwrap();
    assert_eq!(encoding(&answer), "br");
    assert!(decoded(&answer) == body);
    stage.keeps("br", "live", 1.0).await;
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn who_reads_slowly_holds_up_nobody() {
    for is_stored in [false, true] {
        let levels = "{ zstd: 1, br: 1, gzip: 1, deflate: 1 }";
        let keys = format!("cache: true\ncompress: {{ level: {levels}, max_cpu: 100% }}");
        let stage = Stage::open(&keys).await;
        let body = letters(12 << 20);
        stage.says(body.clone(), JSON);
        if is_stored {
            stage.get("/", "identity").await;
        }
        let mut slow = Client::connect_narrow(stage.tide.addr()).await.unwrap();
        let request = Request::get("/").field("Accept-Encoding", "gzip");
        slow.send(&request).await.unwrap();
        let head = slow.head().await.unwrap();
        assert_eq!(head.get("content-encoding"), Some("gzip"));
        for takes in ["gzip", "identity", "zstd", "gzip"] {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), takes);
            assert!(decoded(&answer) == body, "{takes} {is_stored}");
        }
        stage.keeps("gzip", "live", 1.0).await;
        assert!(rest(head, slow).await == body, "{is_stored}");
        assert_eq!(stage.app.requests(), 1);
    }
}

#[tokio::test]
async fn a_fetch_that_breaks_off_is_a_form_that_breaks_off_and_is_not_kept() {
    let stage = Stage::open(CACHED).await;
    let body = json(100_000);
    let gate = Gate::closed();
    let (half, whole, behind) = (body[..50_000].to_vec(), body.clone(), gate.clone());
    stage.answers(move |seen| {
        let length = vec![("content-length".to_owned(), whole.len().to_string())];
        let steps = match seen.serial {
            0 => vec![
                Step::Head(200, length),
                Step::Bytes(half.clone()),
                Step::Gate(behind.clone()),
                Step::Reset,
            ],
            _ => vec![Step::Head(200, length), Step::Bytes(whole.clone())],
        };
        with(Reply::steps(steps), JSON)
    });
    let mut clients = Vec::new();
    for takes in ["br", "br", "gzip", "identity"] {
        let mut client = asks(&stage, takes).await;
        client.head().await.unwrap();
        clients.push((takes, client));
    }
    gate.open();
    for (takes, mut client) in clients {
        let rest = client.until_closed(Duration::from_secs(8)).await.unwrap();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{takes}: it looks whole");
    }
    let again = stage.get("/", "br").await;
    assert!(decoded(&again) == body);
    assert_eq!(stage.app.requests(), 2);
}
