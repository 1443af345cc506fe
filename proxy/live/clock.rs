//! The time the cache goes by: the system's, and in stories as far ahead of it as they like, or stopped.
//!
//! One clock for everybody who asks how old something is, so that nobody can disagree. Never stops in a release: there
//! nothing is there that could.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache::policy::life::Millis;

/// A clock.
#[derive(Debug, Default)]
pub struct Clock {
    ahead: AtomicU64,
    /// Where it stands; 0: it goes.
    #[cfg(debug_assertions)]
    stands_at: AtomicU64,
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Millis {
        self.at(SystemTime::now())
    }

    /// What this clock showed at `time`.
    pub fn at(&self, time: SystemTime) -> Millis {
        #[cfg(debug_assertions)]
        if let at @ 1.. = self.stands_at.load(Relaxed) {
            return at;
        }
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        millis.saturating_add(self.ahead.load(Relaxed))
    }

    /// Puts it forward by so many milliseconds.
    pub fn put_forward(&self, by: u64) {
        #[cfg(debug_assertions)]
        if let at @ 1.. = self.stands_at.load(Relaxed) {
            return self.stop(at.saturating_add(by));
        }
        self.ahead.fetch_add(by, Relaxed);
    }

    /// From now on it shows this moment, until it is put forward or stopped at another.
    #[cfg(debug_assertions)]
    pub fn stop(&self, at: Millis) {
        self.stands_at.store(at, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_with_the_system_and_as_far_ahead_as_it_was_put() {
        let clock = Clock::default();
        let time = UNIX_EPOCH + Duration::from_millis(5_000);
        assert_eq!(clock.at(time), 5_000);
        clock.put_forward(700);
        assert_eq!(clock.at(time), 5_700);
    }

    #[cfg(debug_assertions)]
    #[test]
    fn stopped_it_shows_one_moment_until_it_is_put_forward() {
        let clock = Clock::default();
        clock.stop(9_000);
        assert_eq!((clock.now(), clock.at(UNIX_EPOCH)), (9_000, 9_000));
        clock.put_forward(1_000);
        assert_eq!((clock.now(), clock.at(UNIX_EPOCH)), (10_000, 10_000));
        clock.stop(7_000);
        assert_eq!(clock.now(), 7_000);
    }
}
