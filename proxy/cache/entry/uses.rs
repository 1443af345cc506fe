//! How often an answer has to be used before other proxies are given it.
//!
//! Costs a hit nothing but a look once there were enough: a number that nobody writes any more.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::cache::shared::chain::Position;

/// Counts the uses of an answer until there were enough.
#[derive(Debug)]
pub struct Admission {
    left: AtomicU32,
    /// Which purges its fetch knew of.
    pub position: Position,
}

impl Admission {
    /// So many uses are to come.
    pub fn after(uses: u32, position: Position) -> Admission {
        Admission {
            left: AtomicU32::new(uses),
            position,
        }
    }

    /// Uses that are to come; 0: there were enough.
    pub fn left(&self) -> u32 {
        self.left.load(Relaxed)
    }

    /// It is used. `true`, once: that was the last that was missing.
    pub fn is_due(&self) -> bool {
        if self.left() == 0 {
            return false;
        }
        let fewer = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Relaxed, Relaxed, fewer) == Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_with_the_last_use_that_was_missing_and_never_again() {
        let admission = Admission::after(2, Position { n: 0, uid: 0 });
        let due: Vec<bool> = (0..5).map(|_| admission.is_due()).collect();
        assert_eq!(due, [false, true, false, false, false]);
        assert_eq!(admission.left(), 0);
    }
}
