//! Forms and what happens to their answer meanwhile: reloads, purges, renewals, variants of the origin's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json as value};

use super::*;
use crate::support::reply::Step;

const CACHED: &str = "cache: true\ncompress: { max_cpu: 100% }";
const ALL: [&str; 5] = ["zstd", "br", "gzip", "deflate", "identity"];

async fn purge(stage: &Stage, what: Value) {
    let what = what.to_string();
    let done = stage.tide.api("POST", "/api/v1/purge", &what).await;
    assert_eq!(done.status, 200, "{}", done.text());
}

#[tokio::test]
async fn forms_are_not_sent_where_nothing_is_compressed_any_more() {
    let stage = Stage::open(CACHED).await;
    let body = json(50_000);
    stage.says(body.clone(), JSON);
    stage.get("/", "br").await;
    stage.keeps("br", "live", 1.0).await;
    let form = stage.get("/", "br").await.body;

    stage.reloads("", "cache: true").await;
    for lines in ["", "Range: bytes=0-"] {
        let answer = stage.get_with("/", "br", lines).await;
        assert_eq!(encoding(&answer), "identity");
        assert!(answer.body == body);
        assert_eq!(answer.head.get("etag"), Some("\"x\""));
        assert_eq!(answer.head.get("vary"), None);
    }
    let known = stage.get_with("/", "br", "If-None-Match: \"x\"").await;
    assert_eq!((known.status, known.head.get("etag")), (304, Some("\"x\"")));

    stage.reloads("", CACHED).await;
    let again = stage.get("/", "br").await;
    assert_eq!(encoding(&again), "br");
    assert!(again.body == form, "it was there");
    assert_eq!(stage.kept("br", "live").await, 1.0);
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn only_the_encodings_that_the_route_has_now_are_sent() {
    let stage = Stage::open(CACHED).await;
    let body = json(50_000);
    stage.says(body.clone(), JSON);
    let offers = async |list: &str| {
        let keys = format!("cache: true\ncompress: {{ encodings: [{list}], max_cpu: 100% }}");
        stage.reloads("", &keys).await;
    };
    let gets = async |takes: &str, expected: &str| {
        for _ in 0..2 {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), expected, "{takes}");
            assert!(decoded(&answer) == body, "{takes}");
            assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
        }
    };
    gets("br", "br").await;
    gets("br, gzip", "br").await;
    offers("gzip, deflate").await;
    gets("br", "identity").await;
    gets("br, gzip", "gzip").await;
    offers("deflate, br").await;
    gets("br, gzip, deflate", "deflate").await;
    gets("br", "br").await;
    gets("gzip", "identity").await;
    assert_eq!(stage.kept("br", "live").await, 1.0);
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn a_reload_that_changes_levels_leaves_forms_and_makes_new_ones_so() {
    let keys = |br: u32| {
        let rules = format!("level: {{ br: {br} }}, max_cpu: 100%");
        format!("cache: true\ncompress: {{ {rules} }}")
    };
    let stage = Stage::under("cache: { recompress: false }\n", &keys(0)).await;
    stage.says(json(50_000), JSON);
    let before = stage.get("/a", "br").await.body;
    stage.keeps("br", "live", 1.0).await;
    stage
        .reloads("cache: { recompress: false }\n", &keys(9))
        .await;
    assert!(stage.get("/a", "br").await.body == before);
    assert!(stage.get("/b", "br").await.body.len() < before.len());
}

/// A shop whose articles say in their body which edition they are; each has a tag of its own, and one that all have.
fn editions(stage: &Stage) -> Arc<AtomicUsize> {
    let edition = Arc::new(AtomicUsize::new(1));
    let now = edition.clone();
    stage.answers(move |seen| {
        let edition = now.load(SeqCst);
        let tag = format!("all, of{}", seen.target().replace('/', "-"));
        let etag = format!("\"{edition}\"");
        let fields = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "max-age=60"),
            ("Cache-Tag", &tag),
            ("ETag", &etag),
        ];
        let reply = match seen.head.get("if-none-match") == Some(&etag) {
            true => Reply::steps([Step::Head(304, vec![])]),
            false => Reply::text(body_of(seen.target(), edition)),
        };
        let add = |reply: Reply, (name, value): &(&str, &str)| reply.field(name, value);
        fields.iter().fold(reply, add)
    });
    edition
}

fn body_of(target: &str, edition: usize) -> Vec<u8> {
    let mut body = json(10_000);
    body.extend(format!("{target} {edition}").into_bytes());
    body
}

