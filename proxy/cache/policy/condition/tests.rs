//! When a client has what is stored.

use proptest::prelude::*;

use super::super::testing::{NOW, date, fields};
use super::*;

fn tagged(etag: &str) -> Validators<'_> {
    Validators {
        etag: Some(etag.as_bytes()),
        ..Validators::default()
    }
}

fn has(lines: &[&str], etag: &str) -> bool {
    let of: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
    not_modified(&fields(&of), &tagged(etag), NOW)
}

#[test]
fn any_member_of_the_list_may_be_what_is_stored() {
    for lines in [
        &["\"a\""][..],
        &["\"a\", \"1\", \"2\""],
        &["\"1\",\"a\",\"2\""],
        &["\"1\"  ,\t \"a\""],
        &["\"1\"", "\"a\""],
        &["", ",,\"a\","],
        &["*"],
        &["\"1\", *"],
        &["W/\"a\""],
        &["garbage, \"a\""],
    ] {
        assert!(has(lines, "\"a\""), "{lines:?}");
        assert!(has(lines, "W/\"a\""), "{lines:?}");
    }
    for lines in [
        &["\"b\""][..],
        &[""],
        &["a"],
        &["\"a"],
        &["\"A\""],
        &["\"a,\", \",a\""],
        &["\"*\""],
    ] {
        assert!(!has(lines, "\"a\""), "{lines:?}");
    }
}

#[test]
fn commas_and_backslashes_belong_to_a_tag() {
    assert!(has(&["\"1\", \"a,b\""], "\"a,b\""));
    assert!(!has(&["\"a,b\""], "\"a"));
    assert!(has(&["\"a\\\", \"b\""], "\"b\""));
    assert!(has(&["W/\"a, W/b\", \"c\""], "W/\"a, W/b\""));
}

#[test]
fn what_is_no_entity_tag_is_compared_as_it_is() {
    for odd in [
        "abcdef",
        "w/\"abcdef\"",
        "W\\\"abcdef\"",
        "W\"abcdef\"",
        "W/abcdef",
    ] {
        assert!(has(&[odd], odd), "{odd}");
        assert!(!has(&[odd], "\"abcdef\""), "{odd}");
    }
    assert!(has(&["\"abcdef\u{fc}\""], "\"abcdef\u{fc}\""));
}

#[test]
fn a_list_of_tags_outranks_a_date() {
    let since = date(1_000);
    let request = fields(&[("if-none-match", "\"b\""), ("if-modified-since", &since)]);
    let modified = date(-1_000);
    let stored = Validators {
        last_modified: Some(modified.as_bytes()),
        ..tagged("\"a\"")
    };
    assert!(!not_modified(&request, &stored, NOW));
    assert!(not_modified(
        &request,
        &Validators {
            etag: Some(b"\"b\""),
            ..stored
        },
        NOW
    ));
    let untagged = Validators {
        etag: None,
        ..stored
    };
    assert!(!not_modified(&request, &untagged, NOW));
    assert!(not_modified(
        &fields(&[("if-none-match", "*")]),
        &untagged,
        NOW
    ));
}

/// Whether who last asked at `since` has what has these dates, in seconds from now.
fn since(since: &str, modified: Option<i64>, made: Option<i64>) -> bool {
    let (modified, made) = (modified.map(date), made.map(date));
    let stored = Validators {
        etag: None,
        last_modified: modified.as_deref().map(str::as_bytes),
        date: made.as_deref().map(str::as_bytes),
    };
    not_modified(&fields(&[("if-modified-since", since)]), &stored, NOW)
}

#[test]
fn a_date_is_compared_with_the_last_change_or_else_with_when_the_answer_was_made() {
    assert!(since(&date(-3_000), Some(-3_000), Some(0)));
    assert!(since(&date(-2_000), Some(-3_000), Some(0)));
    assert!(!since(&date(-3_001), Some(-3_000), Some(0)));
    assert!(since(&date(-3_000), None, Some(-3_000)));
    assert!(!since(&date(-3_000), None, Some(0)));
    assert!(since(&date(0), None, None));
    assert!(!since(&date(-1), None, None));
}

