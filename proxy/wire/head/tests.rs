//! What comes in, what does not, and in which form it goes on.

use super::*;
use crate::wire::canon;

fn rules() -> Rules {
    Rules {
        max_head: 1_000,
        max_fields: 10,
        max_target: 200,
        max_body: Some(1_000_000),
        merge_slashes: true,
        keep_underscores: false,
        drop: vec!["x-original-url".into()],
    }
}

fn verdict(head: &str) -> Result<Good, Refusal> {
    check(head.replace('\n', "\r\n").as_bytes(), &rules(), false)
}

/// The head as it is handed on.
fn handed_on(head: &str, trusted: bool) -> String {
    let bytes = head.replace('\n', "\r\n");
    let good = check(bytes.as_bytes(), &rules(), trusted).unwrap();
    let written = canon::write(bytes.as_bytes(), &rules(), trusted).unwrap();
    let written = String::from_utf8(written.to_vec()).unwrap();
    assert_eq!(good.rewrite, written != bytes, "{head}{written}");
    let again = check(written.as_bytes(), &rules(), trusted).unwrap();
    assert_eq!(
        again,
        Good {
            rewrite: false,
            ..good
        },
        "{written}"
    );
    written.replace("\r\n", "\n")
}

#[test]
fn the_end_is_found_wherever_the_search_begins() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let at = head.len() - 4;
    for from in 0..at {
        assert_eq!(end(head, from), Some(at), "from {from}");
    }
    assert_eq!(end(&head[..at - 1], 0), None);
    assert_eq!(end(b"GET / HTTP/1.1\nHost: a\n\n", 0), Some(24));
    assert_eq!(end(b"", 0), None);
    assert_eq!(end(b"\n", 0), None);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
    assert_eq!(empty_lines(b"GET"), 0);
    assert_eq!(empty_lines(b"\n\nGET"), 0);
}

#[test]
fn ordinary_requests_come_in() {
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET /a?b=c%20d HTTP/1.0\n\n",
        "OPTIONS * HTTP/1.1\nHost: a:80\n\n",
        "POST / HTTP/1.1\nHost: [::1]:80\nContent-Length: 5\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: ChUnKeD\n\n",
        "GET http://a.b/x HTTP/1.1\nHost: a.b\n\n",
        "BREW / HTTP/1.1\nHost: a\n\n",
    ] {
        assert!(verdict(head).is_ok(), "{head}");
    }
}

#[test]
fn ambiguous_and_malformed_heads_are_refused() {
    for head in [
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.1\nHost: a\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a, b\n\n",
        "GET / HTTP/1.1\nHost: u@a\n\n",
        "GET / HTTP/1.1\nHost: [::1\n\n",
        "GET / HTTP/1.1\nHost: a:b\n\n",
        "GET / HTTP/1.1\nHost: a:65536\n\n",
        "GET / HTTP/1.1\nHost: a:1:2\n\n",
        "GET http://[/ HTTP/1.0\n\n",
        "GET http://a[b/ HTTP/1.0\n\n",
        "GET /<x> HTTP/1.1\nHost: a\n\n",
        "GET /?a=\"b\" HTTP/1.1\nHost: a\n\n",
        "GET /` HTTP/1.1\nHost: a\n\n",
        "GET /%zz HTTP/1.1\nHost: a\n\n",
        "GET /%4 HTTP/1.1\nHost: a\n\n",
        "GET /a b HTTP/1.1\nHost: a\n\n",
        "GET /#f HTTP/1.1\nHost: a\n\n",
        "GET * HTTP/1.1\nHost: a\n\n",
        "GET x HTTP/1.1\nHost: a\n\n",
        "GET http://b/ HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\nX : y\n\n",
        "GET / HTTP/1.1\nHost: a\n folded\n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5\n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: +5\n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: \n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: \"chunked\"\n\n",
        "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n",
    ] {
        assert_eq!(verdict(head), Err(Refusal::BadRequest), "{head}");
    }
    assert_eq!(
        check(b"GET / HTTP/1.1\nHost: a\n\n", &rules(), false),
        Err(Refusal::BadRequest)
    );
    assert_eq!(
        verdict("GET / HTTP/2.0\nHost: a\n\n"),
        Err(Refusal::Version)
    );
    assert_eq!(
        verdict("CONNECT a:1 HTTP/1.1\nHost: a\n\n"),
        Err(Refusal::Method)
    );
}

#[test]
fn the_framing_of_the_body_is_told() {
    let body = |fields: &str| {
        let head = format!("POST / HTTP/1.1\nHost: a\n{fields}\n");
        verdict(&head).map(|good| good.body)
    };
    assert_eq!(body(""), Ok(Body::Sized(0)));
    assert_eq!(body("Content-Length: 17\n"), Ok(Body::Sized(17)));
    assert_eq!(body("Transfer-Encoding: chunked\n"), Ok(Body::Chunked));
}

