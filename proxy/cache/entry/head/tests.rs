//! What is written is read back, and what is found once is what is there.

use super::*;

fn head(fields: &[(&str, &str)]) -> Head {
    let fields = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    Head::new(StatusCode::OK, fields)
}

#[test]
fn a_head_is_read_back_as_it_was_written() {
    let fields = [
        ("ETag", "\"a:b\""),
        ("X-Empty", ""),
        ("x-two", "1"),
        ("x-two", "2"),
    ];
    let head = head(&fields);
    let back: Vec<(Bytes, Bytes)> = head.fields().collect();
    assert_eq!(back.len(), 4);
    for ((name, value), (n, v)) in fields.iter().zip(&back) {
        assert_eq!((name.as_bytes(), value.as_bytes()), (&n[..], &v[..]));
    }
    assert_eq!(head.field("etag").as_deref(), Some(&b"\"a:b\""[..]));
    assert_eq!(head.field("x-none"), None);
}

#[test]
fn of_a_head_without_fields_nothing_is_known() {
    let none = head(&[]);
    assert_eq!((none.media_type(), none.etag()), (None, None));
    assert_eq!(none.coding(), Some(Coding::Identity));
    assert!(!none.no_transform() && !none.sets_cookie() && !none.varies_by_encoding());
}

#[test]
fn type_and_tag_are_those_of_the_first_such_field_wherever_the_lines_are() {
    let head = head(&[
        ("content-TYPE", "text/html; charset=utf-8"),
        ("Content-Type", "image/png"),
        ("etag", ""),
        ("ETag", "\"other\""),
    ]);
    let moved = head.with_lines(Bytes::copy_from_slice(head.lines()));
    for head in [&head, &moved] {
        assert_eq!(head.media_type(), Some(&b"text/html; charset=utf-8"[..]));
        assert_eq!(head.etag(), Some(&b""[..]));
    }
}

#[test]
fn what_stands_beyond_64_kib_is_found_too() {
    let long = "v".repeat(70_000).leak();
    let head = head(&[
        ("x-long", long),
        ("Content-Type", "text/css"),
        ("ETag", "W/\"1\""),
    ]);
    assert_eq!(head.media_type(), Some(&b"text/css"[..]));
    assert_eq!(head.etag(), Some(&b"W/\"1\""[..]));
}

#[test]
fn one_coding_is_known_and_several_are_not() {
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<Coding>);
    let cases: [Case; 6] = [
        (&[("Content-Encoding", "br")], Some(Coding::Brotli)),
        (&[("content-encoding", " X-GZIP ")], Some(Coding::Gzip)),
        (&[("content-encoding", "")], Some(Coding::Identity)),
        (&[("content-encoding", "gzip, br")], None),
        (&[("content-encoding", "compress")], None),
        (
            &[
                ("content-encoding", "gzip"),
                ("x", "y"),
                ("content-encoding", "br"),
                ("content-encoding", "br"),
            ],
            None,
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(head(fields).coding(), expected, "{fields:?}");
    }
}

#[test]
fn what_forbids_or_restrains_is_found_on_any_line() {
    let forbids = [
        ("Cache-Control", "max-age=5"),
        ("cache-control", "public, No-Transform"),
    ];
    assert!(head(&forbids).no_transform());
    let quoted = [("Cache-Control", "x=\"no-transform\", no-transformer")];
    assert!(!head(&quoted).no_transform());
    assert!(head(&[("Set-Cookie", "a=b")]).sets_cookie());
    let vary = |value: &'static str| head(&[("Vary", "Origin"), ("vary", value)]);
    assert!(vary("x, Accept-encoding").varies_by_encoding());
    assert!(vary("*").varies_by_encoding());
    assert!(!vary("accept, x-accept-encoding").varies_by_encoding());
}
