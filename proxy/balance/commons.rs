//! What the nodes of an upstream share across generations.
//!
//! A reload builds new pools; what was counted and who waits stays here. Found again by the upstream's name.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use parking_lot::Mutex;

use super::queue::Queue;
use crate::base::budget::Budget;
use crate::base::quantile::Quantiles;

/// What the nodes of an upstream share across generations.
#[derive(Debug)]
pub struct Commons {
    /// How many requests may be sent again.
    pub budget: Budget,
    /// How long answers took to begin, where that is asked.
    pub answers: Quantiles,
    /// Who waits for a node.
    pub queue: Arc<Queue>,
    /// Held while a node is rested, so that two at once do not pass the cap.
    pub(super) ejecting: Mutex<()>,
    /// Whether health was ignored when it was last looked, to tell it once.
    pub(super) fails_open: AtomicBool,
    born: Instant,
}

impl Commons {
    /// Nothing counted, nobody waiting.
    pub fn new(now: Instant) -> Self {
        Commons {
            budget: Budget::default(),
            answers: Quantiles::default(),
            queue: Arc::default(),
            ejecting: Mutex::default(),
            fails_open: AtomicBool::default(),
            born: now,
        }
    }

    /// The clock of the upstream: milliseconds since it was first named.
    pub fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_millis() as u64
    }
}
