//! Asking whether what is stored is still right, and being asked (RFC 9111 §4.3, RFC 9110 §13).

use super::{Stage, date, dated, is_hit, reply, told, validated};
use crate::support::client::Request;

#[tokio::test]
async fn a_304_makes_what_is_stored_fresh_again_with_the_fields_it_brought() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| match seen.serial {
        0 => reply(seen, 200, "Cache-Control: max-age=10\nETag: \"v1\"\nX-Old: 1\nX-Two: 1\nX-Two: 2\nContent-Encoding: br"),
        _ => reply(
            seen,
            304,
            "Cache-Control: max-age=100\nETag: \"v1\"\nX-Two: 3\nX-New: 1\nContent-Encoding: gzip\nContent-Length: 3\nContent-Range: bytes 0-1/9\nConnection: X-Hop\nX-Hop: 1",
        ),
    });
    let first = stage.get("/").await;
    stage.passes(30).await;
    for hit in [false, true] {
        let answer = stage.get("/").await;
        assert_eq!((answer.status, &answer.body), (200, &first.body));
        assert_eq!(is_hit(&answer), hit, "{}", told(&answer));
        for (name, value) in [
            ("cache-control", "max-age=100"),
            ("x-old", "1"),
            ("x-two", "3"),
            ("x-new", "1"),
            ("content-encoding", "br"),
            ("content-length", "3"),
            ("x-hop", ""),
            ("content-range", ""),
        ] {
            assert_eq!(answer.head.all(name).join("|"), value, "{name}");
        }
        let age: u64 = answer.head.get("age").unwrap().parse().unwrap();
        let since = if hit { 50 } else { 0 };
        assert!(
            (since..since + super::BESIDE).contains(&age),
            "it counts from the 304: {age}"
        );
        stage.passes(50).await;
    }
    assert_eq!(stage.asked("/"), 2);
}

#[tokio::test]
async fn the_origin_is_asked_with_the_stored_validators_as_they_are() {
    for (name, lines, condition, value) in [
        ("strong", "ETag: \"a, b\"", "if-none-match", "\"a, b\""),
        ("weak", "ETag: W/\"x\"", "if-none-match", "W/\"x\""),
        ("without quotes", "ETag: abc", "if-none-match", "abc"),
        (
            "a date",
            "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT",
            "if-modified-since",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ),
    ] {
        let stage = Stage::open("true").await;
        stage.app.answers(move |seen| {
            let status = if seen.serial == 0 { 200 } else { 304 };
            reply(seen, status, lines).field("Cache-Control", "max-age=10")
        });
        let first = stage.get("/").await;
        stage.passes(20).await;
        let again = stage.get("/").await;
        assert_eq!((again.status, again.body), (200, first.body), "{name}");
        assert_eq!(stage.last().head.get(condition), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_selected_a_variant_selects_it_in_its_validation_too() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=10\nVary: X-Kind";
    stage.app.answers(move |seen| {
        let kind = seen.head.get("x-kind").unwrap_or("none");
        validated(seen, &format!("\"{kind}\""), lines)
    });
    for kind in ["a", "b"] {
        stage.get_with("/", &format!("X-Kind: {kind}")).await;
    }
    stage.passes(20).await;
    for (kind, body) in [("a", "/ 0"), ("b", "/ 1")] {
        let answer = stage.get_with("/", &format!("X-Kind: {kind}")).await;
        assert_eq!(answer.text(), body);
        let asked = stage.last();
        assert_eq!(asked.head.get("x-kind"), Some(kind));
        assert_eq!(
            asked.head.get("if-none-match"),
            Some(&*format!("\"{kind}\""))
        );
    }
}

#[tokio::test]
async fn a_clients_own_condition_is_answered_by_us_and_never_asked_of_the_origin() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=10";
    stage
        .app
        .answers(move |seen| validated(seen, "\"v1\"", lines));
    let since = format!("If-Modified-Since: {}", date(60));
    // Of what is not stored yet: the whole of it is fetched.
    let held = stage.get_with("/", "If-None-Match: \"v1\"").await;
    assert_eq!((held.status, held.body.len()), (304, 0));
    assert_eq!(stage.last().head.all("if-none-match"), Vec::<&str>::new());
    stage.passes(20).await;
    for (lines, status) in [
        ("If-None-Match: \"v1\"", 304),
        ("If-None-Match: \"v0\"", 200),
        (&*since, 304),
    ] {
        let answer = stage.get_with("/", lines).await;
        assert_eq!(answer.status, status, "{lines}");
        let asked = stage.last();
        assert_eq!(
            asked.head.get("if-none-match"),
            Some("\"v1\""),
            "the stored one"
        );
        assert_eq!(asked.head.get("if-modified-since"), None);
        stage.passes(20).await;
    }
}

#[tokio::test]
async fn another_answer_to_a_validation_takes_the_place_of_what_is_stored() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let lines = "Cache-Control: max-age=10";
        validated(seen, &format!("\"v{}\"", seen.serial), lines)
    });
    assert_eq!(stage.get("/").await.text(), "/ 0");
    stage.passes(20).await;
    assert_eq!(stage.get("/").await.text(), "/ 1");
    let hit = stage.get("/").await;
    assert_eq!((is_hit(&hit), hit.text()), (true, "/ 1".into()));
    assert_eq!(hit.head.get("etag"), Some("\"v1\""));
}

