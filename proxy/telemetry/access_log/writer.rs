//! The thread that writes the access log, and what others want of it.
//!
//! It goes round every `GATHER` while there is something to write, and otherwise sleeps until somebody says that there
//! is. Who asks for something never waits for the disk, but for a flush, and for that not long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use super::buffers::{Buffers, Spares};
use super::sink::{Lost, Sink};

/// How long a flush at the end of the process may take before it is given up.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(10);

/// What the threads that tell have in common with the one that writes.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) buffers: Buffers,
    wishes: Mutex<Wishes>,
    /// A wish, or a line for a writer that sleeps.
    called: Condvar,
    /// A flush is done.
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct Wishes {
    /// The writer sleeps, or is about to: whoever tells the first line wakes it.
    asleep: bool,
    reopen: bool,
    end: bool,
    /// Flushes that were asked for, and those that are done.
    flushes: u64,
    flushed: u64,
    /// How often the writer went round.
    #[cfg(test)]
    rounds: u64,
}

impl Wishes {
    fn any(&self) -> bool {
        self.reopen || self.end || self.flushes != self.flushed
    }
}

impl Desk {
    /// Says that a line waits where none did. Whether the writer had to be woken.
    pub(super) fn line_waits(&self) -> bool {
        let asleep = std::mem::take(&mut self.wishes.lock().asleep);
        if asleep {
            self.called.notify_one();
        }
        asleep
    }

    /// Wants the file opened anew.
    pub(super) fn reopen(&self) {
        self.wishes.lock().reopen = true;
        self.called.notify_one();
    }

    /// Wants the writer to end, once all that waits is written.
    pub(super) fn end(&self) {
        self.wishes.lock().end = true;
        self.called.notify_one();
    }

    /// Waits until everything that waits now is written, but no longer than `FLUSH_PATIENCE`.
    pub(super) fn flush(&self) {
        let mut wishes = self.wishes.lock();
        wishes.flushes += 1;
        let mine = wishes.flushes;
        self.called.notify_one();
        let not_yet = |wishes: &mut Wishes| wishes.flushed < mine;
        self.flushed
            .wait_while_for(&mut wishes, not_yet, FLUSH_PATIENCE);
    }

    /// Writes what is told until the end is wanted.
    pub(super) fn write(self: Arc<Self>, mut sink: Sink, dropped: &IntCounter) {
        let mut spares = Spares::default();
        let mut complained = false;
        loop {
            let (reopen, end, flushes) = self.wanted();
            if reopen {
                sink.reopen();
            }
            let mut failed = None;
            let any = self.buffers.take_all(&mut spares, |lines| {
                if let Err(Lost { lines, error }) = sink.put(lines) {
                    dropped.inc_by(lines);
                    failed = Some(error);
                }
            });
            if any {
                complain(failed, &mut complained);
            }
            self.done(flushes);
            if end {
                return;
            }
            if !any {
                self.sleep();
            }
            self.gather();
        }
    }

    /// What is wanted of this round. Lines that were told before a wish was made are part of it.
    fn wanted(&self) -> (bool, bool, u64) {
        let mut wishes = self.wishes.lock();
        #[cfg(test)]
        {
            wishes.rounds += 1;
        }
        (
            std::mem::take(&mut wishes.reopen),
            wishes.end,
            wishes.flushes,
        )
    }

    fn done(&self, flushes: u64) {
        let mut wishes = self.wishes.lock();
        if wishes.flushed != flushes {
            wishes.flushed = flushes;
            self.flushed.notify_all();
        }
    }

    /// Waits until somebody wants something or tells a line.
    fn sleep(&self) {
        self.wishes.lock().asleep = true;
        // Looked at after the word is out, through the shards' locks: who tells a first line later sees that word.
        let empty = self.buffers.are_empty();
        let mut wishes = self.wishes.lock();
        if empty {
            let idle = |wishes: &mut Wishes| wishes.asleep && !wishes.any();
            self.called.wait_while(&mut wishes, idle);
        }
        wishes.asleep = false;
    }

    /// Waits for more lines: one write for many. A wish does not wait.
    fn gather(&self) {
        let mut wishes = self.wishes.lock();
        self.called
            .wait_while_for(&mut wishes, |wishes| !wishes.any(), GATHER);
    }

    /// Whether the writer sleeps, and how often it went round.
    #[cfg(test)]
    pub(super) fn rest(&self) -> (bool, u64) {
        let wishes = self.wishes.lock();
        (wishes.asleep, wishes.rounds)
    }
}

/// Says once that lines are lost, until some are written again.
fn complain(failed: Option<std::io::Error>, complained: &mut bool) {
    match failed {
        None => *complained = false,
        Some(e) if !std::mem::replace(complained, true) => {
            tracing::error!("access log: cannot write: {e}; lines are lost until it works again");
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests;
