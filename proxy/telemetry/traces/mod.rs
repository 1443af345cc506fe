//! Finished requests on their way to who collects traces: as spans, in a line with a bound.
//!
//! A request that is recorded puts its span into the line and is done; one that finds it full is counted and forgotten.
//! A thread of its own takes spans out, many at a time (`jobs/traces`). Nothing here waits for a collector.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Spans as collectors read them.
#[cfg(feature = "otlp")]
pub mod otlp;
/// One of them.
mod span;

pub use span::{Event, Recording, Span};

/// Spans that go together, at the most.
pub const BATCH: usize = 512;

/// Spans that wait for the collector.
#[derive(Debug, Default)]
pub struct Spans {
    line: Mutex<Line>,
    /// There are spans where there were none, or enough for a batch; or somebody wants all of them gone.
    called: Condvar,
    /// All that waited when a flush was asked for is gone.
    gone: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Span>,
    /// Spans that were taken and not yet done with.
    taken: usize,
    /// No more come: what waits goes at once, and nothing is tried for long.
    hurry: bool,
}

impl Spans {
    /// Puts a span into the line, in which `most` may wait. `false`: there is no room.
    pub fn put(&self, span: Span, most: usize) -> bool {
        let mut line = self.line.lock();
        if line.waiting.len() >= most {
            return false;
        }
        line.waiting.push_back(span);
        let waiting = line.waiting.len();
        drop(line);
        if waiting == 1 || waiting == BATCH {
            self.called.notify_one();
        }
        true
    }

    /// Waits for spans, gathers them for `gather` or until there are enough, and takes what there is, up to [`BATCH`].
    /// Whoever takes says when it is [`done`](Spans::done) with them.
    pub fn take(&self, gather: Duration) -> Vec<Span> {
        let mut line = self.line.lock();
        self.called
            .wait_while(&mut line, |line| line.waiting.is_empty());
        let few = |line: &mut Line| line.waiting.len() < BATCH && !line.hurry;
        self.called.wait_while_for(&mut line, few, gather);
        let most = line.waiting.len().min(BATCH);
        line.taken = most;
        line.waiting.drain(..most).collect()
    }

    /// What was taken last is sent, or given up.
    pub fn done(&self) {
        let mut line = self.line.lock();
        line.taken = 0;
        if line.waiting.is_empty() {
            self.gone.notify_all();
        }
    }

    /// Pauses for so long, unless the end is near. `true`: it is.
    pub fn pause(&self, pause: Duration) -> bool {
        let mut line = self.line.lock();
        self.called
            .wait_while_for(&mut line, |line| !line.hurry, pause);
        line.hurry
    }

    /// The process ends: waits until what is in the line is gone, but no longer than `patience`. How many are left.
    pub fn flush(&self, patience: Duration) -> usize {
        let mut line = self.line.lock();
        line.hurry = true;
        self.called.notify_all();
        let some = |line: &mut Line| line.taken > 0 || !line.waiting.is_empty();
        self.gone.wait_while_for(&mut line, some, patience);
        line.taken + line.waiting.len()
    }
}

#[cfg(test)]
mod tests;
