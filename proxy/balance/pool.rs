//! The nodes of one upstream in one generation, and who of them may be chosen now.
//!
//! The pool decides eligibility (health, backup, weight, already tried; a draining node has weight 0); the picker decides among the eligible. It
//! never changes a node's state except to notice that an ejection is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::node::Fitness;
use super::pick::{self, Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;
use crate::config::checked::Balance;

/// How a pool balances.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// How a node is chosen.
    pub balance: Balance,
    /// The balance factor of `hash`, in hundredths.
    pub most: Option<u32>,
    /// Below this share of healthy nodes, in hundredths, health is ignored; 0: never.
    pub fail_open_below: u32,
}

/// The nodes of one upstream in one generation.
#[derive(Debug)]
pub struct Pool {
    balance: Balance,
    most: Option<u32>,
    candidates: Vec<Candidate>,
    backup: Vec<bool>,
    /// Below this share of healthy nodes, in hundredths, health is ignored.
    fail_open_below: u32,
    /// Whether that was so when it was last looked, to tell it once.
    fails_open: AtomicBool,
    picker: Arc<dyn Pick>,
}

impl Pool {
    /// A pool over `members` (candidate, is it a backup).
    ///
    /// When `previous` balanced the same nodes with the same weights in the same way, its picker goes on where it
    /// was: a reload that changes something else does not disturb the sequence. Otherwise `seed` says where the new
    /// sequence starts.
    pub fn new(
        How {
            balance,
            most,
            fail_open_below,
        }: How,
        members: Vec<(Candidate, bool)>,
        previous: Option<&Pool>,
        seed: u64,
    ) -> Self {
        let (candidates, backup): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let picker = previous
            .filter(|p| {
                (p.balance, p.most) == (balance, most) && same_members(&p.candidates, &candidates)
            })
            .map_or_else(
                || pick::build(balance, most, &candidates, seed),
                |p| p.picker.clone(),
            );
        Pool {
            balance,
            most,
            candidates,
            backup,
            fail_open_below,
            fails_open: AtomicBool::new(previous.is_some_and(|p| p.fails_open.load(Relaxed))),
            picker,
        }
    }

    /// Every node, in the order of the configuration.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// How it balances.
    pub fn balance(&self) -> Balance {
        self.balance
    }

    /// Whether node `i` is a backup.
    pub fn is_backup(&self, i: usize) -> bool {
        self.backup[i]
    }

    /// The position of the node a request goes to, or `None` when no node may take it.
    ///
    /// `tried` are positions the request has already tried: they are never chosen again. Among the rest the best
    /// class wins: primaries known good, then primaries not yet probed, then backups, then nodes that just refused a
    /// connection.
    pub fn pick(&self, ask: &Ask, tried: &[usize]) -> Option<usize> {
        if let Some(everybody) = self.everybody(tried, ask.now) {
            return self
                .picker
                .pick(&self.candidates, &everybody, ask, tried.is_empty());
        }
        let mut best = u8::MAX;
        let mut usable = NodeSet::with_len(self.candidates.len());
        for (i, candidate) in self.candidates.iter().enumerate() {
            if candidate.weight == 0 || tried.contains(&i) {
                continue;
            }
            let fitness = candidate.node.fitness(ask.now);
            if fitness == Fitness::Unfit {
                continue;
            }
            let rank = rank(fitness, self.backup[i]);
            if rank < best {
                best = rank;
                usable = NodeSet::with_len(self.candidates.len());
            }
            if rank == best {
                usable.insert(i);
            }
        }
        self.picker
            .pick(&self.candidates, &usable, ask, tried.is_empty())
    }

    /// All primaries but those `tried`, when so few are healthy that health is ignored: the few would be overrun, and
    /// that most nodes are down at once is more likely a fault of the checks.
    fn everybody(&self, tried: &[usize], now: Instant) -> Option<NodeSet> {
        if !self.fails_open(now) {
            return None;
        }
        let mut everybody = NodeSet::with_len(self.candidates.len());
        self.primaries()
            .filter(|i| !tried.contains(i))
            .for_each(|i| everybody.insert(i));
        (!everybody.is_empty()).then_some(everybody)
    }

    /// Positions of nodes that take requests in good times.
    fn primaries(&self) -> impl Iterator<Item = usize> {
        (0..self.candidates.len()).filter(|&i| self.candidates[i].weight > 0 && !self.backup[i])
    }

    /// Whether so few nodes are healthy that health is ignored. One that was not probed yet is not known to be ill.
    pub fn fails_open(&self, now: Instant) -> bool {
        if self.fail_open_below == 0 {
            return false;
        }
        let well = |&i: &usize| {
            let fitness = self.candidates[i].node.fitness(now);
            matches!(fitness, Fitness::Good | Fitness::Untried)
        };
        let healthy = self.primaries().filter(well).count();
        healthy * 100 < self.primaries().count() * self.fail_open_below as usize
    }

    /// Whether health began to be ignored (`true`) or to count again since this was last asked.
    pub fn noticed(&self, now: Instant) -> Option<bool> {
        let is = self.fails_open(now);
        (self.fails_open.swap(is, Relaxed) != is).then_some(is)
    }

    /// Number of nodes that may take new requests without reserve (known good, weight above 0).
    pub fn available(&self, now: Instant) -> usize {
        self.candidates
            .iter()
            .filter(|c| c.weight > 0 && c.node.fitness(now) == Fitness::Good)
            .count()
    }

