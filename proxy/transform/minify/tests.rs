//! Which bodies are minified at all.

use super::*;

const ALL: Minify = Minify {
    json: true,
    html: true,
    css: true,
    js: true,
};

/// The kind, as far as this build has it.
fn if_built(kind: Kind) -> Option<Kind> {
    let is_there = match kind {
        Kind::Json => Minify::AVAILABLE.json,
        Kind::Html => Minify::AVAILABLE.html,
        Kind::Css => Minify::AVAILABLE.css,
        Kind::Js => Minify::AVAILABLE.js,
    };
    is_there.then_some(kind)
}

#[test]
fn a_media_type_says_what_a_body_is_in_any_letter_case_and_whatever_its_parameters() {
    let rows: &[(&str, Option<Kind>)] = &[
        ("application/json", Some(Kind::Json)),
        ("Application/JSON ; odata=verbose", Some(Kind::Json)),
        ("text/json", Some(Kind::Json)),
        ("application/problem+json", Some(Kind::Json)),
        (
            "application/ld+json; profile=\"http://a/b\"",
            Some(Kind::Json),
        ),
        ("application/json-seq", None),
        ("application/geo+json-seq", None),
        ("application/x-ndjson", None),
        ("application/jsonl", None),
        ("application/json5", None),
        ("text/html", Some(Kind::Html)),
        ("TEXT/HTML", Some(Kind::Html)),
        ("application/xhtml+xml", None),
        ("text/css", Some(Kind::Css)),
        ("text/javascript", Some(Kind::Js)),
        ("application/javascript;version=1.8", Some(Kind::Js)),
        ("application/x-javascript", Some(Kind::Js)),
        ("text/plain", None),
        ("application/octet-stream", None),
        ("json", None),
        ("", None),
        (";", None),
    ];
    for (media_type, wanted) in rows {
        let wanted = wanted.and_then(if_built);
        assert_eq!(kind(ALL, media_type.as_bytes()), wanted, "{media_type}");
    }
}

#[test]
fn letters_other_than_utf_8_and_ascii_are_left_alone() {
    let rows = [
        ("application/json; charset=utf-8", true),
        ("application/json;CHARSET=\"UTF-8\"", true),
        ("application/json; charset=US-ASCII; a=b", true),
        ("application/json; charset=utf-16", false),
        ("application/json; a=b; charset=iso-8859-1", false),
        ("application/json; charset", false),
        ("application/json; charset=", false),
        ("application/json; charset=utf-8; charset=utf-16", false),
    ];
    for (media_type, is_minified) in rows {
        let found = kind(ALL, media_type.as_bytes());
        assert_eq!(found, is_minified.then_some(Kind::Json), "{media_type}");
    }
}

#[test]
fn only_what_the_route_asks_for_is_touched() {
    let json = Minify {
        json: true,
        ..Minify::default()
    };
    assert_eq!(kind(json, b"application/json"), Some(Kind::Json));
    for other in [&b"text/html"[..], b"text/css", b"text/javascript"] {
        assert_eq!(kind(json, other), None);
    }
    assert_eq!(kind(Minify::default(), b"application/json"), None);
}

#[test]
fn a_kind_that_is_not_built_goes_through_as_it_is() {
    let body = b"  <p>  a  </p>  ";
    for kind in [Kind::Html, Kind::Css, Kind::Js] {
        if if_built(kind).is_some() {
            continue;
        }
        let (mut minifier, mut out) = (minifier(kind), Vec::new());
        minifier.write(body, &mut out);
        minifier.finish(&mut out);
        assert_eq!(out, body);
    }
}
