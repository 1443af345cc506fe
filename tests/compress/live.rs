//! What is handed on: compressed as it streams, and never held back.

use super::*;
use crate::support::Gate;
use crate::support::reply::Step;

const TEXT: &str = "Content-Type: text/html; charset=utf-8";

#[tokio::test]
async fn what_is_not_stored_is_compressed_as_it_streams() {
    let stage = Stage::open("compress: true").await;
    let body = json(300_000);
    stage.says(
        body.clone(),
        "Content-Type: application/json\nAccept-Ranges: bytes\nETag: W/\"x\"",
    );
    for takes in ["zstd", "br", "gzip", "deflate"] {
        let target = format!("/{takes}");
        let answer = stage.get(&target, takes).await;
        assert_eq!(encoding(&answer), takes);
        assert!(decoded(&answer) == body);
        assert_eq!(answer.head.get("content-length"), None);
        assert_eq!(answer.head.get("accept-ranges"), None);
        assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
        let tag = format!("W/\"x-{takes}\"");
        assert_eq!(answer.head.get("etag"), Some(tag.as_str()));
        let line = stage.tide.told(&target).await;
        assert_eq!(line["encoding"], takes);
    }
}

#[tokio::test]
async fn every_piece_of_a_streamed_answer_leaves_when_it_comes() {
    for (keys, cached) in [
        ("compress: true", false),
        ("cache: true\ncompress: true", true),
    ] {
        for takes in ["zstd", "br", "gzip", "deflate"] {
            let stage = Stage::open(keys).await;
            let gates = [Gate::closed(), Gate::closed()];
            let script = gates.clone();
            stage.answers(move |_| {
                let cache = if cached { "max-age=60" } else { "no-store" };
                let fields = [
                    ("content-type", "text/plain"),
                    ("transfer-encoding", "chunked"),
                    ("cache-control", cache),
                ];
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Reply::steps([
                    Step::Head(200, fields.into()),
                    Step::Chunk(b"first ".to_vec()),
                    Step::Gate(script[0].clone()),
                    Step::Chunk(b"second ".to_vec()),
                    Step::Gate(script[1].clone()),
                    Step::Chunk(b"third".to_vec()),
                    Step::Chunk(vec![]),
                ])
            });
            let mut client = stage.tide.connect().await;
            let request = Request::get("/").field("Accept-Encoding", takes);
            client.send(&request).await.unwrap();
            let head = client.head().await.unwrap();
            assert_eq!(head.get("content-encoding"), Some(takes));
            let mut bytes = Vec::new();
            for (n, so_far) in ["first ", "first second "].iter().enumerate() {
                while readable(takes, &bytes) != so_far.as_bytes() {
                    let more = client.chunk().await.unwrap();
                    bytes.extend(more.expect("more to come"));
                }
                gates[n].open();
            }
            while let Some(more) = client.chunk().await.unwrap() {
                bytes.extend(more);
            }
            assert_eq!(decode(takes, &bytes), b"first second third");
        }
    }
}

/// What can be read of a body that is not whole.
pub fn readable(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut read: Box<dyn Read> = match encoding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 16)),
        _ => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
    };
    let mut byte = [0];
    while let Ok(1) = read.read(&mut byte) {
        out.push(byte[0]);
    }
    out
}

#[tokio::test]
async fn what_gains_nothing_or_must_not_wait_is_left_alone() {
    let stage = Stage::open("compress: { types: [\"*\"] }").await;
    for (reason, status, bytes, lines) in [
        ("small", 200, 1_000, TEXT),
        (
            "event_stream",
            200,
            5_000,
            "Content-Type: text/event-stream",
        ),
        (
            "status",
            206,
            5_000,
            "Content-Type: text/html\nContent-Range: bytes 0-4999/9999",
        ),
        (
            "no_transform",
            200,
            5_000,
            "Content-Type: text/html\nCache-Control: no-transform",
        ),
        (
            "encoded",
            200,
            5_000,
            "Content-Type: text/html\nContent-Encoding: aes128gcm",
        ),
    ] {
        let body = vec![b'a'; bytes];
        stage.answers(move |_| with(Reply::sized(status, body.clone()), lines));
        let before = stage.skipped(reason).await;
        let answer = stage.get("/", "gzip").await;
        assert_eq!(answer.body.len(), bytes, "{reason}");
        assert_eq!(stage.skipped(reason).await, before + 1.0, "{reason}");
    }
}

