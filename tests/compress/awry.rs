//! What is out of the ordinary around a body that changes on its way: cuts, tunnels, bodies of nothing, full stores.

use std::time::Duration;

use super::*;
use crate::support::Gate;
use crate::support::client::Client;
use crate::support::h2::{H2, request};
use crate::support::reply::Step;
use crate::support::wire::Framing;

const LIVE: &str = "compress: { max_cpu: 100% }";
const CACHED: &str = "cache: true\ncompress: { max_cpu: 100% }";
const ALL: [&str; 5] = ["zstd", "br", "gzip", "deflate", "identity"];

/// The origin's gzip ends in the middle, and its framing says nothing of it.
fn cut_gzip(stage: &Stage) {
    let mut cut = encode("gzip", &json(200_000));
    cut.truncate(cut.len() / 2);
    stage.answers(move |_| {
        let reply = Reply::text(cut.clone()).field("Content-Encoding", "gzip");
        with(reply, JSON)
    });
}

#[tokio::test]
async fn a_cut_is_seen_over_http_2_too() {
    let h2c = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";
    for keys in [LIVE, CACHED] {
        let stage = Stage::under(h2c, keys).await;
        cut_gzip(&stage);
        let mut client = H2::connect(stage.tide.addr()).await;
        for takes in ["identity", "br"] {
            let builder = request("GET", "/").header("accept-encoding", takes);
            let status = client.status(builder, b"").await;
            assert!(matches!(status, None | Some(502)), "{keys}: {status:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_is_seen_over_http_1_0_too() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::open(keys).await;
        cut_gzip(&stage);
        for takes in ["identity", "br"] {
            let request = Request::get("/").http10().field("Accept-Encoding", takes);
            let answer = stage.tide.try_ask(&request).await;
            let is_seen = answer.is_err() || answer.unwrap().status == 502;
            assert!(is_seen, "{keys}: {takes}");
        }
    }
}

#[tokio::test]
async fn nothing_at_all_is_nothing_in_every_encoding() {
    for (cache, reply) in [
        ("", Reply::text("")),
        ("", Reply::chunked(Vec::<Vec<u8>>::new())),
        ("cache: true\n", Reply::chunked(Vec::<Vec<u8>>::new())),
        ("cache: true\n", Reply::text("")),
    ] {
        let keys = format!("{cache}compress: {{ min_size: 0B, max_cpu: 100% }}");
        for takes in ALL {
            let stage = Stage::open(&keys).await;
            let reply = with(reply.clone(), JSON);
            stage.answers(move |_| reply.clone());
            for _ in 0..2 {
                let answer = stage.get("/", takes).await;
                assert_eq!(answer.status, 200);
                assert!(decoded(&answer).is_empty(), "{keys}: {takes}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_compressed_whole() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::open(keys).await;
        let body = json(100_000);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        let raw = [head.as_bytes(), &body].concat();
        stage.answers(move |_| Reply::raw(raw.clone()).then(Step::Close));
        for takes in ALL {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), takes, "{keys}");
            assert!(decoded(&answer) == body, "{keys}: {takes}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_is_opened_and_nothing_in_it_is_changed() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::open(keys).await;
        stage.answers(|_| Reply::websocket());
        let mut client = stage.tide.connect().await;
        let request = Request::websocket("/").field("Accept-Encoding", "br, gzip");
        let answer = client.ask(&request).await.unwrap();
        assert_eq!((answer.status, encoding(&answer)), (101, "identity"));
        let said = vec![b'a'; 5_000];
        client.send_bytes(&said).await.unwrap();
        assert!(client.exactly(5_000).await.unwrap() == said, "{keys}");
    }
}

#[tokio::test]
async fn what_turns_out_too_large_to_be_stored_is_whole_all_the_same() {
    for (top, length) in [
        ("cache: { max_object: 64KiB }\n", 300_000),
        ("cache: { memory: 1MiB }\n", 240_000),
        ("cache: { memory: 1MiB }\n", 2_000_000),
    ] {
        let stage = Stage::under(top, CACHED).await;
        let body = json(length);
        let page = body.clone();
        stage.answers(move |_| with(Reply::chunked(page.chunks(20_000)), JSON));
        for target in ["/a", "/b", "/c", "/a"] {
            for takes in ALL {
                let answer = stage.get(target, takes).await;
                assert_eq!(encoding(&answer), takes, "{top}{length}");
                assert!(decoded(&answer) == body, "{top}{length}: {takes}");
            }
        }
    }
}

#[tokio::test]
async fn who_fetches_for_itself_gets_its_own_form() {
    let stage = Stage::open("cache: { wait: 0s }\ncompress: { max_cpu: 100% }").await;
    let body = json(100_000);
    let gate = Gate::closed();
    let (page, behind) = (body.clone(), gate.clone());
    stage.answers(move |_| with(Reply::text(page.clone()).when(&behind), JSON));
    let mut clients = Vec::new();
    for takes in ALL {
        let mut client = stage.tide.connect().await;
        let request = Request::get("/").field("Accept-Encoding", takes);
        client.send(&request).await.unwrap();
        clients.push((takes, client));
    }
    stage.app.holds(ALL.len()).await;
    gate.open();
    for (takes, mut client) in clients {
        let answer = client.answer("GET").await.unwrap();
        assert_eq!(encoding(&answer), takes);
        assert!(decoded(&answer) == body, "{takes}");
    }
}

#[tokio::test]
async fn parts_of_what_came_encoded_are_those_of_the_encoded_body() {
    let stage = Stage::open(CACHED).await;
    let body = json(50_000);
    let gzip = encode("gzip", &body);
    let says = gzip.clone();
    stage.answers(move |_| {
        let reply = Reply::text(says.clone()).field("Content-Encoding", "gzip");
        with(reply, JSON)
    });
    stage.get("/", "gzip").await;
    let part = stage.get_with("/", "gzip", "Range: bytes=100-199").await;
    assert_eq!((part.status, encoding(&part)), (206, "gzip"));
    assert!(part.body == gzip[100..200]);
    assert_eq!(part.head.get("etag"), Some("\"x\""));
    for round in 0..2 {
        let part = stage.get_with("/", "identity", "Range: bytes=100-199");
        let part = part.await;
        // While it is being decoded nobody knows yet how long it will be.
        if part.status == 206 {
            assert!(part.body == body[100..200], "{round}");
            assert_eq!(part.head.get("etag"), Some("\"x-identity\""));
        } else {
            assert!(part.status == 200 && part.body == body, "{round}");
        }
        assert_eq!(encoding(&part), "identity");
        let whole = stage.get_with("/", "br", "Range: bytes=100-199").await;
        assert_eq!((whole.status, encoding(&whole)), (200, "br"), "{round}");
        assert!(decoded(&whole) == body, "{round}");
    }
    // A part of one form does not continue another.
    let lines = "Range: bytes=100-199\nIf-Range: \"x-identity\"";
    let other = stage.get_with("/", "gzip", lines).await;
    assert_eq!((other.status, encoding(&other)), (200, "gzip"));
    assert!(other.body == gzip);
}

#[tokio::test]
async fn a_part_of_what_is_not_stored_yet_is_one_of_the_plain_body() {
    let stage = Stage::open(CACHED).await;
    let body = json(50_000);
    stage.says(body.clone(), JSON);
    for round in 0..2 {
        let part = stage.get_with("/", "br", "Range: bytes=0-99").await;
        assert_eq!((part.status, encoding(&part)), (206, "identity"), "{round}");
        assert!(part.body == body[..100], "{round}");
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn who_has_a_form_of_what_is_fetched_anew_is_told_so() {
    let stage = Stage::open(CACHED).await;
    stage.says(json(20_000), JSON);
    for target in ["/a", "/b"] {
        let known = stage
            .get_with(target, "br", "If-None-Match: \"x-br\"")
            .await;
        assert_eq!(
            (known.status, known.head.get("etag")),
            (304, Some("\"x-br\""))
        );
        assert_eq!(known.head.get("vary"), Some("Accept-Encoding"));
        let whole = stage.get(target, "br").await;
        assert!(decoded(&whole) == json(20_000));
        assert_eq!(stage.asked(target), 1);
    }
}

#[tokio::test]
async fn a_form_is_sent_as_long_as_its_answer_may_be_used_though_it_is_stale() {
    let stage = Stage::open("cache: { stale_if_error: 1h }\ncompress: { max_cpu: 100% }").await;
    let body = json(50_000);
    let lines = "Content-Type: application/json\nCache-Control: max-age=60\nETag: \"x\"";
    stage.says(body.clone(), lines);
    stage.get("/", "br").await;
    stage.keeps("br", "live", 1.0).await;
    stage.answers(|_| Reply::sized(500, "in trouble"));
    stage.tide.forward(Duration::from_secs(100)).await;
    for takes in ["br", "gzip", "identity"] {
        let stale = stage.get("/", takes).await;
        assert_eq!((stale.status, encoding(&stale)), (200, takes));
        assert!(decoded(&stale) == body, "{takes}");
    }
    assert_eq!(stage.kept("br", "live").await, 1.0);
}

#[tokio::test]
async fn a_form_that_is_made_while_its_answer_is_purged_is_never_sent_again() {
    let stage = Stage::open("cache: true\ncompress: { level: { br: 9 }, max_cpu: 100% }").await;
    let (old, new) = (json(3 << 20), json(50_000));
    stage.says(old.clone(), JSON);
    stage.get("/", "identity").await;
    let mut client = stage.tide.connect().await;
    let request = Request::get("/").field("Accept-Encoding", "br");
    client.send(&request).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(head.framing(), Ok(Framing::Chunked), "it is being made");
    stage.says(new.clone(), JSON);
    let purge = "{\"all\": true, \"hard\": true}";
    let done = stage.tide.api("POST", "/api/v1/purge", purge).await;
    assert_eq!(done.status, 200);
    assert!(decoded(&stage.get("/", "br").await) == new);
    let mut bytes = Vec::new();
    while let Some(chunk) = client.chunk().await.unwrap() {
        bytes.extend(chunk);
    }
    assert!(decode("br", &bytes) == old, "who had begun gets all of it");
    for _ in 0..3 {
        assert!(decoded(&stage.get("/", "br").await) == new);
    }
}

#[tokio::test]
async fn one_connection_takes_one_form_after_the_other() {
    let stage = Stage::open(CACHED).await;
    let body = json(100_000);
    stage.says(body.clone(), JSON);
    let mut client = Client::connect(stage.tide.addr()).await.unwrap();
    for round in 0..3 {
        for takes in ALL {
            let request = Request::get("/").field("Accept-Encoding", takes);
            let answer = client.ask(&request).await.unwrap();
            assert!(decoded(&answer) == body, "{takes} {round}");
            assert!(answer.stays_open, "{takes} {round}");
        }
    }
}
