//! Which requests an answer is for.

use proptest::prelude::*;

use super::super::testing::fields;
use super::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn select(answer: Fields<'_>, request: Fields<'_>) -> Selection {
    Selection::of(&fields(answer), &fields(request)).unwrap()
}

fn is_for(vary: &str, first: Fields<'_>, later: Fields<'_>) -> bool {
    select(&[("vary", vary)], first).matches(&fields(later))
}

#[test]
fn without_vary_an_answer_is_for_everybody() {
    for answer in [&[][..], &[("vary", "")], &[("vary", ", ,"), ("vary", "")]] {
        let any = select(answer, &[("foo", "1")]);
        assert!(any.is_any() && any.matches(&fields(&[("foo", "2")])));
        assert_eq!((any.size(), any), (0, Selection::default()));
    }
}

#[test]
fn a_star_anywhere_is_for_nobody_else() {
    for lines in [
        &["*"][..],
        &["*, *"],
        &["*", "*"],
        &[", *"],
        &["", "*"],
        &["*, Foo"],
        &["Foo, *"],
        &["Foo", "Bar,*"],
        &["foo bar"],
        &["foo, \u{e9}"],
    ] {
        let answer: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        let no = Selection::of(&fields(&answer), &fields(&[("foo", "1")]));
        assert_eq!(no, Err(Why::VaryAny), "{lines:?}");
    }
}

#[test]
fn every_named_field_has_to_be_the_same_or_absent_on_both_sides() {
    let first: Fields<'_> = &[("foo", "1"), ("baz", "789"), ("other", "x")];
    let vary = "Foo, Bar, Baz";
    assert!(is_for(vary, first, first));
    assert!(is_for(vary, first, &[("baz", "789"), ("foo", "1")]));
    assert!(!is_for(
        vary,
        first,
        &[("foo", "1"), ("bar", ""), ("baz", "789")]
    ));
    assert!(!is_for(vary, first, &[("foo", "2"), ("baz", "789")]));
    assert!(!is_for(vary, first, &[("foo", "789"), ("baz", "1")]));
    assert!(!is_for(vary, first, &[("foo", "1")]));
    assert!(!is_for(vary, first, &[]));
    assert!(is_for(vary, &[], &[("other", "y")]));
    let lines = select(&[("vary", "Foo"), ("vary", "BAR,foo")], first);
    assert!(!lines.matches(&fields(&[("foo", "1"), ("bar", "2")])));
    assert_eq!(lines, select(&[("vary", "bar,foo")], first));
}

#[test]
fn what_means_the_same_matches() {
    for (name, one, other) in [
        ("foo", "1,2", " 1, 2 "),
        ("accept-language", "en, de", "DE, en"),
        ("accept-encoding", "gzip, br", "br;q=0.9, GZIP"),
    ] {
        assert!(is_for(name, &[(name, one)], &[(name, other)]));
    }
    assert!(is_for(
        "foo",
        &[("foo", "1, 2")],
        &[("foo", "1"), ("foo", "2")]
    ));
    assert!(!is_for("foo", &[("foo", "a")], &[("foo", "A")]));
}

#[test]
fn who_prefers_the_language_of_the_answer_is_given_it() {
    let answer = [("vary", "accept-language, foo"), ("content-language", "De")];
    let stored = select(&answer, &[("accept-language", "en, de")]);
    let given = |line: &str| stored.matches(&fields(&[("accept-language", line)]));
    assert!(given("fr;q=0.5, de;q=1.0") && given("DE"));
    assert!(!given("de, fr") && !given("fr, de;q=0.5") && !given("de-CH") && !given("*"));
    let other = fields(&[("accept-language", "de"), ("foo", "1")]);
    assert!(!stored.matches(&other), "the other field still counts");
    let unnamed = select(
        &[("vary", "foo"), ("content-language", "de")],
        &[("foo", "1")],
    );
    assert!(!unnamed.matches(&fields(&[("accept-language", "de")])));
}

#[test]
fn a_selection_knows_the_place_of_a_variant_that_is_not_there_yet() {
    let stored = select(&[("vary", "Foo, Bar")], &[("foo", "1")]);
    let request = fields(&[("foo", "2"), ("bar", "3")]);
    let wanted = stored.wants(&request);
    assert!(wanted.names_same(&stored) && wanted.matches(&request) && wanted != stored);
    let answer = fields(&[("vary", "bar, foo")]);
    assert_eq!(Selection::of(&answer, &request), Ok(wanted));
    let others = select(&[("vary", "Foo")], &[("foo", "1")]);
    assert!(!stored.names_same(&others) && !stored.names_same(&Selection::default()));
    assert_eq!(Selection::default().wants(&request), Selection::default());
}

#[test]
fn a_newer_answer_in_another_language_takes_the_place_of_the_older() {
    let request = &[("accept-language", "en, de")];
    let one = select(
        &[("vary", "accept-language"), ("content-language", "de")],
        request,
    );
    let other = select(
        &[("vary", "accept-language"), ("content-language", "en")],
        request,
    );
    assert_eq!(one, other);
}

#[test]
fn its_size_grows_with_what_it_keeps_and_not_with_how_often_a_name_stands_there() {
    let once = select(&[("vary", "foo")], &[("foo", "1")]);
    let again = select(&[("vary", "foo, FOO, foo")], &[("foo", "1")]);
    let long = select(&[("vary", "foo")], &[("foo", &"1".repeat(1_000))]);
    assert_eq!(once.size(), again.size());
    assert_eq!(long.size(), once.size() + 999);
}

proptest! {
    #[test]
    fn an_answer_is_for_who_asked_for_it(
        vary in "(foo|bar|accept|accept-language|accept-encoding|,| ){0,6}",
        values in proptest::collection::vec("[a-zA-Z,;=q.0-9\" ]{0,12}", 4),
    ) {
        let names = ["foo", "accept", "accept-language", "accept-encoding"];
        let of: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let request = fields(&of);
        if let Ok(stored) = Selection::of(&fields(&[("vary", &vary)]), &request) {
            prop_assert!(stored.matches(&request));
            prop_assert_eq!(&stored.wants(&request), &stored);
        }
    }
}
