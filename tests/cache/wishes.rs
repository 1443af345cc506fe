//! What a request may ask of the cache (RFC 9111 §5.2.1), and which requests are none of its business.

use super::{Stage, is_hit, reply, told, validated, with};
use crate::support::client::Request;
use crate::support::reply::Reply;

/// A stage with `/` stored, fresh for a hundred seconds of which `passed` are over.
async fn stored(rules: &str, passed: u64) -> Stage {
    let stage = Stage::open(rules).await;
    stage.says("Cache-Control: max-age=100");
    stage.get("/").await;
    stage.passes(passed).await;
    stage
}

#[tokio::test]
async fn what_a_request_wants_of_what_is_stored_is_honoured() {
    let used = "the stored one";
    let (fetched, nothing) = ("a new one", "504");
    for (name, passed, wants, gets) in [
        ("no wish", 50, "", used),
        ("no-cache", 50, "Cache-Control: no-cache", fetched),
        (
            "no-cache in capitals",
            50,
            "Cache-Control: NO-CACHE",
            fetched,
        ),
        (
            "no-store leaves what is fresh",
            50,
            "Cache-Control: no-store",
            used,
        ),
        (
            "max-stale of what is fresh",
            50,
            "Cache-Control: max-stale",
            used,
        ),
        ("young enough", 50, "Cache-Control: max-age=80", used),
        ("too old", 50, "Cache-Control: max-age=20", fetched),
        ("max-age=0", 50, "Cache-Control: max-age=0", fetched),
        (
            "fresh for long enough",
            50,
            "Cache-Control: min-fresh=20",
            used,
        ),
        (
            "not fresh for long enough",
            50,
            "Cache-Control: min-fresh=80",
            fetched,
        ),
        ("stale", 150, "", fetched),
        ("any staleness", 150, "Cache-Control: max-stale", used),
        ("stale for less", 150, "Cache-Control: max-stale=80", used),
        (
            "stale for more",
            150,
            "Cache-Control: max-stale=20",
            fetched,
        ),
        (
            "max-stale beside no-cache",
            150,
            "Cache-Control: no-cache, max-stale",
            fetched,
        ),
        ("only-if-cached", 50, "Cache-Control: only-if-cached", used),
        (
            "only-if-cached of what is stale",
            150,
            "Cache-Control: only-if-cached",
            nothing,
        ),
        (
            "both",
            150,
            "Cache-Control: only-if-cached, max-stale",
            used,
        ),
        (
            "only what is young",
            50,
            "Cache-Control: only-if-cached, max-age=10",
            nothing,
        ),
        ("Pragma", 50, "Pragma: no-cache", fetched),
        (
            "Pragma beside Cache-Control",
            50,
            "Pragma: no-cache\nCache-Control: max-age=80",
            used,
        ),
        (
            "an unknown wish",
            50,
            "Cache-Control: foo=\"no-cache\"",
            used,
        ),
    ] {
        let stage = stored("true", passed).await;
        let answer = stage.get_with("/", wants).await;
        let got = match (answer.status, stage.asked("/")) {
            (200, 1) => used,
            (200, 2) => fetched,
            (504, 1) => nothing,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(got, gets, "{name}: {}", told(&answer));
    }
}

#[tokio::test]
async fn nothing_is_stored_for_a_request_that_says_no_store() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60");
    stage.get_with("/", "Cache-Control: no-store").await;
    assert!(!is_hit(&stage.get("/").await));
    assert!(is_hit(&stage.get("/").await));
    assert_eq!(stage.asked("/"), 2);
}

#[tokio::test]
async fn only_if_cached_of_what_is_not_stored_is_504_and_asks_nobody() {
    let stage = Stage::open("true").await;
    let answer = stage.get_with("/", "Cache-Control: only-if-cached").await;
    assert_eq!((answer.status, stage.app.requests()), (504, 0));
    assert!(
        told(&answer).contains("detail=only_if_cached"),
        "{}",
        told(&answer)
    );
}

