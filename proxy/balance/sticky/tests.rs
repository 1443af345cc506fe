//! When a node keeps its sessions: the operator's wish crossed with its health.

use std::sync::Arc;

use super::super::commons::Commons;
use super::super::node::{Input, Node};
use super::super::pick::BACKUP;
use super::super::pool::How;
use super::*;
use crate::base::node::Health;
use crate::config::checked::Balance;
use crate::config::defaults;

const GRACE: Duration = Duration::from_secs(60);

fn pool(spec: &[(u32, bool)], fail_open_below: u32) -> (Pool, Instant) {
    let now = Instant::now();
    let members = spec.iter().enumerate().map(|(i, (weight, backup))| {
        let id = format!("app-{i}");
        let node = Node::new("web".into(), id.into(), Intent::Up, Health::Healthy, now);
        Candidate {
            tier: if *backup { BACKUP } else { 0 },
            ..Candidate::new(Arc::new(node), *weight, i as u64)
        }
    });
    let how = How {
        balance: Balance::RoundRobin,
        most: None,
        fail_open_below,
        outlier: None,
        breaker: None,
        slow_start: None,
        queue: defaults::QUEUE,
        has_way_out: false,
    };
    let commons = Arc::new(Commons::new(now));
    (Pool::new(how, members.collect(), None, commons, 0), now)
}

fn tell(pool: &Pool, member: usize, input: Input, now: Instant) {
    pool.candidates()[member].node.apply(input, now);
}

fn fail(pool: &Pool, member: usize, now: Instant) {
    let why = "no answer".into();
    tell(pool, member, Input::ProbeFailed { fall: 1, why }, now);
}

#[test]
fn weight_and_backup_do_not_matter_but_health_does() {
    let (pool, now) = pool(&[(1, false), (0, false), (1, true), (1, false)], 0);
    for member in 0..4 {
        assert!(keeps(&pool, member, Intent::Up, Duration::ZERO, now));
    }
    fail(&pool, 0, now);
    pool.refused(2, "refused", now);
    tell(&pool, 3, Input::Restart(Health::Checking), now);
    let kept = |member| keeps(&pool, member, Intent::Up, GRACE, now);
    assert!(!kept(0), "unhealthy");
    assert!(!kept(2), "ejected");
    assert!(kept(3), "not probed yet");
}

#[test]
fn a_drain_has_a_grace_and_down_has_none() {
    let (pool, now) = pool(&[(1, false)], 0);
    let keeps = |intent, grace, after: Duration| keeps(&pool, 0, intent, grace, now + after);
    assert!(
        keeps(Intent::Drain, GRACE, Duration::ZERO),
        "not told to the node yet"
    );
    assert!(!keeps(Intent::Drain, Duration::ZERO, Duration::ZERO));
    tell(&pool, 0, Input::Intend(Intent::Drain), now);
    assert!(keeps(Intent::Drain, GRACE, GRACE - Duration::from_secs(1)));
    assert!(!keeps(Intent::Drain, GRACE, GRACE));
    assert!(!keeps(Intent::Drain, Duration::ZERO, Duration::ZERO));
    assert!(
        !keeps(Intent::Up, Duration::ZERO, Duration::ZERO),
        "a generation that has not heard of the drain"
    );
    assert!(keeps(Intent::Up, GRACE, Duration::ZERO));
    assert!(!keeps(Intent::Down, GRACE, Duration::ZERO));
}

#[test]
fn where_health_is_ignored_sessions_stay_on_the_nodes_that_are_used() {
    let (pool, now) = pool(&[(1, false), (1, false), (0, false), (1, true)], 60);
    (0..4).for_each(|member| fail(&pool, member, now));
    let kept = (0..4).map(|member| keeps(&pool, member, Intent::Up, GRACE, now));
    assert_eq!(kept.collect::<Vec<_>>(), [true, true, false, false]);
}
