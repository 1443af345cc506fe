//! By the client's address: the same client meets the same node as long as it can.
//!
//! Weighted rendezvous hashing (highest random weight): every node draws a lot from the pair (client, node) and the
//! best lot wins. When a node leaves, only its own clients draw again, and they spread over all others by weight; when
//! one arrives, clients move only towards it; when a weight changes, only the difference moves. A ring would need many
//! points a node to come near that, and a `hash % n` moves nearly everybody.
//!
//! Sources: D. Thaler, C. V. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998
//! (first as "A Name-Based Mapping Scheme for Rendezvous", 1996); the weights by the logarithm method: with `u` uniform
//! in (0, 1), `-ln(u) / weight` is exponentially distributed with the rate `weight`, and the least of several such
//! draws belongs to a node with the chance `weight / sum of weights` (J. Resch, "New Hashing Algorithms for Data
//! Storage", SNIA 2015).
//!
//! Every machine must choose alike, so it must never use a keyed or versioned hash, nor positions in the pool. The
//! lots come from integers through a fixed mixer; `ln` may differ between platforms in its last bit, which changes a
//! choice for about one client in 10^15.

use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses by the client's address.
#[derive(Debug)]
pub(super) struct IpHash;

impl Pick for IpHash {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        // Mixed before it meets the node's hash: plain `client ^ hash` would let two clients draw each other's lots.
        let client = mix(ask.key);
        let mut best: Option<(usize, f64)> = None;
        for i in usable.iter() {
            let weight = nodes[i].scaled() as f64;
            let lot = unit(mix(client ^ nodes[i].hash));
            match best {
                // -ln(u) >= 1 - u: most candidates are out without a logarithm.
                Some((_, least)) if 1.0 - lot >= least * weight => {}
                Some((_, least)) => {
                    let score = -lot.ln() / weight;
                    if score < least {
                        best = Some((i, score));
                    }
                }
                None => best = Some((i, -lot.ln() / weight)),
            }
        }
        best.map(|(i, _)| i)
    }
}

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014): its increment, then
/// Stafford's "Mix13" variant of the MurmurHash3 finaliser. Integers only, hence the same everywhere.
pub(super) fn mix(n: u64) -> u64 {
    let mut n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The upper 52 bits as a number strictly between 0 and 1, so that its logarithm is finite and below 0.
fn unit(n: u64) -> f64 {
    // Halves up to 2^52 are exact in an f64, so that neither 0 nor 1 can come out.
    ((n >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, chi_square_is_plausible, pool, set_of};
    use super::*;

    fn node_of(nodes: &[Candidate], usable: &NodeSet, client: u64) -> Option<usize> {
        let ask = ask(client, 0);
        IpHash.pick(nodes, usable, &ask, true)
    }

    /// Chosen once and written down: another machine, compiler or version must agree.
    #[test]
    fn every_machine_chooses_alike() {
        let mut nodes = pool(&[1, 2, 3, 4]);
        for (i, c) in nodes.iter_mut().enumerate() {
            c.hash = 1000 + i as u64;
        }
        let usable = NodeSet::full(4);
        let chosen: Vec<_> = (0..16)
            .filter_map(|client| node_of(&nodes, &usable, client))
            .collect();
        assert_eq!(
            mix(0),
            0xe220_a839_7b1d_cdaf,
            "SplitMix64's published first output"
        );
        assert_eq!(chosen, PINNED);
    }

    const PINNED: [usize; 16] = [3, 1, 2, 2, 2, 1, 0, 3, 1, 3, 3, 2, 3, 3, 2, 2];

    #[test]
    fn lots_stay_strictly_between_zero_and_one() {
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn a_leaving_node_moves_only_its_own_clients_and_an_arriving_one_takes_only_its_share(
            weights in prop::collection::vec(1u32..=20, 2..=12),
            leaves: prop::sample::Index,
            clients in prop::collection::vec(any::<u64>(), 100),
        ) {
            let nodes = pool(&weights);
            let leaves = leaves.index(nodes.len());
            let all = NodeSet::full(nodes.len());
            let mut rest = all.clone();
            rest.remove(leaves);
            for client in clients {
                let with = node_of(&nodes, &all, client);
                let without = node_of(&nodes, &rest, client);
                prop_assert!(with == without || with == Some(leaves));
                prop_assert_ne!(without, Some(leaves));
            }
        }

        #[test]
        fn a_weight_that_rises_only_draws_clients_in(
            weights in prop::collection::vec(1u32..=20, 2..=12),
            rises: prop::sample::Index,
            by in 1u32..=20,
            clients in prop::collection::vec(any::<u64>(), 100),
        ) {
            let before = pool(&weights);
            let rises = rises.index(before.len());
            let mut after = before.clone();
            after[rises].weight += by;
            let all = NodeSet::full(before.len());
            for client in clients {
                let (old, new) = (node_of(&before, &all, client), node_of(&after, &all, client));
                prop_assert!(old == new || new == Some(rises));
            }
        }

        #[test]
        fn neither_the_order_nor_the_position_of_nodes_matters(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            usable: u16,
            client: u64,
        ) {
            let nodes = pool(&weights);
            let n = nodes.len();
            let usable = set_of(n, usable);
            let mut mirrored_set = NodeSet::with_len(n);
            usable.iter().for_each(|i| mirrored_set.insert(n - 1 - i));
            let mirrored: Vec<_> = nodes.iter().rev().cloned().collect();
            let there = node_of(&mirrored, &mirrored_set, client).map(|i| n - 1 - i);
            prop_assert_eq!(node_of(&nodes, &usable, client), there);
        }

        /// Clients one after the other, as the addresses of an office are.
        #[test]
        fn shares_follow_the_weights(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            first_client: u64,
        ) {
            let nodes = pool(&weights);
            let all = NodeSet::full(nodes.len());
            let mut seen = vec![0u32; nodes.len()];
            for n in 0..2000 {
                seen[node_of(&nodes, &all, first_client.wrapping_add(n)).unwrap()] += 1;
            }
            prop_assert!(chi_square_is_plausible(&seen, &weights), "{seen:?}");
        }
    }
}
