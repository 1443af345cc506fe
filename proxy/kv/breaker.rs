//! When not to ask: after five failures in ten seconds, until a probe went well.
//!
//! Successes count for nothing while it is closed: one slow answer in two would keep every other request waiting. Time is
//! told, never read.

/// Failures that open it.
const FAILURES: usize = 5;
/// Milliseconds within which they count together.
const WINDOW: u64 = 10_000;
/// Milliseconds from its opening to the first probe.
const PAUSE: u64 = 1_000;
/// The same when it opens again and again.
const LONGEST: u64 = 4_000;

/// A breaker.
#[derive(Debug)]
pub struct Breaker {
    is_open: bool,
    /// When it failed last, the oldest first, in milliseconds of the caller's clock.
    failures: [Option<u64>; FAILURES],
    closed_at: Option<u64>,
    pause: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            is_open: false,
            failures: [None; FAILURES],
            closed_at: None,
            pause: PAUSE,
        }
    }
}

impl Breaker {
    /// Whether nothing is to be asked.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// An operation failed. `true`: that opened it.
    pub fn failed(&mut self, now: u64) -> bool {
        if self.is_open {
            return false; // it was on its way when the others failed
        }
        self.failures.rotate_left(1);
        self.failures[FAILURES - 1] = Some(now);
        let is_recent = |at: u64| now.saturating_sub(at) < WINDOW;
        if !self.failures[0].is_some_and(is_recent) {
            return false;
        }
        let soon = self.closed_at.is_some_and(is_recent);
        self.pause = if soon {
            (self.pause * 2).min(LONGEST)
        } else {
            PAUSE
        };
        self.is_open = true;
        true
    }

    /// Milliseconds to wait before the next probe.
    pub fn pause(&self) -> u64 {
        self.pause
    }

    /// A probe went well.
    pub fn close(&mut self, now: u64) {
        let pause = self.pause;
        *self = Breaker {
            closed_at: Some(now),
            pause,
            ..Breaker::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_ten_seconds_open_it_and_a_probe_closes_it() {
        let mut breaker = Breaker::default();
        for at in [0, 10, 20, 30] {
            assert!(!breaker.failed(at) && !breaker.is_open());
        }
        assert!(breaker.failed(40) && breaker.is_open());
        assert!(!breaker.failed(41), "it is open already");
        breaker.close(1_000);
        assert!(!breaker.is_open());
        assert!(!breaker.failed(1_001), "what was before is forgotten");
    }

    #[test]
    fn failures_further_apart_never_open_it() {
        let mut breaker = Breaker::default();
        for n in 0..100 {
            assert!(!breaker.failed(n * WINDOW / 4), "{n}");
        }
    }

    #[test]
    fn one_that_opens_again_soon_waits_longer_and_never_longer_than_four_seconds() {
        let mut breaker = Breaker::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            while !breaker.failed(now) {}
            pauses.push(breaker.pause());
            now += 1_000;
            breaker.close(now);
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 4_000]);
        now += WINDOW;
        while !breaker.failed(now) {}
        assert_eq!(breaker.pause(), 1_000, "it was well for a while");
    }
}