#[test]
fn a_date_may_be_in_any_form_and_what_is_none_is_ignored() {
    assert!(since("Saturday, 21-Nov-26 00:00:00 GMT", Some(0), None));
    assert!(since("Sat Nov 21 00:00:00 2026", Some(0), None));
    for not in ["", "0", "tomorrow", "Sat, 21 Nov 2026 00:00:00 UTC"] {
        assert!(!since(not, Some(-1_000), Some(-1_000)), "{not}");
    }
    let (now, modified) = (date(0), date(-5));
    let twice = fields(&[("if-modified-since", &now), ("if-modified-since", &now)]);
    let stored = Validators {
        last_modified: Some(modified.as_bytes()),
        ..Validators::default()
    };
    assert!(!not_modified(&twice, &stored, NOW));
    let unreadable = Validators {
        last_modified: Some(b"x"),
        ..stored
    };
    assert!(!not_modified(
        &fields(&[("if-modified-since", &now)]),
        &unreadable,
        NOW
    ));
    assert!(!not_modified(&fields(&[]), &stored, NOW));
}

#[test]
fn a_range_counts_when_its_condition_names_what_is_stored_strongly() {
    let holds = |of: &[(&str, &str)], etag: &str| if_range_holds(&fields(of), &tagged(etag));
    assert!(holds(&[], "\"a\""));
    assert!(holds(&[("if-range", "\"a\"")], "\"a\""));
    for (named, etag) in [
        ("\"b\"", "\"a\""),
        ("W/\"a\"", "W/\"a\""),
        ("W/\"a\"", "\"a\""),
        ("\"a\"", "W/\"a\""),
        ("\"a\", \"b\"", "\"a\""),
        ("*", "\"a\""),
    ] {
        assert!(!holds(&[("if-range", named)], etag), "{named} {etag}");
    }
    assert!(!holds(
        &[("if-range", "\"a\""), ("if-range", "\"a\"")],
        "\"a\""
    ));
}

#[test]
fn a_date_allows_a_range_when_it_is_the_very_one_and_older_than_the_answer() {
    let holds = |named: i64, modified: i64, made: Option<i64>| {
        let (modified, made) = (date(modified), made.map(date));
        let stored = Validators {
            etag: None,
            last_modified: Some(modified.as_bytes()),
            date: made.as_deref().map(str::as_bytes),
        };
        if_range_holds(&fields(&[("if-range", &date(named))]), &stored)
    };
    assert!(holds(-60, -60, Some(0)));
    assert!(holds(-1, -1, Some(0)));
    assert!(
        !holds(0, 0, Some(0)),
        "it may have changed again within the second"
    );
    assert!(!holds(-59, -60, Some(0)) && !holds(-61, -60, Some(0)));
    assert!(!holds(-60, -60, None));
    let unreadable = fields(&[("if-range", "yesterday")]);
    let stored = Validators {
        last_modified: Some(b"yesterday"),
        ..Validators::default()
    };
    assert!(!if_range_holds(&unreadable, &stored));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_tag_is_found_in_its_own_list(
        tags in proptest::collection::vec("[!#-~]{0,8}", 1..6), at in any::<prop::sample::Index>(),
        line in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let list: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let own = &list[at.index(list.len())];
        prop_assert!(has(&[&list.join(", ")], own));
        prop_assert!(!has(&[&list.join(",")], "\" \""));
        if let Ok(value) = http::HeaderValue::from_bytes(&line) {
            let mut request = HeaderMap::new();
            request.append("if-none-match", value.clone());
            request.append("if-range", value);
            not_modified(&request, &tagged(own), NOW);
            if_range_holds(&request, &tagged(own));
        }
    }
}
