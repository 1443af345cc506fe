//! What is known of one request while it lives.
//!
//! It is told exactly once: by `logging`, or, when the request is dropped instead of finished (a cut drain, a limit,
//! a panic), by its own drop.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::announce::Ends;
use super::beside::Beside;
use super::calls::Call;
use super::conn::Conn;
use super::encode::asks::Asks;
use super::encode::live::Live;
use super::finish;
use super::lookup::Cached;
use super::lookup::fetch::Fetch;
use super::split::Way;
use super::sticky::Session;
use super::tls::client_subject;
use super::trace::Traced;
use super::tunnel;
use crate::balance::node::InFlight;
use crate::base::coding::Coding;
use crate::base::reason::{End, Refusal};
use crate::cache::store::Filler;
use crate::live::control::Control;
use crate::live::snapshot::{Member, Snapshot, Upstream};
use crate::telemetry::metrics::RequestInFlight;
use crate::telemetry::traces::{Event, Recording};
use crate::upstream::h2::Opens;
use crate::upstream::headers::Added;

/// A request's id: sixteen hexadecimal digits.
pub fn new_id() -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let number = fastrand::u64(..);
    let digit = |at: u32| DIGITS[(number >> (4 * at)) as usize % DIGITS.len()];
    (0..16).rev().map(digit).collect()
}

/// The same as a field has it.
pub fn new_id_value() -> HeaderValue {
    HeaderValue::try_from(new_id()).expect("invariant: hexadecimal digits are a valid field value")
}

/// What is known of one request.
pub struct Ctx {
    /// The generation it sees, from beginning to end.
    pub snapshot: Arc<Snapshot>,
    /// What every request shares.
    pub control: Arc<Control>,
    /// Its connection; `None` only until it has been handed in.
    pub conn: Option<Arc<Conn>>,
    /// When its head had arrived.
    pub at: SystemTime,
    /// The same, to measure from.
    pub begun: Instant,
    /// When the whole request must be over.
    pub deadline: Option<Instant>,
    /// Its id.
    pub id: HeaderValue,
    /// Its trace.
    pub traced: Traced,
    /// What happens to it, where its span goes to the collector; that of who began it, for a fetch.
    pub recording: Option<Arc<Recording>>,
    /// What its head says, kept for the log.
    pub head: Head,
    /// The client's real address.
    pub client: IpAddr,
    /// The ends of its connection, where a node is told of them.
    pub ends: Option<Ends>,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// Its route: position in the configuration's `routes`.
    pub route: Option<usize>,
    /// The upstream that route names.
    pub upstream: Option<usize>,
    /// What the upstream tells it from others by, hashed.
    pub key: u64,
    /// Its session in that upstream.
    pub session: Session,
    /// What a split has done with it.
    pub way: Way,
    /// Nodes tried, in order: positions in the upstream's pool.
    pub tried: SmallVec<[usize; 4]>,
    /// The node chosen ahead of the attempt, with the request begun on it.
    pub chosen: Option<(usize, InFlight)>,
    /// The attempt that runs.
    pub attempt: Option<Attempt>,
    /// The fields that its head gets on its way to the node.
    pub added: Option<Added>,
    /// How the attempt that runs came to its stream; `None`: over HTTP/1.1.
    pub opens: Option<Arc<Opens>>,
    /// Its answer has no body, whatever comes.
    pub bodiless: bool,
    /// What is known of it as a gRPC call; `None`: it is none.
    pub call: Option<Call>,
    /// Times it was sent to a node that may have seen it.
    pub sent: u32,
    /// Old connections that turned out to be closed.
    pub old_connections: u32,
    /// Whether it may be sent twice, as far as its head says.
    pub repeatable: bool,
    /// Whether a second node may be asked beside a slow first one.
    pub may_hedge: bool,
    /// What became of that second node.
    pub beside: Option<Arc<Beside>>,
    /// How long to wait before it is sent again.
    pub pause: Duration,
    /// The answer that came is not passed on: another node is asked.
    pub asks_another: bool,
    /// The next attempt was taken out of the budget.
    pub paid: bool,
    /// The same, taken when the node before had its time.
    pub paid_ahead: Option<Arc<AtomicBool>>,
    /// The next attempt is on the primary: the replicas had their tries.
    pub leaves_replicas: bool,
    /// The last status that was not passed on.
    pub kept_back: Option<StatusCode>,
    /// Nodes whose connection timed out.
    pub slow_connects: u32,
    /// The node whose old connection turned out to be closed: the next attempt opens a connection of its own.
    pub stale: Option<usize>,
    /// Time it waited for a place on a node.
    pub queued: Option<Duration>,
    /// Time to connect, last attempt.
    pub connect: Option<Duration>,
    /// From arrival to the first byte of the node's answer.
    pub ttfb: Option<Duration>,
    /// Why it is not taken in, found before it could be answered.
    pub refused: Option<Refusal>,
    /// Body bytes that came from the client, as far as they are counted here.
    pub body_seen: u64,
    /// How the last attempt failed.
    pub failure: Option<End>,
    /// How the request ended, once that is decided.
    pub end: Option<End>,
    /// Why it would not have been taken in, were that not only counted.
    pub dry_run: Option<Refusal>,
    /// Status sent.
    pub status: u16,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Which encodings its client takes; `None`: its route does not compress.
    pub asks: Option<Asks>,
    /// Changes the form of its answer while that is handed on. Nobody else ever locks it: encoders may be sent to another
    /// thread and not shared.
    pub live: Option<Box<Mutex<Live>>>,
    /// The encoding of the answer that was sent.
    pub encoding: Option<Coding>,
    /// What the cache did with it.
    pub cached: Cached,
    /// Keeps its answer, which is for others too.
    pub keeps: Option<Filler>,
    /// The fetch that it began and waited for.
    pub fetched: Option<Arc<Fetch>>,
    /// The fetch that it is.
    pub fetch: Option<Arc<Fetch>>,
    /// What it asks for, where it wants another protocol than HTTP.
    pub tunnel: Option<Box<tunnel::Asked>>,
    told: bool,
    in_flight: Option<RequestInFlight>,
}

