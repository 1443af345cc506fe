//! Who changed what through the stats port, from where, and what it was before: kept at hand beside the log.
//!
//! Refused attempts are in it too. Bounded; nothing in it is a secret: callers go by the name of their token.

use std::time::SystemTime;

use super::ring::Ring;

/// How many are kept.
pub const KEPT: usize = 1_000;
/// How many of them may be refusals: whoever is refused decides how often, and must not push out what was done.
pub const MOST_REFUSED: usize = KEPT / 4;

/// One attempt to change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: SystemTime,
    /// The name of the caller's token; none: it had none.
    pub who: Option<String>,
    /// Where the caller is.
    pub from: String,
    /// The verb: `drain`, `purge`, `reload`…
    pub action: String,
    /// What it was about: a node, what was purged; empty where there is one of it only.
    pub target: String,
    /// What it was before, in words.
    pub before: String,
    /// What it was after.
    pub after: String,
    /// Status that the caller was given.
    pub status: u16,
}

impl Deed {
    /// `ok`, `refused` (the caller may not, or asked for nonsense) or `failed`.
    pub fn outcome(&self) -> &'static str {
        match self.status {
            0..400 => "ok",
            400..500 => "refused",
            _ => "failed",
        }
    }
}

/// The last ones.
pub type Audit = Ring<Deed>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_it_ended() {
        let deed = |status| Deed {
            at: SystemTime::UNIX_EPOCH,
            who: None,
            from: "127.0.0.1:1".into(),
            action: "reload".into(),
            target: String::new(),
            before: String::new(),
            after: String::new(),
            status,
        };
        let outcomes = [200, 403, 422, 500].map(|status| deed(status).outcome());
        assert_eq!(outcomes, ["ok", "refused", "refused", "failed"]);
    }
}
