//! The seam to Redis: what of it a proxy may wait for, and for how long.
//!
//! Every operation on a request's way has one deadline, never waits for a connection, and is refused at once while the
//! breaker is open. One task keeps the connection (`keep`), and it alone connects and probes. Nothing here knows what is
//! stored under a key, and nobody else may name the crate behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// When not to ask.
mod breaker;
/// What is asked and what is answered.
mod command;
/// How to connect.
mod connect;
/// Why there is no answer.
mod fault;
/// Keeps the connection.
mod keep;
/// A connection of its own.
mod link;
/// Whether a Redis is one that can be used.
pub mod probe;
/// How quickly it answered of late.
mod recent;
/// What was asked, and how it went.
pub mod stats;

pub use command::{Command, Reply, Script};
pub use connect::Address;
pub use fault::Fault;
pub use keep::keep;
pub use link::Link;
pub use recent::Latency;
pub use stats::Op;

use breaker::Breaker;
use connect::Conn;
use recent::Recent;
use stats::Stats;

/// How long an operation may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has tried yet.
    Unknown,
    /// It answers.
    Up,
    /// It is not asked; why, in words.
    Down(Arc<str>),
}

impl State {
    /// Whether it is asked.
    pub fn is_up(&self) -> bool {
        *self == State::Up
    }
}

/// The connection in use.
#[derive(Debug, Default)]
struct Slot {
    /// Which it is: what happens on an earlier one says nothing of it.
    number: u64,
    conn: Option<Conn>,
}

/// A handle on Redis, shared by all who ask.
#[derive(Debug)]
pub struct Kv {
    address: Mutex<Arc<Address>>,
    /// Microseconds that an operation on a request's way may take.
    limit: AtomicU64,
    begun: Instant,
    conn: Mutex<Slot>,
    breaker: Mutex<Breaker>,
    /// For `keep`: the connection is of no use any more.
    lost: Notify,
    /// What counted against it last.
    fault: Mutex<Option<Fault>>,
    state: watch::Sender<State>,
    /// When that changed last.
    since: Mutex<Instant>,
    stats: Stats,
    recent: Recent,
}

