//! The line of spans: bounded, taken many at a time, empty before the end.

use std::sync::Arc;

use super::super::finished::Finished;
use super::*;
use crate::base::reason::{End, Refusal};
use crate::base::trace::Trace;

fn span(path: &str) -> Span {
    Span::of(&Finished::example(path, &[]), Trace::begins(1, 1, true))
}

#[test]
fn no_more_wait_than_may_and_what_waits_comes_out_in_its_order() {
    let spans = Spans::default();
    let put = (0..100).filter(|n| spans.put(span(&format!("/{n}")), 64));
    assert_eq!(put.count(), 64);
    let taken = spans.take(Duration::ZERO);
    assert_eq!(
        (taken.len(), &*taken[0].path, &*taken[63].path),
        (64, "/0", "/63")
    );
    spans.done();
    assert_eq!(spans.flush(Duration::ZERO), 0);
}

#[test]
fn a_batch_is_no_larger_than_a_batch() {
    let spans = Spans::default();
    for n in 0..BATCH + 10 {
        assert!(spans.put(span(&n.to_string()), usize::MAX));
    }
    assert_eq!(
        spans.take(Duration::MAX).len(),
        BATCH,
        "enough for one does not wait"
    );
    spans.done();
    assert_eq!(spans.take(Duration::ZERO).len(), 10);
}

#[test]
fn the_end_waits_for_what_is_under_way_and_hurries_who_pauses() {
    let spans = Arc::new(Spans::default());
    spans.put(span("/"), 64);
    let sender = spans.clone();
    let sending = std::thread::spawn(move || {
        let taken = sender.take(Duration::from_secs(3_600));
        let hurried = sender.pause(Duration::from_secs(3_600));
        sender.done();
        (taken.len(), hurried)
    });
    assert_eq!(spans.flush(Duration::from_secs(30)), 0);
    assert_eq!(sending.join().unwrap(), (1, true));
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let spans = Spans::default();
    spans.put(span("/"), 64);
    assert_eq!(spans.flush(Duration::from_millis(1)), 1);
}

#[test]
fn what_a_client_did_is_no_failure_of_ours() {
    let failed = |status, end| {
        let finished = Finished {
            status,
            end,
            ..Finished::example("/", &[])
        };
        Span::of(&finished, Trace::begins(1, 1, true)).failed()
    };
    for (status, end) in [
        (200, End::Ok),
        (404, End::Ok),
        (0, End::ClientAbort),
        (429, End::Refused(Refusal::RateLimit)),
    ] {
        assert!(!failed(status, end), "{status} {end:?}");
    }
    for (status, end) in [
        (500, End::Ok),
        (200, End::UpstreamReset),
        (504, End::UpstreamTimeout),
    ] {
        assert!(failed(status, end), "{status} {end:?}");
    }
}

#[test]
fn what_a_client_chose_the_length_of_is_cut_between_characters() {
    let long = format!("/{}", "é".repeat(1_000));
    let kept = span(&long).path;
    assert!(
        kept.len() <= 512 && long.starts_with(&kept),
        "{}",
        kept.len()
    );
}
