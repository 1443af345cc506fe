//! What was counted is what is told: in sums, in order, within bounds, and with gaps where nobody looked.

use std::time::UNIX_EPOCH;

use proptest::collection::vec;
use proptest::prelude::*;

use super::ring::Ring;
use super::share::Spot;
use super::*;
use crate::telemetry::metrics::BUCKETS;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

/// Begins a look at this second of the process's life.
fn look(history: &mut History, second: u64) {
    let begun = history.begin(Duration::from_secs(second), at(second));
    assert!(begun, "second {second}");
}

fn requests(n: u64) -> Amounts {
    let mut amounts = Amounts {
        requests: n,
        bytes_out: n * 1_000,
        ..Amounts::default()
    };
    amounts.took[0] = n;
    amounts
}

fn one(shape: Shape) -> (History, Place) {
    let mut history = History::new(CAPACITY);
    let place = history.keep(&[("a".into(), shape)])[0].expect("it fits");
    (history, place)
}

/// The requests of its last points.
fn told(history: &History, step: Step) -> Vec<Option<u64>> {
    let points = history.points("a", step, step.kept()).expect("a series");
    points.iter().map(|p| p.map(|p| p.requests)).collect()
}

#[test]
fn a_second_that_was_not_looked_at_is_a_gap_and_counts_in_its_minute() {
    let (mut history, place) = one(Shape::Whole);
    for (second, came) in [(1, 5), (2, 6), (5, 100), (6, 7)] {
        look(&mut history, second);
        history.note(place, &requests(came), 1);
    }
    let seconds = [Some(5), Some(6), None, None, None, Some(7)];
    assert_eq!(told(&history, Step::Second), seconds);
    assert!(told(&history, Step::Minute).is_empty(), "it runs");
    let slides = history.last_minute("a").expect("a minute");
    assert_eq!(slides.requests, 18, "what is known of its seconds");
    look(&mut history, 60);
    history.note(place, &requests(0), 0);
    assert_eq!(told(&history, Step::Minute), [Some(118)]);
    assert_eq!(history.ended(Step::Minute), Some(at(60)));
}

#[test]
fn what_came_while_the_process_was_stopped_for_long_is_in_no_point() {
    let (mut history, place) = one(Shape::Nodes);
    look(&mut history, 10);
    history.note(place, &requests(3), 0);
    look(&mut history, 400);
    history.note(place, &requests(9_000), 0);
    look(&mut history, 419);
    history.note(place, &requests(2), 0);
    let gap = [Some(3), None, None, None, None, None];
    assert_eq!(told(&history, Step::Minute), gap);
    look(&mut history, 420);
    history.note(place, &requests(0), 0);
    assert_eq!(told(&history, Step::Minute)[6..], [Some(2)]);
}

#[test]
fn a_second_look_in_the_same_second_is_none() {
    let (mut history, _) = one(Shape::Whole);
    look(&mut history, 4);
    assert!(!history.begin(Duration::from_millis(4_900), at(4)));
    assert!(!history.begin(Duration::from_secs(3), at(3)));
}

#[test]
fn a_counter_that_went_back_says_nothing() {
    let (before, mut now) = (requests(10), requests(12));
    assert_eq!(now.since(&before), requests(2));
    now.took[0] = 3;
    assert_eq!(now.since(&before), Amounts::default());
}

#[test]
fn times_are_found_between_the_bounds_of_their_bucket() {
    let mut took = [0; SIZES];
    let spot = |took: &[u64; SIZES], share| Spot::of(took, share).seconds();
    assert_eq!(spot(&took, 0.5), None, "no request, no time");
    took[0] = 4;
    assert_eq!(spot(&took, 0.5), Some(0.00025), "half of the first bucket");
    took[3] = 4; // 2.5 to 5 ms
    assert_eq!(spot(&took, 0.75), Some(0.00375));
    assert_eq!(spot(&took, 1.0), Some(0.005));
    took[SIZES - 1] = 8;
    assert_eq!(spot(&took, 0.99), Some(10.0), "above the last bound");
}

#[test]
fn a_minute_knows_the_times_of_all_its_requests_not_an_average() {
    let (mut history, place) = one(Shape::Whole);
    let mut fast = Amounts::default();
    (fast.requests, fast.took[0]) = (99, 99);
    let mut slow = Amounts::default();
    (slow.requests, slow.took[12]) = (1, 1); // 2.5 to 5 s
    for (second, came) in [(1, fast), (2, slow)] {
        look(&mut history, second);
        history.note(place, &came, 0);
    }
    let p95 = |history: &History| history.last_minute("a").and_then(|p| p.p95);
    assert!(p95(&history) < Some(0.0005), "{:?}", p95(&history));
    look(&mut history, 60);
    history.note(place, &Amounts::default(), 0);
    let minute = history.points("a", Step::Minute, 1).expect("a series")[0].expect("a point");
    assert!(
        minute.p95 < Some(0.0005) && minute.p99 <= Some(0.0005),
        "{minute:?}"
    );
}