/// What the log says of a head.
#[derive(Debug, Default)]
pub struct Head {
    /// Method.
    pub method: Method,
    /// Target.
    pub uri: Uri,
    /// `Host`.
    pub host: Option<HeaderValue>,
    /// Version the client spoke.
    pub version: Version,
}

/// One attempt on one node.
#[derive(Debug)]
pub struct Attempt {
    /// The node's position in its pool.
    pub member: usize,
    /// Counts it on the node.
    pub in_flight: InFlight,
    /// When it began.
    pub begun: Instant,
    /// Whether the connection was an old one.
    pub reused: bool,
    /// Whether the node's answer has begun.
    pub answered: bool,
}

impl Ctx {
    /// A request that has just arrived.
    pub fn new(snapshot: Arc<Snapshot>, control: Arc<Control>, in_flight: RequestInFlight) -> Self {
        let begun = Instant::now();
        Ctx {
            deadline: snapshot.config.timeouts.request.map(|limit| begun + limit),
            snapshot,
            control,
            conn: None,
            at: SystemTime::now(),
            begun,
            id: new_id_value(),
            traced: Traced::default(),
            recording: None,
            head: Head::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ends: None,
            trusted: false,
            route: None,
            upstream: None,
            key: 0,
            session: Session::default(),
            way: Way::default(),
            tried: SmallVec::new(),
            chosen: None,
            attempt: None,
            added: None,
            opens: None,
            bodiless: false,
            call: None,
            sent: 0,
            old_connections: 0,
            repeatable: false,
            may_hedge: false,
            beside: None,
            pause: Duration::ZERO,
            asks_another: false,
            paid: false,
            paid_ahead: None,
            leaves_replicas: false,
            kept_back: None,
            slow_connects: 0,
            stale: None,
            queued: None,
            connect: None,
            ttfb: None,
            refused: None,
            body_seen: 0,
            failure: None,
            end: None,
            dry_run: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            asks: None,
            live: None,
            encoding: None,
            cached: Cached::default(),
            keeps: None,
            fetched: None,
            fetch: None,
            tunnel: None,
            told: false,
            in_flight: Some(in_flight),
        }
    }

    /// Its upstream, when its route names one.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.map(|at| &self.snapshot.upstreams[at])
    }

    /// The node of the attempt that runs.
    pub fn member(&self) -> Option<&Member> {
        let attempt = self.attempt.as_ref()?;
        self.upstream().map(|u| &u.members[attempt.member])
    }

    /// How many attempts there were, those in an upstream it has left included.
    pub fn attempts(&self) -> usize {
        self.way.left.len() + self.tried.len()
    }

    /// `Host` as text; empty where there is none.
    pub fn host(&self) -> &str {
        self.own_host().unwrap_or_default()
    }

    /// The scheme of its connection.
    pub fn own_scheme(&self) -> &'static str {
        self.conn.as_ref().map_or("http", |conn| conn.scheme())
    }

    /// Whose certificate its client has, and the field that tells nodes so.
    pub fn client_subject(&self) -> Option<(&HeaderName, &HeaderValue)> {
        client_subject(self.conn.as_ref()?, &self.snapshot)
    }

    /// `Host`, where there is one and it is text.
    pub fn own_host(&self) -> Option<&str> {
        self.head.host.as_ref()?.to_str().ok()
    }

    /// Its id as text.
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Notes something that happened now, where that is recorded.
    pub fn notes(&self, now: Instant, what: impl FnOnce() -> Event) {
        if let Some(recording) = &self.recording {
            recording.note(what(), now);
        }
    }

    /// The name of a node of its upstream.
    pub fn node(&self, member: usize) -> Arc<str> {
        let named = self
            .upstream()
            .map(|u| u.pool.candidates()[member].node.id.clone());
        named.unwrap_or_default()
    }

    /// It is no request of a client.
    pub fn is_not_counted(&mut self) {
        self.in_flight = None;
    }

    /// Whether its whole-request limit has passed.
    pub fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// The running attempt is over; what it held goes with it.
    pub fn end_attempt(&mut self, now: Instant) -> Option<Attempt> {
        if let (Some(attempt), Some(member)) = (&self.attempt, self.member()) {
            member
                .metrics
                .attempt_took(now.duration_since(attempt.begun));
        }
        self.attempt.take()
    }

    /// Tells how it ended. Only the first call counts.
    pub fn tell(&mut self, end: End) {
        if !std::mem::replace(&mut self.told, true) {
            let now = Instant::now();
            if let Some((from_client, to_client)) = tunnel::bytes(self) {
                (self.bytes_in, self.bytes_out) = (from_client, to_client);
            }
            self.end_attempt(now);
            finish::tell(self, end, now);
        }
    }

    /// How a request that is dropped unfinished ended.
    fn end_of_dropped(&self) -> End {
        let cut = |a: &Attempt| a.in_flight.node().is_cut();
        if std::thread::panicking() {
            End::Internal
        } else if let Some(why) = tunnel::closes(self) {
            why
        } else if self.attempt.as_ref().is_some_and(cut) {
            End::DrainTimeout
        } else if self.is_overdue() {
            End::RequestTimeout
        } else if let Some(fault) = self.conn.as_ref().and_then(|c| c.fault()) {
            fault
        } else {
            End::Stopped
        }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        if !self.told {
            self.tell(self.end_of_dropped());
        }
    }
}
