//! What is asked for most, in bounded memory: space-saving counters (Metwally, Agrawal, El Abbadi 2005).
//!
//! A list has 256 counters, whatever clients ask for. Who has a counter is counted in it; a newcomer takes the smallest
//! one over, with its count. So a count is never too small, and too large by no more than it tells: about a 256th of
//! all that was counted. Whatever is more than that share of it has a counter.
//!
//! On the way of requests: no allocation, no waiting. Counters are in shards with a lock each; who finds one taken goes
//! on uncounted, so in a rush counts miss a few.

use parking_lot::Mutex;

/// Shards of a list.
const SHARDS: usize = 8;
/// Counters of a shard: a few cache lines, looked through from end to end.
const COUNTERS: usize = 32;

/// One of those that are asked for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<N> {
    /// What it is.
    pub name: N,
    /// Counted at most.
    pub at_most: u64,
    /// Counted at least.
    pub at_least: u64,
}

/// A list of those that are asked for most.
#[derive(Debug)]
pub struct Top<N> {
    shards: [Mutex<Shard<N>>; SHARDS],
}

#[derive(Debug)]
struct Shard<N> {
    hashes: Vec<u64>,
    counters: Vec<Counted<N>>,
}

impl<N> Default for Top<N> {
    fn default() -> Self {
        Top {
            shards: std::array::from_fn(|_| {
                Mutex::new(Shard {
                    hashes: Vec::with_capacity(COUNTERS),
                    counters: Vec::with_capacity(COUNTERS),
                })
            }),
        }
    }
}

impl<N: Clone> Top<N> {
    /// Counts `much` for what has this hash; `name` is asked only for a newcomer. Two of one hash share a counter.
    pub fn count(&self, hash: u64, much: u64, name: impl FnOnce() -> N) {
        if much == 0 {
            return;
        }
        // Not the bits that a table would take first: those may come from one.
        let shard = &self.shards[(hash >> 60) as usize % SHARDS];
        if let Some(mut shard) = shard.try_lock() {
            shard.count(hash, much, name);
        }
    }

    /// What was counted for this hash, as far as it has a counter.
    pub fn of(&self, hash: u64) -> Option<Counted<N>> {
        let shard = self.shards[(hash >> 60) as usize % SHARDS].lock();
        let at = shard.hashes.iter().position(|h| *h == hash)?;
        Some(shard.counters[at].clone())
    }

    /// The `most` with the largest counts, by what they were counted at least.
    pub fn first(&self, most: usize) -> Vec<Counted<N>> {
        let mut all = Vec::with_capacity(SHARDS * COUNTERS);
        for shard in &self.shards {
            all.extend_from_slice(&shard.lock().counters);
        }
        all.sort_by_key(|counted| std::cmp::Reverse((counted.at_least, counted.at_most)));
        all.truncate(most);
        all
    }
}

impl<N> Shard<N> {
    fn count(&mut self, hash: u64, much: u64, name: impl FnOnce() -> N) {
        if let Some(at) = self.hashes.iter().position(|h| *h == hash) {
            let counter = &mut self.counters[at];
            counter.at_most = counter.at_most.saturating_add(much);
            counter.at_least = counter.at_least.saturating_add(much);
            return;
        }
        let mut newcomer = Counted {
            name: name(),
            at_most: much,
            at_least: much,
        };
        if self.counters.len() < COUNTERS {
            self.hashes.push(hash);
            self.counters.push(newcomer);
            return;
        }
        let counters = self.counters.iter_mut().enumerate();
        if let Some((at, smallest)) = counters.min_by_key(|(_, counter)| counter.at_most) {
            newcomer.at_most = smallest.at_most.saturating_add(much);
            *smallest = newcomer;
            self.hashes[at] = hash;
        }
    }
}

/// The lists of the cache.
#[derive(Debug)]
pub struct TopUrls<N> {
    /// By requests answered from the store.
    pub hits: Top<N>,
    /// By requests that it had nothing to use for.
    pub misses: Top<N>,
    /// By body bytes sent to clients.
    pub bytes: Top<N>,
}

impl<N> Default for TopUrls<N> {
    fn default() -> Self {
        TopUrls {
            hits: Top::default(),
            misses: Top::default(),
            bytes: Top::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A hash that spreads small numbers over the shards.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn few_names_are_counted_exactly_and_told_in_order() {
        let top = Top::default();
        for (name, times) in [("a", 3), ("b", 7), ("c", 1)] {
            for _ in 0..times {
                top.count(hash(name.len() as u64 + times), 1, || name);
            }
        }
        let told = |c: &Counted<&'static str>| (c.name, c.at_least, c.at_most);
        let first: Vec<_> = top.first(2).iter().map(told).collect();
        assert_eq!(first, [("b", 7, 7), ("a", 3, 3)]);
    }

    #[test]
    fn nothing_is_not_counted_and_a_known_name_is_not_asked_for() {
        let top = Top::default();
        top.count(1, 0, || unreachable!("nothing to count"));
        top.count(1, 5, || "a");
        top.count(1, 5, || unreachable!("it is known"));
        assert_eq!(top.of(1).map(|c| c.at_most), Some(10));
        assert_eq!(top.of(2), None);
    }

    #[test]
    fn a_flood_of_new_names_takes_no_more_room_and_does_not_hide_who_is_busy() {
        let top = Top::default();
        for n in 0..100_000 {
            top.count(hash(n + 1_000), 1, || n);
            if n % 20 == 0 {
                top.count(hash(7), 1, || 7);
            }
        }
        let all = top.first(usize::MAX);
        assert!(all.len() <= SHARDS * COUNTERS, "{}", all.len());
        assert_eq!(all[0].name, 7, "{:?}", &all[..3]);
        assert!(all[0].at_least <= 5_000 && all[0].at_most >= 5_000);
    }

    proptest! {
        #[test]
        fn a_count_lies_between_what_it_tells(asked in prop::collection::vec((0u64..600, 1u64..50), 0..4_000)) {
            let top = Top::default();
            let mut truth: HashMap<u64, u64> = HashMap::new();
            let mut by_shard = [0u64; SHARDS];
            for (n, much) in asked {
                top.count(hash(n), much, || n);
                *truth.entry(n).or_default() += much;
                by_shard[(hash(n) >> 60) as usize % SHARDS] += much;
            }
            for told in top.first(usize::MAX) {
                let true_count = truth[&told.name];
                prop_assert!(told.at_least <= true_count && true_count <= told.at_most);
                let all = by_shard[(hash(told.name) >> 60) as usize % SHARDS];
                prop_assert!(told.at_most - told.at_least <= all / COUNTERS as u64);
            }
        }
    }
}
