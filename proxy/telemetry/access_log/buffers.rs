//! Where lines wait for the writer: memory of the thread that tells them.
//!
//! A thread always has the same shard, so its lock is free and its lines stay in their order. The writer swaps a
//! shard's memory for its own empty one, and writes while the thread goes on. All memory of a log comes out of one
//! bound: a line for which there is none left is not told. Nobody holds a lock while anything is written to a disk.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::super::finished::Finished;
use super::line::{self, Second};

/// More threads than this share their shards.
const SHARDS: usize = 32;
/// Memory of a log, all in all.
const MEMORY: usize = 8 << 20;
/// What a shard may have of it: half waits while the other half is written. 13,000 usual lines, which at a round
/// every 10 ms is a million a second.
const SHARE: usize = MEMORY / 2;
/// What a shard gets at least when it needs memory, and keeps when it is quiet: 200 usual lines.
const BLOCK: usize = 64 << 10;
/// Memory of which a round fills less than this part goes back.
const WORTH_KEEPING: usize = 8;
/// Nothing that is written is kept for the same shard when less memory than this is free.
const SCARCE: usize = MEMORY / 4;

/// The number of the next thread that tells something.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Relaxed);
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It waits, behind others.
    Waits,
    /// It waits where none did: the writer may have to be woken.
    WaitsFirst,
    /// There is no room for it.
    Dropped,
}

/// The lines of all threads.
#[derive(Debug)]
pub(super) struct Buffers {
    shards: [Shard; SHARDS],
    /// Bytes of `MEMORY` that no buffer has.
    free: AtomicUsize,
}

/// Lines of one thread, or of few. Apart from the next one by the two cache lines that a processor fetches together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: Buffer,
    second: Second,
}

/// Whole lines.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    /// How much memory it was granted.
    granted: usize,
}

/// For each shard the memory that the writer gives for the one that it takes.
pub(super) type Spares = [Buffer; SHARDS];

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            shards: Default::default(),
            free: AtomicUsize::new(MEMORY),
        }
    }
}

impl Buffers {
    /// Adds the line of a request to what waits. After `WaitsFirst` the caller has to say so to the writer, who may
    /// have looked before.
    pub(super) fn tell(&self, finished: &Finished<'_>) -> Told {
        let mut waiting = self.shards[THREAD.with(|n| n % SHARDS)].0.lock();
        let Waiting { lines, second } = &mut *waiting;
        let most = line::most(finished);
        if !lines.has_room(most) && !self.grant(lines, most) {
            return Told::Dropped;
        }
        let first = lines.bytes.is_empty();
        line::write(&mut lines.bytes, second, finished);
        if first { Told::WaitsFirst } else { Told::Waits }
    }

    /// Makes room for `more` bytes: twice the memory, or as much as it must be where that is too much.
    #[cold]
    fn grant(&self, lines: &mut Buffer, more: usize) -> bool {
        let needed = (lines.bytes.len() + more).next_multiple_of(BLOCK);
        let twice = needed.max(lines.granted * 2);
        [twice, needed].into_iter().any(|size| {
            let from_free = |free: usize| free.checked_sub(size - lines.granted);
            let granted =
                size <= SHARE && self.free.fetch_update(Relaxed, Relaxed, from_free).is_ok();
            if granted {
                lines.granted = size;
                lines.bytes.reserve_exact(size - lines.bytes.len());
            }
            granted
        })
    }

    /// Takes what waits, shard by shard, and has `write` write it. Whether there was anything.
    pub(super) fn take_all(&self, spares: &mut Spares, mut write: impl FnMut(&[u8])) -> bool {
        let mut any = false;
        for (shard, spare) in self.shards.iter().zip(spares) {
            if shard.swap(spare) {
                any = true;
                write(&spare.bytes);
            } else if let Some(mut idle) = shard.take_large() {
                self.emptied(&mut idle);
            }
            self.emptied(spare);
        }
        any
    }

    /// Forgets lines that are written, and gives memory back that was hardly used or that others lack.
    fn emptied(&self, buffer: &mut Buffer) {
        let hardly = buffer.bytes.len() < buffer.granted / WORTH_KEEPING;
        buffer.bytes.clear();
        if buffer.is_large() && (hardly || self.free.load(Relaxed) < SCARCE) {
            buffer.bytes = Vec::new();
            // Free for others only once it is.
            self.free
                .fetch_add(std::mem::take(&mut buffer.granted), Relaxed);
        }
    }

    /// Whether nothing waits.
    pub(super) fn are_empty(&self) -> bool {
        self.shards
            .iter()
            .all(|s| s.0.lock().lines.bytes.is_empty())
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        MEMORY - self.free.load(Relaxed)
    }
}

impl Shard {
    /// Takes the lines that wait for an empty buffer, if there are any.
    fn swap(&self, spare: &mut Buffer) -> bool {
        let mut waiting = self.0.lock();
        let waits = !waiting.lines.bytes.is_empty();
        if waits {
            std::mem::swap(&mut waiting.lines, spare);
        }
        waits
    }

    /// Takes memory from it that nothing waits in, when it is more than a quiet shard keeps.
    fn take_large(&self) -> Option<Buffer> {
        let mut waiting = self.0.lock();
        let idle = waiting.lines.bytes.is_empty() && waiting.lines.is_large();
        idle.then(|| std::mem::take(&mut waiting.lines))
    }
}

impl Buffer {
    fn has_room(&self, more: usize) -> bool {
        self.bytes.len() + more <= self.granted
    }

    fn is_large(&self) -> bool {
        self.granted > BLOCK
    }
}

#[cfg(test)]
mod tests;
