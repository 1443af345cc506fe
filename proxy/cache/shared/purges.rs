//! Purges that all proxies of a cluster carry out: the handle of one proxy.

use super::chain::Position;

/// The purges of a cluster, as one proxy knows them.
#[derive(Debug, Default)]
pub struct Purges;

impl Purges {
    /// What a fetch that begins now knows. `None`: nobody else could use its answer.
    pub fn position(&self) -> Option<Position> {
        Some(Position { n: 0, uid: 1 })
    }

    /// The store's sequence at which the fetch of an answer counts as begun that was found in Redis.
    pub fn begun(&self, _: u128, _: Position, _: &[u8], sequence: u64) -> Option<u64> {
        Some(sequence)
    }
}
