//! What is known of one client connection, shared by its requests and by the crowd it stands in.
//!
//! Whoever cuts a connection, wants it idle, or asks how slow its client is does so here, while another task serves it.
//! Never waits and never holds a lock for longer than a word is written: every request passes here several times.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::inlet::Inlet;
use super::pace::Pace;
use super::tls::{InSecond, Secured};
use crate::balance::node::Node;
use crate::base::flood::Flood;
use crate::base::reason::End;
use crate::live::doors::OpenPort;
use crate::telemetry::metrics::{ListenerMetrics, TlsMetrics};

/// One data port.
#[derive(Debug)]
pub struct Port {
    /// Its address, as metrics and the log name it.
    pub label: String,
    /// Its metrics.
    pub metrics: ListenerMetrics,
    /// Which entry of the configuration it is, to find who may come in.
    pub open: OpenPort,
    /// Its handshakes; there once it has spoken TLS.
    pub tls: OnceLock<TlsMetrics>,
    /// How many of them began in this second.
    pub begun: InSecond,
}

/// In place of a time: the connection is being closed and takes no more requests.
const CLOSING: u64 = u64::MAX;

/// One client connection.
#[derive(Debug)]
pub struct Conn {
    /// The port it came in by.
    pub port: Arc<Port>,
    /// Who is at the other end.
    pub peer: IpAddr,
    /// The same as a field value, for the requests passed on.
    pub peer_value: HeaderValue,
    /// What comes in by it.
    pub inlet: Inlet,
    /// The request on it is to be the last.
    pub last: AtomicBool,
    /// How it speaks TLS, once the handshake is over.
    secured: OnceLock<Arc<Secured>>,
    /// The connection that this is one of many requests on; of HTTP/2 only.
    of: Option<Arc<Conn>>,
    /// It is a tunnel by now.
    pub tunnel: AtomicBool,
    /// There is no room for this request. Of HTTP/2 only: others have their connection for that.
    pub turned_away: bool,
    /// It is to end with a reset.
    reset: AtomicBool,
    /// An answer was begun on it and not finished. Of HTTP/1 only: HTTP/2 ends its streams in words.
    unfinished: AtomicBool,
    /// Something is to be sent that the client does not take at the moment.
    unsent: AtomicBool,
    /// Milliseconds after `begun`, plus one, since when a body is waited for; 0 while none is. Of HTTP/2 only.
    body_since: AtomicU64,
    /// The node takes nothing more of its body at the moment. Of HTTP/2 only: what HTTP/1 sends is not read then.
    pub node_is_full: Option<Arc<AtomicBool>>,
    /// The `Date` of the answer that is sent next, where it is not now.
    date: Mutex<Option<HeaderValue>>,
    has_date: AtomicBool,
    /// What its client flooded it with, and whether beyond a limit of the file. Of HTTP/2 only.
    flood: OnceLock<(Flood, bool)>,
    /// How fast a body comes. Of HTTP/2 only: what HTTP/1 sends is judged where it is read.
    body_pace: Mutex<Pace>,
    /// Ends the task that serves it.
    task: OnceLock<AbortHandle>,
    /// The node its current request is on.
    node: Mutex<Option<Arc<Node>>>,
    begun: Instant,
    /// Milliseconds after `begun`, plus one, since when it waits for a request; 0 while it has one.
    waits_since: AtomicU64,
}

