//! Whether a node that fails is worse off than it should be: failures in a row, and their share.
//!
//! Only counts and says; who acts on it is `super::pool`'s, which knows the other nodes. What a failure is decides
//! `upstream/classify`. Source: Envoy, "Outlier detection". Never reads the clock.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::base::window::{Counts, Window};
use crate::config::checked::Outlier;

/// How a node's answers were lately.
#[derive(Debug, Default)]
pub struct Record {
    in_a_row: AtomicU32,
    window: Window,
}

/// Why a node is rested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It refused a connection, or none could be made in time.
    Connect,
    /// Failures in a row.
    Consecutive,
    /// The share of failures.
    Rate,
}

impl Why {
    /// The word of the metric and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Connect => "connect",
            Why::Consecutive => "consecutive_failures",
            Why::Rate => "failure_rate",
        }
    }
}

impl Record {
    /// Notes an answer or a failure. `now` is in milliseconds of the node's clock.
    pub fn note(&self, failed: bool, rules: &Outlier, now: u64) {
        if failed {
            self.in_a_row.fetch_add(1, Relaxed);
        } else if self.in_a_row.load(Relaxed) > 0 {
            self.in_a_row.store(0, Relaxed);
        }
        self.window.set_length(rules.window);
        self.window.note(failed, now);
    }

    /// Whether that is too much, and in which way.
    pub fn verdict(&self, rules: &Outlier, now: u64) -> Option<Why> {
        let in_a_row = self.in_a_row.load(Relaxed);
        if rules.consecutive.is_some_and(|most| in_a_row >= most) {
            return Some(Why::Consecutive);
        }
        let counts = self.window.counts(now);
        let enough = counts.all() >= u64::from(rules.min_requests);
        let too_much = |share| enough && counts.failed_share_is_at_least(share);
        rules
            .failure_rate
            .is_some_and(too_much)
            .then_some(Why::Rate)
    }

    /// What was counted within the window.
    pub fn counts(&self, now: u64) -> Counts {
        self.window.counts(now)
    }

    /// Failures in a row until now.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Relaxed)
    }

    /// Begins anew: what was before a rest must not lead to the next.
    pub fn clear(&self) {
        self.in_a_row.store(0, Relaxed);
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rules(consecutive: Option<u32>, failure_rate: Option<u32>) -> Outlier {
        Outlier {
            consecutive,
            failure_rate,
            min_requests: 10,
            window: Duration::from_secs(10),
            eject: Duration::from_secs(10),
            max_eject: Duration::from_secs(300),
            max_ejected: 50,
        }
    }

    #[test]
    fn failures_in_a_row_count_until_a_good_answer() {
        let (record, rules) = (Record::default(), rules(Some(3), None));
        for failed in [true, true, false, true, true] {
            record.note(failed, &rules, 0);
            assert_eq!(record.verdict(&rules, 0), None);
        }
        record.note(true, &rules, 0);
        assert_eq!(record.verdict(&rules, 0), Some(Why::Consecutive));
        record.clear();
        assert_eq!(record.verdict(&rules, 0), None);
    }

    #[test]
    fn a_share_counts_only_among_enough_answers_of_late() {
        let (record, rules) = (Record::default(), rules(None, Some(50)));
        for n in 0..9 {
            record.note(n % 2 == 0, &rules, 0);
        }
        assert_eq!(record.verdict(&rules, 0), None, "nine are too few");
        record.note(true, &rules, 0);
        assert_eq!(record.verdict(&rules, 0), Some(Why::Rate));
        assert_eq!(record.verdict(&rules, 10_000), None, "long ago");
    }
}
