//! How many requests may be sent again: a share of the recent ones.
//!
//! Without it a fault that every node has is multiplied by the number of tries, and whoever was slow is now
//! overrun. A small reserve lets the first and the rare requests be tried again too; what it gives counts as part of
//! the share. Source: Finagle's `RetryBudget`, Linkerd's retry budgets. Never reads the clock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::window::Window;

/// How far back requests count.
pub const RECENT: Duration = Duration::from_secs(10);
/// So many a second may be sent again however few requests there are.
pub const AT_LEAST: u64 = 3;
/// So many of these at once: one node of three that hangs right after the start fails a handful.
pub const AT_ONCE: u64 = 10;

/// Milliseconds in which the reserve grows by one.
const ONE: u64 = 1_000 / AT_LEAST;

/// Requests of late, and how many of them were sent again.
#[derive(Debug)]
pub struct Budget {
    recent: Window,
    /// When the reserve will be full again (the generic cell rate algorithm, ITU-T I.371).
    full_at: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            recent: Window::over(RECENT),
            full_at: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// A request came in at `now`, in milliseconds of the caller's clock.
    pub fn asked(&self, now: u64) {
        self.recent.note(false, now);
    }

    /// Takes one out of the budget, where `share` hundredths of recent requests are allowed. `false`: it is used up.
    ///
    /// Two that ask at the same moment may both get the last one: a budget is a bound on a storm, not an account.
    pub fn take(&self, share: u32, now: u64) -> bool {
        let counts = self.recent.counts(now);
        let within = (counts.failed + 1) * 100 <= counts.well * u64::from(share);
        // None means none.
        let fits = share > 0 && (within || self.take_reserve(AT_ONCE, now));
        if fits {
            self.recent.note(true, now);
        }
        fits
    }

    /// The same for what is only nice to have: half of the share, and half of the reserve. The rest is there for requests
    /// that failed.
    pub fn take_spare(&self, share: u32, now: u64) -> bool {
        let counts = self.recent.counts(now);
        let within = (counts.failed + 1) * 200 <= counts.well * u64::from(share);
        let fits = share > 0 && (within || self.take_reserve(AT_ONCE / 2, now));
        if fits {
            self.recent.note(true, now);
        }
        fits
    }

    /// One of the reserve, of which so many may be gone at once.
    fn take_reserve(&self, most: u64, now: u64) -> bool {
        let taken = self.full_at.fetch_update(Relaxed, Relaxed, |full_at| {
            let next = full_at.max(now) + ONE;
            (next <= now + most * ONE).then_some(next)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, at: u64) -> usize {
        (0..1_000).filter(|_| budget.take(20, at)).count()
    }

    #[test]
    fn a_fifth_of_the_recent_requests() {
        let budget = Budget::default();
        assert_eq!(taken(&budget, 0), 10, "the reserve");
        (0..500).for_each(|_| budget.asked(100));
        assert_eq!(taken(&budget, 200), 90, "a hundred, of which ten are gone");
        (0..500).for_each(|_| budget.asked(11_000));
        assert_eq!(taken(&budget, 11_000), 110, "the old ones are forgotten");
        assert!(!budget.take(0, 90_000));
    }

    #[test]
    fn a_trickle_may_be_tried_again_three_times_a_second() {
        let budget = Budget::default();
        assert_eq!(taken(&budget, 0), 10);
        assert_eq!(
            (1..=5).map(|s| taken(&budget, s * 1_000)).sum::<usize>(),
            15
        );
        assert_eq!(taken(&budget, 600_000), 10, "never more than ten at once");
    }

    #[test]
    fn what_is_only_nice_to_have_leaves_the_other_half() {
        let budget = Budget::default();
        let spare = |at| (0..1_000).filter(|_| budget.take_spare(20, at)).count();
        assert_eq!((spare(0), taken(&budget, 0)), (5, 5), "of the reserve");
        (0..1_000).for_each(|_| budget.asked(20_000));
        assert_eq!((spare(20_000), taken(&budget, 20_000)), (105, 100));
    }

    #[test]
    fn a_storm_stays_within_its_share() {
        let budget = Budget::default();
        // Each request fails and asks to be sent again, 200 a second.
        let again = (0..2_000u64).filter(|n| {
            budget.asked(n * 5);
            budget.take(20, n * 5)
        });
        let again = again.count();
        assert!((380..=400).contains(&again), "{again}");
    }
}
