//! Two at random, the less busy of them.
//!
//! Nearly as even as looking at every node, for the price of two; and proxies that do not know of each other do not
//! rush to the same idle node. It must never count requests itself: `super::super::node::Node` does.
//!
//! Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.

use super::ip_hash::mix;
use super::least_conn::Load;
use super::weighted_random::choose;
use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses the less busy of two.
#[derive(Debug)]
pub(super) struct P2c;

impl Pick for P2c {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        let (first, second) = two(nodes, usable, ask.random)?;
        let load = |i: usize| Load::of(&nodes[i]);
        // Equals: the one drawn first, which is drawn in proportion to the weights.
        Some(match second {
            Some(second) if load(second).is_less_than(load(first)) => second,
            _ => first,
        })
    }
}

/// Two different nodes of `usable`, both drawn in proportion to the weights; the second is missing where there is only
/// one.
pub(super) fn two(
    nodes: &[Candidate],
    usable: &NodeSet,
    random: u64,
) -> Option<(usize, Option<usize>)> {
    let first = choose(nodes, usable, random)?;
    let mut others = usable.clone();
    others.remove(first);
    Some((first, choose(nodes, &others, mix(random))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, chi_square_is_plausible, pool};
    use super::*;

    #[test]
    fn the_busier_of_two_is_never_chosen() {
        let nodes = pool(&[1, 1]);
        let usable = NodeSet::full(2);
        let _held = nodes[0].node.begin();
        for random in 0..1_000u64 {
            let ask = ask(0, mix(random));
            assert_eq!(P2c.pick(&nodes, &usable, &ask, true), Some(1));
        }
    }

    #[test]
    fn twice_the_weight_may_be_twice_as_busy() {
        let nodes = pool(&[2, 1]);
        let usable = NodeSet::full(2);
        let mut held = Vec::new();
        for random in 0..300u64 {
            let chosen = P2c.pick(&nodes, &usable, &ask(0, mix(random)), true);
            held.push(nodes[chosen.unwrap()].node.begin());
        }
        let busy = nodes[0].node.in_flight();
        assert!((199..=201).contains(&busy), "{busy}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn an_idle_pool_is_shared_by_weight(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            seed: u64,
        ) {
            let nodes = pool(&weights);
            let usable = NodeSet::full(nodes.len());
            let mut random = fastrand::Rng::with_seed(seed);
            let mut seen = vec![0u32; nodes.len()];
            for _ in 0..2_000 {
                let ask = ask(0, random.u64(..));
                seen[P2c.pick(&nodes, &usable, &ask, true).unwrap()] += 1;
            }
            prop_assert!(chi_square_is_plausible(&seen, &weights), "{seen:?}");
        }
    }
}
