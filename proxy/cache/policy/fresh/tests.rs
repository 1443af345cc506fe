//! How long answers are fresh, and how old they arrive.

use proptest::prelude::*;

use super::super::targeted::governing;
use super::super::testing::{NOW, date, fields};
use super::*;

fn life_of(status: u16, of: &[(&str, &str)], rules: &RouteCache) -> Life {
    let headers = fields(of);
    let says = governing(&headers, rules.surrogate_control);
    let status = StatusCode::from_u16(status).unwrap();
    life((status, &headers), &says, rules, NOW, NOW)
}

fn plain(of: &[(&str, &str)]) -> (u64, Source) {
    let life = life_of(200, of, &RouteCache::default());
    (life.lifetime / 1_000, life.source)
}

fn routed(ttl: Option<u64>, override_ttl: Option<u64>) -> RouteCache {
    RouteCache {
        ttl: ttl.map(Duration::from_secs),
        override_ttl: override_ttl.map(Duration::from_secs),
        ..RouteCache::default()
    }
}

#[test]
fn the_first_that_says_something_counts() {
    let route = routed(Some(6), None);
    let all = [
        ("cdn-cache-control", "max-age=1".to_owned()),
        ("cache-control", "s-maxage=2".to_owned()),
        ("cache-control", "max-age=3".to_owned()),
        ("expires", date(4)),
        ("date", date(0)),
        ("last-modified", date(-50)),
    ];
    let expected = [
        (1, Source::Targeted),
        (2, Source::SMaxAge),
        (3, Source::MaxAge),
        (4, Source::Expires),
        (5, Source::Heuristic),
        (5, Source::Heuristic),
        (6, Source::Route),
    ];
    for (at, expected) in expected.iter().enumerate() {
        let rest: Vec<_> = all[at.min(6)..]
            .iter()
            .map(|(n, v)| (*n, v.as_str()))
            .collect();
        let life = life_of(200, &rest, &route);
        assert_eq!((life.lifetime / 1_000, life.source), *expected, "{rest:?}");
        let own = life_of(200, &rest, &routed(None, Some(9)));
        assert_eq!((own.lifetime, own.source), (9_000, Source::Override));
    }
    assert_eq!(plain(&[]), (0, Source::Nothing));
}

#[test]
fn a_targeted_field_without_freshness_leaves_no_other_word() {
    let of = [
        ("cdn-cache-control", "public"),
        ("cache-control", "max-age=3"),
    ];
    assert_eq!(plain(&of), (0, Source::Nothing));
    let expires = date(60);
    let of = [("cdn-cache-control", "x"), ("expires", expires.as_str())];
    assert_eq!(plain(&of), (0, Source::Nothing));
}

#[test]
fn expires_is_measured_against_the_answers_own_date() {
    let span = |made: &str, expires: &str| plain(&[("date", made), ("expires", expires)]);
    for skew in [-100_000, -10, 0, 10, 100_000] {
        assert_eq!(span(&date(skew), &date(skew + 20)), (20, Source::Expires));
        assert_eq!(span(&date(skew), &date(skew)), (0, Source::Expires));
        assert_eq!(span(&date(skew), &date(skew - 100)), (0, Source::Expires));
    }
    assert_eq!(
        span("foo", &date(10)),
        (10, Source::Expires),
        "else against the time of receipt"
    );
    assert_eq!(plain(&[("expires", &date(10))]), (10, Source::Expires));
    assert_eq!(span(&date(0), "0"), (0, Source::Expires));
    assert_eq!(span(&date(0), ""), (0, Source::Expires));
    assert_eq!(
        span(&date(0), "Thu, 18 Aug 2050 02:01:18 UTC"),
        (0, Source::Expires)
    );
    let far = span(
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    );
    assert_eq!(far, (253_402_300_799, Source::Expires));
}

#[test]
fn expires_on_several_lines_has_passed() {
    let (made, expires) = (date(0), date(100));
    let of = [
        ("date", &made[..]),
        ("expires", &expires),
        ("expires", &expires),
    ];
    assert_eq!(plain(&of), (0, Source::Expires));
}

#[test]
fn a_clock_that_is_behind_makes_nothing_old() {
    let made = date(-3_600);
    let life = life_of(
        200,
        &[("date", &made), ("cache-control", "max-age=60")],
        &RouteCache::default(),
    );
    assert_eq!(life.age(NOW), 0);
    assert_eq!(life.fresh_until(None), NOW + 60_000);
}

#[test]
fn heuristic_freshness_is_a_tenth_and_a_day_at_most() {
    let span = |status: u16, unchanged: i64, extra: &str| {
        let (made, modified) = (date(0), date(-unchanged));
        let of = [
            ("date", &made[..]),
            ("last-modified", &modified),
            ("cache-control", extra),
        ];
        let life = life_of(status, &of, &RouteCache::default());
        (life.lifetime / 1_000, life.source)
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(
            span(status, 86_400, ""),
            (8_640, Source::Heuristic),
            "{status}"
        );
    }
    for status in [201, 202, 302, 307, 400, 403, 500, 502, 503, 504, 599] {
        assert_eq!(span(status, 86_400, ""), (0, Source::Nothing), "{status}");
        assert_eq!(
            span(status, 86_400, "public"),
            (8_640, Source::Heuristic),
            "{status}"
        );
    }
    assert_eq!(span(200, 10_000 * 86_400, ""), (86_400, Source::Heuristic));
    assert_eq!(span(200, 0, ""), (0, Source::Nothing));
    assert_eq!(
        span(200, -100, ""),
        (0, Source::Nothing),
        "modified in the future"
    );
    let skewed = [
        ("date", &date(-1_000)[..]),
        ("last-modified", &date(-1_100)),
    ];
    assert_eq!(
        plain(&skewed),
        (10, Source::Heuristic),
        "by the origin's clock alone"
    );
}

