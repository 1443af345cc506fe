//! Who may be chosen, and why nobody.

use super::super::node::{Input, Node};
use super::*;
use crate::balance::outlier::Why;
use crate::balance::pick::BACKUP;
use crate::base::node::{Health, Intent};
use crate::config::defaults;

fn how() -> How {
    How {
        balance: Balance::RoundRobin,
        most: None,
        fail_open_below: 0,
        outlier: None,
        breaker: None,
        slow_start: None,
        queue: defaults::QUEUE,
        has_way_out: false,
    }
}

fn pool_of(how: How, spec: &[(&str, u32, u8)]) -> (Pool, Instant) {
    let now = Instant::now();
    let members = spec.iter().map(|(id, weight, tier)| {
        let node = Node::new("web".into(), (*id).into(), Intent::Up, Health::Healthy, now);
        let hash = xxhash_rust::xxh3::xxh3_64(id.as_bytes());
        Candidate {
            tier: *tier,
            ..Candidate::new(Arc::new(node), *weight, hash)
        }
    });
    let commons = Arc::new(Commons::new(now));
    (Pool::new(how, members.collect(), None, commons, 0), now)
}

fn pool(spec: &[(&str, u32, u8)]) -> (Pool, Instant) {
    pool_of(how(), spec)
}

fn ask(now: Instant) -> Ask {
    Ask {
        key: 1,
        random: 1,
        now,
    }
}

fn refuse(pool: &Pool, i: usize, now: Instant) {
    pool.refused(i, "refused", now).unwrap();
}

#[test]
fn a_backup_is_used_only_when_no_primary_can_be() {
    let (both, now) = pool(&[("a", 1, 0), ("b", 1, BACKUP)]);
    for _ in 0..10 {
        assert_eq!(both.pick(&ask(now), &[]), Ok(0));
    }
    let (drained, now) = pool(&[("a", 0, 0), ("b", 1, BACKUP)]);
    assert_eq!(drained.pick(&ask(now), &[]), Ok(1));
}

#[test]
fn a_backup_takes_the_retry_when_every_primary_was_tried() {
    let (pool, now) = pool(&[("a", 1, 0), ("b", 1, BACKUP)]);
    assert_eq!(pool.pick(&ask(now), &[0]), Ok(1));
    assert_eq!(pool.pick(&ask(now), &[0, 1]), Err(Nobody::Fit));
}

#[test]
fn weight_zero_takes_nothing_even_alone() {
    let (pool, now) = pool(&[("a", 0, 0)]);
    assert_eq!(pool.pick(&ask(now), &[]), Err(Nobody::Fit));
    assert!(!pool.is_usable(now));
}

#[test]
fn a_node_that_just_refused_is_the_last_resort() {
    let (pool, now) = pool(&[("a", 1, 0), ("b", 1, BACKUP)]);
    refuse(&pool, 0, now);
    assert_eq!(pool.pick(&ask(now), &[]), Ok(1), "even a backup is better");
    refuse(&pool, 1, now);
    assert_eq!(pool.pick(&ask(now), &[]), Ok(0), "but better than nobody");
    assert_eq!(pool.available(now), 0);
    assert!(pool.is_usable(now));
}

#[test]
fn with_too_few_healthy_nodes_health_is_ignored() {
    let ids = ["a", "b", "c", "d"].map(|id| (id, 1, 0));
    let (four, now) = pool(&[&ids[..], &[("spare", 1, BACKUP), ("off", 0, 0)]].concat());
    let how = How {
        fail_open_below: 50,
        ..how()
    };
    let commons = four.commons.clone();
    let pool = Pool::new(how, four.candidates.clone(), None, commons, 0);
    let fail = |i: usize| {
        let why = "no answer".into();
        pool.candidates[i]
            .node
            .apply(Input::ProbeFailed { fall: 1, why }, now);
    };
    let chosen = || {
        let picks = (0..12).filter_map(|_| pool.pick(&ask(now), &[]).ok());
        picks.collect::<std::collections::BTreeSet<_>>()
    };
    fail(0);
    fail(1);
    assert_eq!(pool.noticed(now), None, "half of them is not below half");
    assert_eq!(chosen(), [2, 3].into());
    fail(2);
    assert_eq!(pool.noticed(now), Some(true));
    assert_eq!(pool.noticed(now), None);
    assert_eq!(chosen(), [0, 1, 2, 3].into(), "no backup, none of weight 0");
    assert_eq!(pool.pick(&ask(now), &[0, 1, 2]), Ok(3));
    assert_eq!(pool.pick(&ask(now), &[0, 1, 2, 3]), Ok(4));
    fail(3);
    assert!(pool.is_usable(now));
    assert_eq!(pool.available(now), 1, "the backup");
    pool.candidates[0]
        .node
        .apply(Input::Restart(Health::Healthy), now);
    pool.candidates[1]
        .node
        .apply(Input::Restart(Health::Healthy), now);
    assert_eq!(pool.noticed(now), Some(false));
    assert_eq!(chosen(), [0, 1].into());
}

