//! What was told of purges and heard of them: plain numbers, for whoever tells them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers since the start.
#[derive(Debug, Default)]
pub struct PurgesStats {
    /// Purges of ours that were told.
    pub sent: AtomicU64,
    /// Purges of others that took effect here.
    pub received: AtomicU64,
    /// Purges of ours that wait to be told, now.
    pub queued: AtomicU64,
    /// Purges of ours that were told as one of everything, since too many waited.
    pub folded: AtomicU64,
    /// Purges that were told again, since Redis had forgotten them: ours, and those of others whose proxies have ended.
    pub again: AtomicU64,
    /// Entries of the stream that were not understood; each makes everything stale.
    pub foreign: AtomicU64,
    /// Times that the stream was another one than before, and was read from its beginning.
    pub resyncs: AtomicU64,
    /// Times that purges of others may have been missed, and everything was made stale.
    pub missed: AtomicU64,
    /// Milliseconds from when the last purge of others was told to when it had taken effect here.
    pub lag: AtomicU64,
    /// Number of the last purge that is known here.
    pub position: AtomicU64,
    /// 1: all that was told is known here, as of less than two seconds ago or until Redis went away; 0: it is not.
    pub in_step: AtomicU64,
}

/// Counts one up by so many.
pub(super) fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}

/// Says how much it is.
pub(super) fn set(gauge: &AtomicU64, is: u64) {
    gauge.store(is, Relaxed);
}
