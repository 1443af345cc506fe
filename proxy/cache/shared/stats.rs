//! What was looked for in the second tier, written there and refused: plain numbers, for whoever tells them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why what was found was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no value of ours, or not whole, or of another URL.
    Broken,
    /// It was purged, or nobody here can tell whether it was.
    Purged,
    /// It is older than it may be, or no newer than what is here.
    Old,
    /// There was no room for it in memory, or it was purged while it was read.
    NotAdopted,
}

/// The words of [`Refused`], in the order of their counters.
pub const REFUSED: [&str; 4] = ["broken", "purged", "old", "not_adopted"];

/// Why an answer that was to be written was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Too many waited: it was the oldest.
    Full,
    /// Redis was not asked.
    Down,
    /// Redis did not take it.
    Fault,
    /// It was of no use any more, or purged, by the time it was its turn.
    Over,
    /// Somebody purged it, or wrote a newer one, before it came there.
    Purged,
    /// Redis was emptied, or is another one.
    Lineage,
}

/// The words of [`Dropped`], in the order of their counters.
pub const DROPPED: [&str; 6] = ["full", "down", "fault", "over", "purged", "lineage"];

/// What was looked for, written and refused.
#[derive(Debug, Default)]
pub struct Stats {
    /// Answers that were found and put into memory.
    pub found: AtomicU64,
    /// Looks that found nothing to use, refused ones included; no look that failed.
    pub missed: AtomicU64,
    /// What was found and not used, in the order of [`REFUSED`].
    pub refused: [AtomicU64; REFUSED.len()],
    /// Leases taken: fetches in the name of the cluster.
    pub leases_won: AtomicU64,
    /// Fetches that waited for another proxy's, and were spared by it.
    pub leases_waited: AtomicU64,
    /// Fetches that waited for another proxy's and went on by themselves.
    pub leases_lost: AtomicU64,
    /// Answers that wait to be written.
    pub queued: AtomicU64,
    /// Bytes of their heads and bodies.
    pub queued_bytes: AtomicU64,
    /// Answers that were to be written and were not, in the order of [`DROPPED`].
    pub dropped: [AtomicU64; DROPPED.len()],
    /// Answers written.
    pub written: AtomicU64,
    /// Bytes of their values.
    pub written_bytes: AtomicU64,
}

impl Stats {
    /// What was found is not used.
    pub fn refused(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// So many answers are not written.
    pub(super) fn dropped(&self, why: Dropped, answers: usize) {
        self.dropped[why as usize].fetch_add(answers as u64, Relaxed);
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
