//! What every algorithm owes the pool, checked against all of them, and what their own tests share.
//!
//! Tests only. It must never know an algorithm by name beyond `Balance`: a new one is held to the same laws.

use std::sync::LazyLock;
use std::time::Instant;

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::{Ask, Candidate, build};
use crate::balance::node::Node;
use crate::base::node::{Health, Intent};
use crate::base::node_set::NodeSet;
use crate::config::checked::Balance;

const ALL: [Balance; 8] = [
    Balance::RoundRobin,
    Balance::LeastConn,
    Balance::WeightedRandom,
    Balance::Random,
    Balance::IpHash,
    Balance::Hash,
    Balance::P2c,
    Balance::PeakEwma,
];

/// What is asked with this key and this number, at no time in particular.
pub(super) fn ask(key: u64, random: u64) -> Ask {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Ask {
        key,
        random,
        now: *BEGUN,
    }
}

/// Healthy nodes `n0`, `n1`, … with these weights.
pub(super) fn pool(weights: &[u32]) -> Vec<Candidate> {
    let now = Instant::now();
    let candidate = |(i, weight): (usize, &u32)| {
        let id = format!("n{i}");
        let hash = xxh3_64(id.as_bytes());
        let node = Node::new("web".into(), id.into(), Intent::Up, Health::Healthy, now);
        Candidate::new(node.into(), *weight, hash)
    };
    weights.iter().enumerate().map(candidate).collect()
}

/// The positions below `n` whose bit is set in `mask`.
pub(super) fn set_of(n: usize, mask: u16) -> NodeSet {
    let mut set = NodeSet::with_len(n);
    for i in 0..n.min(16) {
        if mask & (1 << i) != 0 {
            set.insert(i);
        }
    }
    set
}

/// Whether counts can come from these weights (Pearson's chi-square). The bound is met by chance once in about 10^9
/// tries, so that thousands of cases a run stay quiet; what it finds is an algorithm that gets the weights wrong.
pub(super) fn chi_square_is_plausible(seen: &[u32], weights: &[u32]) -> bool {
    let draws: u32 = seen.iter().sum();
    let total: u32 = weights.iter().sum();
    let chi_square: f64 = seen
        .iter()
        .zip(weights)
        .map(|(seen, weight)| {
            let expected = f64::from(draws) * f64::from(*weight) / f64::from(total);
            (f64::from(*seen) - expected).powi(2) / expected
        })
        .sum();
    let freedom = seen.len().saturating_sub(1) as f64;
    chi_square <= freedom + 8.0 * (2.0 * freedom).sqrt() + 30.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn only_usable_nodes_are_chosen_and_none_only_when_there_is_none(
        weights in prop::collection::vec(1u32..=20, 0..=12),
        seed: u64,
        asks in prop::collection::vec((any::<u16>(), any::<u64>(), any::<u64>(), any::<bool>()), 1..16),
    ) {
        let nodes = pool(&weights);
        for balance in ALL {
            let picker = build(balance, Some(110), &nodes, seed);
            for (mask, client, random, first_try) in &asks {
                let usable = set_of(nodes.len(), *mask);
                let ask = ask(*client, *random);
                match picker.pick(&nodes, &usable, &ask, *first_try) {
                    Some(i) => prop_assert!(usable.contains(i), "{balance:?} chose {i}"),
                    None => prop_assert!(usable.is_empty(), "{balance:?} chose nobody"),
                }
            }
        }
    }

    /// Weights far apart and pools beyond what fits on the stack.
    #[test]
    fn large_pools_and_weights_are_served_too(
        n in 257usize..400,
        weight in 1u32..=crate::config::checked::MAX_WEIGHT,
        client: u64,
        random: u64,
    ) {
        let mut weights = vec![1; n];
        weights[n - 1] = weight;
        let nodes = pool(&weights);
        let usable = NodeSet::full(n);
        for balance in ALL {
            let chosen = build(balance, Some(110), &nodes, 3).pick(&nodes, &usable, &ask(client, random), true);
            prop_assert!(chosen.is_some_and(|i| i < n));
        }
    }
}
