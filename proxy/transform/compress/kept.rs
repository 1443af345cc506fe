//! Contexts that a thread keeps for its next body.
//!
//! Never more than a few, and never large ones: what is kept is memory that nobody else has.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Contexts of one kind; as many bodies as one thread writes at a time, most of the time.
const MOST: usize = 4;

/// The contexts of a thread.
pub(super) struct Kept<T>(RefCell<Vec<T>>);

impl<T> Kept<T> {
    /// None yet.
    pub(super) const fn new() -> Self {
        Kept(RefCell::new(Vec::new()))
    }
}

/// One that fits, if this thread has any.
pub(super) fn take<T>(kept: &'static LocalKey<Kept<T>>, fits: impl Fn(&T) -> bool) -> Option<T> {
    // A thread that ends has none any more.
    let taken = kept.try_with(|kept| {
        let mut kept = kept.0.borrow_mut();
        let at = kept.iter().rposition(fits)?;
        Some(kept.remove(at))
    });
    taken.ok().flatten()
}

/// Keeps one, in place of the oldest if there are enough.
pub(super) fn give<T>(kept: &'static LocalKey<Kept<T>>, context: T) {
    let given = kept.try_with(|kept| {
        let mut kept = kept.0.borrow_mut();
        let oldest = (kept.len() == MOST).then(|| kept.remove(0));
        kept.push(context);
        oldest
    });
    drop(given);
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NUMBERS: Kept<usize> = const { Kept::new() };
    }

    #[test]
    fn a_thread_keeps_a_few_and_forgets_the_oldest() {
        assert_eq!(take(&NUMBERS, |_| true), None);
        (0..10).for_each(|n| give(&NUMBERS, n));
        assert_eq!(take(&NUMBERS, |n| *n < 6), None);
        assert_eq!(take(&NUMBERS, |n| *n == 7), Some(7));
        let rest: Vec<_> = std::iter::from_fn(|| take(&NUMBERS, |_| true)).collect();
        assert_eq!(rest, [9, 8, 6]);
    }
}