    /// Whether any node at all would be tried.
    pub fn is_usable(&self, now: Instant) -> bool {
        self.candidates
            .iter()
            .any(|c| c.weight > 0 && c.node.fitness(now) != Fitness::Unfit)
            || self.fails_open(now)
    }
}

/// The order in which classes of nodes are used. A primary that was not yet probed comes before a backup that was:
/// a backup is for when no primary can be used, and this one can.
fn rank(fitness: Fitness, backup: bool) -> u8 {
    match (fitness, backup) {
        (Fitness::Good, false) => 0,
        (Fitness::Untried, false) => 1,
        (Fitness::Good, true) => 2,
        (Fitness::Untried, true) => 3,
        (Fitness::LastResort, false) => 4,
        (Fitness::LastResort, true) => 5,
        (Fitness::Unfit, _) => u8::MAX,
    }
}

fn same_members(a: &[Candidate], b: &[Candidate]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| Arc::ptr_eq(&a.node, &b.node) && a.weight == b.weight)
}

#[cfg(test)]
mod tests {
    use super::super::node::{Input, Node};
    use super::*;
    use crate::base::node::{Health, Intent};

    const HOW: How = How {
        balance: Balance::RoundRobin,
        most: None,
        fail_open_below: 0,
    };

    fn pool(spec: &[(&str, u32, bool)]) -> (Pool, Instant) {
        let now = Instant::now();
        let members = spec
            .iter()
            .map(|(id, weight, backup)| {
                let node = Node::new("web".into(), (*id).into(), Intent::Up, Health::Healthy, now);
                let candidate = Candidate {
                    node: Arc::new(node),
                    weight: *weight,
                    hash: xxhash_rust::xxh3::xxh3_64(id.as_bytes()),
                };
                (candidate, *backup)
            })
            .collect();
        (Pool::new(HOW, members, None, 0), now)
    }

    fn ask(now: Instant) -> Ask {
        Ask {
            key: 1,
            random: 1,
            now,
        }
    }

    fn refuse(pool: &Pool, i: usize, now: Instant) {
        pool.candidates[i].node.apply(
            Input::ConnectFailed {
                why: "refused".into(),
            },
            now,
        );
    }

    #[test]
    fn a_backup_is_used_only_when_no_primary_can_be() {
        let (both, now) = pool(&[("a", 1, false), ("b", 1, true)]);
        for _ in 0..10 {
            assert_eq!(both.pick(&ask(now), &[]), Some(0));
        }
        let (drained, now) = pool(&[("a", 0, false), ("b", 1, true)]);
        assert_eq!(drained.pick(&ask(now), &[]), Some(1));
    }

    #[test]
    fn a_backup_takes_the_retry_when_every_primary_was_tried() {
        let (pool, now) = pool(&[("a", 1, false), ("b", 1, true)]);
        assert_eq!(pool.pick(&ask(now), &[0]), Some(1));
        assert_eq!(pool.pick(&ask(now), &[0, 1]), None);
    }

    #[test]
    fn weight_zero_takes_nothing_even_alone() {
        let (pool, now) = pool(&[("a", 0, false)]);
        assert_eq!(pool.pick(&ask(now), &[]), None);
        assert!(!pool.is_usable(now));
    }

    #[test]
    fn a_node_that_just_refused_is_the_last_resort() {
        let (pool, now) = pool(&[("a", 1, false), ("b", 1, true)]);
        refuse(&pool, 0, now);
        assert_eq!(
            pool.pick(&ask(now), &[]),
            Some(1),
            "even a backup is better"
        );
        refuse(&pool, 1, now);
        assert_eq!(pool.pick(&ask(now), &[]), Some(0), "but better than nobody");
        assert_eq!(pool.available(now), 0);
        assert!(pool.is_usable(now));
    }

    #[test]
    fn with_too_few_healthy_nodes_health_is_ignored() {
        let ids = ["a", "b", "c", "d"].map(|id| (id, 1, false));
        let (four, now) = pool(&[&ids[..], &[("spare", 1, true), ("off", 0, false)]].concat());
        let members = four.candidates.iter().cloned().zip(four.backup.clone());
        let how = How {
            fail_open_below: 50,
            ..HOW
        };
        let pool = Pool::new(how, members.collect(), None, 0);
        let fail = |i: usize| {
            let why = "no answer".into();
            pool.candidates[i]
                .node
                .apply(Input::ProbeFailed { fall: 1, why }, now);
        };
        let chosen = || {
            let picks = (0..12).filter_map(|_| pool.pick(&ask(now), &[]));
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
        assert_eq!(pool.pick(&ask(now), &[0, 1, 2]), Some(3));
        assert_eq!(pool.pick(&ask(now), &[0, 1, 2, 3]), Some(4));
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
        let (first, now) = pool(&[("a", 1, false), ("b", 1, false), ("c", 1, false)]);
        let start = first.pick(&ask(now), &[]);
        let members = first
            .candidates
            .iter()
            .cloned()
            .map(|c| (c, false))
            .collect();
        let second = Pool::new(HOW, members, Some(&first), 7);
        let mut seen = vec![
            start,
            second.pick(&ask(now), &[]),
            second.pick(&ask(now), &[]),
        ];
        seen.sort();
        assert_eq!(seen, [Some(0), Some(1), Some(2)]);
    }
}
