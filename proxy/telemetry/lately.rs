//! Why answers were lately not stored, for who asks about one URL.
//!
//! A table of a fixed size: a hash has one place, and who comes later takes it. A reason can be forgotten, and of two
//! hashes that agree in what is kept (one pair in 2^56) one can be told the other's; nothing is decided by it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::base::cached::Why;

/// Places: 64 KiB.
const PLACES: usize = 8_192;
/// Bits of a place that hold the reason; the others hold what is left of the hash.
const REASON: u64 = 0xff;

/// The last reasons.
#[derive(Debug)]
pub struct Lately(Box<[AtomicU64]>);

impl Default for Lately {
    fn default() -> Self {
        Lately((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Lately {
    /// An answer to what has this hash was not stored.
    pub fn note(&self, hash: u64, why: Why) {
        // Counted from one: nothing was noted where there is nothing.
        let reason = why as u64 + 1;
        self.place(hash).store(hash & !REASON | reason, Relaxed);
    }

    /// It was stored.
    pub fn forget(&self, hash: u64) {
        let place = self.place(hash);
        if place.load(Relaxed) & !REASON == hash & !REASON {
            place.store(0, Relaxed);
        }
    }

    /// Why the last answer was not stored, if that is known.
    pub fn of(&self, hash: u64) -> Option<Why> {
        let noted = self.place(hash).load(Relaxed);
        if noted & !REASON != hash & !REASON {
            return None;
        }
        let at = usize::try_from(noted & REASON).ok()?.checked_sub(1)?;
        Why::ALL.get(at).copied()
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        // The low bits, which are not kept otherwise, and some that are.
        &self.0[hash as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_told_until_it_is_stored() {
        let lately = Lately::default();
        assert_eq!(lately.of(0), None);
        for why in Why::ALL {
            lately.note(0x1234_5678, *why);
            assert_eq!(lately.of(0x1234_5678), Some(*why));
        }
        assert_eq!(
            lately.of(0x1_1234_5678),
            None,
            "its neighbour has no reason"
        );
        lately.forget(0x1234_5678);
        assert_eq!(lately.of(0x1234_5678), None);
    }

    #[test]
    fn who_comes_later_takes_the_place() {
        let lately = Lately::default();
        let (first, second) = (0x10_0000, 0x20_0000);
        lately.note(first, Why::Private);
        lately.note(second, Why::NoStore);
        assert_eq!(
            (lately.of(first), lately.of(second)),
            (None, Some(Why::NoStore))
        );
        lately.forget(first);
        assert_eq!(lately.of(second), Some(Why::NoStore), "it is not theirs");
    }
}
