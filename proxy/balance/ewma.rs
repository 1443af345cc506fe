//! How quickly a node has answered lately: one number a node, which rises at once and falls with time.
//!
//! "Peak" means that a slower answer than expected counts in full, so that a node that becomes slow is left alone after
//! one request; a quicker one counts by the time since the last. Between answers the number decays, or a node that
//! was slow once would never be asked again.
//!
//! Source: Finagle's `PeakEwma` (Twitter, 2015) and tower's `load::peak_ewma`, which follows it. Time is passed in.
//! Never locks: answers are noted and picks are made on every thread at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// In this time what was seen loses all but 1/e of its say. A node that was 200 ms slow among others of 1 ms is asked
/// again after `1.5 s · ln 200`, 8 s: often enough to find soon that it recovered, too rarely for a hundredth of the
/// requests.
const DECAY: Duration = Duration::from_millis(1_500);

/// An exponentially weighted moving average of answer times that is sensitive to peaks.
///
/// Both halves change together: the bits of an `f32` (seconds) above, milliseconds of the node's clock below.
#[derive(Debug, Default)]
pub struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// An answer took `seconds` and arrived at `now`, in milliseconds of a clock that may wrap.
    pub fn observe(&self, seconds: f32, now: u32) {
        let seen = |old: u64| {
            let (value, at) = unpack(old);
            let left = decay(at, now);
            let average = value * left + seconds * (1.0 - left);
            // Whoever is late with an older time changes nothing of the clock.
            let latest = match value == 0.0 || is_before(at, now) {
                true => now,
                false => at,
            };
            Some(pack(average.max(seconds), latest))
        };
        // The closure never refuses.
        let _ = self.0.fetch_update(Relaxed, Relaxed, seen);
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// What it stands at, in seconds; 0 as long as nothing was observed, and again long after.
    pub fn at(&self, now: u32) -> f32 {
        let (value, at) = unpack(self.0.load(Relaxed));
        if value == 0.0 {
            return 0.0;
        }
        value * decay(at, now)
    }
}

/// What is left at `now` of something seen at `then`.
fn decay(then: u32, now: u32) -> f32 {
    if !is_before(then, now) {
        return 1.0;
    }
    let elapsed = Duration::from_millis(now.wrapping_sub(then).into());
    (-elapsed.as_secs_f32() / DECAY.as_secs_f32()).exp()
}

/// Whether `then` lies before `now` on a clock that wraps after 49 days. Threads note answers a moment out of order; what
/// lies further ahead is long past.
fn is_before(then: u32, now: u32) -> bool {
    const MOMENT_MS: u32 = 60_000;
    then.wrapping_sub(now) > MOMENT_MS
}

fn pack(seconds: f32, at: u32) -> u64 {
    u64::from(seconds.to_bits()) << 32 | u64::from(at)
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 1e-3 * a.abs().max(b.abs()).max(1e-6)
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_time() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.at(0), 0.0);
        ewma.observe(0.003, 10);
        ewma.observe(0.2, 20);
        assert_eq!(ewma.at(20), 0.2);
        assert!(close(ewma.at(1_520), 0.2 / std::f32::consts::E));
        assert!(ewma.at(8_020) < 0.001, "asked again within ten seconds");
    }

    #[test]
    fn a_quick_answer_counts_by_the_time_since_the_last() {
        let ewma = PeakEwma::default();
        ewma.observe(0.2, 0);
        ewma.observe(0.01, 1);
        assert!(ewma.at(1) > 0.19, "one of many");
        ewma.observe(0.01, 20_000);
        assert!(close(ewma.at(20_000), 0.01), "the first after long");
    }

    #[test]
    fn the_clock_may_wrap_and_answers_may_be_noted_out_of_order() {
        let ewma = PeakEwma::default();
        ewma.observe(0.1, u32::MAX - 999);
        assert!(close(ewma.at(500), 0.1 / std::f32::consts::E));
        ewma.observe(0.05, u32::MAX - 1_500);
        assert_eq!(ewma.at(u32::MAX - 999), 0.1);
        let a_month = 30 * 24 * 3_600_000;
        assert!(ewma.at(a_month) < 1e-6, "forgotten after a month");
        ewma.observe(0.003, a_month);
        assert!(close(ewma.at(a_month), 0.003));
    }

    proptest! {
        #[test]
        fn it_stays_between_nothing_and_the_slowest_answer_and_only_falls_by_itself(
            answers in prop::collection::vec((0.0f32..30.0, 0u32..5_000), 1..50),
            start: u32,
        ) {
            let ewma = PeakEwma::default();
            let (mut now, mut slowest) = (start, 0.0f32);
            for (seconds, pause) in answers {
                now = now.wrapping_add(pause);
                ewma.observe(seconds, now);
                slowest = slowest.max(seconds);
                let value = ewma.at(now);
                prop_assert!(value >= seconds && value <= slowest * 1.001, "{value}");
                prop_assert!(ewma.at(now.wrapping_add(100)) <= value);
            }
        }
    }
}