#[test]
fn absolute_form_becomes_origin_form() {
    for (from, to) in [
        (
            "GET http://a.b/x?y HTTP/1.1\nHost: a.b\n\n",
            "GET /x?y HTTP/1.1\nHost: a.b\n\n",
        ),
        (
            "GET HTTP://a.b HTTP/1.0\nX: y\n\n",
            "GET / HTTP/1.0\nHost: a.b\nX: y\n\n",
        ),
        (
            "GET http://a.b?q HTTP/1.0\nHost:\n\n",
            "GET /?q HTTP/1.0\nHost: a.b\n\n",
        ),
        (
            "OPTIONS http://a.b:80 HTTP/1.1\nHost: A.B\n\n",
            "OPTIONS * HTTP/1.1\nHost: A.B\n\n",
        ),
        (
            "GET https://a.b:443//x/../y HTTP/1.1\nHost: a.b:\n\n",
            "GET /y HTTP/1.1\nHost: a.b:\n\n",
        ),
    ] {
        assert_eq!(handed_on(from, false), to);
    }
    assert!(verdict("GET http://a.b:8080/ HTTP/1.1\nHost: a.b\n\n").is_err());
    assert!(verdict("GET http://u@a.b/ HTTP/1.1\nHost: a.b\n\n").is_err());
}

#[test]
fn what_no_client_may_send_is_left_out() {
    let head = "POST /a//b HTTP/1.1\nHost: a\nX-Original-URL: /x\nX_Forwarded_For: 1\nX-Forwarded-Host: b\n\
                Forwarded: for=1\nContent-Length: 005\nConnection: close, X-Real-IP\nx: y\nConnection: TE\n\n";
    assert_eq!(
        handed_on(head, false),
        "POST /a/b HTTP/1.1\nHost: a\nContent-Length: 5\nx: y\nConnection: close\n\n"
    );
    assert_eq!(
        handed_on(head, true),
        "POST /a/b HTTP/1.1\nHost: a\nX-Forwarded-Host: b\nForwarded: for=1\nContent-Length: 5\nx: y\n\
         Connection: close\n\n"
    );
}

#[test]
fn a_connection_field_says_nothing_but_what_concerns_the_connection() {
    for (said, kept) in [
        ("Connection: keep-alive\n", "Connection: keep-alive\n"),
        ("Connection: close\n", "Connection: close\n"),
        (
            "Connection: keep-alive\nConnection: close\n",
            "Connection: close\n",
        ),
        (
            "Upgrade: h2c\nConnection: keep-alive, Upgrade\n",
            "Connection: keep-alive\n",
        ),
        (
            "Upgrade: WebSocket\nConnection: keep-alive, Upgrade\n",
            "Upgrade: WebSocket\nConnection: upgrade\n",
        ),
        ("Upgrade: websocket\n", ""),
        (
            "Upgrade: websocket\nConnection: upgrade\n",
            "Upgrade: websocket\nConnection: upgrade\n",
        ),
        ("Connection: authorization, cookie\n", ""),
        ("Connection: host\n", ""),
    ] {
        let head = format!("GET / HTTP/1.1\nHost: a\nCookie: c\n{said}\n");
        let expected = format!("GET / HTTP/1.1\nHost: a\nCookie: c\n{kept}\n");
        assert_eq!(handed_on(&head, false), expected);
    }
}

#[test]
fn each_limit_has_its_own_refusal() {
    let long = |n: usize| "x".repeat(n);
    let refused = |head: &str| verdict(head).unwrap_err();
    let many = "X: y\n".repeat(10);
    assert_eq!(
        refused(&format!("GET / HTTP/1.1\nHost: a\n{many}\n")),
        Refusal::HeaderTooLarge
    );
    assert_eq!(
        refused(&format!("GET / HTTP/1.1\nHost: {}\n\n", long(1_000))),
        Refusal::HeaderTooLarge
    );
    assert_eq!(
        refused(&format!("GET /{} HTTP/1.1\nHost: a\n\n", long(200))),
        Refusal::UriTooLong
    );
    assert_eq!(
        refused(&format!("GET /{} HTTP/1.1\nHost: a\n\n", long(2_000))),
        Refusal::UriTooLong
    );
    assert_eq!(
        refused(&format!("{} / HTTP/1.1\nHost: a\n\n", long(33))),
        Refusal::LongMethod
    );
    assert_eq!(too_large(&[b'x'; 1_001], &rules()), Refusal::LongMethod);
    assert_eq!(
        refused("POST / HTTP/1.1\nHost: a\nContent-Length: 1000001\n\n"),
        Refusal::BodyTooLarge
    );
    assert_eq!(
        refused("POST / HTTP/1.1\nHost: a\nExpect: a cake\n\n"),
        Refusal::Expectation
    );
    assert_eq!(
        refused("GET /a/%2e%2e/b HTTP/1.1\nHost: a\n\n"),
        Refusal::Path
    );
    for coding in ["gzip", "gzip, chunked", "identity", "deflate,gzip"] {
        let head = format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: {coding}\n\n");
        assert_eq!(refused(&head), Refusal::Coding, "{coding}");
    }
}

#[test]
fn a_refused_head_is_sketched_for_the_log() {
    let (method, path, host) = sketch(b"POST /a?secret HTTP/9\r\nX: y\r\nHost: b \r\n\r\n");
    assert_eq!((method.as_str(), &*path, &*host), ("POST", "/a", "b"));
    let (_, path, host) = sketch(b"\x16\x03\x01 hello");
    assert_eq!((&*path, &*host), ("\u{16}\u{3}\u{1} hello", ""));
}
