//! By a key of the request: the same key meets the same node as long as it can, and while that node is not overrun.
//!
//! The lots are those of `super::ip_hash`. With a balance factor no node has more than that many times its share of
//! what is in flight; a key whose node is full goes to the node of its next best lot, the same one every time, so
//! that a hot key warms two caches rather than all.
//!
//! Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.

use super::ip_hash::IpHash;
use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses by a key, within a bound.
#[derive(Debug)]
pub(super) struct Hash {
    /// The most of its share that a node may have, in hundredths; `None`: no bound.
    pub(super) most: Option<u32>,
}

impl Pick for Hash {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        first_try: bool,
    ) -> Option<usize> {
        let Some(most) = self.most else {
            return IpHash.pick(nodes, usable, ask, first_try);
        };
        let (mut in_flight, mut weights) = (1, 0);
        for i in usable.iter() {
            in_flight += nodes[i].node.in_flight() as u64;
            weights += nodes[i].scaled();
        }
        let has_room = |i: usize| {
            let share = u128::from(in_flight) * u128::from(nodes[i].scaled());
            let bound = (share * u128::from(most)).div_ceil(u128::from(weights) * 100);
            (nodes[i].node.in_flight() as u128) < bound
        };
        let mut free = NodeSet::with_len(nodes.len());
        usable
            .iter()
            .filter(|i| has_room(*i))
            .for_each(|i| free.insert(i));
        // Counts move while they are read, so that for once nobody may seem to have room.
        let from = if free.is_empty() { usable } else { &free };
        IpHash.pick(nodes, from, ask, first_try)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, pool};
    use super::*;

    #[test]
    fn a_hot_key_spills_over_to_one_other_node_at_a_time() {
        let nodes = pool(&[1, 1, 1, 1]);
        let usable = NodeSet::full(4);
        let hash = Hash { most: Some(125) };
        let mut held = Vec::new();
        let mut chosen = Vec::new();
        for _ in 0..40 {
            let i = hash.pick(&nodes, &usable, &ask(7, 0), true).unwrap();
            chosen.push(i);
            held.push(nodes[i].node.begin());
        }
        let busiest = nodes.iter().map(|n| n.node.in_flight()).max();
        assert_eq!(busiest, Some(13), "ten each, and a quarter more");
        held.clear();
        for i in [0, 1, 2] {
            let again = hash.pick(&nodes, &usable, &ask(7, 0), true);
            assert_eq!(again, Some(chosen[i]), "the same way every time");
            held.push(nodes[chosen[i]].node.begin());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn nobody_has_more_than_the_bound_and_an_idle_pool_is_hashed_plainly(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            most in 101u32..=300,
            keys in prop::collection::vec(any::<u64>(), 1..200),
        ) {
            let nodes = pool(&weights);
            let usable = NodeSet::full(nodes.len());
            let hash = Hash { most: Some(most) };
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let mut held = Vec::new();
            for key in keys {
                let ask = ask(key, 0);
                let chosen = hash.pick(&nodes, &usable, &ask, true).unwrap();
                if held.is_empty() {
                    prop_assert_eq!(Some(chosen), IpHash.pick(&nodes, &usable, &ask, true));
                }
                held.push(nodes[chosen].node.begin());
                let bound = (held.len() as u64 * u64::from(weights[chosen] * most)).div_ceil(total * 100);
                prop_assert!(nodes[chosen].node.in_flight() as u64 <= bound);
            }
        }
    }
}
