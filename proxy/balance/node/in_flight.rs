//! A request in flight on a node, counted as long as it lives.
//!
//! A guard: whatever becomes of the request (answered, cut, panicked), its drop counts it out, lets the next one try a
//! node whose breaker is half open, and calls who waits for a place. Never counts twice.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::Node;
use crate::balance::queue::Queue;

/// A request in flight on a node; counted out when dropped.
#[derive(Debug)]
pub struct InFlight {
    node: Arc<Node>,
    /// It tries a node whose breaker is half open, and has no answer yet.
    trial: AtomicBool,
    /// It has become a tunnel.
    tunnel: AtomicBool,
    /// Who waits for a place, where places are counted.
    queue: Option<Arc<Queue>>,
}

impl InFlight {
    /// The node it is on.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether it tries a node whose breaker is half open.
    pub fn is_trial(&self) -> bool {
        self.trial.load(Relaxed)
    }

    /// It has an answer, good or bad: others may try the node, however long the rest of the answer takes.
    pub fn is_judged(&self) {
        if self.trial.swap(false, Relaxed) {
            self.node.breaker.tried();
        }
    }

    /// From now on it is a tunnel.
    pub fn is_tunnel(&self) {
        if !self.tunnel.swap(true, Relaxed) {
            self.node.tunnels.fetch_add(1, Relaxed);
        }
    }

    /// When it is over, `queue` is told that there is a place.
    pub fn with_queue(mut self, queue: Arc<Queue>) -> Self {
        self.queue = Some(queue);
        self
    }
}

impl Node {
    /// Counts a request in; it is counted out when the guard drops, whatever happened to it.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, SeqCst);
        self.guard(false)
    }

    /// The same, unless `most` are in flight already.
    pub fn begin_within(self: &Arc<Self>, most: u32) -> Option<InFlight> {
        let one_more = |n: usize| (n < most as usize).then_some(n + 1);
        let begun = self.in_flight.fetch_update(SeqCst, SeqCst, one_more);
        begun.is_ok().then(|| self.guard(false))
    }

    fn guard(self: &Arc<Self>, trial: bool) -> InFlight {
        InFlight {
            node: self.clone(),
            trial: AtomicBool::new(trial),
            tunnel: AtomicBool::new(false),
            queue: None,
        }
    }
}

impl InFlight {
    /// It tries a node whose breaker is half open: `Breaker::begin` has said so.
    pub(in crate::balance) fn into_trial(self) -> Self {
        self.trial.store(true, Relaxed);
        self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.is_judged();
        if *self.tunnel.get_mut() {
            self.node.tunnels.fetch_sub(1, Relaxed);
        }
        // In one order with the queue's own: else a place and who waits for it could miss each other.
        self.node.in_flight.fetch_sub(1, SeqCst);
        if let Some(queue) = &self.queue {
            queue.has_room();
        }
    }
}
