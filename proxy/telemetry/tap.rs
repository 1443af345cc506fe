//! Finished requests for who listens now: what `log -f` reads.
//!
//! Whatever the access log writes, and however much of it: who listens hears every request that fits the filter, as
//! the same line. While nobody listens a request pays one look at a number. A request never waits for a reader: one
//! that is too slow loses lines, and is told in their place how many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::access_log;
use super::finished::Finished;

/// Which requests are wanted.
mod filter;

pub use filter::Filter;

/// Readers at a time.
pub const MOST_READERS: usize = 16;
/// Lines that wait for a reader.
const LINES: usize = 4_096;
/// Bytes of lines that wait for a reader.
const BYTES: usize = 1 << 20;

/// Where finished requests can be heard.
#[derive(Debug, Default)]
pub struct Tap {
    /// The first digits of statuses that anybody wants, a bit each: read for every finished request, without the lock.
    wanted: AtomicU32,
    seats: RwLock<Vec<Arc<Seat>>>,
}

/// Where what one reader hears waits for it.
#[derive(Debug)]
struct Seat {
    filter: Filter,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Never more than [`LINES`] and a last word on what was lost.
    heard: VecDeque<Heard>,
    bytes: usize,
}

/// What a reader hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The line of a request, without its end of line.
    Line(Bytes),
    /// So many lines that it was too slow for.
    Lost(u64),
}

/// One who listens, until it is dropped.
#[derive(Debug)]
pub struct Reader {
    tap: Arc<Tap>,
    seat: Arc<Seat>,
}

impl Tap {
    /// Whether anybody may want a request that ended with this status.
    pub fn is_heard(&self, status: u16) -> bool {
        self.wanted.load(Relaxed) & class(status) != 0
    }

    /// Listens from now on; `None`: [`MOST_READERS`] do already.
    pub fn listen(self: &Arc<Self>, filter: Filter) -> Option<Reader> {
        let mut seats = self.seats.write();
        if seats.len() >= MOST_READERS {
            return None;
        }
        let seat = Arc::new(Seat {
            filter,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        });
        seats.push(seat.clone());
        self.wanted.store(wanted(&seats), Relaxed);
        Some(Reader {
            tap: self.clone(),
            seat,
        })
    }

    /// Tells a request to those who want it. Its line is made once, and only when one does. Never waits.
    pub fn tell(&self, finished: &Finished<'_>) {
        let seats = self.seats.read();
        let mut line = None;
        for seat in seats.iter().filter(|seat| seat.filter.wants(finished)) {
            let line = line.get_or_insert_with(|| {
                let mut line = access_log::line_of(finished);
                line.pop();
                Bytes::from(line)
            });
            seat.put(line.clone());
        }
    }
}

/// The bit of a status: that of its first digit.
fn class(status: u16) -> u32 {
    1 << (status / 100).min(9)
}

/// The bits of all that anybody wants.
fn wanted(seats: &[Arc<Seat>]) -> u32 {
    seats
        .iter()
        .map(|seat| seat.filter.classes())
        .fold(0, |all, one| all | one)
}

impl Seat {
    fn put(&self, line: Bytes) {
        let mut waiting = self.waiting.lock();
        let has_room = waiting.heard.len() < LINES && waiting.bytes + line.len() <= BYTES;
        match waiting.heard.back_mut() {
            _ if has_room => {
                waiting.bytes += line.len();
                waiting.heard.push_back(Heard::Line(line));
            }
            Some(Heard::Lost(lines)) => *lines += 1,
            _ => waiting.heard.push_back(Heard::Lost(1)),
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let mut waiting = self.waiting.lock();
        let heard = waiting.heard.pop_front()?;
        if let Heard::Line(line) = &heard {
            waiting.bytes -= line.len();
        }
        Some(heard)
    }
}

impl Reader {
    /// The next that it hears; waits for it.
    pub async fn next(&mut self) -> Heard {
        loop {
            // A word that comes between the look and the wait is kept by `arrived`.
            if let Some(heard) = self.seat.take() {
                return heard;
            }
            self.seat.arrived.notified().await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut seats = self.tap.seats.write();
        seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        self.tap.wanted.store(wanted(&seats), Relaxed);
    }
}

#[cfg(test)]
mod tests;
