//! How quickly Redis answered of late: a minute, read from what is counted anyway.
//!
//! Looks at what requests wait for and at the probes, so that there is something to say while nobody asks. What is
//! written behind the requests may take its time and counts for nothing here.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;

use super::stats::{BUCKETS, Op, Stats};

/// Seconds looked back.
const SECONDS: usize = 60;
/// What somebody waits for.
const WAITED_FOR: [Op; 5] = [Op::Read, Op::Lease, Op::Session, Op::Rate, Op::Probe];

/// Round trips by how long they took, since the start.
type Counts = [u64; BUCKETS.len() + 1];

/// How long most round trips of the last minute took. Between two bounds of [`BUCKETS`] they are taken to lie evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

/// What was counted at the end of each of the last seconds, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Counts>>);

impl Recent {
    /// A second is over.
    pub(super) fn note(&self, stats: &Stats) {
        let mut seconds = self.0.lock();
        if seconds.len() == SECONDS {
            seconds.pop_front();
        }
        seconds.push_back(counts(stats));
    }

    /// How quickly it answered since the oldest of them; `None`: it did not.
    pub(super) fn latency(&self, stats: &Stats) -> Option<Latency> {
        let before = self.0.lock().front().copied().unwrap_or_default();
        let mut came = counts(stats);
        for (now, before) in came.iter_mut().zip(before) {
            *now = now.saturating_sub(before);
        }
        Some(Latency {
            p50: quantile(&came, 0.5)?,
            p99: quantile(&came, 0.99)?,
        })
    }
}

fn counts(stats: &Stats) -> Counts {
    let mut counts = Counts::default();
    for op in WAITED_FOR {
        for (sum, n) in counts.iter_mut().zip(&stats.of(op).buckets) {
            *sum += n.load(Relaxed);
        }
    }
    counts
}

/// How long this share of them took at the most; what is beyond the last bound took as long as that.
fn quantile(counts: &Counts, share: f64) -> Option<Duration> {
    let all: u64 = counts.iter().sum();
    let wanted = share * all as f64;
    let mut below = 0.0;
    for (at, n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
        let n = *n as f64;
        if below + n >= wanted {
            let Some(to) = BUCKETS.get(at) else { break };
            let from = at.checked_sub(1).map_or(0, |at| BUCKETS[at]);
            let part = (wanted - below) / n * (to - from) as f64;
            return Some(Duration::from_micros(from + part as u64));
        }
        below += n;
    }
    (all > 0).then(|| Duration::from_micros(BUCKETS[BUCKETS.len() - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(stats: &Stats, op: Op, micros: u64, times: u64) {
        let at = BUCKETS.partition_point(|bound| *bound < micros);
        stats.of(op).buckets[at].fetch_add(times, Relaxed);
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(Recent::default().latency(&Stats::default()), None);
    }

    #[test]
    fn it_says_how_long_most_took_between_two_bounds() {
        let (recent, stats) = (Recent::default(), Stats::default());
        took(&stats, Op::Read, 200, 98);
        took(&stats, Op::Rate, 40_000, 2);
        let told = recent.latency(&stats).unwrap();
        assert!((100..250).contains(&told.p50.as_micros()), "{told:?}");
        assert!(
            (25_000..=50_000).contains(&told.p99.as_micros()),
            "{told:?}"
        );
    }

    #[test]
    fn what_is_beyond_the_last_bound_took_at_least_as_long() {
        let (recent, stats) = (Recent::default(), Stats::default());
        took(&stats, Op::Probe, 9_000_000, 1);
        assert_eq!(recent.latency(&stats).unwrap().p50, Duration::from_secs(1));
    }

    #[test]
    fn a_minute_later_it_is_forgotten_and_writes_never_count() {
        let (recent, stats) = (Recent::default(), Stats::default());
        took(&stats, Op::Read, 900_000, 5);
        took(&stats, Op::Write, 900_000, 500);
        (0..SECONDS).for_each(|_| recent.note(&stats));
        assert_eq!(recent.latency(&stats), None);
        took(&stats, Op::Read, 50, 1);
        recent.note(&stats);
        assert!(recent.latency(&stats).unwrap().p99 <= Duration::from_micros(100));
        assert_eq!(recent.0.lock().len(), SECONDS);
    }
}
