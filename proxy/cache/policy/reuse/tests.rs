//! When what is stored is used, to the millisecond.

use proptest::prelude::*;

use super::super::life::{FOR_EVER, Source};
use super::super::testing::NOW;
use super::*;

/// Fresh for ten seconds.
fn life() -> Life {
    Life {
        received: NOW,
        initial_age: 0,
        lifetime: 10_000,
        source: Source::MaxAge,
        stale_while_revalidate: 0,
        stale_if_error: None,
        no_cache: false,
        must_revalidate: false,
        has_validator: true,
    }
}

fn at(life: &Life, wish: &Wish, after: u64) -> Use {
    reuse(life, wish, None, NOW + after)
}

const NONE: Wish = Wish {
    no_cache: false,
    no_store: false,
    only_if_cached: false,
    max_age: None,
    min_fresh: None,
    max_stale: None,
    stale_if_error: None,
};

#[test]
fn it_is_fresh_until_the_millisecond_it_is_not() {
    assert_eq!(at(&life(), &NONE, 0), Use::Fresh);
    assert_eq!(at(&life(), &NONE, 9_999), Use::Fresh);
    assert_eq!(at(&life(), &NONE, 10_000), Use::Validate(Why::Expired));
    let aged = Life {
        initial_age: 10_000,
        ..life()
    };
    assert_eq!(at(&aged, &NONE, 0), Use::Validate(Why::Expired));
}

#[test]
fn without_a_validator_another_answer_is_fetched() {
    let bare = Life {
        has_validator: false,
        ..life()
    };
    assert_eq!(at(&bare, &NONE, 10_000), Use::Fetch(Why::Expired));
    let reload = Wish {
        no_cache: true,
        ..NONE
    };
    assert_eq!(at(&bare, &reload, 0), Use::Fetch(Why::RequestNoCache));
}

#[test]
fn no_cache_is_validated_whatever_else_is_said() {
    let no_cache = Life {
        no_cache: true,
        stale_while_revalidate: 60_000,
        ..life()
    };
    let lenient = Wish {
        max_stale: Some(FOR_EVER),
        ..NONE
    };
    for after in [0, 5_000, 20_000] {
        assert_eq!(at(&no_cache, &lenient, after), Use::Validate(Why::NoCache));
    }
}

#[test]
fn a_request_may_want_it_validated_younger_or_fresh_for_longer() {
    let wish = |max_age, min_fresh| Wish {
        max_age,
        min_fresh,
        ..NONE
    };
    let too_old = Use::Validate(Why::RequestMaxAge);
    assert_eq!(at(&life(), &wish(Some(0), None), 0), too_old);
    assert_eq!(at(&life(), &wish(Some(5), None), 5_000), Use::Fresh);
    assert_eq!(at(&life(), &wish(Some(5), None), 5_001), too_old);
    let aged = Life {
        initial_age: 6_000,
        ..life()
    };
    assert_eq!(at(&aged, &wish(Some(5), None), 0), too_old);
    let too_short = Use::Validate(Why::RequestMinFresh);
    assert_eq!(at(&life(), &wish(None, Some(5)), 5_000), Use::Fresh);
    assert_eq!(at(&life(), &wish(None, Some(5)), 5_001), too_short);
    assert_eq!(at(&life(), &wish(None, Some(FOR_EVER)), 0), too_short);
}

#[test]
fn a_request_that_only_must_not_be_stored_is_given_what_is() {
    let private = Wish {
        no_store: true,
        only_if_cached: true,
        ..NONE
    };
    assert_eq!(at(&life(), &private, 5_000), Use::Fresh);
}

