//! How busy the thread is that asks: what is compressed there keeps everything else on it waiting.
//!
//! Time in which the thread could have run and was not let counts as busy: on a machine that others use too it is no
//! less late. Never asks the system more than ten times a second.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a figure holds.
const HOLDS: Duration = Duration::from_millis(100);

thread_local! {
    static LAST: Cell<Option<Sample>> = const { Cell::new(None) };
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Time the thread has run or waited to run, since it began.
    ran: Duration,
    /// Hundredths, between this sample and the one before.
    busy: u32,
}

/// Hundredths of the last moments that this thread was busy. Where the system does not say: 0.
pub fn busy(now: Instant) -> u32 {
    LAST.with(|cell| {
        let last = cell.get();
        if let Some(last) = last.filter(|last| now.duration_since(last.at) < HOLDS) {
            return last.busy;
        }
        let Some(ran) = ran() else { return 0 };
        let busy = last.map_or(0, |last| {
            share(
                ran.saturating_sub(last.ran),
                now.saturating_duration_since(last.at),
            )
        });
        cell.set(Some(Sample { at: now, ran, busy }));
        busy
    })
}

/// One time in hundredths of another.
fn share(part: Duration, whole: Duration) -> u32 {
    let hundredths = part.as_nanos() * 100 / whole.as_nanos().max(1);
    u32::try_from(hundredths.min(100)).unwrap_or(100)
}

/// Time this thread has run or waited to run.
fn ran() -> Option<Duration> {
    // Linux alone says so: time on a processor, time waited for one, both in nanoseconds.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_ascii_whitespace();
    let (on, waited): (u64, u64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Duration::from_nanos(on.saturating_add(waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_hundredths_and_never_more_than_all() {
        let ms = Duration::from_millis;
        assert_eq!(share(ms(25), ms(100)), 25);
        assert_eq!(share(ms(300), ms(100)), 100);
        assert_eq!(share(ms(0), ms(0)), 0);
    }

    #[test]
    fn a_thread_that_does_nothing_but_work_is_busy() {
        let begun = Instant::now();
        busy(begun);
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(150) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let busy = busy(Instant::now());
        assert!(busy >= 80 || ran().is_none(), "{busy}");
    }
}