#[tokio::test]
async fn a_304_about_something_else_confirms_nothing() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let (status, etag) = match (seen.serial, seen.head.get("if-none-match")) {
            (0, _) => (200, "\"v1\""),
            (_, Some(_)) => (304, "\"v2\""),
            (_, None) => (200, "\"v2\""),
        };
        reply(seen, status, "Cache-Control: max-age=10").field("ETag", etag)
    });
    let first = stage.get("/").await;
    stage.passes(20).await;
    let next = stage.get("/").await;
    let got = (next.status, next.head.get("etag"), next.body == first.body);
    assert_eq!(
        got,
        (200, Some("\"v2\""), false),
        "asked again, without a condition"
    );
    assert_eq!(stage.asked("/"), 3);
}

/// A stage with `/` stored: an entity tag, and changed a day before it was sent.
async fn tagged(etag: &'static str) -> Stage {
    let stage = Stage::open("true").await;
    stage.app.answers(move |seen| {
        reply(
            seen,
            200,
            "Cache-Control: max-age=600\nDate: {now}\nLast-Modified: {now-86400}\nExpires: {now+600}\nVary: Accept\nContent-Location: /here\nContent-Type: text/plain\nX-Other: 1",
        )
        .field("ETag", etag)
    });
    stage.get("/").await;
    stage
}

#[tokio::test]
async fn a_client_that_names_what_is_stored_has_it() {
    for (etag, lines, status) in [
        ("\"a\"", "If-None-Match: \"a\"", 304),
        ("\"a\"", "If-None-Match: W/\"a\"", 304),
        ("W/\"a\"", "If-None-Match: \"a\"", 304),
        ("W/\"a\"", "If-None-Match: W/\"a\"", 304),
        ("\"a\"", "If-None-Match: \"x\", W/\"y\" ,\"a\"", 304),
        ("\"a\"", "If-None-Match: \"x\"\nIf-None-Match: \"a\"", 304),
        ("\"a\"", "If-None-Match: *", 304),
        ("\"a,b\"", "If-None-Match: \"x\", \"a,b\"", 304),
        ("\"a\"", "If-None-Match: \"A\"", 200),
        ("\"a\"", "If-None-Match: \"ab\", \"b\"", 200),
        ("\"a\"", "If-None-Match: \"x,a\"", 200),
        // The tag outranks the date, whichever of them holds.
        (
            "\"a\"",
            "If-None-Match: \"x\"\nIf-Modified-Since: {now}",
            200,
        ),
        (
            "\"a\"",
            "If-None-Match: \"a\"\nIf-Modified-Since: {now-999999}",
            304,
        ),
        ("\"a\"", "If-Modified-Since: {now-86400}", 304),
        ("\"a\"", "If-Modified-Since: {now}", 304),
        ("\"a\"", "If-Modified-Since: {now-90000}", 200),
        ("\"a\"", "If-Modified-Since: yesterday", 200),
    ] {
        let stage = tagged(etag).await;
        let answer = stage.get_with("/", lines).await;
        assert_eq!(answer.status, status, "{etag}: {lines}");
        assert!(is_hit(&answer), "{etag}: {lines}: {}", told(&answer));
    }
}

#[tokio::test]
async fn a_304_of_ours_has_the_fields_that_its_client_may_need_and_no_others() {
    let stage = tagged("\"a\"").await;
    let whole = stage.get("/").await;
    let held = stage.get_with("/", "If-None-Match: \"a\"").await;
    for name in [
        "etag",
        "cache-control",
        "date",
        "expires",
        "vary",
        "content-location",
    ] {
        assert!(held.head.get(name).is_some(), "{name}");
        assert_eq!(held.head.get(name), whole.head.get(name), "{name}");
    }
    for name in [
        "content-type",
        "content-length",
        "transfer-encoding",
        "x-other",
    ] {
        assert_eq!(held.head.get(name), None, "{name}");
    }
    assert!(held.head.get("age").is_some());
}

#[tokio::test]
async fn an_error_that_is_stored_is_sent_whatever_the_condition() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=60\nETag: \"a\"";
    stage.app.answers(move |seen| reply(seen, 404, lines));
    stage.get("/").await;
    let answer = stage
        .ask(&Request::get("/").field("If-None-Match", &dated("\"a\"")))
        .await;
    assert_eq!((answer.status, is_hit(&answer)), (404, true));
}
