//! Whose word counts (RFC 9213).

use proptest::prelude::*;

use super::super::life::FOR_EVER;
use super::super::testing::fields;
use super::*;

fn listen(of: &[(&str, &str)]) -> Governing {
    governing(&fields(of), true)
}

/// What counts beside `Cache-Control: max-age=1`: the seconds of a targeted field, or nothing of one.
fn targeted(name: &str, value: &str) -> Option<Option<u64>> {
    let says = listen(&[("cache-control", "max-age=1"), (name, value)]);
    if !says.is_targeted {
        assert_eq!(says.directives.max_age, Some(1), "{value}");
    }
    says.is_targeted.then_some(says.directives.max_age)
}

#[test]
fn a_valid_field_replaces_cache_control_and_any_other_is_not_there() {
    for (value, expected) in [
        ("max-age=60", Some(Some(60))),
        ("foobar, max-age=60;p=1", Some(Some(60))),
        ("max-age=60, max-age=70", Some(Some(70))),
        ("max-age=2147483648", Some(Some(FOR_EVER))),
        ("max-age=99999999999", Some(Some(FOR_EVER))),
        ("max-age=0", Some(Some(0))),
        ("no-store", Some(None)),
        ("x", Some(None)),
        ("x=(1 2), no-store", Some(None)),
        ("no-store=?0", Some(None)),
        ("", None),
        ("max-age=60, &&&&&", None),
        ("max-age=\"60\"", None),
        ("max-age=60.0", None),
        ("max-age=-60", None),
        ("max-age=?1", None),
        ("max-age", None),
        ("max-age=a60", None),
        ("max-age=(60)", None),
        ("max-age =60", None),
        ("max-age= 60", None),
        ("MaX-aGe=60", None),
        ("max-age=60,", None),
        ("no-store=1", None),
        ("no-store=\"x\"", None),
        ("private=1", None),
        ("private=(a b)", None),
        ("max-age=1000000000000000", None),
    ] {
        assert_eq!(targeted("cdn-cache-control", value), expected, "{value}");
        assert_eq!(
            targeted("tidegate-cache-control", value),
            expected,
            "{value}"
        );
    }
}

#[test]
fn the_first_valid_field_counts_and_ours_is_the_first() {
    let says = listen(&[
        ("cdn-cache-control", "max-age=2"),
        ("tidegate-cache-control", "max-age=1"),
    ]);
    assert_eq!(says.directives.max_age, Some(1));
    let says = listen(&[
        ("tidegate-cache-control", "max-age=x"),
        ("cdn-cache-control", "max-age=2"),
    ]);
    assert_eq!((says.directives.max_age, says.is_targeted), (Some(2), true));
    let other = listen(&[("other-cache-control", "max-age=2")]);
    assert!(!other.is_targeted);
}

#[test]
fn several_lines_are_one_dictionary() {
    let says = listen(&[
        ("cdn-cache-control", "max-age=2"),
        ("cdn-cache-control", "must-revalidate"),
    ]);
    assert!(says.directives.must_revalidate && says.directives.max_age == Some(2));
    let broken = listen(&[
        ("cdn-cache-control", "max-age=2"),
        ("cdn-cache-control", "&"),
    ]);
    assert!(!broken.is_targeted);
}

#[test]
fn every_directive_is_heard_in_a_targeted_field() {
    let line = "s-maxage=1, stale-while-revalidate=2, stale-if-error=3, no-cache=\"a, b\", private=?0, public, \
                proxy-revalidate, must-understand";
    let says = listen(&[("cdn-cache-control", line)]).directives;
    assert_eq!((says.s_maxage, says.stale_if_error), (Some(1), Some(3)));
    assert_eq!(says.stale_while_revalidate, Some(2));
    assert_eq!(says.fields.len(), 2);
    assert!(!says.no_cache && !says.private && says.public);
    assert!(says.proxy_revalidate && says.must_understand);
    let flags = listen(&[("cdn-cache-control", "no-cache, private, no-store")]).directives;
    assert!(flags.no_cache && flags.private && flags.no_store);
}

#[test]
fn surrogate_control_counts_where_the_route_listens_and_after_the_others() {
    assert_eq!(targeted("surrogate-control", "max-age=60"), Some(Some(60)));
    assert_eq!(
        targeted("surrogate-control", "x, MaX-aGe=60;tidegate"),
        Some(Some(60))
    );
    assert_eq!(targeted("surrogate-control", "max-age=60;elsewhere"), None);
    assert_eq!(targeted("surrogate-control", "content=\"ESI/1.0\""), None);
    assert_eq!(targeted("surrogate-control", "no-store"), Some(None));
    assert_eq!(targeted("surrogate-control", "max-age =60"), Some(Some(0)));
    let deaf = governing(&fields(&[("surrogate-control", "max-age=60")]), false);
    assert!(!deaf.is_targeted);
    let both = listen(&[
        ("surrogate-control", "max-age=1"),
        ("cdn-cache-control", "max-age=2"),
    ]);
    assert_eq!(both.directives.max_age, Some(2));
}

#[test]
fn the_second_number_of_a_surrogates_max_age_is_a_window() {
    let window = |line: &str| {
        let says = listen(&[("surrogate-control", line)]).directives;
        (says.max_age, says.stale_while_revalidate)
    };
    assert_eq!(window("max-age=60+30"), (Some(60), Some(30)));
    assert_eq!(window("max-age=60+x"), (Some(60), Some(0)));
    assert_eq!(window("max-age=x+30"), (Some(0), Some(30)));
    assert_eq!(
        window("stale-while-revalidate=5, max-age=60+30"),
        (Some(60), Some(5))
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), words in "[a-z=?0-9(\") ,;:.*-]{0,60}") {
        for line in [&bytes[..], words.as_bytes()] {
            let Ok(value) = http::HeaderValue::from_bytes(line) else { continue };
            let mut all = HeaderMap::new();
            all.append("cdn-cache-control", value.clone());
            all.append("surrogate-control", value);
            governing(&all, true);
        }
    }
}
