//! The circuit breaker of one node: closed, open, half open.
//!
//! A node that fails too large a share of its requests is asked nothing for a while (open). Then a few requests at a
//! time try it (half open): as many good answers close it, one failure opens it again. Beside the outlier ejection it
//! knows no mercy: an open node is not even a last resort, and any number of nodes may be open.
//!
//! Source: M. Nygard, "Release It!", 2007. The state is set by `super::node` alone, which tells of it; here it is kept
//! where picks can read it without a lock. Never reads the clock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::base::node::Circuit;
use crate::base::window::Window;
use crate::config::checked::Breaker as Rules;

const CLOSED: u64 = 0;
const HALF_OPEN: u64 = u64::MAX;

/// The state of a breaker and what it is decided by.
#[derive(Debug, Default)]
pub struct Breaker {
    /// [`CLOSED`], [`HALF_OPEN`], or the millisecond at which it has been open long enough.
    state: AtomicU64,
    window: Window,
    /// Requests that try a node now.
    trying: AtomicU32,
    /// When the last of them began.
    last_trial: AtomicU64,
    /// Good answers since it is half open.
    passed: AtomicU32,
}

impl Breaker {
    /// Its state at `now`, in milliseconds of the node's clock. One that was open long enough is half open.
    pub fn state(&self, now: u64) -> Circuit {
        match self.state.load(Relaxed) {
            CLOSED => Circuit::Closed,
            HALF_OPEN => Circuit::HalfOpen,
            until if now < until => Circuit::Open,
            _ => Circuit::HalfOpen,
        }
    }

    /// Milliseconds until it may be tried again; 0 when it may be now.
    pub fn closed_for(&self, now: u64) -> u64 {
        match self.state.load(Relaxed) {
            CLOSED | HALF_OPEN => 0,
            until => until.saturating_sub(now),
        }
    }

    /// Whether one more request may go through.
    pub fn lets_in(&self, rules: &Rules, now: u64) -> bool {
        match self.state(now) {
            Circuit::Closed => true,
            Circuit::Open => false,
            Circuit::HalfOpen => {
                self.trying.load(Relaxed) < rules.trials || self.trials_hang(rules, now)
            }
        }
    }

    /// A request goes through: `Some(true)` when it tries the node, and then [`Breaker::tried`] must follow.
    /// `None`: others were quicker, or it is open.
    pub fn begin(&self, rules: &Rules, now: u64) -> Option<bool> {
        match self.state(now) {
            Circuit::Closed => Some(false),
            Circuit::Open => None,
            Circuit::HalfOpen => {
                let most = match self.trials_hang(rules, now) {
                    true => u32::MAX,
                    false => rules.trials,
                };
                let one_more = |trying| (trying < most).then_some(trying + 1);
                self.trying.fetch_update(Relaxed, Relaxed, one_more).ok()?;
                self.last_trial.store(now, Relaxed);
                Some(true)
            }
        }
    }

    /// Whether those that try the node have not come to an end for as long as it is kept open: a long upload, or a
    /// client that means it, must not keep it shut. Then one more may try.
    fn trials_hang(&self, rules: &Rules, now: u64) -> bool {
        let open = rules.open.as_millis() as u64;
        now >= self.last_trial.load(Relaxed).saturating_add(open)
    }

    /// A request that tried the node has its answer, or is over without one.
    pub fn tried(&self) {
        self.trying.fetch_sub(1, Relaxed);
    }

    /// Notes an answer or a failure, of a request that tries the node or of another (`trial`); says which state follows,
    /// when it is another one.
    pub fn note(&self, failed: bool, trial: bool, rules: &Rules, now: u64) -> Option<Circuit> {
        match self.state(now) {
            Circuit::Closed => {
                self.window.set_length(rules.window);
                self.window.note(failed, now);
                if !failed {
                    return None;
                }
                let counts = self.window.counts(now);
                let opens = counts.all() >= u64::from(rules.min_requests)
                    && counts.failed_share_is_at_least(rules.failure_rate);
                opens.then_some(Circuit::Open)
            }
            // What was sent before it opened.
            Circuit::Open => None,
            Circuit::HalfOpen if !trial => None,
            Circuit::HalfOpen if failed => Some(Circuit::Open),
            Circuit::HalfOpen => {
                let passed = self.passed.fetch_add(1, Relaxed) + 1;
                (passed >= rules.trials).then_some(Circuit::Closed)
            }
        }
    }

