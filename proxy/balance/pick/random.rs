//! At random, each node alike, whatever its weight.
//!
//! The yardstick for the other algorithms, and the choice of people whose nodes are alike. It must never look at
//! weights (that is `super::weighted_random`) nor draw numbers itself.

use super::weighted_random::scale;
use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// Chooses every usable node with the same chance.
#[derive(Debug)]
pub(super) struct Random;

impl Pick for Random {
    fn pick(
        &self,
        _nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        let at = scale(ask.random, usable.len() as u64);
        usable.iter().nth(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{ask, chi_square_is_plausible, pool};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn every_usable_node_gets_the_same_share_whatever_its_weight(
            entries in prop::collection::vec((1u32..=20, any::<bool>()), 1..=12),
            seed: u64,
        ) {
            let weights: Vec<u32> = entries.iter().map(|(weight, _)| *weight).collect();
            let nodes = pool(&weights);
            let mut usable = NodeSet::with_len(nodes.len());
            for (i, (_, is_usable)) in entries.iter().enumerate() {
                if *is_usable {
                    usable.insert(i);
                }
            }
            let mut random = fastrand::Rng::with_seed(seed);
            let mut seen = vec![0u32; nodes.len()];
            for _ in 0..2000 {
                let ask = ask(0, random.u64(..));
                if let Some(i) = Random.pick(&nodes, &usable, &ask, true) {
                    seen[i] += 1;
                }
            }
            for (i, seen) in seen.iter().enumerate() {
                prop_assert_eq!(usable.contains(i), *seen > 0);
            }
            let seen: Vec<u32> = usable.iter().map(|i| seen[i]).collect();
            prop_assert!(chi_square_is_plausible(&seen, &vec![1; seen.len()]), "{:?}", seen);
        }
    }
}
