//! Requests of HTTP/2 that would become two, or another one, once they are written as HTTP/1 (RFC 9113 §10.3).
//!
//! Forty of them, frame by frame: no library would send any. The node behind must see none of it.

use super::speaking_both;
use crate::support::h2::{Ending, Frames, frame, headers};

/// Another request, for where one could be slipped in.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nhost: tide.test\r\n\r\n";

type Fields = Vec<(String, String)>;

fn usual() -> Fields {
    [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "tide.test"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn with(name: &str, value: &str) -> Fields {
    let mut fields = usual();
    fields.push((name.into(), value.into()));
    fields
}

/// With another value of a field that every request has.
fn instead(name: &str, value: &str) -> Fields {
    let mut fields = usual();
    for (n, v) in &mut fields {
        if n == name {
            *v = value.into();
        }
    }
    fields
}

/// The bytes of a request with these fields, whose body follows where it is not `complete`.
fn head(fields: &Fields, complete: bool) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let mut bytes = headers(&fields);
    if !complete {
        bytes[4] &= !1;
    }
    bytes
}

/// Forty requests, by what they try.
fn injections() -> Vec<(String, Vec<u8>)> {
    let line = |end: &str| format!("x{end}{SECOND}");
    let mut heads: Vec<(&str, Fields)> = vec![
        ("a value with a request", with("x-a", &line("\r\n\r\n"))),
        ("a value with a field", with("x-a", "x\r\nx-b: y")),
        ("a value with LF", with("x-a", "x\nx-b: y")),
        ("a value with CR", with("x-a", "x\rx-b: y")),
        ("a value with NUL", with("x-a", "x\0y")),
        ("a value that is a line end", with("x-a", "\r\n")),
        ("a cookie with a field", with("cookie", "a=1\r\nx-b: y")),
        ("a name with a field", with("x-a: y\r\nx-b", "z")),
        ("a name with a colon", with("x-a:", "z")),
        ("a name with a space", with("x-a ", "z")),
        ("a name with a tab", with("x-a\t", "z")),
        ("a name with NUL", with("x-\0a", "z")),
        ("a name with LF", with("x-a\n", "z")),
        ("a name in capitals", with("Content-Length", "0")),
        ("a name that is a request", with(&line("\r\n\r\n"), "z")),
        (
            "a path with a request",
            instead(":path", &format!("/ HTTP/1.1\r\n\r\n{SECOND}")),
        ),
        (
            "a path with a field",
            instead(":path", "/ HTTP/1.1\r\nx-b: y"),
        ),
        ("a path with a version", instead(":path", "/ HTTP/1.0")),
        ("a path with LF", instead(":path", "/\n")),
        ("a path with a tab", instead(":path", "/\tx")),
        ("a path with NUL", instead(":path", "/\0")),
        (
            "a path of another host",
            instead(":path", "http://evil.test/"),
        ),
        ("a path without a slash", instead(":path", "evil.test/")),
        (
            "a method with a request",
            instead(":method", &format!("GET / HTTP/1.1\r\n\r\n{SECOND}")),
        ),
        ("a method with a space", instead(":method", "GET /smuggled")),
        ("a method of a tunnel", instead(":method", "CONNECT")),
        (
            "a scheme with a path",
            instead(":scheme", "http://evil.test/?"),
        ),
        (
            "a scheme with a field",
            instead(":scheme", "http\r\nx-b: y"),
        ),
        (
            "a host with a field",
            instead(":authority", "tide.test\r\nx-b: y"),
        ),
        (
            "a host with a path",
            instead(":authority", "tide.test/smuggled"),
        ),
        (
            "a host with a user",
            instead(":authority", "evil@tide.test"),
        ),
        ("a second host", with("host", "evil.test")),
        ("chunks", with("transfer-encoding", "chunked")),
        (
            "chunks in other words",
            with("transfer-encoding", "xchunked"),
        ),
        (
            "a field for this hop",
            with("connection", "transfer-encoding"),
        ),
        ("another protocol", with("upgrade", "h2c")),
        ("two lengths in one", with("content-length", "0, 40")),
    ];
    let longer = head(&instead(":method", "POST"), false);
    let mut post = instead(":method", "POST");
    post.push(("content-length".into(), "3".into()));
    let mut bytes: Vec<(String, Vec<u8>)> = heads
        .drain(..)
        .map(|(what, fields)| (what.to_owned(), head(&fields, true)))
        .collect();
    let body = |data: &str| frame(0, 1, 1, data.as_bytes());
    bytes.push((
        "a body beyond its length".into(),
        [head(&post, false), body(&format!("abc{SECOND}"))].concat(),
    ));
    bytes.push((
        "a body short of its length".into(),
        [head(&post, false), body("a")].concat(),
    ));
    // Behind the body, fields that would end it in another place.
    let trailer = [("transfer-encoding", "chunked"), (":path", "/smuggled")];
    bytes.push((
        "pseudo-fields behind a body".into(),
        [longer, frame(0, 0, 1, b"abc"), headers(&trailer)].concat(),
    ));
    bytes
}

#[tokio::test]
async fn of_forty_injections_the_node_sees_none() {
    let (app, tide) = speaking_both("", "").await;
    let all = injections();
    assert_eq!(all.len(), 40);
    for (what, bytes) in &all {
        let before = app.seen().iter().filter(|seen| seen.complete).count();
        let mut frames = Frames::connect(tide.addr()).await;
        frames.bytes(bytes).await;
        let ending = frames.ending().await;
        // 0: one that is not among the usual ones.
        let refused = matches!(
            ending,
            Ending::Status(0 | 400) | Ending::Reset | Ending::Gone
        );
        assert!(refused, "{what}: {ending:?}");
        let seen = app.seen();
        let whole = seen.iter().filter(|seen| seen.complete).count();
        assert_eq!(whole, before, "{what}: a node saw it");
        let smuggled = seen
            .iter()
            .any(|seen| seen.target() != "/" || seen.head.get("x-b").is_some());
        assert!(!smuggled, "{what}: {seen:?}");
    }
    // The frames themselves are good.
    let mut frames = Frames::connect(tide.addr()).await;
    frames.bytes(&head(&usual(), true)).await;
    assert_eq!(frames.ending().await, Ending::Status(200));
    drop(frames);
    tide.is_empty().await;
}