#[test]
fn max_stale_takes_what_is_stale_as_far_as_it_goes_and_the_answer_allows() {
    let wish = |seconds| Wish {
        max_stale: Some(seconds),
        ..NONE
    };
    let taken = Use::Stale(Why::MaxStale);
    assert_eq!(at(&life(), &wish(5), 9_999), Use::Fresh);
    assert_eq!(at(&life(), &wish(5), 15_000), taken);
    assert_eq!(at(&life(), &wish(5), 15_001), Use::Validate(Why::Expired));
    assert_eq!(at(&life(), &wish(FOR_EVER), u64::MAX / 8), taken);
    let never = Life {
        must_revalidate: true,
        ..life()
    };
    assert_eq!(at(&never, &wish(5), 12_000), Use::Validate(Why::Expired));
    let both = Wish {
        max_age: Some(12),
        ..wish(FOR_EVER)
    };
    assert_eq!(at(&life(), &both, 12_000), taken);
    assert_eq!(
        at(&life(), &both, 12_001),
        Use::Validate(Why::RequestMaxAge)
    );
}

#[test]
fn it_is_refreshed_behind_until_the_end_of_the_window_and_no_longer() {
    let windowed = Life {
        stale_while_revalidate: 5_000,
        ..life()
    };
    assert_eq!(at(&windowed, &NONE, 10_000), Use::Refresh);
    assert_eq!(at(&windowed, &NONE, 14_999), Use::Refresh);
    assert_eq!(at(&windowed, &NONE, 15_000), Use::Validate(Why::Expired));
    let lenient = Wish {
        max_stale: Some(2),
        ..NONE
    };
    assert_eq!(at(&windowed, &lenient, 12_000), Use::Refresh);
    assert_eq!(at(&windowed, &lenient, 12_001), Use::Validate(Why::Expired));
}

#[test]
fn who_names_an_age_or_a_freshness_is_given_nothing_stale() {
    let windowed = Life {
        stale_while_revalidate: 5_000,
        ..life()
    };
    let aged = Wish {
        max_age: Some(60),
        ..NONE
    };
    let fresh = Wish {
        min_fresh: Some(0),
        ..NONE
    };
    for wish in [aged, fresh] {
        assert_eq!(at(&windowed, &wish, 12_000), Use::Validate(Why::Expired));
    }
}

#[test]
fn a_soft_purge_ends_freshness_and_begins_the_windows() {
    let windowed = Life {
        stale_while_revalidate: 5_000,
        ..life()
    };
    let purged = |life: &Life, after| reuse(life, &NONE, Some(NOW + 1_000), NOW + after);
    assert_eq!(purged(&life(), 999), Use::Fresh);
    assert_eq!(purged(&life(), 1_000), Use::Validate(Why::Purged));
    assert_eq!(purged(&windowed, 5_999), Use::Refresh);
    assert_eq!(purged(&windowed, 6_000), Use::Validate(Why::Purged));
    let late = reuse(&life(), &NONE, Some(NOW + 11_000), NOW + 12_000);
    assert_eq!(late, Use::Validate(Why::Expired), "it was stale before");
}

fn helps(life: &Life, wish: &Wish, trouble: Trouble, after: u64) -> bool {
    on_trouble(life, wish, None, trouble, NOW + after)
}

#[test]
fn an_error_is_covered_only_where_somebody_said_so() {
    let allowed = Life {
        stale_if_error: Some(5_000),
        ..life()
    };
    let wish = Wish {
        stale_if_error: Some(7),
        ..NONE
    };
    assert!(!helps(&life(), &NONE, Trouble::Status, 10_000));
    assert!(
        !helps(&life(), &NONE, Trouble::Status, 5_000),
        "fresh, but the client asked"
    );
    assert!(helps(&allowed, &NONE, Trouble::Status, 14_999));
    assert!(!helps(&allowed, &NONE, Trouble::Status, 15_000));
    assert!(helps(&life(), &wish, Trouble::Status, 16_999));
    assert!(helps(&allowed, &wish, Trouble::Status, 16_999));
    assert!(!helps(&allowed, &wish, Trouble::Status, 17_000));
}