#[test]
fn the_sequence_goes_on_when_a_reload_changes_nothing_here() {
    let (first, now) = pool(&[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)]);
    let start = first.pick(&ask(now), &[]);
    let nodes = first.candidates.clone();
    let second = Pool::new(how(), nodes, Some(&first), first.commons.clone(), 7);
    let mut seen = vec![
        start,
        second.pick(&ask(now), &[]),
        second.pick(&ask(now), &[]),
    ];
    seen.sort_by_key(|at| at.ok());
    assert_eq!(seen, [Ok(0), Ok(1), Ok(2)]);
}

const SECOND: Duration = Duration::from_secs(1);

fn nodes(n: usize) -> Vec<(&'static str, u32, u8)> {
    ["a", "b", "c", "d", "e", "f"][..n]
        .iter()
        .map(|id| (*id, 1, 0))
        .collect()
}

#[test]
fn a_full_node_takes_nothing_and_when_all_are_full_there_is_nobody_free() {
    let (mut pool, now) = pool(&[("a", 1, 0), ("b", 1, 0), ("spare", 1, BACKUP)]);
    pool.candidates[0].most = Some(1);
    pool.candidates[1].most = Some(2);
    pool.has_places = true;
    let mut held: Vec<_> = (0..3).map(|_| pool.take(&ask(now), &[]).unwrap()).collect();
    held.sort_by_key(|(at, _)| *at);
    assert_eq!(held.iter().map(|h| h.0).collect::<Vec<_>>(), [0, 1, 1]);
    let none = pool.take(&ask(now), &[]);
    assert_eq!(
        none.err(),
        Some(Nobody::Free),
        "a backup is for nodes that are down"
    );
    assert!(pool.begin(0, now).is_none());
    held.pop();
    assert_eq!(pool.pick(&ask(now), &[]), Ok(1));
    drop(held);
    assert!(pool.candidates.iter().all(|c| c.node.in_flight() == 0));
}

#[test]
fn a_tier_is_used_when_nobody_of_the_ones_before_can_be() {
    let (pool, now) = pool(&[("c", 1, 2), ("a", 1, 0), ("b", 1, 1), ("spare", 1, BACKUP)]);
    let mut order = Vec::new();
    for _ in 0..4 {
        let at = pool.pick(&ask(now), &[]).unwrap();
        refuse(&pool, at, now);
        order.push(at);
    }
    assert_eq!(order, [1, 2, 0, 3]);
    assert_eq!(
        pool.pick(&ask(now), &[]),
        Ok(1),
        "all rest: the first again"
    );
}

#[test]
fn a_node_that_starts_slowly_gets_its_part_and_all_of_it_in_the_end() {
    let (pool, now) = pool_of(
        How {
            slow_start: Some(SlowStart {
                time: 10 * SECOND,
                floor: 10,
                curve: 100,
            }),
            ..how()
        },
        &nodes(2),
    );
    pool.candidates[0].node.apply(Input::Warm, now);
    let share = |at: Instant| {
        let mine = |_: &i32| pool.pick(&ask(at), &[]) == Ok(0);
        (0..1_100).filter(mine).count()
    };
    assert_eq!(share(now), 100, "a tenth of the other's");
    assert_eq!(pool.effective_weight(0, now + 5 * SECOND), 0.5);
    let half = share(now + 5 * SECOND);
    assert!((355..=378).contains(&half), "a third is 366.7: {half}");
    assert!(pool.is_warm(0, now + 10 * SECOND));
    assert_eq!(share(now + 10 * SECOND), 550);
}

fn strict() -> Outlier {
    Outlier {
        consecutive: Some(3),
        ..defaults::OUTLIER
    }
}

fn fail(pool: &Pool, at: usize, times: usize, now: Instant) -> Option<Why> {
    let changes = (0..times).flat_map(|_| pool.note(at, true, false, now));
    changes.flatten().find_map(|change| change.ejected)
}