impl Conn {
    /// A connection from `peer`; an unknown peer counts as `0.0.0.0`.
    pub fn new(port: Arc<Port>, peer: Option<IpAddr>) -> Self {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.to_canonical());
        let peer_value = HeaderValue::from_str(&peer.to_string())
            .expect("invariant: an address prints as digits, letters, dots and colons");
        Conn::of_peer(port, peer, peer_value)
    }

    fn of_peer(port: Arc<Port>, peer: IpAddr, peer_value: HeaderValue) -> Self {
        Conn {
            port,
            peer,
            peer_value,
            secured: OnceLock::new(),
            of: None,
            tunnel: AtomicBool::new(false),
            turned_away: false,
            unsent: AtomicBool::new(false),
            inlet: Inlet::default(),
            last: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            body_since: AtomicU64::new(0),
            node_is_full: None,
            date: Mutex::new(None),
            has_date: AtomicBool::new(false),
            flood: OnceLock::new(),
            body_pace: Mutex::default(),
            task: OnceLock::new(),
            node: Mutex::new(None),
            begun: Instant::now(),
            waits_since: AtomicU64::new(1),
        }
    }

    /// One of many requests on it. `turned_away`: there is no room for it.
    pub fn stream(self: &Arc<Self>, turned_away: bool) -> Self {
        Conn {
            of: Some(self.clone()),
            turned_away,
            node_is_full: Some(Arc::default()),
            secured: self.secured.clone(),
            ..Conn::of_peer(self.port.clone(), self.peer, self.peer_value.clone())
        }
    }

    /// A connection of the same client that nobody listens to: of a request that is not its own.
    pub fn detached(&self) -> Self {
        Conn {
            secured: self.secured.clone(),
            ..Conn::of_peer(self.port.clone(), self.peer, self.peer_value.clone())
        }
    }

    /// The handshake is over: from here on it speaks TLS.
    pub fn is_secured(&self, secured: Secured) {
        let _ = self.secured.set(Arc::new(secured));
    }

    /// How it speaks TLS; `None`: it does not.
    pub fn secured(&self) -> Option<&Arc<Secured>> {
        self.secured.get()
    }

    /// The scheme of its requests, as far as it is ours to say.
    pub fn scheme(&self) -> &'static str {
        match self.secured() {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The task that serves it.
    pub fn served_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
        if self.waits_since.load(Relaxed) == CLOSING {
            self.cut();
        }
    }

    /// Ends it, whatever it is doing. A request on it is dropped and tells so.
    pub fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Ends the task that serves it, for who watches over its tunnel.
    pub fn task(&self) -> Option<AbortHandle> {
        self.task.get().cloned()
    }

    /// Its current request is on `node` now.
    pub fn is_on(&self, node: Arc<Node>) {
        *self.node.lock() = Some(node);
    }

    /// Its current request is on no node any more.
    pub fn is_off(&self) {
        *self.node.lock() = None;
    }

    /// Its client sends frames without end that ask for nothing: whatever is under way on it ends. `by_file`: more than
    /// the file allows; else more than who reads frames takes.
    pub fn is_flooded(&self, flood: Flood, by_file: bool) {
        let _ = self.flood.set((flood, by_file));
        self.inlet.is_at_fault(End::BadRequest);
    }

    /// What its client flooded it with, if it did, and whether beyond a limit of the file.
    pub fn flood(&self) -> Option<(Flood, bool)> {
        self.flood.get().copied()
    }

    /// Whether its current request is to be cut because its node's drain is over.
    pub fn is_to_be_cut(&self) -> bool {
        self.node.lock().as_ref().is_some_and(|n| n.is_cut())
    }

    /// Should it end now, it ends with a reset: what was sent is not all there is.
    pub fn is_to_be_reset(&self, reset: bool) {
        self.reset.store(reset, Relaxed);
    }

    /// Whether it ends with a reset.
    pub fn ends_with_reset(&self) -> bool {
        self.reset.load(Relaxed)
    }

    /// An answer is begun (`true`), or finished.
    pub fn is_answering(&self, begun: bool) {
        self.unfinished.store(begun, Relaxed);
    }

    /// Whether its last answer is cut, should it end now.
    pub fn is_cut(&self) -> bool {
        self.unfinished.load(Relaxed)
    }

    /// The answer that is sent next was made at another time than now: its `Date` stays as it is.
    pub fn dates(&self, date: HeaderValue) {
        *self.date.lock() = Some(date);
        self.has_date.store(true, Relaxed);
    }

    /// The `Date` that the answer is to have whose head is sent now.
    pub fn takes_date(&self) -> Option<HeaderValue> {
        match self.has_date.load(Relaxed) && self.has_date.swap(false, Relaxed) {
            true => self.date.lock().take(),
            false => None,
        }
    }

    /// From now on more of a body is waited for, or (`false`) not any more.
    pub fn awaits_body(&self, more: bool) {
        let since = match more {
            true => self.begun.elapsed().as_millis() as u64 + 1,
            false => 0,
        };
        self.body_since.store(since, Relaxed);
    }

    /// A piece of a body of so many bytes has come, and more is awaited or (`is_last`) not. `rate` is how many bytes a
    /// second of waiting must bring.
    ///
    /// # Errors
    /// When they are too few.
    pub fn body_comes(&self, bytes: usize, is_last: bool, rate: Option<u64>) -> io::Result<()> {
        let waited = self.body_awaited().unwrap_or_default();
        self.awaits_body(!is_last);
        self.body_pace.lock().came(waited, bytes as u64, rate)
    }

    /// How long its client has kept us waiting for more of a body; `None` while nothing is waited for.
    pub fn body_awaited(&self) -> Option<Duration> {
        let since = self.body_since.load(Relaxed).checked_sub(1)?;
        let full = self.node_is_full.as_ref();
        if full.is_some_and(|full| full.load(Relaxed)) {
            // It is the node that everybody waits for.
            self.awaits_body(true);
            return None;
        }
        let now = self.begun.elapsed();
        Some(now.saturating_sub(Duration::from_millis(since)))
    }

    /// How long ago it began.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// From `now` on it waits for a request.
    pub fn waits(&self, now: Instant) {
        let now = now.saturating_duration_since(self.begun).as_millis() as u64 + 1;
        let open = |since| (since != CLOSING).then_some(now);
        // Closing, it stays so.
        let _ = self.waits_since.fetch_update(Relaxed, Relaxed, open);
    }

    /// Answers are over but not all sent yet (`true`), or all is sent now. Of HTTP/2 only: an answer of HTTP/1 is over
    /// when it is sent.
    pub fn has_unsent(&self, unsent: bool) {
        let was = self.unsent.swap(unsent, Relaxed);
        if was && !unsent {
            let now = self.begun.elapsed().as_millis() as u64 + 1;
            let waits = |since| (since != 0 && since != CLOSING).then_some(now);
            let _ = self.waits_since.fetch_update(Relaxed, Relaxed, waits);
        }
    }

    /// Whether something is to be sent that its client does not take at the moment.
    pub fn is_sending(&self) -> bool {
        self.unsent.load(Relaxed)
    }

    /// What the client did wrong, if it did, by this request or on its connection.
    pub fn fault(&self) -> Option<End> {
        let on_connection = || self.of.as_ref()?.inlet.fault();
        self.inlet.fault().or_else(on_connection)
    }

    /// From now on it has a request, or at least the beginning of one. `false`: it came too late, the connection is
    /// being closed.
    pub fn works(&self) -> bool {
        self.waits_since.swap(0, Relaxed) != CLOSING || {
            self.waits_since.store(CLOSING, Relaxed);
            false
        }
    }

    /// Closes it, unless it has a request by now or has waited less than `at_least`. Whoever is first, this or a
    /// request, wins: no request is taken in and then dropped.
    pub fn close_if_idle(&self, at_least: Duration) -> bool {
        let since = self.waits_since.load(Relaxed);
        let closed = self.idle_for().is_some_and(|idle| idle >= at_least)
            && self
                .waits_since
                .compare_exchange(since, CLOSING, Relaxed, Relaxed)
                .is_ok();
        if closed {
            self.cut();
        }
        closed
    }

    /// How long it has been waiting for a request; `None` while it has one.
    pub fn idle_for(&self) -> Option<Duration> {
        if self.is_sending() {
            return None;
        }
        let since = self.waits_since.load(Relaxed);
        let since = since.checked_sub(1).filter(|_| since != CLOSING)?;
        Some(
            self.begun
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        )
    }
}