#[tokio::test]
async fn a_route_may_say_that_requests_have_no_wishes() {
    for wants in [
        "Cache-Control: no-cache",
        "Cache-Control: max-age=0",
        "Cache-Control: no-store",
        "Pragma: no-cache",
        "Cache-Control: min-fresh=1000",
    ] {
        let stage = stored("{ ignore_client_cache_control: true }", 50).await;
        assert!(is_hit(&stage.get_with("/", wants).await), "{wants}");
    }
    // Also of what is not stored: an answer to `no-store` is for everybody.
    let stage = Stage::open("{ ignore_client_cache_control: true }").await;
    stage.says("Cache-Control: max-age=100");
    stage.get_with("/", "Cache-Control: no-store").await;
    assert!(is_hit(&stage.get("/").await));
}

#[tokio::test]
async fn a_reload_validates_what_has_a_validator_and_everybody_gains() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=100";
    stage
        .app
        .answers(move |seen| validated(seen, "\"v1\"", lines));
    stage.get("/").await;
    stage.passes(50).await;
    let reloaded = stage.get_with("/", "Cache-Control: no-cache").await;
    assert_eq!((reloaded.status, stage.asked("/")), (200, 2));
    assert_eq!(stage.last().head.get("if-none-match"), Some("\"v1\""));
    stage.passes(70).await;
    assert!(
        is_hit(&stage.get("/").await),
        "fresh again since the reload"
    );
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60\nETag: \"v1\"");
    let got = stage.get("/").await;
    let head = stage.ask(&Request::new("HEAD", "/")).await;
    assert!(is_hit(&head) && head.body.is_empty(), "{}", told(&head));
    for name in ["content-length", "etag", "x-serial", "cache-control"] {
        assert_eq!(head.head.get(name), got.head.get(name), "{name}");
    }
    let held = Request::new("HEAD", "/").field("If-None-Match", "\"v1\"");
    assert_eq!(stage.ask(&held).await.status, 304);
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn a_head_of_what_is_not_stored_goes_to_the_origin_as_it_is_and_stores_nothing() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60");
    for n in 1..3 {
        let head = stage.ask(&Request::new("HEAD", "/")).await;
        assert_eq!((head.status, stage.last().method()), (200, "HEAD"));
        assert_eq!(stage.app.requests(), n);
    }
    assert_eq!(stage.get("/").await.text(), "/ 2");
}

#[tokio::test]
async fn what_only_the_origin_can_judge_goes_to_the_origin() {
    // By default the front takes away what names another method.
    let stage = Stage::under("requests: { drop: [] }\n", "true").await;
    stage.says("Cache-Control: max-age=60\nETag: \"v1\"");
    stage.get("/").await;
    let plain = Request::get("/");
    for (name, request) in [
        ("a body", Request::post("/", "body").method("GET")),
        (
            "a body in chunks",
            Request::post("/", "body").method("GET").chunked(2),
        ),
        ("If-Match", with(plain.clone(), "If-Match: \"v1\"")),
        (
            "If-Unmodified-Since",
            with(plain.clone(), "If-Unmodified-Since: {now}"),
        ),
        ("another method", Request::new("OPTIONS", "/")),
        (
            "a method in a field",
            with(plain.clone(), "X-HTTP-Method-Override: DELETE"),
        ),
    ] {
        let before = stage.app.requests();
        let answer = stage.ask(&request).await;
        assert_eq!(
            stage.app.requests(),
            before + 1,
            "{name}: {}",
            told(&answer)
        );
        assert!(
            told(&answer).starts_with("tidegate; fwd="),
            "{name}: {}",
            told(&answer)
        );
    }
    let seen = stage.app.seen();
    assert_eq!((seen[1].body.len(), seen[2].body.len()), (4, 4));
    assert_eq!(seen[3].head.get("if-match"), Some("\"v1\""));
    assert!(is_hit(&stage.get("/").await), "what is stored is as it was");
}

#[tokio::test]
async fn an_upgrade_goes_past_the_cache() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| match seen.head.get("upgrade") {
        Some(_) => Reply::websocket(),
        None => reply(seen, 200, "Cache-Control: max-age=60"),
    });
    stage.get("/chat").await;
    let mut client = stage.tide.connect().await;
    let answer = client.ask(&Request::websocket("/chat")).await.unwrap();
    assert_eq!(answer.status, 101);
    client.send_bytes(b"hello").await.unwrap();
    assert_eq!(client.exactly(5).await.unwrap(), b"hello");
}