#[tokio::test]
async fn only_the_types_of_the_route_are_compressed() {
    let stage = Stage::open("compress: { types: [text/*, \"*/*+json\"] }").await;
    for (given, expected) in [
        ("text/html", "gzip"),
        ("TEXT/css; charset=utf-8", "gzip"),
        ("application/problem+json", "gzip"),
        ("application/json", "identity"),
        ("image/png", "identity"),
    ] {
        stage.answers(move |_| Reply::text(vec![b'a'; 5_000]).field("Content-Type", given));
        let answer = stage.get("/", "gzip").await;
        assert_eq!(encoding(&answer), expected, "{given}");
    }
}

#[tokio::test]
async fn secrets_beside_what_a_stranger_chose_need_not_be_compressed() {
    let stage = Stage::open("cache: true\ncompress: { dynamic: false }").await;
    stage.says(
        json(5_000),
        "Content-Type: text/html\nCache-Control: private",
    );
    assert_eq!(encoding(&stage.get("/own", "br").await), "identity");
    assert_eq!(stage.skipped("dynamic").await, 1.0);
    stage.says(
        json(5_000),
        "Content-Type: text/html\nCache-Control: max-age=60",
    );
    assert_eq!(encoding(&stage.get("/all", "br").await), "br");

    let stage = Stage::open("compress: { set_cookie: false }").await;
    stage.says(
        json(5_000),
        "Content-Type: text/html\nSet-Cookie: session=1",
    );
    assert_eq!(encoding(&stage.get("/", "br").await), "identity");
    assert_eq!(stage.skipped("set_cookie").await, 1.0);
    stage.says(json(5_000), TEXT);
    assert_eq!(encoding(&stage.get("/", "br").await), "br");
}

#[tokio::test]
async fn the_route_s_order_decides_among_what_the_client_likes_alike() {
    let stage = Stage::open("compress: { encodings: [gzip, br] }").await;
    stage.says(json(5_000), TEXT);
    for (takes, expected) in [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br, gzip;q=0.9", "br"),
        ("zstd", "identity"),
        ("*", "gzip"),
        ("gzip;q=0, *", "br"),
        ("gzip;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("", "identity"),
        ("gzip;q=x", "identity"),
    ] {
        let answer = stage.get("/", takes).await;
        assert_eq!(encoding(&answer), expected, "{takes:?}");
        assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
    }
}

#[tokio::test]
async fn the_head_alone_says_what_the_whole_would() {
    let stage = Stage::open("compress: true").await;
    stage.says(json(50_000), JSON);
    let head = Request::new("HEAD", "/").field("Accept-Encoding", "br");
    let head = stage.tide.ask(&head).await;
    let get = stage.get("/", "br").await;
    for name in [
        "content-encoding",
        "content-length",
        "etag",
        "vary",
        "content-type",
    ] {
        assert_eq!(head.head.get(name), get.head.get(name), "{name}");
    }
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn an_upload_that_is_answered_gets_its_answer_compressed_too() {
    let stage = Stage::open("compress: true").await;
    let body = json(20_000);
    stage.says(body.clone(), TEXT);
    let request = Request::post("/", vec![b'x'; 100_000]).field("Accept-Encoding", "gzip");
    let answer = stage.tide.ask(&request).await;
    assert_eq!(encoding(&answer), "gzip");
    assert!(decoded(&answer) == body);
}
