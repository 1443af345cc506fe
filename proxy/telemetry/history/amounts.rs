//! What is counted of a series, as it stands or between two looks.
//!
//! Counters only grow. One that went back belongs to another counter of the same name: between those two nothing is
//! said, for a difference would be nonsense.

use crate::telemetry::metrics::BUCKETS;

/// Buckets of a duration histogram, the one above its last bound included.
pub const SIZES: usize = BUCKETS.len() + 1;

/// Counts: cumulative as a counter tells them, or what came between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Requests that ended; of a node: answers it gave.
    pub requests: u64,
    /// Of those: 5xx, and those that ended without an answer; of a node: attempts that failed on it.
    pub errors: u64,
    /// Attempts that followed a failed one on another node.
    pub retries: u64,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Requests answered from the store.
    pub cache_hits: u64,
    /// Requests that the store was asked for.
    pub cache_lookups: u64,
    /// Body bytes out of the store.
    pub cache_hit_bytes: u64,
    /// Requests by the time they took, a number a bucket (not cumulative over the buckets).
    pub took: [u64; SIZES],
}

impl Amounts {
    /// What came since `before`; nothing where any count went back.
    pub fn since(&self, before: &Amounts) -> Amounts {
        let mut came = Amounts::default();
        for ((to, now), was) in came.all().zip(self.counts()).zip(before.counts()) {
            match now.checked_sub(was) {
                Some(difference) => *to = difference,
                None => return Amounts::default(),
            }
        }
        came
    }

    /// Adds others.
    pub fn add(&mut self, others: &Amounts) {
        for (to, n) in self.all().zip(others.counts()) {
            *to = to.saturating_add(n);
        }
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        let mut copy = *self;
        let counts: [u64; 8 + SIZES] = {
            let mut all = copy.all();
            std::array::from_fn(|_| all.next().map_or(0, |n| *n))
        };
        counts.into_iter()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut u64> {
        let Amounts {
            requests,
            errors,
            retries,
            bytes_in,
            bytes_out,
            cache_hits,
            cache_lookups,
            cache_hit_bytes,
            took,
        } = self;
        let counts = [
            requests,
            errors,
            retries,
            bytes_in,
            bytes_out,
            cache_hits,
            cache_lookups,
            cache_hit_bytes,
        ];
        counts.into_iter().chain(took)
    }
}
