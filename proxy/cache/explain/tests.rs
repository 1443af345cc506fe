//! What is said of a request is what would happen to it, in words that stay.

use super::*;

const NOW: Millis = 1_000_000_000;

/// `max-age=60`, 13 s old, of which it brought 5.
fn life() -> Life {
    Life {
        received: NOW - 13_000,
        initial_age: 5_000,
        lifetime: 60_000,
        source: Source::MaxAge,
        stale_while_revalidate: 0,
        stale_if_error: None,
        no_cache: false,
        must_revalidate: false,
        has_validator: true,
    }
}

fn look(stored: Option<(&Life, Option<Millis>)>) -> Look<'_> {
    Look {
        stored,
        variants: usize::from(stored.is_some()),
        marked: false,
        lately: None,
        wish: Wish::default(),
        is_head: false,
        is_part: false,
    }
}

#[test]
fn what_is_fresh_is_told_with_what_is_left_and_where_it_comes_from() {
    let life = life();
    let told = verdict(&look(Some((&life, None))), NOW);
    assert_eq!(
        told.words,
        "would be answered from the store: fresh for 42 s more (max-age=60, Age was 5 when it came)"
    );
    assert_eq!((told.outcome, told.why), (Outcome::Hit, Why::Fresh));
}

#[test]
fn what_is_stale_is_told_with_since_when() {
    let mut life = life();
    life.initial_age = 0;
    let told = verdict(&look(Some((&life, None))), NOW + 57_000);
    assert_eq!(
        told.words,
        "a node would be asked whether it is still right, because it is older than its freshness lifetime: stale for 10 s (max-age=60)"
    );
    assert_eq!(told.outcome, Outcome::Revalidated);
}

#[test]
fn what_was_purged_softly_is_told_as_purged() {
    let life = life();
    assert_eq!(
        state(&life, Some(NOW - 3_000), NOW),
        "purged softly 3 s ago (max-age=60, Age was 5 when it came)"
    );
    assert_eq!(
        state(&life, Some(NOW + 90_000), NOW),
        state(&life, None, NOW),
        "purged when it was stale already"
    );
}

#[test]
fn where_freshness_comes_from_is_told_for_every_source() {
    let told = |source, lifetime| {
        let life = Life {
            source,
            lifetime,
            received: NOW,
            initial_age: 0,
            ..life()
        };
        state(&life, None, NOW)
    };
    assert_eq!(
        told(Source::Heuristic, 7_200_000),
        "fresh for 2h more (heuristic: a tenth of the age of Last-Modified, 2h)"
    );
    assert_eq!(
        told(Source::SMaxAge, FOR_EVER),
        "fresh for ever more (s-maxage=for ever)"
    );
    assert_eq!(
        told(Source::Nothing, 0),
        "never fresh (nothing says how long it is fresh)"
    );
    assert_eq!(
        told(Source::Route, 5_000),
        "fresh for 5 s more (the route's ttl, 5 s)"
    );
}

#[test]
fn nothing_stored_is_told_with_the_last_reason() {
    let nothing = look(None);
    assert_eq!(
        verdict(&nothing, NOW).words,
        "would be fetched: nothing stored under this key"
    );
    let told = verdict(
        &Look {
            lately: Some(Why::Private),
            ..nothing.clone()
        },
        NOW,
    );
    assert_eq!(
        told.words,
        "would be fetched: nothing stored under this key; the last answer was not stored: private (the answer says private)"
    );
    let told = verdict(
        &Look {
            marked: true,
            lately: Some(Why::SetCookie),
            ..nothing.clone()
        },
        NOW,
    );
    assert!(
        told.words
            .starts_with("would be handed on, each request by itself, because answers")
            && told.words.contains("not stored: set_cookie"),
        "{}",
        told.words
    );
    let told = verdict(
        &Look {
            variants: 2,
            ..nothing
        },
        NOW,
    );
    assert_eq!(
        told.words,
        "would be fetched: the 2 answers stored under this key are for other request fields (Vary)"
    );
    assert_eq!(told.why, Why::OtherVariant);
}

#[test]
fn a_request_that_takes_only_what_is_stored_is_told_its_504() {
    let wish = Wish {
        only_if_cached: true,
        ..Wish::default()
    };
    let told = verdict(&Look { wish, ..look(None) }, NOW);
    assert!(told.words.starts_with("would be 504"), "{}", told.words);
}

#[test]
fn what_goes_on_as_it_is_says_so() {
    let told = verdict(
        &Look {
            is_head: true,
            ..look(None)
        },
        NOW,
    );
    assert!(
        told.words
            .starts_with("would be handed on as it is, since HEAD"),
        "{}",
        told.words
    );
    let told = handed_on(Why::Precondition);
    assert_eq!(told.outcome, Outcome::Bypass);
    assert!(
        told.words
            .ends_with("only the origin can judge its precondition")
    );
}

#[test]
fn spans_are_told_in_units_that_a_person_reads() {
    assert_eq!(
        [
            span(0),
            span(999),
            span(1_000),
            span(599_999),
            span(3_600_000),
            span(FOR_EVER)
        ],
        ["0 ms", "999 ms", "1 s", "599 s", "1h", "ever"]
    );
}
