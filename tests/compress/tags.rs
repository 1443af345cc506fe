//! Entity tags: each form has its own, and each leads back to the one that the nodes know.

use super::*;
use crate::support::reply::Step;

/// An origin that knows `"x"` and answers as one should.
fn knows(body: Vec<u8>, cache: &'static str) -> impl Fn(&Seen) -> Reply {
    move |seen| {
        let fields = [
            ("content-type", "application/json"),
            ("cache-control", cache),
            ("etag", "\"x\""),
        ];
        let names = |name: &str| {
            let line = seen.head.get(name).unwrap_or_default();
            line.split(", ")
                .any(|tag| tag == "\"x\"" || tag == "W/\"x\"")
        };
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        if seen.method() == "PUT" {
            let status = if names("if-match") { 200 } else { 412 };
            return Reply::sized(status, "put");
        }
        if names("if-none-match") {
            return Reply::steps([Step::Head(304, fields.into())]);
        }
        let reply = Reply::text(body.clone());
        fields
            .iter()
            .fold(reply, |reply, (name, value)| reply.field(name, value))
    }
}

#[tokio::test]
async fn who_has_a_form_is_told_so() {
    let stage = Stage::open("cache: true\ncompress: true").await;
    stage.answers(knows(json(10_000), "max-age=600"));
    for takes in ["zstd", "br", "gzip", "deflate", "identity"] {
        let answer = stage.get("/", takes).await;
        let tag = answer.head.get("etag").unwrap().to_owned();
        for line in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let again = stage
                .get_with("/", takes, &format!("If-None-Match: {line}"))
                .await;
            assert_eq!(again.status, 304, "{takes} {line}");
            assert_eq!(again.head.get("etag"), Some(tag.as_str()));
            assert_eq!(again.head.get("vary"), Some("Accept-Encoding"));
            assert_eq!(again.head.get("content-encoding"), None);
        }
        let other = stage.get_with("/", takes, "If-None-Match: \"y-br\"").await;
        assert_eq!(other.status, 200);
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn who_has_another_form_that_it_takes_may_keep_it() {
    let stage = Stage::open("cache: true\ncompress: true").await;
    stage.answers(knows(json(10_000), "max-age=600"));
    stage.get("/", "br").await;
    let has = stage
        .get_with("/", "br, gzip", "If-None-Match: \"x-gzip\"")
        .await;
    assert_eq!(
        (has.status, has.head.get("etag")),
        (304, Some("\"x-gzip\""))
    );
    let has = stage.get_with("/", "br", "If-None-Match: \"x\"").await;
    assert_eq!((has.status, has.head.get("etag")), (304, Some("\"x\"")));
    // But not one that it does not take.
    let has = stage
        .get_with("/", "br, gzip;q=0", "If-None-Match: \"x-gzip\"")
        .await;
    assert_eq!((has.status, encoding(&has)), (200, "br"));
}

#[tokio::test]
async fn a_node_is_asked_by_its_own_tag_and_the_client_told_by_its_own() {
    // Nothing is stored: every request is the node's.
    let stage = Stage::open("compress: true").await;
    stage.answers(knows(json(10_000), "no-store"));
    let answer = stage.get("/", "br").await;
    assert_eq!(answer.head.get("etag"), Some("\"x-br\""));
    let again = stage.get_with("/", "br", "If-None-Match: \"x-br\"").await;
    assert_eq!(again.status, 304);
    assert_eq!(again.head.get("etag"), Some("\"x-br\""));
    assert_eq!(again.head.get("vary"), Some("Accept-Encoding"));
    let asked = stage.app.seen().pop().unwrap();
    assert_eq!(asked.head.get("if-none-match"), Some("\"x-br\", \"x\""));
    let own = stage.get_with("/", "br", "If-None-Match: \"x\"").await;
    assert_eq!((own.status, own.head.get("etag")), (304, Some("\"x\"")));
}

#[tokio::test]
async fn a_write_under_the_tag_of_a_form_is_one_under_the_node_s_tag() {
    let stage = Stage::open("cache: true\ncompress: true").await;
    stage.answers(knows(json(10_000), "max-age=600"));
    stage.get("/", "gzip").await;
    let put = |tag: &str| {
        Request::new("PUT", "/")
            .field("If-Match", tag)
            .field("Content-Length", "0")
    };
    assert_eq!(stage.tide.ask(&put("\"x-gzip\"")).await.status, 200);
    assert_eq!(stage.tide.ask(&put("\"y-gzip\"")).await.status, 412);
}
