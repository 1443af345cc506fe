//! The span of one request: what it was, how it went, and what happened meanwhile.
//!
//! Owned, for it waits for others; so what a client chose the length of is cut. A query is left out: keys stand there,
//! and who reads traces is not always who may read the log, which the request's id leads to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, Version};
use parking_lot::Mutex;

use super::super::finished::Finished;
use crate::base::cached::{Outcome, Why};
use crate::base::reason::End;
use crate::base::trace::Trace;

/// Bytes of a host or path that are kept.
const LONGEST: usize = 512;
/// Events of one span: a request tries a node or two.
const EVENTS: usize = 32;

/// What happens while a recorded request lives; shared with the fetch that is made for it.
#[derive(Debug)]
pub struct Recording {
    begun: Instant,
    events: Mutex<Vec<(Duration, Event)>>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node is asked.
    Attempt {
        /// Its name.
        node: Arc<str>,
        /// How many were asked before.
        resend: usize,
    },
    /// That failed.
    Failed {
        /// How.
        why: End,
    },
    /// A node answered with a status that is not passed on.
    KeptBack {
        /// Which.
        status: u16,
    },
    /// A second node was asked beside a slow first one.
    Hedge {
        /// Its name.
        node: Arc<str>,
        /// Whether its answer was the one that counted.
        won: bool,
    },
}

impl Recording {
    /// Of a request that has just begun.
    pub fn new(begun: Instant) -> Arc<Recording> {
        Arc::new(Recording {
            begun,
            events: Mutex::default(),
        })
    }

    /// Something happened now. What is too much is forgotten.
    pub fn note(&self, event: Event, now: Instant) {
        let mut events = self.events.lock();
        if events.len() < EVENTS {
            events.push((now.saturating_duration_since(self.begun), event));
        }
    }
}

/// A finished request, for who collects traces.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its place in its trace.
    pub trace: Trace,
    /// When its head had arrived.
    pub at: SystemTime,
    /// From then to its end.
    pub total: Duration,
    /// Its id, the one in the log.
    pub id: String,
    /// The client's real address.
    pub client: IpAddr,
    /// Its route; empty when none matched.
    pub route: String,
    /// Its method.
    pub method: Method,
    /// Its `Host`.
    pub host: String,
    /// Its path.
    pub path: String,
    /// Version the client spoke.
    pub version: Version,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// Body bytes from the client, and to it.
    pub bytes: (u64, u64),
    /// Time it waited for a place on a node.
    pub queue: Option<Duration>,
    /// Time to connect to the node that answered.
    pub connect: Option<Duration>,
    /// From its arrival to the first byte of the node's answer.
    pub ttfb: Option<Duration>,
    /// Its upstream; empty when none was asked.
    pub upstream: String,
    /// The nodes tried, in order.
    pub nodes: Vec<String>,
    /// What the cache did with it, and why.
    pub cache: (Option<Outcome>, Option<Why>),
    /// How it ended.
    pub end: End,
    /// What happened, from its arrival on.
    pub events: Vec<(Duration, Event)>,
}

impl Span {
    /// The span of a request that is part of `trace`.
    pub fn of(f: &Finished<'_>, trace: Trace) -> Span {
        let events = f.recording.map(|recording| recording.events.lock().clone());
        Span {
            trace,
            at: f.at,
            total: f.total,
            id: f.id.into(),
            client: f.client,
            route: f.route.into(),
            method: f.method.clone(),
            host: cut(f.host),
            path: cut(f.path),
            version: f.version,
            tls: f.tls.is_some(),
            status: f.status,
            bytes: (f.bytes_in, f.bytes_out),
            queue: f.queue,
            connect: f.connect,
            ttfb: f.ttfb,
            upstream: f.upstream.into(),
            nodes: f.nodes.iter().map(|node| (*node).into()).collect(),
            cache: (f.cache, f.cache_reason),
            end: f.end,
            events: events.unwrap_or_default(),
        }
    }

    /// Whether the proxy or a node failed the client. What a client did wrong is no failure of who serves it.
    pub fn failed(&self) -> bool {
        let by_client = matches!(
            self.end,
            End::Ok | End::ClientAbort | End::ClientTimeout | End::BadRequest | End::Refused(_)
        );
        self.status >= 500 || !by_client
    }
}

/// A text, up to [`LONGEST`] bytes.
fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
