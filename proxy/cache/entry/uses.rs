//! How often an answer still has to be used before other proxies are given it.
//!
//! Costs a hit nothing but a look once there were enough: a number that nobody writes any more.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Uses that an answer waits for; none at first.
#[derive(Debug, Default)]
pub(in crate::cache) struct Uses(AtomicU32);

impl Uses {
    /// It waits for so many.
    pub(super) fn wait_for(&self, uses: u32) {
        self.0.store(uses, Relaxed);
    }

    /// How many are to come.
    pub(super) fn left(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// There is one more. `true`, once: that was the last.
    pub(super) fn is_due(&self) -> bool {
        if self.left() == 0 {
            return false;
        }
        let fewer = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, fewer) == Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_with_the_last_use_that_it_waits_for_and_never_again() {
        let uses = Uses::default();
        assert!(!uses.is_due(), "it waits for none");
        uses.wait_for(2);
        let due: Vec<bool> = (0..5).map(|_| uses.is_due()).collect();
        assert_eq!(due, [false, true, false, false, false]);
        assert_eq!(uses.left(), 0);
    }
}
