//! Who is compressed, and the first reason why not.

use http::HeaderValue;

use super::*;
use crate::config::defaults::COMPRESSED_TYPES;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The verdict on a 200 of 5,000 bytes, by the rules of `compress: true`.
fn verdict(fields: &[(&'static str, &str)]) -> Result<(), Skipped> {
    judged(&Compress::default(), 200, fields, Some(5_000))
}

fn judged(
    rules: &Compress,
    status: u16,
    fields: &[(&'static str, &str)],
    length: Option<u64>,
) -> Result<(), Skipped> {
    let headers = headers(fields);
    let status = StatusCode::from_u16(status).unwrap();
    let facts = Facts::of(status, &headers, length);
    may_compress(rules, &Types::new(&rules.types), &facts)
}

const HTML: (&str, &str) = ("content-type", "text/html");

#[test]
fn text_is_compressed_and_what_is_compressed_already_is_not() {
    for good in [
        "text/html",
        "Text/HTML; charset=x",
        "text/plain;charset=utf-8",
        " text/css ",
        "application/json",
        "application/problem+json",
        "APPLICATION/LD+JSON; profile=\"a;b\"",
        "image/svg+xml",
        "application/wasm",
        "font/otf",
        "text/html;",
    ] {
        assert_eq!(verdict(&[("content-type", good)]), Ok(()), "{good}");
    }
    for bad in [
        "image/png",
        "application/zip",
        "application/octet-stream",
        "font/woff2",
        "video/mp4",
        "",
        ";",
        "/",
        "text",
        "text/",
        "/html",
        "text/html, text/plain",
        "text/html/x",
        "text /html",
        "text html",
        "*/*",
        "text/*",
        "application/+json",
        "application/jsonx",
        "application/x+jsonp",
        "xtext/html",
        "json",
        "+json",
    ] {
        assert_eq!(
            verdict(&[("content-type", bad)]),
            Err(Skipped::Type),
            "{bad}"
        );
    }
    assert_eq!(verdict(&[]), Err(Skipped::Type));
    assert_eq!(verdict(&[HTML, HTML]), Err(Skipped::Type), "two are none");
}

#[test]
fn patterns_of_types_are_what_the_file_says() {
    let has = |pattern: &str, given: &str| Types::new(&[pattern.into()]).has(given.as_bytes());
    assert!(has("*/*", "image/png") && !has("*/*", "image"));
    assert!(has("application/*+json", "application/a+json"));
    assert!(!has("application/*+json", "image/a+json"));
    assert!(has("*/json", "x/json") && !has("*/json", "x/json5"));
    assert!(!has("text", "text/html"));
    assert!(!Types::new(&[]).has(b"text/html"));
    for given in COMPRESSED_TYPES.iter().filter(|given| !given.contains('*')) {
        assert!(has(given, &given.to_uppercase()));
    }
    assert!(!has("text/*", "\u{e9}/html") && !has("*/*", "text/h\u{e9}"));
}

#[test]
fn parts_and_answers_without_a_body_are_left_alone() {
    for status in [100, 103, 204, 205, 206, 304] {
        let verdict = judged(&Compress::default(), status, &[HTML], None);
        assert_eq!(verdict, Err(Skipped::Status), "{status}");
    }
    for status in [200, 201, 301, 400, 404, 500, 503] {
        assert_eq!(judged(&Compress::default(), status, &[HTML], None), Ok(()));
    }
}

#[test]
fn no_transform_is_heard_wherever_it_stands() {
    for line in [
        "no-transform",
        "No-Transform",
        "public, no-transform , max-age=5",
        "no-transform=1",
        "a=\"b, no-transform, c\"",
        "a=\"b, no-transform",
    ] {
        let fields = [HTML, ("cache-control", "public"), ("cache-control", line)];
        assert_eq!(verdict(&fields), Err(Skipped::NoTransform), "{line}");
    }
    for line in [
        "transform",
        "no-transforms",
        "x-no-transform",
        "no transform",
        "",
    ] {
        assert_eq!(verdict(&[HTML, ("cache-control", line)]), Ok(()), "{line}");
    }
}

#[test]
fn what_is_encoded_is_not_encoded_again() {
    for coding in [
        "gzip",
        "br",
        "gzip, br",
        "unknown",
        "aes128gcm",
        "identity, gzip",
    ] {
        let fields = [HTML, ("content-encoding", coding)];
        assert_eq!(verdict(&fields), Err(Skipped::Encoded), "{coding}");
    }
    let twice = [
        HTML,
        ("content-encoding", "gzip"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(verdict(&twice), Err(Skipped::Encoded));
    for coding in ["", "identity", "Identity "] {
        assert_eq!(verdict(&[HTML, ("content-encoding", coding)]), Ok(()));
    }
}

#[test]
fn the_rules_of_the_route_count() {
    let stream = [("content-type", "Text/Event-Stream; x=y")];
    assert_eq!(verdict(&stream), Err(Skipped::EventStream));
    let rules = Compress::default();
    let sized = |length| judged(&rules, 200, &[HTML], length);
    assert_eq!(sized(Some(rules.min_size - 1)), Err(Skipped::Small));
    assert_eq!(sized(Some(rules.min_size)), Ok(()));
    assert_eq!(
        sized(None),
        Ok(()),
        "a length that nobody knows is not small"
    );
    let cookie = [HTML, ("set-cookie", "a=b")];
    assert_eq!(verdict(&cookie), Ok(()));
    let rules = Compress {
        set_cookie: false,
        dynamic: false,
        ..rules
    };
    assert_eq!(judged(&rules, 200, &cookie, None), Err(Skipped::SetCookie));
    assert_eq!(judged(&rules, 200, &[HTML], None), Err(Skipped::Dynamic));
    let headers = headers(&[HTML]);
    let facts = Facts {
        is_stored: true,
        ..Facts::of(StatusCode::OK, &headers, None)
    };
    assert_eq!(
        may_compress(&rules, &Types::new(&rules.types), &facts),
        Ok(())
    );
}

#[test]
fn the_first_of_several_reasons_is_told() {
    let rules = Compress {
        set_cookie: false,
        dynamic: false,
        ..Compress::default()
    };
    let mut fields = vec![
        ("cache-control", "no-transform"),
        ("content-encoding", "gzip"),
        ("content-type", "text/event-stream"),
        ("set-cookie", "a=b"),
    ];
    let told = |status, fields: &[_]| judged(&rules, status, fields, Some(1));
    assert_eq!(told(206, &fields), Err(Skipped::Status));
    assert_eq!(told(200, &fields), Err(Skipped::NoTransform));
    fields.remove(0);
    assert_eq!(told(200, &fields), Err(Skipped::Encoded));
    fields.remove(0);
    assert_eq!(told(200, &fields), Err(Skipped::EventStream));
    fields[0].1 = "image/png";
    assert_eq!(told(200, &fields), Err(Skipped::Type));
    fields[0].1 = "text/html";
    assert_eq!(told(200, &fields), Err(Skipped::Small));
    let large = |fields: &[_]| judged(&rules, 200, fields, Some(5_000));
    assert_eq!(large(&fields), Err(Skipped::SetCookie));
    assert_eq!(large(&fields[..1]), Err(Skipped::Dynamic));
}

#[test]
fn one_known_coding_of_a_whole_body_may_be_decoded() {
    let may = |status: u16, fields: &[(&'static str, &str)]| {
        let headers = headers(fields);
        let status = StatusCode::from_u16(status).unwrap();
        may_decode(&Facts::of(status, &headers, None))
    };
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "GZIP"] {
        assert!(may(200, &[("content-encoding", coding)]), "{coding}");
        assert!(may(404, &[("content-encoding", coding)]), "{coding}");
        for status in [204, 206, 304] {
            assert!(!may(status, &[("content-encoding", coding)]), "{status}");
        }
        let kept = [
            ("content-encoding", coding),
            ("cache-control", "no-transform"),
        ];
        assert!(!may(200, &kept), "{coding}");
    }
    assert!(!may(200, &[]));
    for coding in ["identity", "", "gzip, br", "dcz", "compress"] {
        assert!(!may(200, &[("content-encoding", coding)]), "{coding}");
    }
    assert!(!may(
        200,
        &[("content-encoding", "gzip"), ("content-encoding", "gzip")]
    ));
}
