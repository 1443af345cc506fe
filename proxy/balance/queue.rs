//! Where requests wait while every node of an upstream is at its `max_conns`: first come, first served.
//!
//! Only the first in line looks for a place; the others sleep. Whoever gets one, gives up, or cannot use what is free
//! calls the next. A place
//! that becomes free while somebody lines up is never missed: both sides write before they read, in one order
//! (`SeqCst`). Bounded by its users, who say how many may wait. Never decides which node, never reads the clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The line of one upstream; it outlives generations.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicUsize,
    line: Mutex<VecDeque<Arc<Notify>>>,
}

/// A place in the line, given up when dropped.
#[derive(Debug)]
pub struct Waiting {
    queue: Arc<Queue>,
    call: Arc<Notify>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines up, unless `most` wait already.
    pub fn line_up(self: &Arc<Self>, most: usize) -> Option<Waiting> {
        let mut line = self.line.lock();
        if line.len() >= most {
            return None;
        }
        let call = Arc::new(Notify::new());
        line.push_back(call.clone());
        self.waiting.store(line.len(), SeqCst);
        // There may be room that the ones in front cannot use.
        if let Some(first) = line.front() {
            first.notify_one();
        }
        Some(Waiting {
            queue: self.clone(),
            call,
        })
    }

    /// There may be room: the first in line looks.
    pub fn has_room(&self) {
        if self.waiting.load(SeqCst) == 0 {
            return;
        }
        if let Some(first) = self.line.lock().front() {
            first.notify_one();
        }
    }
}

impl Waiting {
    /// What is free is not for this one: the next in line looks.
    pub fn passes_on(&self) {
        let line = self.queue.line.lock();
        let own = line.iter().position(|call| Arc::ptr_eq(call, &self.call));
        if let Some(next) = own.and_then(|own| line.get(own + 1)) {
            next.notify_one();
        }
    }

    /// Sleeps until it is its turn and there may be room. A call that came before is not lost.
    pub async fn called(&self) {
        self.call.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut line = self.queue.line.lock();
        let was_first = line.front().is_some_and(|c| Arc::ptr_eq(c, &self.call));
        line.retain(|call| !Arc::ptr_eq(call, &self.call));
        self.queue.waiting.store(line.len(), SeqCst);
        // There may be room for more than one, and a call to the one that left must not be lost.
        if let Some(next) = line.front().filter(|_| was_first) {
            next.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_called(waiting: &Waiting) -> bool {
        let called = pin!(waiting.called());
        called
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn first_come_first_called() {
        let queue = Arc::new(Queue::default());
        let lined: Vec<_> = (0..3).filter_map(|_| queue.line_up(3)).collect();
        assert_eq!((lined.len(), queue.len()), (3, 3));
        assert!(queue.line_up(3).is_none(), "full");
        assert!(is_called(&lined[0]), "it looks for itself first");
        assert!(!is_called(&lined[0]));
        lined[0].passes_on();
        assert!(is_called(&lined[1]), "what is free is not for the first");
        lined[2].passes_on();
        queue.has_room();
        assert!(!is_called(&lined[1]) && !is_called(&lined[2]));
        assert!(is_called(&lined[0]));
        let mut lined = lined.into_iter();
        drop(lined.next());
        let (second, third) = (lined.next().unwrap(), lined.next().unwrap());
        assert!(is_called(&second), "who leaves calls the next");
        drop(third);
        assert!(!is_called(&second), "the last one left, not the first");
        drop(second);
        assert!(queue.is_empty());
        queue.has_room();
    }

    #[test]
    fn a_call_to_one_that_gave_up_goes_to_the_next() {
        let queue = Arc::new(Queue::default());
        let (first, second) = (queue.line_up(2).unwrap(), queue.line_up(2).unwrap());
        assert!(is_called(&first));
        queue.has_room();
        drop(first);
        assert!(is_called(&second));
    }
}
