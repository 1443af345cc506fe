//! What readers of the code found, each as it can be seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::support::reply::Step;
use crate::support::{Gate, eventually, ms};

/// The head of an answer with these fields.
fn head(status: u16, lines: &str) -> Step {
    let lines = lines
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let fields = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Step::Head(status, fields.collect())
}

#[tokio::test]
async fn a_dull_beginning_does_not_pay_for_a_bomb_behind_it() {
    let mut random = fastrand::Rng::with_seed(9);
    let dull: Vec<u8> = (0..3 << 20).map(|_| random.u8(..)).collect();
    let mut body = zstd::stream::encode_all(&dull[..], 1).unwrap();
    let zeros = vec![0; 64 << 20];
    for _ in 0..4 {
        body.extend(zstd::stream::encode_all(&zeros[..], 3).unwrap());
    }
    let stage = Stage::open("compress: true").await;
    stage.answers(move |_| {
        let reply = Reply::text(body.clone()).field("Content-Encoding", "zstd");
        with(reply, "Content-Type: text/plain")
    });
    let before = stage.tide.process().memory();
    let request = Request::get("/").field("Accept-Encoding", "identity");
    assert!(stage.tide.try_ask(&request).await.is_err(), "it is cut off");
    let after = stage.tide.process().memory();
    assert!(after < before + (48 << 20), "{before} to {after}");
    let labels = [("reason", "ratio")];
    let name = "tidegate_compression_decode_failed_total";
    stage.tide.metric_is(name, &labels, 1.0).await;
    // The node's line is fine.
    let labels = [("upstream", "web"), ("reason", "upstream_invalid")];
    let errors = stage
        .tide
        .metric("tidegate_upstream_errors_total", &labels)
        .await;
    assert_eq!(errors.unwrap_or_default(), 0.0);
    assert_eq!(stage.tide.told("/").await["end"], "upstream_encoding");
}

#[tokio::test]
async fn what_nobody_wants_any_more_and_is_not_kept_is_not_made_on() {
    let stage = Stage::under(
        "cache: { memory: 8MiB, max_object: 1MiB }\n",
        "cache: true\ncompress: true",
    )
    .await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = sent.clone();
    stage.answers(move |_| {
        counts.fetch_add(1, Relaxed);
        let piece = Step::Chunk(json(32 * 1024));
        let head = head(
            200,
            "Content-Type: text/plain\nCache-Control: max-age=60\nTransfer-Encoding: chunked",
        );
        let wait = Step::Wait(ms(5));
        let body = std::iter::repeat_n([piece, wait], 4_000).flatten();
        Reply::steps(std::iter::once(head).chain(body))
    });
    let mut client = stage.tide.connect().await;
    client
        .send(&Request::get("/").field("Accept-Encoding", "gzip"))
        .await
        .unwrap();
    client.head().await.unwrap();
    for _ in 0..40 {
        client.chunk().await.unwrap();
    }
    drop(client);
    eventually(
        "the origin is left in peace",
        ms(8_000),
        async || match stage.app.in_flight() {
            0 => Ok(()),
            n => Err(format!("{n} in flight")),
        },
    )
    .await;
}

#[tokio::test]
async fn what_comes_slowly_is_not_held_back_though_its_length_is_known() {
    for cache in ["", "cache: true\n"] {
        for takes in ["zstd", "br", "gzip"] {
            let stage = Stage::open(&format!("{cache}compress: true")).await;
            let gate = Gate::closed();
            let (first, rest) = (json(20_000), json(30_000));
            let length = first.len() + rest.len();
            let script = (gate.clone(), first.clone(), rest);
            stage.answers(move |_| {
                let (gate, first, rest) = script.clone();
                let lines = format!(
                    "Content-Type: text/plain\nCache-Control: max-age=60\nContent-Length: {length}"
                );
                Reply::steps([
                    head(200, &lines),
                    Step::Bytes(first),
                    Step::Gate(gate),
                    Step::Bytes(rest),
                ])
            });
            let mut client = stage.tide.connect().await;
            let request = Request::get("/").field("Accept-Encoding", takes);
            client.send(&request).await.unwrap();
            client.head().await.unwrap();
            let mut bytes = Vec::new();
            while super::live::readable(takes, &bytes) != first {
                bytes.extend(client.chunk().await.unwrap().expect("more to come"));
            }
            gate.open();
        }
    }
}

#[tokio::test]
async fn a_date_does_not_tell_which_form_is_continued() {
    for cache in ["", "cache: true\n"] {
        let stage = Stage::open(&format!("{cache}compress: true")).await;
        let body = json(50_000);
        let script = body.clone();
        stage.answers(move |seen| {
            let lines = "Content-Type: text/plain\nCache-Control: max-age=600
                Date: Sun, 06 Nov 1994 08:49:37 GMT\nLast-Modified: Sat, 05 Nov 1994 08:49:37 GMT";
            match seen.head.get("range") {
                Some(_) => with(Reply::sized(206, script[100..].to_vec()), lines),
                None => with(Reply::text(script.clone()), lines),
            }
        });
        stage.get("/", "br").await;
        let lines = "Range: bytes=100-\nIf-Range: Sat, 05 Nov 1994 08:49:37 GMT";
        let answer = stage.get_with("/", "br", lines).await;
        assert_eq!((answer.status, encoding(&answer)), (200, "br"), "{cache}");
        assert!(decoded(&answer) == body);
        // Nor which one the client has.
        if !cache.is_empty() {
            let lines = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
            let held = stage.get_with("/", "br", lines).await;
            assert_eq!((held.status, held.head.get("etag")), (304, None));
        }
    }
}