impl Kv {
    /// A handle on the Redis at this address, which answers from when [`keep`] runs. `limit`: how long an operation on a
    /// request's way may take.
    pub fn new(address: Address, limit: Duration) -> Kv {
        Kv {
            address: Mutex::new(Arc::new(address)),
            limit: AtomicU64::new(micros(limit)),
            begun: Instant::now(),
            conn: Mutex::default(),
            breaker: Mutex::default(),
            lost: Notify::new(),
            fault: Mutex::default(),
            state: watch::Sender::new(State::Unknown),
            since: Mutex::new(Instant::now()),
            stats: Stats::default(),
            recent: Recent::default(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> Arc<Address> {
        self.address.lock().clone()
    }

    /// From now on it is elsewhere, or wants another password. To be called while nobody keeps the connection: nothing is
    /// asked until somebody does again.
    pub fn moves_to(&self, address: Address) {
        *self.address.lock() = Arc::new(address);
        self.install(None);
        *self.breaker.lock() = Breaker::default();
        self.state.send_replace(State::Unknown);
    }

    /// How long an operation on a request's way may take from now on.
    pub fn set_limit(&self, limit: Duration) {
        self.limit.store(micros(limit), Relaxed);
    }

    /// How long an operation on a request's way may take.
    pub fn limit(&self) -> Duration {
        Duration::from_micros(self.limit.load(Relaxed))
    }

    /// How it is, and every change of that.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// For how long it has been as it is.
    pub fn since(&self) -> Duration {
        self.since.lock().elapsed()
    }

    /// Whether it is asked at all at this moment.
    pub fn is_up(&self) -> bool {
        self.state.borrow().is_up()
    }

    /// What was asked, and how it went.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// To be called each second: what [`Kv::latency`] looks back on.
    pub fn note_second(&self) {
        self.recent.note(&self.stats);
    }

    /// How quickly it answered within the last minute; `None`: it did not.
    pub fn latency(&self) -> Option<Latency> {
        self.recent.latency(&self.stats)
    }

    /// Asks on a request's way: all commands in one round trip, an answer to each, in their order. An error that is the
    /// answer to one of several commands is a [`Reply::Error`].
    ///
    /// # Errors
    /// When there is no answer in time, or nothing but errors.
    pub async fn ask(&self, op: Op, commands: &[Command]) -> Result<Vec<Reply>, Fault> {
        self.ask_within(op, commands, self.limit()).await
    }

    /// Asks behind the requests: within a second.
    ///
    /// # Errors
    /// As [`Kv::ask`].
    pub async fn ask_patiently(&self, op: Op, commands: &[Command]) -> Result<Vec<Reply>, Fault> {
        self.ask_within(op, commands, PATIENCE).await
    }

    /// A connection of its own, for who waits for news or must not wait for others. The breaker does not hold it up.
    ///
    /// # Errors
    /// When it cannot connect within a second.
    pub async fn dial(&self) -> Result<Link, Fault> {
        let conn = self.address().connect(PATIENCE).await?;
        Ok(Link::new(conn))
    }

    /// Asks behind the requests on a connection of its own, which is made where `link` has none: what is large holds up
    /// nobody else. Its faults say nothing of how others fare.
    ///
    /// # Errors
    /// As [`Kv::ask`].
    pub async fn ask_aside(
        &self,
        link: &mut Option<Link>,
        op: Op,
        commands: &[Command],
    ) -> Result<Vec<Reply>, Fault> {
        let begun = Instant::now();
        let done = match self.conn().1 {
            Ok(_) => self.ask_link(link, commands).await,
            Err(fault) => Err(fault),
        };
        if !matches!(done, Ok(_) | Err(Fault::Refused(_))) {
            *link = None;
        }
        self.stats.note(op, commands, &done, begun.elapsed());
        done
    }

    async fn ask_link(
        &self,
        link: &mut Option<Link>,
        commands: &[Command],
    ) -> Result<Vec<Reply>, Fault> {
        let link = match link {
            Some(link) => link,
            None => link.insert(self.dial().await?),
        };
        link.ask(commands, PATIENCE).await
    }

    async fn ask_within(
        &self,
        op: Op,
        commands: &[Command],
        limit: Duration,
    ) -> Result<Vec<Reply>, Fault> {
        let begun = Instant::now();
        let (number, conn) = self.conn();
        let done = match conn {
            Ok(conn) => match timeout(limit, conn.run(commands)).await {
                Ok(done) => done.and_then(command::not_only_errors),
                Err(_) => Err(Fault::Timeout),
            },
            Err(fault) => Err(fault),
        };
        self.stats.note(op, commands, &done, begun.elapsed());
        if let Err(fault) = &done {
            self.failed(op, fault, number);
        }
        done
    }

    /// The connection and its number, unless nothing is to be asked now.
    fn conn(&self) -> (u64, Result<Conn, Fault>) {
        let is_open = self.breaker.lock().is_open();
        let slot = self.conn.lock();
        let conn = match is_open {
            true => Err(Fault::Open),
            false => slot.conn.clone().ok_or(Fault::Away),
        };
        (slot.number, conn)
    }

    /// This connection is used from now on, or none.
    fn install(&self, conn: Option<Conn>) {
        let mut slot = self.conn.lock();
        slot.number += 1;
        slot.conn = conn;
    }

    /// What a fault on the connection with this number means for those who come next.
    fn failed(&self, op: Op, fault: &Fault, number: u64) {
        // Of what was begun on an earlier connection everybody knows.
        if !fault.counts(op) || self.conn.lock().number != number {
            return;
        }
        *self.fault.lock() = Some(fault.clone());
        let opened = self.breaker.lock().failed(self.now());
        // Of a connection that is gone nobody else need find out. That to a cluster is several, and mends itself.
        let is_gone = matches!(fault, Fault::Broken(_)) && !self.address().cluster;
        if opened || is_gone {
            self.install(None);
            self.lost.notify_one();
        }
    }

    /// Milliseconds since the handle was made.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn micros(limit: Duration) -> u64 {
    u64::try_from(limit.as_micros()).unwrap_or(u64::MAX)
}
