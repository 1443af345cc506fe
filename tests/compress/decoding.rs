//! `compress.decode`: how far what came encoded is decoded, and what becomes of it where it is not.

use super::*;

const BOTH: [&str; 2] = ["", "cache: true\n"];

/// What a client got that takes nothing encoded: all of it, or a beginning that it can see is one.
async fn is_whole(stage: &Stage, target: &str, body: &[u8]) -> bool {
    let request = Request::get(target).field("Accept-Encoding", "identity");
    match stage.tide.try_ask(&request).await {
        Ok(answer) if answer.status == 200 => {
            assert_eq!(encoding(&answer), "identity");
            assert!(answer.body == body, "{target}: other bytes");
            true
        }
        Ok(answer) => {
            assert_eq!(answer.status, 502);
            false
        }
        Err(_) => false,
    }
}

/// The origin has JSON of about so many bytes at `/BYTES`, and only gzipped.
fn has_gzip(stage: &Stage, sizes: &[usize]) {
    let all: Vec<_> = (sizes.iter())
        .map(|size| (format!("/{size}"), encode("gzip", &json(*size))))
        .collect();
    stage.answers(move |seen| {
        let (_, gzip) = all.iter().find(|(t, _)| t == seen.target()).unwrap();
        let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
        with(reply, JSON)
    });
}

async fn failed(stage: &Stage, reason: &str) -> f64 {
    let name = "tidegate_compression_decode_failed_total";
    let found = stage.tide.metric(name, &[("reason", reason)]).await;
    found.unwrap_or_default()
}

#[tokio::test]
async fn what_is_too_large_decoded_is_broken_off() {
    for cache in BOTH {
        let keys = format!("{cache}compress: {{ max_cpu: 100%, decode: {{ max_size: 100KiB }} }}");
        let stage = Stage::open(&keys).await;
        has_gzip(&stage, &[90_000, 300_000]);
        assert!(is_whole(&stage, "/90000", &json(90_000)).await, "{keys}");
        assert_eq!(failed(&stage, "too_large").await, 0.0);
        for failures in [1.0, 2.0] {
            assert!(!is_whole(&stage, "/300000", &json(300_000)).await, "{keys}");
            assert_eq!(failed(&stage, "too_large").await, failures, "{keys}");
        }
        // Who takes it as it came gets all of it, and who takes another encoding no more than the others.
        let whole = stage.get("/300000", "gzip").await;
        assert!(decoded(&whole) == json(300_000), "{keys}");
        let request = Request::get("/300000").field("Accept-Encoding", "br");
        let answer = stage.tide.try_ask(&request).await;
        assert!(answer.is_err() || answer.unwrap().status == 502, "{keys}");
    }
}

#[tokio::test]
async fn the_exact_size_is_still_decoded() {
    let body = vec![b'a'; 100_000];
    for (most, fits) in [(100_000, true), (99_999, false)] {
        let keys = format!("compress: {{ max_cpu: 100%, decode: {{ max_size: {most}B }} }}");
        let stage = Stage::open(&keys).await;
        let gzip = encode("gzip", &body);
        stage.answers(move |_| {
            let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
            with(reply, JSON)
        });
        assert_eq!(is_whole(&stage, "/", &body).await, fits, "{most}");
    }
}

#[tokio::test]
async fn what_grows_too_much_when_decoded_is_broken_off() {
    for cache in BOTH {
        for (most, fits) in [(2, false), (100, true)] {
            let keys =
                format!("{cache}compress: {{ max_cpu: 100%, decode: {{ max_ratio: {most} }} }}");
            let stage = Stage::open(&keys).await;
            has_gzip(&stage, &[500_000, 3_000_000]);
            // Of the first mebibyte nothing is said.
            assert!(is_whole(&stage, "/500000", &json(500_000)).await, "{keys}");
            let large = is_whole(&stage, "/3000000", &json(3_000_000)).await;
            assert_eq!(large, fits, "{keys}");
            let failures = if fits { 0.0 } else { 1.0 };
            assert_eq!(failed(&stage, "ratio").await, failures, "{keys}");
        }
    }
}

/// An origin that sends gzip to who takes it and the plain body to others, and says so.
fn knows_both(stage: &Stage, body: &[u8]) {
    let (plain, gzip) = (body.to_vec(), encode("gzip", body));
    stage.answers(move |seen| {
        let takes = seen.head.names("accept-encoding", "gzip");
        let reply = match takes {
            true => Reply::text(gzip.clone()).field("Content-Encoding", "gzip"),
            false => Reply::text(plain.clone()),
        };
        with(reply, JSON).field("Vary", "Accept-Encoding")
    });
}

#[tokio::test]
async fn who_is_not_decoded_for_gets_the_variant_that_the_origin_has_for_it() {
    let keys = "cache: true\ncompress: { decode: false, accept_encoding: client, max_cpu: 100% }";
    let stage = Stage::open(keys).await;
    let body = json(20_000);
    knows_both(&stage, &body);
    for round in 0..3 {
        for (takes, expected) in [("gzip", "gzip"), ("identity", "identity"), ("br", "br")] {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), expected, "{round}");
            assert!(decoded(&answer) == body, "{takes} {round}");
            assert!(answer.head.names("vary", "accept-encoding"));
        }
    }
    let asked: Vec<_> = (stage.app.seen().iter())
        .map(|seen| seen.head.get("accept-encoding").unwrap().to_owned())
        .collect();
    assert_eq!(asked, ["gzip", "identity", "br"]);
}

#[tokio::test]
async fn nothing_is_decoded_where_the_route_says_no() {
    let body = json(20_000);
    for cache in BOTH {
        for (word, expected) in [("false", "gzip"), ("true", "identity")] {
            let keys = format!("{cache}compress: {{ decode: {word}, max_cpu: 100% }}");
            let stage = Stage::open(&keys).await;
            let gzip = encode("gzip", &body);
            stage.answers(move |_| {
                let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
                with(reply, JSON)
            });
            for _ in 0..2 {
                let answer = stage.get("/", "identity").await;
                assert_eq!(encoding(&answer), expected, "{keys}");
                assert!(decoded(&answer) == body, "{keys}");
            }
        }
    }
}
