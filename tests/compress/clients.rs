//! Clients of other versions than HTTP/1.1, and those who want the head alone.

use super::*;
use crate::support::h2::{self, H2, request};
use crate::support::wire::Framing;

const CODINGS: [&str; 4] = ["zstd", "br", "gzip", "deflate"];
const CACHED: &str = "cache: true\ncompress: { max_cpu: 100% }";
const LIVE: &str = "compress: { max_cpu: 100% }";

#[tokio::test]
async fn a_client_of_http_1_0_gets_what_it_takes_and_never_chunks() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::open(keys).await;
        let body = json(200_000);
        stage.says(body.clone(), JSON);
        for round in 0..2 {
            for takes in ["br", "gzip", "identity"] {
                let request = Request::get("/").http10();
                let request = request.field("Accept-Encoding", takes);
                let answer = stage.tide.ask(&request).await;
                assert_eq!(encoding(&answer), takes, "{keys}");
                assert!(decoded(&answer) == body, "{keys}: {takes} {round}");
                assert_ne!(answer.framing, Framing::Chunked, "{keys}: {takes}");
                assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
                if round > 0 && keys == CACHED {
                    let length = answer.head.get("content-length").unwrap();
                    assert_eq!(length, answer.body.len().to_string());
                }
            }
            if keys == CACHED {
                stage.keeps("br", "live", 1.0).await;
                stage.keeps("gzip", "live", 1.0).await;
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_told_that_its_form_is_still_good() {
    let stage = Stage::open(CACHED).await;
    stage.says(json(20_000), JSON);
    stage.get("/", "gzip").await;
    let request = Request::get("/").http10();
    let request = lined(request, "Accept-Encoding: gzip\nIf-None-Match: \"x-gzip\"");
    let again = stage.tide.ask(&request).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.head.get("etag"), Some("\"x-gzip\""));
}

/// A field of an answer over HTTP/2; it came once at most.
fn field<'a>(answer: &'a h2::Answer, name: &str) -> Option<&'a str> {
    let mut all = answer.fields.get_all(name).iter();
    let first = all.next().map(|value| value.to_str().unwrap());
    assert!(all.next().is_none(), "{name} came twice");
    first
}

/// The answer over HTTP/2 to who takes these encodings.
async fn ask(client: &mut H2, method: &str, takes: &str, known: Option<&str>) -> h2::Answer {
    let mut builder = request(method, "/").header("accept-encoding", takes);
    if let Some(tag) = known {
        builder = builder.header("if-none-match", tag);
    }
    client.ask(builder, b"").await.unwrap()
}

const H2C: &str = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";

#[tokio::test]
async fn a_client_of_http_2_gets_what_it_takes() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::under(H2C, keys).await;
        let body = json(200_000);
        stage.says(body.clone(), JSON);
        let mut client = H2::connect(stage.tide.addr()).await;
        for round in 0..2 {
            for takes in CODINGS {
                let answer = ask(&mut client, "GET", takes, None).await;
                assert_eq!(field(&answer, "content-encoding"), Some(takes), "{keys}");
                assert!(decode(takes, &answer.body) == body, "{keys}: {takes}");
                let tag = format!("\"x-{takes}\"");
                assert_eq!(field(&answer, "etag"), Some(tag.as_str()));
                assert_eq!(field(&answer, "vary"), Some("Accept-Encoding"));
                assert_eq!(field(&answer, "transfer-encoding"), None);
                if keys == CACHED {
                    stage.keeps(takes, "live", 1.0).await;
                }
                let length = (round > 0 && keys == CACHED).then(|| answer.body.len().to_string());
                assert_eq!(field(&answer, "content-length"), length.as_deref());
            }
            let plain = ask(&mut client, "GET", "identity", None).await;
            assert_eq!(field(&plain, "content-encoding"), None);
            assert!(plain.body == body, "{keys}");
        }
    }
}

