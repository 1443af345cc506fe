//! What went well and what failed in the last seconds.
//!
//! Two counts over a sliding time, in slices, so that what is old falls out a tenth at a time instead of all at once.
//! Without a lock: every answer of a node is noted here, by all threads. Never reads the clock: the caller says when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Slices of a window.
const SLICES: u64 = 10;
/// Bits of each count in a slice: four million, in a tenth of the window.
const COUNT: u32 = 22;
const MASK: u64 = (1 << COUNT) - 1;
/// Counting ends below what fits, so that threads that add at the same moment never carry over.
const MOST: u64 = MASK - (1 << 16);

/// Counts over a sliding time.
#[derive(Debug, Default)]
pub struct Window {
    /// Milliseconds that a slice is long.
    slice: AtomicU32,
    /// Each: which slice of time it is (20 bits), what went well, what failed (22 bits each).
    slices: [AtomicU64; SLICES as usize],
}

/// What a window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// What went well.
    pub well: u64,
    /// What failed.
    pub failed: u64,
}

impl Counts {
    /// Both together.
    pub fn all(self) -> u64 {
        self.well + self.failed
    }

    /// Whether at least `share` (in hundredths) of it failed.
    pub fn failed_share_is_at_least(self, share: u32) -> bool {
        self.failed * 100 >= self.all() * u64::from(share)
    }
}

impl Window {
    /// A window over `length`.
    pub fn over(length: Duration) -> Self {
        let window = Window::default();
        window.set_length(length);
        window
    }

    /// From now on the window is so long. Another length forgets what was counted.
    pub fn set_length(&self, length: Duration) {
        let slice = u32::try_from(length.as_millis() / u128::from(SLICES)).unwrap_or(u32::MAX);
        let slice = slice.max(1);
        // Looked at before it is written: every answer of a node comes by here.
        if self.slice.load(Relaxed) != slice && self.slice.swap(slice, Relaxed) != slice {
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for slice in &self.slices {
            slice.store(0, Relaxed);
        }
    }

    /// Notes one event at `now`, in milliseconds of the caller's clock.
    pub fn note(&self, failed: bool, now: u64) {
        let tag = self.tag(now);
        let one = if failed { 1 } else { 1 << COUNT };
        let slice = &self.slices[(tag % SLICES) as usize];
        let mut old = slice.load(Relaxed);
        loop {
            let (is, counts) = apart(old);
            if is == tag_bits(tag) {
                if counts.well < MOST && counts.failed < MOST {
                    slice.fetch_add(one, Relaxed); // no loop: many threads come by here
                }
                return;
            }
            let first = (tag_bits(tag) << (2 * COUNT)) | one;
            match slice.compare_exchange(old, first, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// What was noted within the window that ends `now`.
    pub fn counts(&self, now: u64) -> Counts {
        let tag = self.tag(now);
        let recent = |of: u64| (0..SLICES.min(tag + 1)).any(|back| tag_bits(tag - back) == of);
        let slices = self.slices.iter().map(|slice| apart(slice.load(Relaxed)));
        slices
            .filter(|(of, _)| recent(*of))
            .fold(Counts::default(), |sum, (_, counts)| Counts {
                well: sum.well + counts.well,
                failed: sum.failed + counts.failed,
            })
    }

    /// Which slice of time `now` lies in. The first is 1: an empty slice belongs to no time.
    fn tag(&self, now: u64) -> u64 {
        now / u64::from(self.slice.load(Relaxed).max(1)) + 1
    }
}

fn tag_bits(tag: u64) -> u64 {
    tag & ((1 << (64 - 2 * COUNT)) - 1)
}

fn apart(slice: u64) -> (u64, Counts) {
    let counts = Counts {
        well: (slice >> COUNT) & MASK,
        failed: slice & MASK,
    };
    (slice >> (2 * COUNT), counts)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let window = Window::over(Duration::from_secs(10));
        window.note(true, 0);
        window.note(false, 500);
        window.note(true, 9_999);
        assert_eq!(window.counts(9_999), Counts { well: 1, failed: 2 });
        assert_eq!(window.counts(10_000), Counts { well: 0, failed: 1 });
        assert_eq!(window.counts(60_000), Counts::default());
    }

    #[test]
    fn another_length_begins_anew_and_the_same_does_not() {
        let window = Window::over(Duration::from_secs(10));
        window.note(true, 0);
        window.set_length(Duration::from_secs(10));
        assert_eq!(window.counts(0).failed, 1);
        window.set_length(Duration::from_secs(20));
        assert_eq!(window.counts(0).failed, 0);
    }

    #[test]
    fn shares_are_compared_exactly() {
        let counts = Counts { well: 2, failed: 1 };
        assert!(counts.failed_share_is_at_least(33));
        assert!(!counts.failed_share_is_at_least(34));
    }

    #[test]
    fn threads_that_note_at_once_lose_nothing() {
        let window = Window::over(Duration::from_secs(10));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let window = &window;
                scope.spawn(move || {
                    for n in 0..1_000 {
                        window.note(thread % 2 == 0, 5_000 + n % 3);
                    }
                });
            }
        });
        let (well, failed) = (4_000, 4_000);
        assert_eq!(window.counts(5_003), Counts { well, failed });
    }

    proptest! {
        #[test]
        fn it_counts_like_a_list_of_slices(
            events in prop::collection::vec((any::<bool>(), 0u64..3_000), 0..200),
        ) {
            let window = Window::over(Duration::from_secs(10));
            let (mut now, mut list) = (0, VecDeque::new());
            for (failed, pause) in events {
                now += pause;
                window.note(failed, now);
                list.push_back((now / 1_000, failed));
                list.retain(|(slice, _)| slice + 10 > now / 1_000);
                let failed = list.iter().filter(|(_, failed)| *failed).count() as u64;
                let well = list.len() as u64 - failed;
                prop_assert_eq!(window.counts(now), Counts { well, failed });
            }
        }
    }
}
