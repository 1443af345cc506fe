//! How long most of the recent answers took.
//!
//! Counts by size, a fifth apart, over the last ten to twenty seconds: two rounds that take turns, so that what is old
//! falls away. Without a lock; a number that is noted while a round begins may be lost. Never reads the clock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Sizes: the n-th reaches to 1.2^n times ten microseconds; the last beyond a minute.
const SIZES: usize = 96;
const GROWTH: f64 = 1.2;
const SMALLEST: f64 = 10e-6;
/// Milliseconds of a round.
const ROUND: u64 = 10_000;
/// Milliseconds for which an answer is good enough.
const MOMENT: u64 = 100;
/// Of fewer answers nothing is said.
const ENOUGH: u32 = 20;

/// Recent answers by the time they took.
#[derive(Debug)]
pub struct Quantiles {
    /// Which round each half counts.
    rounds: [AtomicU64; 2],
    counts: [[AtomicU32; SIZES]; 2],
    /// What was said last: in which moment (32 bits), and how long in microseconds (32 bits, 0 for nothing).
    said: AtomicU64,
    /// Of which share.
    said_of: AtomicU32,
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles {
            rounds: Default::default(),
            said: AtomicU64::new(0),
            said_of: AtomicU32::new(0),
            counts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
        }
    }
}

impl Quantiles {
    /// Notes an answer at `now`, in milliseconds of the caller's clock.
    pub fn note(&self, took: Duration, now: u64) {
        let round = now / ROUND + 1;
        let half = (round % 2) as usize;
        if self.rounds[half].load(Relaxed) != round
            && self.rounds[half].swap(round, Relaxed) != round
        {
            self.counts[half].iter().for_each(|n| n.store(0, Relaxed));
        }
        self.counts[half][size(took)].fetch_add(1, Relaxed);
    }

    /// The same as [`Quantiles::of`], worked out once in a tenth of a second: for who asks with every request.
    pub fn lately(&self, share: u32, now: u64) -> Option<Duration> {
        let moment = (now / MOMENT + 1) & u64::from(u32::MAX);
        let said = self.said.load(Relaxed);
        let mut micros = said & u64::from(u32::MAX);
        if said >> 32 != moment || self.said_of.load(Relaxed) != share {
            let long = self.of(share, now).unwrap_or_default().as_micros();
            micros = u64::try_from(long)
                .unwrap_or(u64::MAX)
                .min(u64::from(u32::MAX));
            self.said_of.store(share, Relaxed);
            self.said.store((moment << 32) | micros, Relaxed);
        }
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// As long as `share` hundredths of the recent answers took at most, give or take a fifth; `None` when there were
    /// too few.
    pub fn of(&self, share: u32, now: u64) -> Option<Duration> {
        let round = now / ROUND + 1;
        let recent = |half: &usize| self.rounds[*half].load(Relaxed) + 1 >= round;
        let halves: Vec<usize> = (0..2).filter(recent).collect();
        let count = |size: usize| -> u64 {
            let of = |half: &usize| u64::from(self.counts[*half][size].load(Relaxed));
            halves.iter().map(of).sum()
        };
        let all: u64 = (0..SIZES).map(count).sum();
        if all < u64::from(ENOUGH) {
            return None;
        }
        let wanted = (all * u64::from(share)).div_ceil(100);
        let mut seen = 0;
        let at = (0..SIZES).find(|size| {
            seen += count(*size);
            seen >= wanted
        });
        at.map(|size| Duration::from_secs_f64(SMALLEST * GROWTH.powi(size as i32)))
    }
}

/// The size of an answer.
fn size(took: Duration) -> usize {
    let steps = (took.as_secs_f64() / SMALLEST).max(1.0).ln() / GROWTH.ln();
    (steps.ceil() as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_answers_took_no_longer_than_it_says_give_or_take_a_fifth() {
        let quantiles = Quantiles::default();
        for ms in 1..=100 {
            quantiles.note(Duration::from_millis(ms), 5_000);
        }
        for share in [50, 95, 99] {
            let exact = f64::from(share) / 1_000.0;
            let said = quantiles.of(share, 5_000).unwrap().as_secs_f64();
            assert!((exact..exact * 1.2).contains(&said), "{share}: {said}");
        }
    }

    #[test]
    fn what_was_said_holds_for_a_moment() {
        let quantiles = Quantiles::default();
        assert_eq!(quantiles.lately(50, 0), None);
        for _ in 0..ENOUGH {
            quantiles.note(Duration::from_millis(8), 0);
        }
        assert_eq!(quantiles.lately(50, 99), None);
        let said = quantiles.lately(50, 100);
        assert_eq!(
            said.map(|d| d.as_millis()),
            quantiles.of(50, 100).map(|d| d.as_millis())
        );
        for _ in 0..10 * ENOUGH {
            quantiles.note(Duration::from_secs(1), 150);
        }
        assert_eq!(quantiles.lately(50, 199), said);
        assert!(quantiles.lately(50, 200) > said);
        assert!(
            quantiles.lately(5, 250) < quantiles.lately(50, 250),
            "of another share"
        );
    }

    #[test]
    fn few_and_old_answers_say_nothing() {
        let quantiles = Quantiles::default();
        for _ in 0..ENOUGH {
            assert_eq!(quantiles.of(50, 0), None);
            quantiles.note(Duration::from_secs(1), 0);
        }
        assert!(quantiles.of(50, 0).is_some());
        assert!(quantiles.of(50, 19_999).is_some());
        assert_eq!(quantiles.of(50, 20_000), None);
        quantiles.note(Duration::from_secs(500), 20_000);
        assert_eq!(quantiles.of(50, 20_000), None, "one alone");
    }
}