#[tokio::test]
async fn a_client_of_http_2_may_ask_on_many_streams_at_once() {
    let stage = Stage::under(H2C, CACHED).await;
    let body = json(500_000);
    stage.says(body.clone(), JSON);
    let mut client = H2::connect(stage.tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        for takes in CODINGS {
            let builder = request("GET", "/").header("accept-encoding", takes);
            let stream = client.send(builder, true).await.unwrap();
            // All are read at once: what one leaves unread keeps the others waiting.
            streams.push((takes, tokio::spawn(stream.answer())));
        }
    }
    for (takes, answer) in streams {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(field(&answer, "content-encoding"), Some(takes));
        assert!(decode(takes, &answer.body) == body, "{takes}");
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn a_client_of_http_2_is_told_that_its_form_is_still_good() {
    for cache in ["max-age=60", "no-store"] {
        let stage = Stage::under(H2C, CACHED).await;
        stage.answers(move |seen| {
            let names = |tags: &str| tags.split(", ").any(|tag| tag == "\"x\"");
            let reply = match seen.head.get("if-none-match").is_some_and(names) {
                true => Reply::steps([crate::support::reply::Step::Head(304, vec![])]),
                false => Reply::text(json(20_000)),
            };
            let reply = reply.field("Content-Type", "application/json");
            reply.field("ETag", "\"x\"").field("Cache-Control", cache)
        });
        let mut client = H2::connect(stage.tide.addr()).await;
        for takes in CODINGS {
            let answer = ask(&mut client, "GET", takes, None).await;
            assert_eq!(field(&answer, "content-encoding"), Some(takes));
            let tag = field(&answer, "etag").unwrap();
            let again = ask(&mut client, "GET", takes, Some(tag)).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{cache}");
            assert_eq!(field(&again, "etag"), Some(tag), "{cache}");
            assert_eq!(field(&again, "vary"), Some("Accept-Encoding"), "{cache}");
        }
    }
}

#[tokio::test]
async fn a_head_over_http_2_says_what_a_get_would() {
    for keys in [LIVE, CACHED] {
        let stage = Stage::under(H2C, keys).await;
        stage.says(json(20_000), JSON);
        let mut client = H2::connect(stage.tide.addr()).await;
        for takes in ["br", "identity"] {
            let get = ask(&mut client, "GET", takes, None).await;
            if keys == CACHED && takes == "br" {
                stage.keeps("br", "live", 1.0).await;
            }
            let head = ask(&mut client, "HEAD", takes, None).await;
            assert_eq!((head.status, head.body.len()), (200, 0));
            for name in ["content-encoding", "content-type", "etag", "vary"] {
                assert_eq!(field(&head, name), field(&get, name), "{keys}: {name}");
            }
            if let Some(length) = field(&head, "content-length") {
                assert_eq!(length, get.body.len().to_string(), "{keys}: {takes}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_on_a_miss_and_on_a_hit_says_what_a_get_would() {
    for size in [2_000, 20_000, 200_000] {
        let stage = Stage::open(CACHED).await;
        stage.says(json(size), JSON);
        let ask = async |takes: &str| {
            let head = Request::new("HEAD", "/").field("Accept-Encoding", takes);
            stage.tide.ask(&head).await
        };
        for takes in ["br", "gzip", "identity"] {
            let miss = ask(takes).await;
            let get = stage.get("/", takes).await;
            if takes != "identity" {
                stage.keeps(takes, "live", 1.0).await;
            }
            let hit = ask(takes).await;
            for head in [&miss, &hit] {
                assert_eq!((head.status, head.body.len()), (200, 0));
                for name in ["content-encoding", "content-type", "etag", "vary"] {
                    assert_eq!(head.head.get(name), get.head.get(name), "{size} {takes}");
                }
            }
            // Of a form that nobody has made yet it is not known; that of the plain body would be wrong.
            let length = get.body.len().to_string();
            let says = miss.head.get("content-length");
            assert!(says.is_none_or(|says| says == length), "{takes}: {says:?}");
            assert_eq!(hit.head.get("content-length"), Some(length.as_str()));
        }
    }
}
