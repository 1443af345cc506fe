//! Where we are among the purges of the cluster.

/// The last purge that whoever has it knew of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// How many there had been.
    pub n: u64,
    /// Which the last one was.
    pub uid: u64,
}

/// The purges of the cluster.
#[derive(Debug, Default)]
pub struct Chain;

impl Chain {
    /// The last purge known here.
    pub fn position(&self) -> Option<Position> {
        Some(Position { n: 0, uid: 0 })
    }

    /// What an answer fetched at that position counts as begun at here.
    pub fn begun(&self, _url: u128, _at: Position, _head: &[u8], sequence: u64) -> Option<u64> {
        Some(sequence)
    }
}
