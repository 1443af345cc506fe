//! A form has a tag of its own, and everybody is told the one they know.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn client(lines: &[&str], tag: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
    }
    text(of_client(&headers, tag.as_bytes(), |_| true))
}

#[test]
fn the_tag_of_a_form_says_the_coding() {
    let form = |tag: &str, coding| text(of_form(tag.as_bytes(), coding));
    assert_eq!(form(r#""x""#, Coding::Brotli).unwrap(), r#""x-br""#);
    assert_eq!(form(r#"W/"x""#, Coding::Zstd).unwrap(), r#"W/"x-zstd""#);
    assert_eq!(form(r#""""#, Coding::Gzip).unwrap(), r#""-gzip""#);
    assert_eq!(
        form(r#""a, b""#, Coding::Identity).unwrap(),
        r#""a, b-identity""#
    );
    for no_tag in [
        "", "x", "\"", "\"x", "x\"", "w/\"x\"", "W/x", "W/\"", "\"a\"b\"", "*", "\"a\" ",
    ] {
        assert_eq!(form(no_tag, Coding::Gzip), None, "{no_tag}");
    }
}

#[test]
fn a_form_is_known_by_its_last_word_alone() {
    let base = |tag: &str| {
        let (tag, coding) = base_of(tag.as_bytes())?;
        Some((String::from_utf8(tag).unwrap(), coding))
    };
    assert_eq!(base(r#""x-br""#), Some((r#""x""#.into(), Coding::Brotli)));
    assert_eq!(
        base(r#"W/"a-br-gzip""#),
        Some((r#"W/"a-br""#.into(), Coding::Gzip))
    );
    assert_eq!(base(r#""-zstd""#), Some((r#""""#.into(), Coding::Zstd)));
    for no_form in [
        r#""x""#,
        r#""br""#,
        r#""x-BR""#,
        r#""x-brx""#,
        r#""x-""#,
        "x-br",
        r#""x-br"#,
        "*",
    ] {
        assert_eq!(base(no_form), None, "{no_form}");
    }
}

#[test]
fn nodes_are_told_the_tag_of_the_body_too() {
    let told = |line: &str| text(for_nodes(line.as_bytes(), |_| true));
    assert_eq!(told(r#""x-br", "y""#).unwrap(), r#""x-br", "x", "y""#);
    assert_eq!(
        told(r#""y",W/"x-gzip""#).unwrap(),
        r#""y",W/"x-gzip", W/"x""#
    );
    assert_eq!(
        told(r#" "a,b-br" ,, "c-zstd","#).unwrap(),
        r#" "a,b-br", "a,b" ,, "c-zstd", "c","#
    );
    assert_eq!(told(r#""-br""#).unwrap(), r#""-br", """#);
    for same in [
        "",
        "*",
        r#""x""#,
        "x-br",
        r#""x-br"#,
        r#""x-br" "y""#,
        ",,",
        r#""a", "b""#,
    ] {
        assert_eq!(told(same), None, "{same}");
    }
    // A quote that is never closed hides nothing.
    assert_eq!(told(r#"oops", "x-br""#), None, "the quotes are others");
    assert_eq!(told(r#""x-br", ""#).unwrap(), r#""x-br", "x", ""#);
}

#[test]
fn a_client_hears_of_the_form_that_it_has() {
    assert_eq!(client(&[r#""x-br""#], r#""x""#).unwrap(), r#""x-br""#);
    assert_eq!(client(&[r#"W/"x-br""#], r#""x""#).unwrap(), r#""x-br""#);
    assert_eq!(client(&[r#""x-br""#], r#"W/"x""#).unwrap(), r#"W/"x-br""#);
    assert_eq!(
        client(&[r#""y""#, r#""z", "x-gzip""#], r#""x""#).unwrap(),
        r#""x-gzip""#
    );
    assert_eq!(
        client(&[r#""x-gzip", "x-br""#], r#""x""#).unwrap(),
        r#""x-gzip""#
    );
    assert_eq!(client(&[r#""a,b-br""#], r#""a,b""#).unwrap(), r#""a,b-br""#);
    for lines in [
        &[][..],
        &["*"],
        &[r#""x""#],
        &[r#"W/"x""#],
        &[r#""x-br", "x""#],
        &[r#""x-br""#, "*"],
        &[r#""y-br""#],
        &[r#""x-lzma""#],
        &["x-br"],
    ] {
        assert_eq!(client(lines, r#""x""#), None, "{lines:?}");
    }
    assert_eq!(client(&["x-br"], "x"), None, "that is no entity tag");
}

fn tag() -> impl Strategy<Value = String> {
    (any::<bool>(), "[a-z,\\\\ -]{0,12}(-br|-gzip|-x)?").prop_map(|(is_weak, inner)| {
        let weak = if is_weak { "W/" } else { "" };
        format!("{weak}\"{inner}\"")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_base_of_a_form_is_what_it_is_a_form_of(tag in tag(), at in 0..5_usize) {
        let coding = Coding::ALL[at];
        let form = of_form(tag.as_bytes(), coding).unwrap();
        prop_assert_eq!(base_of(&form), Some((tag.into_bytes(), coding)));
    }

    #[test]
    fn nodes_hear_every_tag_and_every_base_and_nothing_else(
        tags in proptest::collection::vec(tag(), 0..6),
        comma in "[ \t]{0,2},[ \t]{0,2}",
    ) {
        let line = tags.join(&comma);
        let mut expected = Vec::new();
        for tag in &tags {
            expected.push(tag.clone().into_bytes());
            expected.extend(base_of(tag.as_bytes()).map(|(base, _)| base));
        }
        let told = for_nodes(line.as_bytes(), |_| true);
        prop_assert_eq!(told.is_some(), expected.len() > tags.len());
        let told = told.unwrap_or(line.into_bytes());
        let heard: Vec<_> = members(&told).map(|(_, tag)| tag.to_vec()).filter(|t| !t.is_empty()).collect();
        prop_assert_eq!(heard, expected);
    }

    #[test]
    fn no_line_makes_it_panic_or_grow_beyond_twice(line in proptest::collection::vec(any::<u8>(), 0..60)) {
        let told = for_nodes(&line, |_| true).unwrap_or(line.clone());
        prop_assert!(told.len() <= 2 * line.len() + 2);
        base_of(&line);
        of_form(&line, Coding::Gzip);
    }
}
