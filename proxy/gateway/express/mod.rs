//! The express lane: what is stored, fresh and at hand is answered right where it came in.
//!
//! | what comes | what becomes of it |
//! |---|---|
//! | a GET or HEAD of HTTP/1.1 or HTTP/2 without a body, for what is fresh in the form the client takes | answered here |
//! | the same, and the client has it already (`If-None-Match`, `If-Modified-Since`) | 304, here |
//! | several of them at once | answered by one write |
//! | anything else, and whatever any rule refuses | handed on untouched, as if nobody had looked |
//!
//! What is decided here is decided by the functions that `HttpProxy`'s hooks call, about the same snapshot and the same
//! store; `tests/lanes` puts the same requests to both. Nothing of a request is copied; a task, a timer or memory is
//! wanted only where a client does not take its answer at once. Never fetches, never waits for a fetch, and never answers a request that
//! any rule of its port or route might refuse.

use std::time::{Duration, Instant, SystemTime};

use super::conn::Conn;
use crate::base::reason::End;
use crate::cache::policy::life::Millis;
use crate::live::clock::Clock;
use crate::live::snapshot::Snapshot;

mod answer;
mod batch;
mod decide;
mod hit;
mod stream;
mod unsent;

pub use batch::Batch;
pub use decide::{Lane, decide};
pub use stream::Streamed;
pub use unsent::Unsent;

/// When requests that came together arrived.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// To tell.
    pub at: SystemTime,
    /// To measure from.
    pub begun: Instant,
    /// By the clock of the cache.
    pub now: Millis,
}

impl Moment {
    /// Now.
    pub fn now(clock: &Clock) -> Moment {
        let at = SystemTime::now();
        Moment {
            at,
            begun: Instant::now(),
            now: clock.at(at),
        }
    }

    /// How requests of `conn` that came then ended, when they are dropped before they are answered.
    fn end_of_dropped(&self, now: &Snapshot, conn: &Conn) -> End {
        let limit = now.config.timeouts.request;
        let is_overdue = |limit: Duration| self.begun + limit <= Instant::now();
        if std::thread::panicking() {
            End::Internal
        } else if limit.is_some_and(is_overdue) {
            End::RequestTimeout
        } else {
            conn.fault().unwrap_or(End::Stopped)
        }
    }
}