#[tokio::test]
async fn a_busy_worker_sends_nobody_what_they_refuse() {
    let stage = Stage::open("compress: { max_cpu: 1%, level: { br: 11 } }").await;
    let body = json(200_000);
    stage.says(body.clone(), "Content-Type: text/plain");
    let mut busy = 0.0;
    for _ in 0..40 {
        let answer = stage.get("/", "br, identity;q=0").await;
        assert_eq!(encoding(&answer), "br");
        assert!(decoded(&answer) == body);
        let answer = stage.get("/", "br").await;
        assert!(decoded(&answer) == body);
        busy = stage.skipped("busy").await;
        if busy > 0.0 {
            break;
        }
    }
    assert!(busy > 0.0, "it was busy once");
}

#[tokio::test]
async fn a_form_that_is_not_taken_now_is_not_confirmed() {
    let stage = Stage::open("compress: true").await;
    let body = json(5_000);
    stage.answers(move |seen| {
        let lines = "Content-Type: text/plain\nETag: \"x\"";
        let named = seen.head.get("if-none-match").unwrap_or_default();
        match named.split(", ").any(|tag| tag == "\"x\"") {
            true => Reply::steps([head(304, lines)]),
            false => with(Reply::text(body.clone()), lines),
        }
    });
    let answer = stage.get_with("/", "gzip", "If-None-Match: \"x-br\"").await;
    assert_eq!((answer.status, encoding(&answer)), (200, "gzip"));
    let answer = stage.get_with("/", "gzip", "If-None-Match: \"x\"").await;
    assert_eq!(
        (answer.status, answer.head.get("vary")),
        (304, Some("Accept-Encoding"))
    );
}

#[tokio::test]
async fn a_client_may_ask_that_nobody_changes_its_answer() {
    for cache in ["", "cache: true\n"] {
        let stage = Stage::open(&format!("{cache}compress: true")).await;
        let body = json(5_000);
        stage.says(body.clone(), JSON);
        let answer = stage
            .get_with("/", "br", "Cache-Control: no-transform")
            .await;
        assert_eq!(encoding(&answer), "identity");
        assert!(answer.body == body);
        assert_eq!(encoding(&stage.get("/", "br").await), "br");
    }
}

#[tokio::test]
async fn a_tag_that_is_none_names_no_form() {
    for cache in ["", "cache: true\n"] {
        let stage = Stage::open(&format!("{cache}compress: true")).await;
        stage.says(
            json(5_000),
            "Content-Type: text/plain\nCache-Control: max-age=60\nETag: abc",
        );
        assert_eq!(stage.get("/", "br").await.head.get("etag"), None);
        assert_eq!(
            stage.get("/", "identity").await.head.get("etag"),
            Some("abc")
        );
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_stored_is_one_all_the_same() {
    let stage = Stage::open("cache: { set_cookie: strip }\ncompress: { set_cookie: false }").await;
    stage.says(
        json(5_000),
        "Content-Type: text/plain\nCache-Control: max-age=60\nSet-Cookie: a=b",
    );
    let first = stage.get("/", "br").await;
    assert_eq!(
        (first.head.get("set-cookie"), encoding(&first)),
        (Some("a=b"), "identity")
    );
    let second = stage.get("/", "br").await;
    assert_eq!(
        (second.head.get("set-cookie"), encoding(&second)),
        (None, "br")
    );
}

#[tokio::test]
async fn what_is_for_one_client_is_compressed_by_the_node_where_we_do_not() {
    let stage = Stage::open("cache: true\ncompress: { dynamic: false }").await;
    stage.says(
        json(5_000),
        "Content-Type: text/plain\nCache-Control: no-store",
    );
    stage.get("/", "br").await;
    // It is known now not to be storable.
    stage.get("/", "br").await;
    let seen = stage.app.seen();
    let asked: Vec<_> = seen
        .iter()
        .map(|seen| seen.head.get("accept-encoding"))
        .collect();
    assert_eq!(asked, [Some("identity"), Some("br")]);
}

#[tokio::test]
async fn who_refuses_the_plain_body_gets_even_a_small_one_compressed() {
    for keys in ["compress: true", "cache: true\ncompress: true"] {
        let stage = Stage::open(keys).await;
        stage.says(json(200), JSON);
        for _ in 0..3 {
            let answer = stage.get("/", "gzip, identity;q=0").await;
            assert_eq!(encoding(&answer), "gzip", "{keys}");
            assert!(decoded(&answer) == json(200));
            assert_eq!(encoding(&stage.get("/", "gzip").await), "identity");
        }
    }
}
