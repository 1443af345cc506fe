//! What the store says of itself: what it holds, what it did. Counters only; nothing is asked of anybody to count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the store holds and what it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries stored.
    pub entries: u64,
    /// Bodies in other codings beside them.
    pub forms: u64,
    /// Bytes that those take; part of `bytes`.
    pub form_bytes: u64,
    /// Bytes taken: entries, fetches in flight, what is still being sent, tables.
    pub bytes: u64,
    /// Bytes that may be: `cache.memory` less what the allocator needs for itself.
    pub capacity: u64,
    /// Fetches in flight.
    pub fills: u64,
    /// Forms that are being made.
    pub makings: u64,
    /// Entries removed so far, by reason: `capacity`, `replaced`, `purged`, `variants`.
    pub evicted: [(&'static str, u64); 4],
    /// Keys whose answers were not storable a moment ago.
    pub marks: u64,
}

/// Why an entry is no longer stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gone {
    /// Others needed its room.
    Capacity,
    /// A newer one is for the same requests.
    Replaced,
    /// It was purged or overwritten.
    Purged,
    /// Its key had too many variants.
    Variants,
}

/// How many came and went.
#[derive(Debug, Default)]
pub(super) struct Counts {
    gone: [AtomicU64; 4],
}

impl Counts {
    pub(super) fn add(&self, why: Gone, entries: u64) {
        if entries > 0 {
            self.gone[why as usize].fetch_add(entries, Relaxed);
        }
    }

    pub(super) fn evicted(&self) -> [(&'static str, u64); 4] {
        let words = ["capacity", "replaced", "purged", "variants"];
        std::array::from_fn(|n| (words[n], self.gone[n].load(Relaxed)))
    }
}
