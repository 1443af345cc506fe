//! What the store says of itself.

/// What the store holds and what it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries stored.
    pub entries: u64,
    /// Bytes taken: entries, fetches in flight, what is still being sent, bookkeeping.
    pub bytes: u64,
    /// Bytes that may be.
    pub capacity: u64,
    /// Fetches in flight.
    pub fills: u64,
    /// Entries removed so far, by reason: `capacity`, `replaced`, `purged`, `variants`.
    pub evicted: [(&'static str, u64); 4],
    /// Keys whose answers were not storable a moment ago.
    pub marks: u64,
}
