//! What is stored: one fetch, one body, a form beside it for each encoding that somebody takes.

use super::*;

const CACHED: &str = "cache: true\ncompress: true";
const ALL: [&str; 5] = ["zstd", "br", "gzip", "deflate", "identity"];

#[tokio::test]
async fn one_fetch_serves_every_encoding_and_each_is_the_same_body() {
    for length in [2_000, 64 * 1024, 3 << 20] {
        let stage = Stage::open(CACHED).await;
        let body = json(length);
        stage.says(body.clone(), JSON);
        for round in 0..3 {
            for takes in ALL {
                let answer = stage.get("/", takes).await;
                assert_eq!(answer.status, 200);
                assert_eq!(encoding(&answer), takes, "{length} {round}");
                assert!(decoded(&answer) == body, "{length} {takes} {round}");
                assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
                let tag = match takes {
                    "identity" => "\"x\"".to_owned(),
                    _ => format!("\"x-{takes}\""),
                };
                assert_eq!(answer.head.get("etag"), Some(tag.as_str()));
            }
        }
        assert_eq!(stage.app.requests(), 1, "{length}");
        assert_eq!(
            stage.app.only().head.get("accept-encoding"),
            Some("identity")
        );
    }
}

#[tokio::test]
async fn what_is_stored_compressed_has_a_length() {
    let stage = Stage::open(CACHED).await;
    stage.says(json(200_000), JSON);
    stage.get("/", "br").await;
    stage.keeps("br", "live", 1.0).await;
    let hit = stage.get("/", "br").await;
    let length = hit.body.len().to_string();
    assert_eq!(hit.head.get("content-length"), Some(length.as_str()));
    assert!(hit.body.len() < 60_000, "{length}");
    let head = Request::new("HEAD", "/").field("Accept-Encoding", "br");
    let head = stage.tide.ask(&head).await;
    for name in ["content-length", "content-encoding", "etag", "vary"] {
        assert_eq!(head.head.get(name), hit.head.get(name), "{name}");
    }
}

#[tokio::test]
async fn many_at_once_share_one_fetch_and_one_compression() {
    let stage = Stage::open(CACHED).await;
    let body = json(1 << 20);
    stage.says(body.clone(), JSON);
    let all = futures_of(&stage, 60).await;
    for answer in all {
        assert_eq!(encoding(&answer), "gzip");
        assert!(decoded(&answer) == body);
    }
    assert_eq!(stage.app.requests(), 1);
    let name = "tidegate_compression_bytes_in_total";
    let bytes = stage.tide.metric(name, &[("encoding", "gzip")]).await;
    assert!(
        bytes.unwrap_or_default() < 4.0 * body.len() as f64,
        "{bytes:?}"
    );
}

/// So many answers, asked for at once.
async fn futures_of(stage: &Stage, count: usize) -> Vec<Answer> {
    let addr = stage.tide.addr();
    let asks = (0..count).map(|_| {
        tokio::spawn(async move {
            let mut client = crate::support::client::Client::connect(addr).await.unwrap();
            let request = Request::get("/").field("Accept-Encoding", "gzip");
            client.ask(&request).await.unwrap()
        })
    });
    let mut all = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        all.push(ask.await.unwrap());
    }
    all
}

#[tokio::test]
async fn what_is_asked_for_again_and_again_is_compressed_better_behind_the_answers() {
    let stage = Stage::open(CACHED).await;
    let body = json(64 * 1024);
    stage.says(body.clone(), JSON);
    let first = stage.get("/", "br").await;
    stage.keeps("br", "live", 1.0).await;
    for _ in 0..3 {
        stage.get("/", "br").await;
    }
    stage.keeps("br", "background", 1.0).await;
    let better = stage.get("/", "br").await;
    assert!(decoded(&better) == body);
    assert!(
        better.body.len() * 100 < first.body.len() * 93,
        "{} after {}",
        better.body.len(),
        first.body.len()
    );
    assert_eq!(better.head.get("etag"), first.head.get("etag"));
    // It is as good as it gets: nobody works on it again.
    for _ in 0..20 {
        stage.get("/", "br").await;
    }
    stage.keeps("br", "background", 1.0).await;
}

