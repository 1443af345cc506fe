//! What `Cache-Control` says, however it is written.

use proptest::prelude::*;

use super::super::testing::fields;
use super::*;

fn says(lines: &[&str]) -> AnswerDirectives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    AnswerDirectives::of(&fields(&lines))
}

fn wishes(line: &str) -> Wish {
    Wish::of(&fields(&[("cache-control", line)]), false)
}

#[test]
fn a_number_of_seconds_is_digits_and_everything_else_is_none() {
    for (line, seconds) in [
        ("max-age=60", 60),
        ("MaX-aGe=60", 60),
        ("max-age=0060", 60),
        ("max-age=\"60\"", 60),
        ("foo, ,max-age=60\t, bar", 60),
        ("max-age=2147483647", 2_147_483_647),
        ("max-age=2147483648", FOR_EVER),
        ("max-age=99999999999", FOR_EVER),
        ("max-age=99999999999999999999999999999", FOR_EVER),
        ("max-age=0", 0),
        ("max-age=-60", 0),
        ("max-age=+60", 0),
        ("max-age='60'", 0),
        ("max-age=60.0", 0),
        ("max-age=60.5", 0),
        ("max-age=a60", 0),
        ("max-age=60a", 0),
        ("max-age=", 0),
        ("max-age", 0),
        ("max-age=\"\"", 0),
        ("max-age=\"6\\0\"", 0),
        ("max-age=\"60\"0", 0),
        ("max-age=\"60", 0),
        ("max-age =60", 0),
        ("max-age= 60", 0),
        ("max-age=60 60", 0),
        ("max-age==60", 0),
        ("max-age=60;x", 0),
    ] {
        assert_eq!(says(&[line]).max_age, Some(seconds), "{line}");
    }
}

#[test]
fn every_directive_that_says_how_long_is_read_alike() {
    let line = "s-maxage=1, max-age=2, stale-while-revalidate=3, Stale-If-Error=4";
    let all = says(&[line]);
    let spans = [
        all.s_maxage,
        all.max_age,
        all.stale_while_revalidate,
        all.stale_if_error,
    ];
    assert_eq!(spans, [1, 2, 3, 4].map(Some));
}

#[test]
fn of_two_values_the_stricter_counts_wherever_they_stand() {
    for lines in [
        &["max-age=1, max-age=1800"][..],
        &["max-age=1800, max-age=1"],
        &["max-age=1800", "max-age=1"],
        &["max-age=1", "max-age=1800"],
    ] {
        assert_eq!(says(lines).max_age, Some(1), "{lines:?}");
    }
    assert_eq!(says(&["max-age=1800, max-age=x"]).max_age, Some(0));
}

#[test]
fn what_is_quoted_is_part_of_a_value_and_no_directive() {
    for line in [
        "extension=\"max-age=100\", max-age=1",
        "max-age=1, extension=\"max-age=100\"",
        "extension=\"max-age=100\", max-age=\"1\"",
        "max-age=\"1\", extension=\"max-age=100, no-store\"",
        "extension=\"a\\\", no-store, private\", max-age=1",
    ] {
        let expected = AnswerDirectives {
            max_age: Some(1),
            ..AnswerDirectives::default()
        };
        assert_eq!(says(&[line]), expected, "{line}");
    }
    assert!(
        says(&["extension=\"max-age=100, no-store"]).no_store,
        "never closed"
    );
}

#[test]
fn flags_are_read_in_any_letter_case_and_on_any_line() {
    let all = says(&[
        "No-StOrE, PUBLIC,must-revalidate",
        "proxy-revalidate , must-understand, no-transform, immutable",
        "No-Cache, Private",
    ]);
    let expected = AnswerDirectives {
        no_store: true,
        no_cache: true,
        private: true,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        no_transform: true,
        immutable: true,
        ..AnswerDirectives::default()
    };
    assert_eq!(all, expected);
    assert_eq!(
        says(&["no-stores, xno-store, no_store, public-ish"]),
        AnswerDirectives::default()
    );
}

#[test]
fn a_value_where_none_belongs_forbids_as_before_and_allows_nothing() {
    let all =
        says(&["no-store=1, must-revalidate=\"x\", public=1, must-understand=no, immutable=0"]);
    assert!(all.no_store && all.must_revalidate);
    assert!(!all.public && !all.must_understand && !all.immutable);
}

