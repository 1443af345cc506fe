//! The time the cache goes by: the system's, and in stories as far ahead of it as they like.
//!
//! One clock for everybody who asks how old something is, so that nobody can disagree.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache::policy::life::Millis;

/// A clock.
#[derive(Debug, Default)]
pub struct Clock {
    ahead: AtomicU64,
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Millis {
        self.at(SystemTime::now())
    }

    /// What this clock showed at `time`.
    pub fn at(&self, time: SystemTime) -> Millis {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        millis.saturating_add(self.ahead.load(Relaxed))
    }

    /// Puts it forward by so many milliseconds.
    pub fn put_forward(&self, by: u64) {
        self.ahead.fetch_add(by, Relaxed);
    }
}