#[tokio::test]
async fn a_purge_removes_every_form() {
    let stage = Stage::open(CACHED).await;
    stage.says(json(5_000), JSON);
    for takes in ALL {
        stage.get("/", takes).await;
    }
    assert_eq!(stage.app.requests(), 1);
    let purge = "{\"all\": true, \"hard\": true}";
    let done = stage.tide.api("POST", "/api/v1/purge", purge).await;
    assert_eq!(done.status, 200, "{}", done.text());
    stage.says(json(6_000), JSON);
    for takes in ALL {
        let answer = stage.get("/", takes).await;
        assert!(decoded(&answer) == json(6_000), "{takes}");
    }
    assert_eq!(stage.app.requests(), 2);
}

#[tokio::test]
async fn a_confirmed_answer_keeps_its_forms() {
    let stage = Stage::open(CACHED).await;
    let body = json(40_000);
    let kept = body.clone();
    stage.answers(move |seen| match seen.head.get("if-none-match") {
        Some("\"x\"") => with(
            Reply::steps([crate::support::reply::Step::Head(304, vec![])]),
            JSON,
        ),
        Some(other) => panic!("the origin's own tag is {other}"),
        None => with(Reply::text(kept.clone()), JSON),
    });
    stage.get("/", "br").await;
    stage.keeps("br", "live", 1.0).await;
    stage
        .tide
        .forward(std::time::Duration::from_secs(700))
        .await;
    let again = stage.get("/", "br").await;
    let seen = stage.app.seen();
    let asked = seen.iter().filter(|seen| seen.target() == "/").count();
    assert_eq!(asked, 2);
    assert!(decoded(&again) == body);
    assert!(
        again.head.get("content-length").is_some(),
        "it was there already"
    );
    stage.keeps("br", "live", 1.0).await;
}

#[tokio::test]
async fn a_part_is_one_of_the_plain_body() {
    let stage = Stage::open(CACHED).await;
    let body = json(50_000);
    stage.says(body.clone(), JSON);
    stage.get("/", "br").await;
    let part = stage.get_with("/", "br", "Range: bytes=100-199").await;
    assert_eq!(part.status, 206);
    assert_eq!(encoding(&part), "identity");
    assert!(part.body == body[100..200]);
    assert_eq!(part.head.get("etag"), Some("\"x\""));
    assert_eq!(part.head.get("vary"), Some("Accept-Encoding"));
    // Who continues a compressed answer gets the whole of one.
    let lines = "Range: bytes=100-199\nIf-Range: \"x-br\"";
    let whole = stage.get_with("/", "br", lines).await;
    assert_eq!((whole.status, encoding(&whole)), (200, "br"));
    assert!(decoded(&whole) == body);
    let lines = "Range: bytes=100-199\nIf-Range: \"x\"";
    assert_eq!(stage.get_with("/", "br", lines).await.status, 206);
    // Who does not take the plain body has no use for a part of it.
    let whole = stage
        .get_with("/", "br, identity;q=0", "Range: bytes=100-199")
        .await;
    assert_eq!((whole.status, encoding(&whole)), (200, "br"));
}

#[tokio::test]
async fn what_compression_makes_no_smaller_goes_out_as_it_is() {
    let stage = Stage::open("cache: true\ncompress: { min_size: 0 }").await;
    let noise: Vec<u8> = (0..20_000).map(|_| fastrand::u8(..)).collect();
    stage.says(
        noise.clone(),
        "Content-Type: text/plain\nCache-Control: max-age=60",
    );
    for round in 0..4 {
        let answer = stage.get("/", "gzip").await;
        assert!(decoded(&answer) == noise);
        assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
        if round > 0 {
            assert_eq!(encoding(&answer), "identity", "{round}");
        }
    }
    assert!(stage.skipped("no_gain").await >= 3.0);
    // Unless the client does not take it so.
    let answer = stage.get("/", "gzip, identity;q=0").await;
    assert_eq!(encoding(&answer), "gzip");
    assert!(decoded(&answer) == noise);
}