#[test]
fn series_that_do_not_fit_are_counted_and_come_when_there_is_room() {
    let full = Series::full(Shape::Nodes);
    let mut history = History::new(2 * full);
    let names = |names: &[&str]| -> Vec<(String, Shape)> {
        let both = names.iter().map(|n| (n.to_string(), Shape::Nodes));
        both.collect()
    };
    let places = history.keep(&names(&["a", "b", "c"]));
    assert_eq!(places.iter().filter(|p| p.is_some()).count(), 2);
    let size = history.size();
    assert_eq!((size.series, size.not_kept), (2, 1));
    let again = history.keep(&names(&["b", "c"]));
    assert_eq!(again[0], places[1], "who stays, stays where it is");
    assert!(again[1].is_some(), "who waited has its room");
    assert_eq!(history.shape("a"), None);
    assert_eq!(history.size().not_kept, 0);
}

#[test]
fn a_hundred_upstreams_of_ten_nodes_and_their_routes_fit() {
    let all = 101 * Series::full(Shape::Whole) + 1_100 * Series::full(Shape::Nodes);
    assert!(all <= CAPACITY, "{all} bytes");
}

#[test]
fn what_is_too_much_for_a_point_is_its_most() {
    let (mut history, place) = one(Shape::Whole);
    look(&mut history, 1);
    let mut much = Amounts::default();
    much.add(&requests(u64::MAX / 1_000_000));
    much.requests = u64::MAX;
    much.add(&much.clone());
    history.note(place, &much, u64::MAX);
    let point = history.last_second("a").expect("a point");
    assert_eq!(point.requests, u64::from(u32::MAX) - 1);
    assert_eq!(point.bytes_out, (1 << 48) - 1);
}

proptest! {
    /// Whatever is pushed, a ring tells the last of it in its order, and takes no more memory than its end.
    #[test]
    fn a_ring_is_the_end_of_what_was_pushed(most in 1_usize..200, all in vec(any::<u32>(), 0..700), n in 0_usize..300) {
        let mut ring = Ring::new(most);
        all.iter().for_each(|one| ring.push(*one));
        let end = &all[all.len().saturating_sub(most.min(n))..];
        prop_assert_eq!(ring.last(n).copied().collect::<Vec<_>>(), end);
        prop_assert!(ring.bytes() <= most * 4);
    }

    /// Points of seconds looked at in time add up to the difference of the counters; minutes to all but long pauses.
    #[test]
    fn the_sum_of_the_points_is_the_difference_of_the_counters(
        looks in vec((1_u64..4, 0_u64..1_000), 1..800),
        whole in any::<bool>(),
    ) {
        let (mut history, place) = one(if whole { Shape::Whole } else { Shape::Nodes });
        let (mut counter, mut second) = (Amounts::default(), 0);
        let (mut in_time, mut all) = (0, 0);
        for (nth, (steps, came)) in looks.iter().enumerate() {
            let before = counter;
            counter.add(&requests(*came));
            second += steps;
            look(&mut history, second);
            history.note(place, &counter.since(&before), 0);
            in_time += if nth == 0 || *steps == 1 { *came } else { 0 };
            all += came;
        }
        // To the end of the minute that runs.
        look(&mut history, (second / 60 + 1) * 60);
        history.note(place, &Amounts::default(), 0);
        prop_assert_eq!(counter.requests, all);
        let sum = |step| told(&history, step).into_iter().flatten().sum::<u64>();
        prop_assert_eq!(sum(Step::Minute), all);
        if second < SECONDS as u64 {
            prop_assert_eq!(sum(Step::Second), in_time);
        }
        prop_assert!(told(&history, Step::Second).len() <= SECONDS);
        if whole {
            let points = history.points("a", Step::Minute, MINUTES).expect("a series");
            prop_assert_eq!(points.iter().flatten().map(|p| p.bytes_out).sum::<u64>(), all * 1_000);
        }
    }

    /// A share of more requests took no less time, and none less than nothing or more than the last bound.
    #[test]
    fn times_grow_with_the_share(took in vec(0_u64..50, SIZES), shares in (0.0_f64..1.0, 0.0_f64..1.0)) {
        let took: [u64; SIZES] = took.try_into().expect("as many as there are");
        let (low, high) = (shares.0.min(shares.1), shares.0.max(shares.1));
        match (Spot::of(&took, low).seconds(), Spot::of(&took, high).seconds()) {
            (None, None) => prop_assert!(took.iter().all(|n| *n == 0)),
            (low, high) => {
                prop_assert!(low.is_some() && low <= high && low >= Some(0.0));
                prop_assert!(high <= Some(BUCKETS[BUCKETS.len() - 1]));
            }
        }
    }
}
