//! Who decides what is recorded, which ids are taken over, and how times are written.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::config::defaults;

fn sampled(rules: Sample, parent: Option<bool>, trusted: bool, dice: f64) -> bool {
    let parent = parent.map(|sampled| Trace::begins(1, 1, sampled));
    is_sampled(rules, parent, trusted, || dice)
}

#[test]
fn a_share_is_drawn_unless_a_trusted_peer_has_decided() {
    let half = Sample::Share(0.5);
    for trusted in [false, true] {
        assert!(sampled(half, None, trusted, 0.4));
        assert!(!sampled(half, None, trusted, 0.5));
    }
    assert!(!sampled(half, Some(true), false, 0.9) && sampled(half, Some(false), false, 0.1));
    assert!(sampled(half, Some(true), true, 0.9) && !sampled(half, Some(false), true, 0.1));
    assert!(!sampled(Sample::Share(0.0), None, false, 0.0));
    assert!(sampled(Sample::Share(1.0), None, false, 0.999_999));
    for trusted in [false, true] {
        assert!(sampled(Sample::Parent, Some(true), trusted, 0.9));
        assert!(!sampled(Sample::Parent, Some(false), trusted, 0.0));
        assert!(!sampled(Sample::Parent, None, trusted, 0.0));
    }
}

#[test]
fn an_id_is_taken_over_only_where_it_can_stand_anywhere() {
    let rules = defaults::tracing().request_id;
    let given = |values: &[&str]| {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(&rules.header, HeaderValue::from_str(value).unwrap());
        }
        given_id(&fields, &rules).map(|id| id.to_str().unwrap().to_owned())
    };
    let long = "a".repeat(128);
    for good in ["a", "0b7e-4c.1_2~3:4/5+6=@", &long] {
        assert_eq!(given(&[good]).as_deref(), Some(good));
    }
    for bad in ["", "a b", "a\"b", "a\\b", "<a>", "a,b", &format!("{long}a")] {
        assert_eq!(given(&[bad]), None, "{bad}");
    }
    assert_eq!(given(&["a", "b"]), None);
    assert_eq!(given(&[]), None);
}

#[test]
fn times_are_milliseconds_to_the_microsecond() {
    let mut text = Vec::new();
    let times = Times {
        cache: Some(Outcome::Miss),
        queue: Some(Duration::from_micros(7)),
        connect: None,
        ttfb: Some(Duration::from_micros(1_234_050)),
        total: Duration::from_secs(2),
    };
    times.put(&mut text);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "cache;desc=miss, queue;dur=0.007, ttfb;dur=1234.050, total;dur=2000.000"
    );
}

proptest! {
    #[test]
    fn a_time_is_written_as_a_float_would_be(micros in 0u64..10_000_000_000) {
        let mut text = Vec::new();
        millis(&mut text, Duration::from_micros(micros));
        prop_assert_eq!(String::from_utf8(text).unwrap(), format!("{:.3}", micros as f64 / 1e3));
    }
}
