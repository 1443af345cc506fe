//! Fewest requests in flight for its weight; equals take turns by weight.
//!
//! Equal are all whose load (requests over weight) is below what the least busy one would carry with one more. With equal
//! weights these are the ones with the fewest. With others, comparing loads alone would give an idle node of weight 1
//! every request that finds a node of weight 5 at work, six times its share.
//!
//! Without the turns an idle pool would send everything to its first node, since every node then stands at 0. As in
//! nginx's `least_conn` they are turns of smooth weighted round robin among the tied, so an idle pool is shared by
//! weight like a `round_robin` one.
//!
//! It must never count requests itself: `super::super::node::Node` does, whatever becomes of them. Counts move while
//! they are read, so two picks at the same moment may choose the same node; the next pick sees both.

use parking_lot::Mutex;

use super::swrr::Swrr;
use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses the least busy node for its weight.
#[derive(Debug)]
pub(super) struct LeastConn {
    /// Whose turn it is among equals.
    turns: Mutex<Swrr>,
}

impl LeastConn {
    /// Turns over `nodes` that start at the position given by `seed`; 0 starts at their head.
    pub(super) fn new(nodes: &[Candidate], seed: u64) -> Self {
        let mut turns = Swrr::new(nodes.len());
        let weighted = || (0..nodes.len()).filter(|&i| nodes[i].weight > 0);
        turns.advance(nodes, weighted, seed);
        LeastConn {
            turns: Mutex::new(turns),
        }
    }
}

impl Pick for LeastConn {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        _ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        let mut all = usable.iter();
        let first = all.next()?;
        let bound = all.fold(Load::with_one_more(&nodes[first]), |least, i| {
            let after = Load::with_one_more(&nodes[i]);
            if after.is_less_than(least) {
                after
            } else {
                least
            }
        });
        let fits = |i: &usize| Load::of(&nodes[*i]).is_less_than(bound);
        let mut least = usable.iter().filter(fits);
        match (least.next(), least.next()) {
            (Some(only), None) => Some(only),
            // Counts are read again here rather than kept, which would take memory for every node. When all of them
            // rose in between, nobody is eligible any more and any is as good as the other.
            (some, _) => {
                let equals = usable.iter().filter(fits);
                self.turns
                    .lock()
                    .step(nodes, equals)
                    .or(some)
                    .or(Some(first))
            }
        }
    }
}

/// Requests in flight over weight, kept as a fraction: comparing floats would call close loads equal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    pub(super) fn of(candidate: &Candidate) -> Self {
        Load {
            in_flight: candidate.node.in_flight() as u64,
            weight: candidate.scaled(),
        }
    }

    /// What it would carry with one request more.
    fn with_one_more(candidate: &Candidate) -> Self {
        let load = Load::of(candidate);
        Load {
            in_flight: load.in_flight + 1,
            ..load
        }
    }

    pub(super) fn is_less_than(self, other: Self) -> bool {
        // Widened: an absurd count must not wrap into an attractive one.
        u128::from(self.in_flight) * u128::from(other.weight)
            < u128::from(other.in_flight) * u128::from(self.weight)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, pool, set_of};
    use super::*;

    #[test]
    fn an_idle_pool_is_shared_by_weight() {
        let nodes = pool(&[5, 1, 1]);
        let usable = NodeSet::full(3);
        let lc = LeastConn::new(&nodes, 0);
        let order: Vec<_> = (0..7)
            .filter_map(|_| lc.pick(&nodes, &usable, &ask(0, 0), true))
            .collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_double_weight_carries_twice_the_requests() {
        let nodes = pool(&[2, 1]);
        let usable = NodeSet::full(2);
        let lc = LeastConn::new(&nodes, 3);
        let held: Vec<_> = (0..30)
            .filter_map(|_| lc.pick(&nodes, &usable, &ask(0, 0), true))
            .map(|i| nodes[i].node.begin())
            .collect();
        assert_eq!(nodes[0].node.in_flight(), 20);
        assert_eq!(nodes[1].node.in_flight(), 10);
        drop(held);
    }

    #[test]
    fn a_node_of_weight_zero_elsewhere_in_the_pool_disturbs_nobody() {
        let nodes = pool(&[0, 1]);
        let lc = LeastConn::new(&nodes, u64::MAX);
        assert_eq!(lc.pick(&nodes, &set_of(2, 0b10), &ask(0, 0), true), Some(1));
    }

    #[test]
    fn a_light_node_has_its_share_however_few_requests_there_are() {
        // At most four at a time, each ending when the fourth after it comes.
        let nodes = pool(&[1, 5, 5, 5]);
        let lc = LeastConn::new(&nodes, 0);
        let (mut held, mut seen) = (std::collections::VecDeque::new(), [0; 4]);
        for _ in 0..1_600 {
            let at = lc
                .pick(&nodes, &NodeSet::full(4), &ask(0, 0), true)
                .unwrap();
            seen[at] += 1;
            held.push_back(nodes[at].node.begin());
            if held.len() > 4 {
                held.pop_front();
            }
        }
        assert!(
            (80..=120).contains(&seen[0]),
            "a sixteenth is 100: {seen:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn nobody_less_busy_is_passed_over(
            entries in prop::collection::vec((1u32..=20, 0usize..12), 1..=12),
            seed: u64,
            masks in prop::collection::vec(any::<u16>(), 1..12),
        ) {
            let weights: Vec<u32> = entries.iter().map(|(weight, _)| *weight).collect();
            let nodes = pool(&weights);
            let mut held: Vec<_> = entries
                .iter()
                .zip(&nodes)
                .flat_map(|((_, busy), c)| (0..*busy).map(|_| c.node.begin()))
                .collect();
            let lc = LeastConn::new(&nodes, seed);
            for mask in masks {
                let usable = set_of(nodes.len(), mask);
                let load = |i: usize| (nodes[i].node.in_flight(), weights[i] as usize);
                let Some(chosen) = lc.pick(&nodes, &usable, &ask(0, 0), mask % 3 != 0) else {
                    prop_assert!(usable.is_empty());
                    continue;
                };
                let (busy, weight) = load(chosen);
                for other in usable.iter() {
                    // With equal weights: nobody has fewer.
                    let (other_busy, other_weight) = load(other);
                    prop_assert!(busy * other_weight < (other_busy + 1) * weight);
                }
                held.push(nodes[chosen].node.begin());
            }
        }

        #[test]
        fn idle_nodes_share_exactly_by_weight(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            seed: u64,
        ) {
            let nodes = pool(&weights);
            let usable = NodeSet::full(nodes.len());
            let lc = LeastConn::new(&nodes, seed);
            let mut seen = vec![0; nodes.len()];
            for _ in 0..weights.iter().sum::<u32>() {
                seen[lc.pick(&nodes, &usable, &ask(0, 0), true).unwrap()] += 1;
            }
            prop_assert_eq!(seen, weights);
        }
    }
}
