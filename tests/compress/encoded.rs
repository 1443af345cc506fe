//! Origins that encode on their own: passed through to who takes it, decoded for who does not, never a bomb.

use super::*;

/// The origin gzips whatever it is asked for.
fn gzips(stage: &Stage, body: &[u8], lines: &'static str) {
    let gzip = encode("gzip", body);
    stage.answers(move |_| {
        let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
        with(reply, lines)
    });
}

#[tokio::test]
async fn what_came_encoded_is_passed_through_to_who_takes_it_and_decoded_for_who_does_not() {
    for keys in ["compress: true", "cache: true\ncompress: true"] {
        let stage = Stage::open(keys).await;
        let body = json(100_000);
        gzips(&stage, &body, JSON);
        for round in 0..3 {
            for (takes, expected, tag) in [
                ("gzip", "gzip", "\"x\""),
                ("br, gzip", "gzip", "\"x\""),
                ("identity", "identity", "\"x-identity\""),
                ("br", "br", "\"x-br\""),
                ("gzip;q=0", "identity", "\"x-identity\""),
            ] {
                let answer = stage.get("/", takes).await;
                assert_eq!(encoding(&answer), expected, "{keys}: {takes} {round}");
                assert!(decoded(&answer) == body, "{keys}: {takes} {round}");
                assert_eq!(answer.head.get("etag"), Some(tag), "{takes}");
                assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
            }
        }
        if keys.contains("cache") {
            assert_eq!(stage.app.requests(), 1);
        }
    }
}

#[tokio::test]
async fn a_route_that_does_not_decode_leaves_it_as_it_is() {
    let stage = Stage::open("cache: true\ncompress: { decode: false }").await;
    gzips(&stage, &json(10_000), JSON);
    assert_eq!(encoding(&stage.get("/", "gzip").await), "gzip");
}

#[tokio::test]
async fn what_may_not_be_transformed_is_left_as_it_came() {
    for keys in ["compress: true", "cache: true\ncompress: true"] {
        let stage = Stage::open(keys).await;
        let lines = "Content-Type: application/json\nCache-Control: max-age=60, No-Transform";
        let body = json(10_000);
        stage.says(body.clone(), lines);
        for _ in 0..2 {
            let answer = stage.get("/", "br").await;
            assert_eq!(encoding(&answer), "identity");
            assert!(answer.body == body);
            assert_eq!(answer.head.get("vary"), None);
        }
        assert!(stage.skipped("no_transform").await >= 2.0);
    }
}

#[tokio::test]
async fn a_bomb_is_broken_off_and_takes_no_memory() {
    // 10 MiB of gzip that are 10 GiB.
    let piece = encode("gzip", &vec![0; 64 << 20]);
    let copies = (10 << 20) / piece.len() + 1;
    let bomb = piece.repeat(copies);
    for keys in ["compress: true", "cache: true\ncompress: true"] {
        let stage = Stage::open(keys).await;
        let bytes = bomb.clone();
        stage.answers(move |_| {
            let reply = Reply::text(bytes.clone()).field("Content-Encoding", "gzip");
            with(reply, JSON)
        });
        let before = stage.tide.process().memory();
        let request = Request::get("/").field("Accept-Encoding", "identity");
        assert!(is_cut(&stage, &request).await);
        let after = stage.tide.process().memory();
        assert!(after < before + (64 << 20), "{before} to {after}");
        let name = "tidegate_compression_decode_failed_total";
        stage
            .tide
            .metric_is(name, &[("reason", "ratio")], 1.0)
            .await;
        // Who takes it as it is gets it.
        let whole = stage.get("/", "gzip").await;
        assert!(whole.body == bomb);
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_head_says_is_seen_to_be_cut() {
    for keys in ["compress: true", "cache: true\ncompress: true"] {
        let stage = Stage::open(keys).await;
        let mut cut = encode("gzip", &json(50_000));
        cut.truncate(cut.len() / 2);
        stage.answers(move |_| {
            let reply = Reply::text(cut.clone()).field("Content-Encoding", "gzip");
            with(reply, JSON)
        });
        let request = Request::get("/").field("Accept-Encoding", "identity");
        assert!(is_cut(&stage, &request).await);
        let line = stage.tide.told("/").await;
        assert_eq!(line["end"], "upstream_encoding");
    }
}

/// Whether an answer is seen not to be whole: cut off, or refused before its first byte.
async fn is_cut(stage: &Stage, request: &Request) -> bool {
    match stage.tide.try_ask(request).await {
        Ok(answer) => answer.status == 502,
        Err(_) => true,
    }
}

#[tokio::test]
async fn nodes_are_asked_for_what_the_route_says() {
    for (keys, cached, expected) in [
        ("auto", true, "identity"),
        ("auto", false, "br, gzip"),
        ("identity", false, "identity"),
        ("client", true, "br, gzip"),
    ] {
        let cache = if cached { "cache: true\n" } else { "" };
        let stage = Stage::open(&format!("{cache}compress: {{ accept_encoding: {keys} }}")).await;
        stage.says(json(5_000), JSON);
        let answer = stage.get("/", "br, gzip").await;
        assert_eq!(encoding(&answer), "br");
        let asked = stage.app.only();
        assert_eq!(
            asked.head.get("accept-encoding"),
            Some(expected),
            "{keys} {cached}"
        );
    }
}