#[test]
fn a_routes_word_is_for_what_may_be_stored_without_the_origins() {
    let (ttl, own) = (routed(Some(60), None), routed(None, Some(60)));
    assert_eq!(life_of(404, &[], &ttl).source, Source::Route);
    assert_eq!(life_of(500, &[], &ttl).source, Source::Nothing);
    assert_eq!(
        life_of(503, &[("cache-control", "max-age=1")], &own).lifetime,
        1_000
    );
    assert_eq!(
        life_of(599, &[("cache-control", "public")], &own).lifetime,
        60_000
    );
    let no_cache = life_of(200, &[("cache-control", "no-cache")], &own);
    assert!(no_cache.no_cache, "it overrides how long, not whether");
}

#[test]
fn the_age_on_arrival_is_the_first_that_is_named_and_the_time_it_took() {
    let age = |lines: &[&str]| {
        let of: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
        life_of(200, &of, &RouteCache::default()).initial_age
    };
    for (lines, seconds) in [
        (&["30"][..], 30),
        (&["030"], 30),
        (&["7200,0"], 7_200),
        (&["0, 7200"], 0),
        (&["7200", "0"], 7_200),
        (&["0", "7200"], 0),
        (&["abc"], 0),
        (&["-7200"], 0),
        (&["7200.0"], 0),
        (&["\"7200\""], 0),
        (&[""], 0),
    ] {
        assert_eq!(age(lines), seconds * 1_000, "{lines:?}");
    }
    assert_eq!(age(&["99999999999999999999999"]), FOR_EVER);
    let headers = fields(&[("age", "30")]);
    let says = governing(&headers, false);
    let head = (StatusCode::OK, &headers);
    let slow = life(head, &says, &RouteCache::default(), NOW - 2_500, NOW);
    assert_eq!(slow.initial_age, 32_500);
    let turned_back = life(head, &says, &RouteCache::default(), NOW + 2_500, NOW);
    assert_eq!(turned_back.initial_age, 30_000);
}

#[test]
fn what_is_for_ever_is_stale_at_once_when_it_is_as_old() {
    let of = [
        ("cache-control", "max-age=99999999999"),
        ("age", "99999999999999999999"),
    ];
    let life = life_of(200, &of, &RouteCache::default());
    assert_eq!(life.fresh_until(None), NOW);
}

#[test]
fn windows_are_the_answers_own_or_else_the_routes() {
    let route = RouteCache {
        stale_while_revalidate: Some(Duration::from_secs(7)),
        stale_if_error: Some(Duration::from_secs(8)),
        ..RouteCache::default()
    };
    let windows = |line: &str, rules: &RouteCache| {
        let life = life_of(200, &[("cache-control", line)], rules);
        (life.stale_while_revalidate, life.stale_if_error)
    };
    let own = "max-age=1, stale-while-revalidate=2, stale-if-error=3";
    assert_eq!(windows(own, &route), (2_000, Some(3_000)));
    assert_eq!(windows("max-age=1", &route), (7_000, Some(8_000)));
    assert_eq!(windows("max-age=1", &RouteCache::default()), (0, None));
    assert_eq!(windows("max-age=1, stale-while-revalidate=x", &route).0, 0);
    for never in [
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=1",
    ] {
        let line = format!("{own}, {never}");
        assert_eq!(windows(&line, &route), (0, Some(0)), "{never}");
    }
}

#[test]
fn what_is_never_used_stale_says_so() {
    let never = |line: &str| {
        life_of(200, &[("cache-control", line)], &RouteCache::default()).must_revalidate
    };
    assert!(never("must-revalidate") && never("proxy-revalidate") && never("s-maxage=5"));
    assert!(!never("max-age=5, no-cache=\"a\", immutable"));
}

#[test]
fn a_validator_is_an_entity_tag_or_a_date() {
    let has = |of: &[(&str, &str)]| life_of(200, of, &RouteCache::default()).has_validator;
    assert!(has(&[("etag", "\"a\"")]) && has(&[("etag", "bare")]));
    assert!(has(&[("last-modified", &date(-5))]));
    assert!(!has(&[]) && !has(&[("etag", "")]) && !has(&[("last-modified", "yesterday")]));
}

proptest! {
    #[test]
    fn ages_only_grow_and_nothing_lives_longer_than_for_ever(
        value in "[0-9]{0,25}", age in "[0-9]{0,25}", took in any::<u64>(), received in any::<u64>(),
        one in any::<u64>(), later in any::<u64>(),
    ) {
        let headers = fields(&[("cache-control", &format!("max-age={value}")), ("age", &age)]);
        let says = governing(&headers, false);
        let head = (StatusCode::OK, &headers);
        let life = life(head, &says, &RouteCache::default(), received.saturating_sub(took), received);
        prop_assert!(life.lifetime <= FOR_EVER && life.initial_age <= FOR_EVER);
        prop_assert!(life.age(one) <= life.age(one.saturating_add(later)));
        prop_assert!(life.fresh_until(Some(later)) <= life.fresh_until(None));
    }
}