/// Everybody gets this edition, in every encoding, and so many fetches were made for it in all.
async fn all_get(stage: &Stage, target: &str, edition: usize, fetches: usize) {
    for takes in ALL {
        let answer = stage.get(target, takes).await;
        assert_eq!(encoding(&answer), takes, "{target}");
        assert!(
            decoded(&answer) == body_of(target, edition),
            "{target}: {takes}"
        );
    }
    assert_eq!(stage.asked(target), fetches, "{target}");
}

#[tokio::test]
async fn each_way_to_purge_takes_the_forms_along_and_no_other_answer_s() {
    for (what, hard) in [
        (value!({ "url": "http://tide.test/a" }), true),
        (value!({ "tag": "of-a" }), true),
        (value!({ "prefix": "http://tide.test/a" }), true),
        (value!({ "url": "http://tide.test/a" }), false),
        (value!({ "tag": "of-a" }), false),
    ] {
        let stage = Stage::open(CACHED).await;
        let edition = editions(&stage);
        for target in ["/a", "/b"] {
            all_get(&stage, target, 1, 1).await;
            all_get(&stage, target, 1, 1).await;
        }
        let kept = async || stage.tide.json("/api/v1/cache").await["encoded"].clone();
        assert_eq!(kept().await, 8);
        edition.store(2, SeqCst);
        let mut what = what;
        what["hard"] = value!(hard);
        purge(&stage, what).await;
        // What is purged softly may be confirmed, and stays until then.
        assert_eq!(kept().await, if hard { 4 } else { 8 });
        all_get(&stage, "/a", 2, 2).await;
        all_get(&stage, "/b", 1, 1).await;
    }
}

#[tokio::test]
async fn what_was_purged_softly_and_is_confirmed_keeps_its_forms() {
    let stage = Stage::open(CACHED).await;
    editions(&stage);
    all_get(&stage, "/a", 1, 1).await;
    for takes in &ALL[..4] {
        stage.keeps(takes, "live", 1.0).await;
    }
    purge(&stage, value!({ "tag": "all" })).await;
    all_get(&stage, "/a", 1, 2).await;
    let asked = stage.app.seen().pop().unwrap();
    assert_eq!(asked.head.get("if-none-match"), Some("\"1\""));
    for takes in &ALL[..4] {
        assert_eq!(stage.kept(takes, "live").await, 1.0, "{takes}");
    }
}

#[tokio::test]
async fn a_new_edition_has_none_of_the_old_one_s_forms() {
    let stage = Stage::open(CACHED).await;
    let edition = editions(&stage);
    all_get(&stage, "/a", 1, 1).await;
    edition.store(2, SeqCst);
    stage.tide.forward(Duration::from_secs(70)).await;
    all_get(&stage, "/a", 2, 2).await;
    let known = stage.get_with("/a", "br", "If-None-Match: \"1-br\"").await;
    assert_eq!((known.status, encoding(&known)), (200, "br"));
}

#[tokio::test]
async fn every_variant_of_the_origin_has_forms_of_its_own() {
    let stage = Stage::open(CACHED).await;
    stage.answers(|seen| {
        let lang = seen.head.get("x-lang").unwrap();
        let reply = with(Reply::text(body_of(lang, 1)), JSON);
        reply.field("Vary", "X-Lang")
    });
    for round in 0..3 {
        for lang in ["de", "fr"] {
            for takes in ALL {
                let lines = format!("X-Lang: {lang}");
                let answer = stage.get_with("/", takes, &lines).await;
                assert_eq!(encoding(&answer), takes, "{lang} {round}");
                assert!(decoded(&answer) == body_of(lang, 1), "{lang} {takes}");
                assert!(answer.head.names("vary", "x-lang"));
                assert!(answer.head.names("vary", "accept-encoding"));
            }
        }
    }
    assert_eq!(stage.app.requests(), 2, "one for each language");
    for takes in &ALL[..4] {
        stage.keeps(takes, "live", 2.0).await;
    }
}

#[tokio::test]
async fn an_origin_that_varies_by_encoding_all_the_same_is_asked_once() {
    let stage = Stage::open(CACHED).await;
    let body = json(20_000);
    let page = body.clone();
    stage.answers(move |_| with(Reply::text(page.clone()), JSON).field("Vary", "Accept-Encoding"));
    for _ in 0..2 {
        for takes in ALL {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), takes);
            assert!(decoded(&answer) == body);
            assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
        }
    }
    assert_eq!(stage.app.requests(), 1);
}