#[test]
fn nodes_that_cannot_be_asked_are_covered_for_a_day_unless_somebody_named_a_time() {
    let day = UNREACHABLE_AT_MOST;
    assert!(helps(&life(), &NONE, Trouble::Unreachable, 5_000));
    assert!(helps(
        &life(),
        &NONE,
        Trouble::Unreachable,
        10_000 + day - 1
    ));
    assert!(!helps(&life(), &NONE, Trouble::Unreachable, 10_000 + day));
    for (seconds, after) in [(0, 10_000), (5, 15_000)] {
        let named = Life {
            stale_if_error: Some(seconds * 1_000),
            ..life()
        };
        assert!(
            !helps(&named, &NONE, Trouble::Unreachable, after),
            "{seconds}"
        );
    }
}

#[test]
fn nothing_stale_covers_trouble_against_the_answers_word() {
    let wish = Wish {
        stale_if_error: Some(FOR_EVER),
        max_stale: Some(FOR_EVER),
        ..NONE
    };
    for trouble in [Trouble::Status, Trouble::Unreachable] {
        let no_cache = Life {
            no_cache: true,
            ..life()
        };
        assert!(!helps(&no_cache, &wish, trouble, 0));
        let never = Life {
            must_revalidate: true,
            ..life()
        };
        assert!(!helps(&never, &wish, trouble, 10_000));
        assert!(helps(&never, &wish, trouble, 9_999), "it is fresh");
        assert!(!on_trouble(&never, &wish, Some(NOW), trouble, NOW + 1));
    }
}

fn any_life() -> impl Strategy<Value = Life> {
    let spans = (0..FOR_EVER, 0..FOR_EVER, 0..FOR_EVER, any::<Option<u32>>());
    (spans, any::<[bool; 3]>()).prop_map(|((initial_age, lifetime, swr, sie), flags)| Life {
        received: NOW,
        initial_age,
        lifetime,
        source: Source::MaxAge,
        stale_while_revalidate: swr,
        stale_if_error: sie.map(u64::from),
        no_cache: flags[0],
        must_revalidate: flags[1],
        has_validator: flags[2],
    })
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let span = || proptest::option::of(prop_oneof![0..100_u64, Just(FOR_EVER)]);
    (any::<[bool; 3]>(), span(), span(), span(), span()).prop_map(|(flags, a, b, c, d)| Wish {
        no_cache: flags[0],
        no_store: flags[1],
        only_if_cached: flags[2],
        max_age: a,
        min_fresh: b,
        max_stale: c,
        stale_if_error: d,
    })
}

proptest! {
    #[test]
    fn the_answers_word_holds_against_every_wish(
        life in any_life(), wish in any_wish(), expired in any::<Option<u64>>(), now in any::<u64>(),
    ) {
        let is_fresh = now < life.fresh_until(expired);
        let used = reuse(&life, &wish, expired, now);
        let served = matches!(used, Use::Fresh | Use::Stale(_) | Use::Refresh);
        prop_assert!(!(life.no_cache && served));
        prop_assert!(!(life.must_revalidate && served && !is_fresh));
        prop_assert_eq!(used == Use::Fresh, served && is_fresh);
        prop_assert_eq!(matches!(used, Use::Fetch(_)), !served && !life.has_validator);
        for trouble in [Trouble::Status, Trouble::Unreachable] {
            let covered = on_trouble(&life, &wish, expired, trouble, now);
            prop_assert!(!(covered && (life.no_cache || life.must_revalidate && !is_fresh)));
        }
    }

    #[test]
    fn what_stopped_being_used_is_not_used_again_later(
        life in any_life(), expired in any::<Option<u64>>(), now in any::<u64>(), later in any::<u64>(),
    ) {
        let used = |now| matches!(reuse(&life, &NONE, expired, now), Use::Fresh | Use::Refresh);
        prop_assert!(used(now) || !used(now.saturating_add(later)));
    }
}
