//! Smooth weighted round robin: in turn, in proportion to the weights, never in bursts.
//!
//! Exact, not on average: while the usable nodes stay the same, every run of first tries as long as the sum of their
//! weights meets each node exactly as often as its weight (the proof opens `super::swrr`). Two things could bend
//! that, and neither may:
//!
//! - A change of the usable nodes. Credits earned among other nodes would send bursts to some and starve others for a
//!   round, so the order starts afresh for the new set, at a position that moves on with every request: a node that
//!   comes and goes must not send every other request to the head of the list.
//! - A retry. It asks without the nodes it has tried, which is not a change of the pool. Were it served from the order,
//!   the node after a dead one would get the dead one's share; so it chooses at random by weight, which spreads that
//!   share over all, and does not touch the order (nor its lock).

use parking_lot::Mutex;

use super::swrr::Swrr;
use super::{Ask, Candidate, Pick, weighted_random};
use crate::base::node_set::NodeSet;

/// Chooses in turn, in proportion to the weights.
#[derive(Debug)]
pub(super) struct RoundRobin {
    order: Mutex<Order>,
}

#[derive(Debug)]
struct Order {
    swrr: Swrr,
    /// Whom the order is for; `None` before the first request.
    usable: Option<NodeSet>,
    /// Where an order starts: the seed, moved on by one with every first try.
    position: u64,
}

impl RoundRobin {
    /// An order over `nodes` that starts at the position given by `seed`; 0 starts at its head.
    pub(super) fn new(nodes: &[Candidate], seed: u64) -> Self {
        RoundRobin {
            order: Mutex::new(Order {
                swrr: Swrr::new(nodes.len()),
                usable: None,
                position: seed,
            }),
        }
    }
}

impl Pick for RoundRobin {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        first_try: bool,
    ) -> Option<usize> {
        if !first_try {
            return weighted_random::choose(nodes, usable, ask.random);
        }
        self.order.lock().next(nodes, usable)
    }
}

impl Order {
    fn next(&mut self, nodes: &[Candidate], usable: &NodeSet) -> Option<usize> {
        if self.usable.as_ref() != Some(usable) {
            self.start_for(nodes, usable);
        }
        self.position = self.position.wrapping_add(1);
        self.swrr.step(nodes, usable.iter())
    }

    fn start_for(&mut self, nodes: &[Candidate], usable: &NodeSet) {
        self.usable = Some(usable.clone());
        self.swrr.reset();
        self.swrr.advance(nodes, || usable.iter(), self.position);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, pool, set_of};
    use super::*;

    #[test]
    fn five_one_one_is_the_order_nginx_documents() {
        let nodes = pool(&[5, 1, 1]);
        let usable = NodeSet::full(3);
        let rr = RoundRobin::new(&nodes, 0);
        let order: Vec<_> = (0..14)
            .filter_map(|_| rr.pick(&nodes, &usable, &ask(0, 0), true))
            .collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn rebuilt_ones_do_not_all_start_at_the_first_node() {
        let nodes = pool(&[1, 1, 1, 1]);
        let usable = NodeSet::full(4);
        let first = |seed| RoundRobin::new(&nodes, seed).pick(&nodes, &usable, &ask(0, 0), true);
        assert_eq!(
            [first(0), first(1), first(2), first(7)],
            [Some(0), Some(1), Some(2), Some(3)]
        );
    }

    #[test]
    fn a_node_that_comes_and_goes_does_not_favour_the_first_one() {
        let nodes = pool(&[1, 1, 1, 1]);
        let (all, three) = (NodeSet::full(4), set_of(4, 0b0111));
        let rr = RoundRobin::new(&nodes, 0);
        let mut seen = [0; 4];
        for n in 0..1200 {
            let usable = if n % 2 == 0 { &all } else { &three };
            seen[rr.pick(&nodes, usable, &ask(0, 0), true).unwrap()] += 1;
        }
        assert!(
            seen[..3].iter().all(|n| (200..=500).contains(n)),
            "{seen:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Whatever happened before (other sets, retries), and whatever retries come in between.
        #[test]
        fn every_window_of_one_round_is_exact(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            seed: u64,
            before in prop::collection::vec((any::<u16>(), 0usize..30), 0..4),
            usable in any::<u16>(),
            noise: u64,
        ) {
            let nodes = pool(&weights);
            let rr = RoundRobin::new(&nodes, seed);
            let mut noise = fastrand::Rng::with_seed(noise);
            let mut next = |usable: &NodeSet| {
                while noise.u8(..) < 80 {
                    let ask = ask(noise.u64(..), noise.u64(..));
                    let left = set_of(nodes.len(), noise.u16(..));
                    rr.pick(&nodes, &left, &ask, false);
                }
                rr.pick(&nodes, usable, &ask(0, 0), true)
            };
            for (mask, picks) in before {
                let usable = set_of(nodes.len(), mask);
                for _ in 0..picks {
                    next(&usable);
                }
            }
            let usable = set_of(nodes.len(), usable);
            let round: u32 = usable.iter().map(|i| weights[i]).sum();
            let picks: Vec<_> = (0..2 * round).filter_map(|_| next(&usable)).collect();
            prop_assert_eq!(picks.len(), 2 * round as usize);
            let mut seen = vec![0; nodes.len()];
            for (n, i) in picks.iter().enumerate() {
                seen[*i] += 1;
                if let Some(left_the_window) = n.checked_sub(round as usize) {
                    seen[picks[left_the_window]] -= 1;
                }
                if n + 1 >= round as usize {
                    for i in 0..nodes.len() {
                        let expected = if usable.contains(i) { weights[i] } else { 0 };
                        prop_assert_eq!(seen[i], expected, "node {} at pick {}", i, n);
                    }
                }
            }
        }
    }
}