#[test]
fn a_list_of_fields_concerns_those_fields_and_what_is_no_list_concerns_all() {
    let named = |line: &str| {
        let all = says(&[line]);
        let names: Vec<String> = all.fields.iter().map(|f| f.to_string()).collect();
        (all.private, all.no_cache, names.join(" "))
    };
    let only = |names: &str| (false, false, names.to_owned());
    assert_eq!(named("private=\"A, b\""), only("a b"));
    assert_eq!(named("no-cache=\"a\""), only("a"));
    assert_eq!(named("no-cache=a"), only("a"));
    assert_eq!(
        named("no-cache=\"a\", private=\",Set-Cookie,\""),
        only("a set-cookie")
    );
    assert_eq!(named("no-cache, no-cache=\"a\""), (false, true, "a".into()));
    assert_eq!(named("private=\"\""), (true, false, String::new()));
    assert_eq!(named("private="), (true, false, String::new()));
    assert_eq!(named("private=\"a b\""), (true, false, String::new()));
    assert_eq!(named("no-cache=\"a"), (false, true, String::new()));
    assert_eq!(named("no-cache =\"a\""), (false, true, String::new()));
}

#[test]
fn a_request_asks_for_what_it_names() {
    let line =
        "No-Cache, no-store, only-if-cached, max-age=1, min-fresh=2, max-stale=3, stale-if-error=4";
    let expected = Wish {
        no_cache: true,
        no_store: true,
        only_if_cached: true,
        max_age: Some(1),
        min_fresh: Some(2),
        max_stale: Some(3),
        stale_if_error: Some(4),
    };
    assert_eq!(wishes(line), expected);
    let all = fields(&[("cache-control", line), ("pragma", "no-cache")]);
    assert_eq!(Wish::of(&all, true), Wish::default());
}

#[test]
fn a_request_that_cannot_be_read_gets_nothing_it_would_not_have_had() {
    assert_eq!(wishes("max-age=x").max_age, Some(0));
    assert_eq!(wishes("max-age").max_age, Some(0));
    assert_eq!(wishes("min-fresh=x, min-fresh").min_fresh, None);
    assert_eq!(wishes("max-stale=x").max_stale, None);
    assert_eq!(wishes("max-stale=-1").max_stale, None);
    assert_eq!(wishes("max-stale").max_stale, Some(FOR_EVER));
    assert_eq!(wishes("max-stale, max-stale=5").max_stale, Some(5));
    assert_eq!(wishes("min-fresh=5, min-fresh=9").min_fresh, Some(9));
    assert_eq!(wishes("stale-if-error=x").stale_if_error, None);
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let wish = |of: &[(&str, &str)]| Wish::of(&fields(of), false).no_cache;
    assert!(wish(&[("pragma", "No-Cache")]));
    assert!(wish(&[("pragma", "x"), ("pragma", "y, no-cache")]));
    assert!(!wish(&[("pragma", "no-cachet")]));
    assert!(!wish(&[
        ("pragma", "no-cache"),
        ("cache-control", "max-age=60")
    ]));
    assert!(!wish(&[("pragma", "no-cache"), ("cache-control", "")]));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_span_is_longer_than_for_ever(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..3),
        words in "(max-age|s-maxage|no-cache|private|x)[ =\"\\\\,0-9a-z]{0,30}",
    ) {
        let mut all = http::HeaderMap::new();
        for line in lines.iter().map(|line| &line[..]).chain([words.as_bytes()]) {
            if let Ok(value) = http::HeaderValue::from_bytes(line) {
                all.append(CACHE_CONTROL, value);
            }
        }
        let answer = AnswerDirectives::of(&all);
        let wish = Wish::of(&all, false);
        for span in [answer.max_age, answer.s_maxage, wish.max_age, wish.max_stale, wish.min_fresh] {
            prop_assert!(span.unwrap_or(0) <= FOR_EVER);
        }
    }

    #[test]
    fn another_value_never_makes_an_answer_fresher(one in any::<u64>(), other in "[0-9a-z.-]{0,12}") {
        let alone = says(&[&format!("max-age={one}")]).max_age;
        let both = says(&[&format!("max-age={one}, max-age={other}")]).max_age;
        prop_assert!(both <= alone);
    }
}
