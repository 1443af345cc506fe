//! A flood of refusals becomes one line, not a full disk.
//!
//! Whoever is refused decides how often: at ten thousand a second the log would be the attack. So many lines a second
//! are written, the rest is counted and told once. Time is passed in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Refusals that are told one by one, each second.
pub const LINES_A_SECOND: u64 = 100;

/// Lets some refusals of each second be told.
#[derive(Debug, Default)]
pub struct Flood {
    /// The second under way, since the epoch.
    second: AtomicU64,
    told: AtomicU64,
    withheld: AtomicU64,
}

impl Flood {
    /// Whether a refusal at `now` is told. Threads may disagree on a line or two when a second begins.
    pub fn may_tell(&self, now: SystemTime) -> bool {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.told.store(0, Relaxed);
        }
        let may = self.told.fetch_add(1, Relaxed) < LINES_A_SECOND;
        if !may {
            self.withheld.fetch_add(1, Relaxed);
        }
        may
    }

    /// Refusals that were not told since the last call.
    pub fn take_withheld(&self) -> u64 {
        self.withheld.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_tells_some_and_counts_the_rest() {
        let flood = Flood::default();
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let told = |second| (0..1_000).filter(|_| flood.may_tell(at(second))).count();
        assert_eq!(told(7), 100);
        assert_eq!(told(8), 100);
        assert_eq!(flood.take_withheld(), 1_800);
        assert_eq!(flood.take_withheld(), 0);
    }
}
