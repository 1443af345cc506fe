//! The one place where the generation in use is held.
//!
//! A request loads it once and keeps what it loaded. Nothing else in the program swaps anything.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::snapshot::Snapshot;

/// The generation in use.
#[derive(Debug)]
pub struct Hold(ArcSwap<Snapshot>);

impl Hold {
    /// Holds the first generation.
    pub fn new(first: Snapshot) -> Self {
        Hold(ArcSwap::from_pointee(first))
    }

    /// The generation in use now. Never waits.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// The generation in use now, for a moment: held across an await it would slow down whoever swaps.
    pub fn borrow(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// One look at the generation in use, without taking it along.
    pub fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.0.load())
    }

    /// From now on, requests see `next`. Those that loaded the old one keep it until they end.
    pub(super) fn swap(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }
}
