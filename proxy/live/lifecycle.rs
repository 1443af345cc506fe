//! Running, stopping, stopped: one value that everybody who must know reads.
//!
//! It only ever moves forward.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// How far the process is in its life.
#[derive(Debug)]
pub struct Lifecycle {
    started: Instant,
    stopping: AtomicBool,
}

impl Lifecycle {
    /// A process that just started.
    pub fn new(now: Instant) -> Self {
        Lifecycle {
            started: now,
            stopping: AtomicBool::new(false),
        }
    }

    /// When the process started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// From now on: not ready, and every answer closes its connection.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether the process is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}
