//! How many requests may be sent again: a share of the recent ones.
//!
//! Without it a fault that every node has is multiplied by the number of tries, and whoever was slow is now
//! overrun. Source: Finagle's `RetryBudget`, Linkerd's retry budgets. Never reads the clock.

use std::time::Duration;

use super::window::Window;

/// How far back requests count.
pub const RECENT: Duration = Duration::from_secs(10);
/// So many may be sent again within [`RECENT`] however few requests there were: one client alone must not be unlucky.
pub const AT_LEAST: u64 = 3;

/// Requests of late, and how many of them were sent again.
#[derive(Debug)]
pub struct Budget(Window);

impl Default for Budget {
    fn default() -> Self {
        Budget(Window::over(RECENT))
    }
}

impl Budget {
    /// A request came in at `now`, in milliseconds of the caller's clock.
    pub fn asked(&self, now: u64) {
        self.0.note(false, now);
    }

    /// Takes one out of the budget, where `share` hundredths of recent requests are allowed. `false`: it is used up.
    ///
    /// Two that ask at the same moment may both get the last one: a budget is a bound on a storm, not an account.
    pub fn take(&self, share: u32, now: u64) -> bool {
        let counts = self.0.counts(now);
        let most = (counts.well * u64::from(share) / 100).max(AT_LEAST);
        // None means none.
        let fits = share > 0 && counts.failed < most;
        if fits {
            self.0.note(true, now);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_recent_requests_and_at_least_three() {
        let budget = Budget::default();
        let taken = |at: u64| (0..100).filter(|_| budget.take(20, at)).count();
        assert_eq!(taken(0), 3);
        (0..100).for_each(|_| budget.asked(1_000));
        assert_eq!(taken(1_500), 17, "twenty, of which three are gone");
        assert_eq!(taken(10_500), 3, "those three are forgotten");
        assert_eq!(taken(60_000), 3);
        assert!(!budget.take(0, 90_000));
    }
}