#[test]
fn a_node_that_fails_rests_but_never_more_than_the_cap() {
    let how = How {
        outlier: Some(strict()),
        ..how()
    };
    let (pool, now) = pool_of(how, &nodes(5));
    (0..3).for_each(|_| assert_eq!(pool.note(4, false, false, now), [None, None]));
    assert_eq!(fail(&pool, 0, 2, now), None);
    assert_eq!(fail(&pool, 0, 1, now), Some(Why::Consecutive));
    assert_eq!(fail(&pool, 1, 3, now), Some(Why::Consecutive));
    assert_eq!(fail(&pool, 2, 30, now), None, "half of five is two");
    assert_eq!(pool.available(now), 3);
    let later = now + 10 * SECOND;
    assert_eq!(pool.available(later), 5);
    assert_eq!(fail(&pool, 2, 1, later), None, "not before that is told");
    for candidate in pool.candidates() {
        candidate.node.apply(Input::Settle, later);
    }
    (0..3).for_each(|_| assert_eq!(pool.note(4, false, false, later), [None, None]));
    assert_eq!(
        fail(&pool, 2, 1, later),
        Some(Why::Consecutive),
        "now there is room"
    );
}

#[test]
fn a_failure_that_all_share_rests_nobody() {
    let how = How {
        outlier: Some(strict()),
        ..how()
    };
    let (pool, now) = pool_of(how, &nodes(4));
    for _ in 0..50 {
        for at in 0..4 {
            assert_eq!(fail(&pool, at, 1, now).filter(|_| at > 0), None);
        }
    }
    assert!(pool.available(now) >= 3);
}

#[test]
fn a_share_of_failures_rests_a_node_too() {
    let how = How {
        outlier: Some(Outlier {
            consecutive: None,
            ..strict()
        }),
        ..how()
    };
    let (pool, now) = pool_of(how, &nodes(4));
    (0..3).for_each(|_| assert_eq!(pool.note(1, false, false, now), [None, None]));
    for n in 0..19 {
        assert_eq!(pool.note(0, n % 2 == 0, false, now), [None, None]);
    }
    let [rested, _] = pool.note(0, true, false, now);
    assert_eq!(
        rested.unwrap().reason,
        "11 of 20 requests failed within 10s; rests 10s"
    );
}

#[test]
fn when_every_breaker_is_open_that_is_why_and_for_how_long() {
    let how = How {
        breaker: Some(Breaker {
            min_requests: 2,
            ..defaults::BREAKER
        }),
        ..how()
    };
    let (pool, now) = pool_of(how, &nodes(2));
    let open = |at: usize, now| {
        pool.note(at, true, false, now);
        let [_, opened] = pool.note(at, true, false, now);
        assert_eq!(opened.unwrap().to.circuit, Circuit::Open);
    };
    open(0, now);
    assert_eq!(pool.pick(&ask(now), &[]), Ok(1));
    open(1, now + SECOND);
    let at = now + 2 * SECOND;
    assert_eq!(pool.pick(&ask(at), &[]), Err(Nobody::Open(3 * SECOND)));
    // Half open: three may try it, and no more.
    let at = now + 5 * SECOND;
    let trials: Vec<_> = (0..3).map(|_| pool.take(&ask(at), &[]).unwrap()).collect();
    assert!(
        trials
            .iter()
            .all(|(at, in_flight)| *at == 0 && in_flight.is_trial())
    );
    assert_eq!(
        pool.take(&ask(at), &[]).err(),
        Some(Nobody::Open(Duration::ZERO))
    );
    assert_eq!(pool.circuit(0, at), Some(Circuit::HalfOpen));
    for _ in 0..3 {
        pool.note(0, false, true, at);
    }
    drop(trials);
    assert_eq!(pool.circuit(0, at), Some(Circuit::Closed));
    assert!(!pool.take(&ask(at), &[]).unwrap().1.is_trial());
}

#[test]
fn a_small_cap_still_lets_one_node_rest_and_the_last_one_never() {
    let how = |max_ejected| How {
        outlier: Some(Outlier {
            max_ejected,
            ..strict()
        }),
        ..how()
    };
    for (n, cap, rests) in [(3, 10, true), (3, 0, false), (1, 50, false)] {
        let (pool, now) = pool_of(how(cap), &nodes(n));
        let last = n - 1;
        (0..3).for_each(|_| drop(pool.note(last, false, false, now)));
        assert_eq!(fail(&pool, 0, 5, now).is_some(), rests, "{n} nodes, {cap}%");
    }
}

#[test]
fn a_primary_that_fails_alone_makes_way_for_its_backup() {
    let how = How {
        outlier: Some(strict()),
        ..how()
    };
    let (pool, now) = pool_of(how, &[("a", 1, 0), ("spare", 1, BACKUP)]);
    assert_eq!(fail(&pool, 0, 3, now), Some(Why::Consecutive));
    assert_eq!(pool.pick(&ask(now), &[]), Ok(1));
}

#[test]
fn looking_for_another_node_takes_no_turn() {
    let (pool, now) = pool(&nodes(2));
    assert_eq!(pool.pick(&ask(now), &[]), Ok(0));
    assert!(pool.has_one(&[0], now) && !pool.has_one(&[0, 1], now));
    assert_eq!(pool.pick(&ask(now), &[]), Ok(1));
}
