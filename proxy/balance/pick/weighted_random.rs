//! At random in proportion to the weights.
//!
//! No state, so nothing to share between threads: the choice of large fleets of proxies, where many exact sequences
//! would beat in time. It must never draw numbers itself; the same `Ask` always chooses the same node.

use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses with the chance `weight / sum of weights`.
#[derive(Debug)]
pub(super) struct WeightedRandom;

impl Pick for WeightedRandom {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        choose(nodes, usable, ask.random)
    }
}

/// The node of `usable` on whose share of the line `random` falls, or `None` when nobody is usable.
pub(super) fn choose(nodes: &[Candidate], usable: &NodeSet, random: u64) -> Option<usize> {
    let total: u64 = usable.iter().map(|i| nodes[i].scaled()).sum();
    let mut ahead = scale(random, total);
    usable.iter().find(|&i| {
        let share = nodes[i].scaled();
        let here = ahead < share;
        ahead = ahead.saturating_sub(share);
        here
    })
}

/// `random` scaled from `0..2^64` to `0..n` by the high half of a product (Lemire, "Fast Random Integer Generation in
/// an Interval", 2019, without its rejection step: for sums of weights below 2^32 the bias is below 2^-32).
pub(super) fn scale(random: u64, n: u64) -> u64 {
    ((u128::from(random) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{chi_square_is_plausible, pool};
    use super::*;

    fn ask(random: u64) -> Ask {
        super::super::laws::ask(0, random)
    }

    #[test]
    fn the_ends_of_the_line_belong_to_the_first_and_the_last_node() {
        let nodes = pool(&[3, 1, 9]);
        let usable = NodeSet::full(3);
        let at = |random| WeightedRandom.pick(&nodes, &usable, &ask(random), true);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(u64::MAX), Some(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn shares_follow_the_weights(
            weights in prop::collection::vec(1u32..=20, 1..=12),
            seed: u64,
        ) {
            let nodes = pool(&weights);
            let usable = NodeSet::full(nodes.len());
            let mut random = fastrand::Rng::with_seed(seed);
            let mut seen = vec![0u32; nodes.len()];
            for _ in 0..3000 {
                let chosen = WeightedRandom.pick(&nodes, &usable, &ask(random.u64(..)), true);
                seen[chosen.unwrap()] += 1;
            }
            prop_assert!(chi_square_is_plausible(&seen, &weights), "{seen:?}");
        }

        #[test]
        fn evenly_spread_numbers_give_shares_exact_to_one(
            weights in prop::collection::vec(1u32..=20, 1..=12),
        ) {
            const NUMBERS: u64 = 1024;
            let nodes = pool(&weights);
            let usable = NodeSet::full(nodes.len());
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let mut seen = vec![0u64; nodes.len()];
            for n in 0..NUMBERS {
                let chosen = WeightedRandom.pick(&nodes, &usable, &ask(n << 54), true);
                seen[chosen.unwrap()] += 1;
            }
            for (seen, weight) in seen.iter().zip(&weights) {
                let expected = NUMBERS * u64::from(*weight) / total;
                prop_assert!(seen.abs_diff(expected) <= 1, "{seen} instead of {expected}");
            }
        }
    }
}
