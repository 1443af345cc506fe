//! Trace Context by the letter: the cases of the standard's own test suite, and the way there and back.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn of(parents: &[&str], states: &[&str]) -> Said {
    let mut map = HeaderMap::new();
    for parent in parents {
        map.append(
            TRACEPARENT,
            HeaderValue::from_bytes(parent.as_bytes()).unwrap(),
        );
    }
    for state in states {
        map.append(
            TRACESTATE,
            HeaderValue::from_bytes(state.as_bytes()).unwrap(),
        );
    }
    said(&map)
}

#[test]
fn a_valid_parent_is_read_and_written_as_it_was() {
    let trace = of(&[GOOD], &[]).trace.unwrap();
    assert!(trace.is_sampled());
    assert_eq!(trace.traceparent(), *GOOD.as_bytes().first_chunk().unwrap());
    let (id, span) = trace.shown();
    assert_eq!(&id, b"4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(&span, b"00f067aa0ba902b7");
}

#[test]
fn what_is_not_exactly_a_parent_is_none() {
    let wrong = [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736.00f067aa0ba902b7-01",
        "00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "FF-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ".0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\u{e9}",
    ];
    for parent in wrong {
        let said = of(&[parent], &["a=1"]);
        assert_eq!(
            (said.trace, said.any, said.state),
            (None, true, false),
            "{parent}"
        );
    }
    let two = of(&[GOOD, GOOD], &["a=1"]);
    assert_eq!((two.trace, two.state), (None, false));
    assert_eq!(
        of(&[], &[]),
        Said {
            trace: None,
            any: false,
            state: false
        }
    );
}

#[test]
fn a_later_version_is_read_as_far_as_this_one_goes() {
    for later in [
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
    ] {
        let trace = of(&[later], &[]).trace.unwrap();
        assert_eq!(trace.traceparent(), *GOOD.as_bytes().first_chunk().unwrap());
    }
}

#[test]
fn only_flags_that_are_known_go_on() {
    let all = GOOD.replace("-01", "-ff");
    let trace = of(&[&all], &[]).trace.unwrap();
    assert!(trace.traceparent().ends_with(b"-03"));
    let ours = trace.goes_on(7, false);
    assert!(ours.traceparent().ends_with(b"-0000000000000007-02"));
    assert_eq!(ours.parent, Some(trace.span));
}

#[test]
fn a_new_trace_is_never_of_zeros() {
    let trace = Trace::begins(0, 0, true);
    let value = String::from_utf8(trace.traceparent().into()).unwrap();
    assert_eq!(
        value,
        "00-00000000000000000000000000000001-0000000000000001-03"
    );
}

#[test]
fn a_state_goes_on_only_in_its_form() {
    let many = |n: usize| {
        (0..n)
            .map(|n| format!("k{n}=1"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let good = [
        "foo=1",
        "foo=1,bar=2",
        "foo=1 , bar=2, ",
        "fw529a3039@dt=FfD9FFG-2 a",
        "0a*b/c_d-e=!",
        &many(32),
    ];
    let bad = [
        "",
        "foo",
        "foo =1",
        "FOO=1",
        "foo@=1,bar",
        "foo=1=2",
        "foo=",
        "foo=\u{e9}",
        "_a=1",
        &many(33),
        &format!("{}=1", "k".repeat(257)),
        &format!("k={}", "v".repeat(257)),
    ];
    for state in good {
        assert!(of(&[GOOD], &[state]).state, "{state}");
        assert!(!of(&[], &[state]).state, "{state}");
    }
    for state in bad {
        assert!(!of(&[GOOD], &[state]).state, "{state}");
    }
    assert!(of(&[GOOD], &["a=1", "b=2"]).state);
    assert!(!of(&[GOOD], &[&many(20), &many(13)]).state);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(id in 1u128.., span in 1u64.., sampled: bool) {
        let trace = Trace::begins(id, span, sampled);
        let text = trace.traceparent();
        prop_assert_eq!(read(&text), Some(trace));
    }

    #[test]
    fn nothing_that_is_read_goes_out_otherwise(text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
        if let Some(trace) = read(text.as_bytes()) {
            prop_assert_eq!(&trace.traceparent()[2..53], &text.as_bytes()[2..53]);
        }
    }
}
