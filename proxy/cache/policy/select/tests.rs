//! What means the same selects the same, and nothing else does.

use proptest::prelude::*;

use super::super::testing::fields;
use super::*;

fn form(name: &'static str, lines: &[&str]) -> String {
    let of: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    let text = normal(&HeaderName::from_static(name), &fields(&of)).unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

/// Every row means one thing, and no two rows the same.
fn each_row_is_one_thing(name: &'static str, rows: &[&[&str]]) {
    let forms: Vec<String> = rows.iter().map(|row| form(name, &row[..1])).collect();
    for (row, expected) in rows.iter().zip(&forms) {
        for line in *row {
            assert_eq!(form(name, &[line]), *expected, "{name}: {line}");
        }
    }
    for (at, one) in forms.iter().enumerate() {
        assert!(!forms[at + 1..].contains(one), "{name}: {one} twice");
    }
}

#[test]
fn a_field_that_is_not_known_is_the_same_but_for_blanks_around_commas() {
    let rows: &[&[&str]] = &[
        &["1,2", "1, 2", " 1 ,\t2 "],
        &["1,2,"],
        &["2,1"],
        &["1 2"],
        &["a"],
        &["A"],
        &["\"a,b\""],
        &["\"a, b\""],
        &[""],
    ];
    each_row_is_one_thing("foo", rows);
    assert_eq!(form("foo", &["1", "2"]), form("foo", &["1, 2"]));
    assert_eq!(normal(&HeaderName::from_static("foo"), &fields(&[])), None);
}

#[test]
fn languages_are_ordered_by_weight_alone() {
    let rows: &[&[&str]] = &[
        &[
            "en, de",
            "de, en",
            "DE,EN",
            "en;q=1, de;q=1.000",
            "de , , en",
            "en, de, en",
        ],
        &[
            "en, de;q=0.5",
            "de;q=0.50, en",
            "de ; q=0.500,en",
            "de;Q=0.5,en",
        ],
        &["en, de;q=0.4"],
        &["en;q=0.5, de"],
        &["en"],
        &["en-GB"],
        &["en, *;q=0"],
        &["en, *;q=0.001"],
        &["en, de;q=2"],
        &["en, de;q=0.5555"],
        &["en, de;level=1"],
        &["", ","],
    ];
    each_row_is_one_thing("accept-language", rows);
}

#[test]
fn encodings_are_those_that_the_client_can_read() {
    let rows: &[&[&str]] = &[
        &[
            "gzip, br",
            "br, gzip",
            "BR,x-gzip",
            "gzip;q=0.1, br;q=0.9",
            "br, gzip, zstd;q=0",
            "gzip, br, identity",
        ],
        &["gzip", "gzip, br;q=0.0", "gzip, gzip;q=0.5"],
        &["", "identity", "identity;q=0.5, *;q=0", "br;q=0"],
        &["gzip, identity;q=0", "gzip, *;q=0", "*;q=0, gzip;q=0.1"],
        &["*"],
        &["*, br;q=0", "br;q=0, *;q=0.3"],
        &["*;q=0"],
        &["gzip;q=x"],
    ];
    each_row_is_one_thing("accept-encoding", &rows[..6]);
    assert_eq!(form("accept-encoding", &["*;q=0"]), "identity;q=0");
    assert_eq!(form("accept-encoding", &["gzip;q=x"]), "gzip;q=x");
}

#[test]
fn letters_are_folded_where_the_field_allows_it() {
    let accept: &[&[&str]] = &[
        &["text/html, */*;q=0.1", "TEXT/Html,*/*;q=0.1"],
        &["*/*;q=0.1, text/html"],
        &["text/html;p=A"],
        &["Text/html;p=a"],
    ];
    each_row_is_one_thing("accept", accept);
    each_row_is_one_thing("accept-charset", &[&["utf-8", "UTF-8"], &["latin1"]]);
}

#[test]
fn a_client_prefers_one_language_when_it_weighs_more_than_all_others() {
    let one = |line: &str| {
        let found = language(&fields(&[("accept-language", line)]));
        found.map(|name| String::from_utf8(name.to_vec()).unwrap())
    };
    for line in [
        "de",
        "DE",
        "en;q=0.5, de",
        "de;q=0.6,en;q=0.5",
        "de, *;q=0.5",
        "de,de",
    ] {
        assert_eq!(one(line).as_deref(), Some("de"), "{line}");
    }
    for line in [
        "",
        "*",
        "en, de",
        "*, de;q=0.5",
        "de;q=0",
        "en;q=0.5, de;q=0.5",
    ] {
        assert_eq!(one(line), None, "{line}");
    }
    assert_eq!(language(&fields(&[])), None);
}

#[test]
fn an_answer_is_in_one_language_or_none_counts() {
    let one = |of: &[&str]| {
        let of: Vec<_> = of.iter().map(|line| ("content-language", *line)).collect();
        content_language(&fields(&of)).map(|name| String::from_utf8(name.to_vec()).unwrap())
    };
    assert_eq!(one(&["De"]).as_deref(), Some("de"));
    assert_eq!(one(&[",de,"]).as_deref(), Some("de"));
    assert_eq!(one(&["de, en"]), None);
    assert_eq!(one(&["de", "en"]), None);
    assert_eq!(one(&[]), None);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_blanks_around_commas_make_no_difference(
        members in proptest::collection::vec("[a-zA-Z*/;=.0-9-]{0,8}", 0..6),
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        for name in ["accept", "accept-charset", "accept-encoding", "accept-language", "foo"] {
            prop_assert_eq!(form(name, &[&members.join(",")]), form(name, &[&members.join(" ,\t")]));
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut request = HeaderMap::new();
                request.append(name, value);
                normal(&HeaderName::from_static(name), &request);
                language(&request);
            }
        }
    }
}