    /// Opens it until the millisecond `until`.
    pub(super) fn open(&self, until: u64) {
        self.passed.store(0, Relaxed);
        self.state.store(until.clamp(1, HALF_OPEN - 1), Relaxed);
    }

    /// It has been open long enough.
    pub(super) fn half_open(&self) {
        self.passed.store(0, Relaxed);
        self.state.store(HALF_OPEN, Relaxed);
    }

    /// Closes it and forgets what opened it.
    pub(super) fn close(&self) {
        self.window.clear();
        self.state.store(CLOSED, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULES: Rules = Rules {
        failure_rate: 50,
        min_requests: 4,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
        trials: 2,
    };

    #[test]
    fn it_opens_when_half_of_enough_answers_failed() {
        let breaker = Breaker::default();
        assert_eq!(breaker.note(true, false, &RULES, 0), None);
        assert_eq!(breaker.note(false, false, &RULES, 0), None);
        assert_eq!(breaker.note(false, false, &RULES, 0), None);
        assert_eq!(breaker.note(true, false, &RULES, 0), Some(Circuit::Open));
        breaker.open(5_000);
        assert_eq!(breaker.begin(&RULES, 4_999), None);
        assert_eq!(breaker.closed_for(1_000), 4_000);
        assert_eq!(breaker.note(false, true, &RULES, 100), None, "sent before");
    }

    #[test]
    fn half_open_it_lets_a_few_try_and_closes_when_they_are_well() {
        let breaker = Breaker::default();
        breaker.open(5_000);
        breaker.last_trial.store(4_000, Relaxed);
        assert_eq!(breaker.state(5_000), Circuit::HalfOpen);
        assert_eq!(breaker.begin(&RULES, 5_000), Some(true));
        assert_eq!(breaker.begin(&RULES, 5_000), Some(true));
        assert!(!breaker.lets_in(&RULES, 5_000));
        assert_eq!(breaker.begin(&RULES, 5_000), None);
        assert_eq!(
            breaker.note(true, false, &RULES, 5_001),
            None,
            "sent before"
        );
        assert_eq!(breaker.note(false, true, &RULES, 5_001), None);
        breaker.tried();
        assert_eq!(breaker.begin(&RULES, 5_002), Some(true));
        assert_eq!(
            breaker.note(false, true, &RULES, 5_003),
            Some(Circuit::Closed)
        );
        breaker.close();
        assert_eq!(breaker.begin(&RULES, 5_004), Some(false));
        assert_eq!(
            breaker.note(true, false, &RULES, 5_005),
            None,
            "it begins anew"
        );
    }

    #[test]
    fn trials_that_come_to_no_end_do_not_keep_it_shut() {
        let breaker = Breaker::default();
        breaker.open(5_000);
        for _ in 0..2 {
            assert_eq!(breaker.begin(&RULES, 5_000), Some(true));
        }
        assert_eq!(breaker.begin(&RULES, 9_999), None);
        assert_eq!(breaker.begin(&RULES, 10_000), Some(true));
        assert_eq!(breaker.begin(&RULES, 10_001), None, "one at a time");
        (0..3).for_each(|_| breaker.tried());
        assert_eq!(breaker.trying.load(Relaxed), 0);
    }

    #[test]
    fn one_failure_opens_it_again() {
        let breaker = Breaker::default();
        breaker.open(5_000);
        breaker.half_open();
        assert_eq!(breaker.note(false, true, &RULES, 5_000), None);
        assert_eq!(breaker.note(true, true, &RULES, 5_000), Some(Circuit::Open));
        breaker.open(10_000);
        breaker.half_open();
        assert_eq!(
            breaker.note(false, true, &RULES, 10_000),
            None,
            "counted anew"
        );
    }
}
