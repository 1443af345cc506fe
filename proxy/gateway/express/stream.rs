//! A request of HTTP/2 that is answered here: decided as one of HTTP/1 is, sent by pingora's session.
//!
//! pingora has unpacked its head already, so that nothing is saved of that; what is saved is all that a request needs
//! to be handed on. How slow a client may be is judged as in the other lane. Never looks at a request that would have to
//! be written in another way first, and leaves what it does not answer as it came.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v2::server::HttpSession;
use pingora::{ErrorType, Result};
use smallvec::SmallVec;

use super::super::accept::is_believed;
use super::super::conn::Conn;
use super::Moment;
use super::decide::{Asked, Lane, Question, decide_by};
use super::hit::Hit;
use crate::base::reason::End;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::metrics::RequestInFlight;
use crate::wire::pseudo;

/// Bytes that tell of an ordinary request: its host and its target.
type Read = SmallVec<[u8; 256]>;

/// A request that is answered here, until it is told.
pub struct Streamed {
    hit: Hit,
    head: Option<Box<ResponseHeader>>,
    /// Bytes of the body that were taken.
    sent: u64,
    /// What is told of the request.
    read: Read,
    is_told: bool,
    control: Arc<Control>,
    snapshot: Arc<Snapshot>,
    conn: Arc<Conn>,
    moment: Moment,
    _in_flight: RequestInFlight,
}

impl Streamed {
    /// `None`: it is not for this lane.
    pub fn of(session: &HttpSession, control: &Arc<Control>, conn: &Arc<Conn>) -> Option<Streamed> {
        let request = session.req_header();
        if !session.is_body_empty() || control.lifecycle.is_stopping() || is_rare(&request.headers)
        {
            return None;
        }
        let snapshot = control.hold.load();
        if !snapshot.caches {
            return None;
        }
        let moment = Moment::now(&control.clock);
        let lane = Lane {
            control,
            now: &snapshot,
            conn,
            moment,
        };
        let (hit, head, read) = decide(lane, request)?;
        Some(Streamed {
            hit,
            head: Some(Box::new(head)),
            sent: 0,
            read,
            is_told: false,
            control: control.clone(),
            conn: conn.clone(),
            moment,
            _in_flight: control.metrics.begin_request(),
            snapshot,
        })
    }

    /// Sends it. Dropped before that is over, it is told so.
    pub async fn send(mut self, session: &mut HttpSession) {
        // A window that stays shut is not a socket that stays full.
        session.set_write_timeout(self.snapshot.config.timeouts.write);
        let end = match self.send_all(session).await {
            Ok(()) => End::Ok,
            Err(e) if *e.etype() == ErrorType::WriteTimedout => End::ClientTimeout,
            Err(_) => self.conn.fault().unwrap_or(End::ClientAbort),
        };
        self.tell(end);
    }

    async fn send_all(&mut self, session: &mut HttpSession) -> Result<()> {
        let pieces = self.hit.pieces().len();
        if let Some(head) = self.head.take() {
            session.write_response_header(head, pieces == 0)?;
        }
        for at in 0..pieces {
            let piece = self.hit.pieces()[at].clone();
            let length = piece.len() as u64;
            session.write_body(piece, at + 1 == pieces).await?;
            self.sent += length;
        }
        Ok(())
    }

    /// Tells how it ended. Only the first call counts.
    fn tell(&mut self, end: End) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let lane = Lane {
            control: &self.control,
            now: &self.snapshot,
            conn: &self.conn,
            moment: self.moment,
        };
        let over = (Instant::now(), end);
        self.hit.tell(lane, over, self.sent, &self.read);
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(self.moment.end_of_dropped(&self.snapshot, &self.conn));
        }
    }
}

/// Whether a request has fields that need another look: one that expects something, and cookies in several fields, which
/// are one to whoever asks for them (RFC 9113 §8.2.3).
fn is_rare(fields: &HeaderMap) -> bool {
    let mut cookies = fields.get_all(header::COOKIE).iter();
    fields.contains_key(header::EXPECT)
        || fields.contains_key(header::CONTENT_LENGTH)
        || cookies.nth(1).is_some()
}

/// What a request is answered with, its head, and what is told of it.
fn decide(lane: Lane<'_>, request: &RequestHeader) -> Option<(Hit, ResponseHeader, Read)> {
    let config = &lane.now.config;
    let trusted = is_believed(lane.conn.peer, &config.trusted_proxies);
    let (read, host) = read(request, lane.now, trusted)?;
    // Both are text, and parts of what is text.
    let text = std::str::from_utf8(&read).ok()?;
    let (host, target) = text.split_at_checked(host)?;
    let mut made = None;
    let question = Question {
        asked: Asked::of(request.method.as_str(), host, target)?,
        fields: &request.headers,
        rare: &request.headers,
        read: &read,
    };
    let hit = decide_by((lane, trusted), &question, |answer, entry, at, how| {
        made = answer.head(entry, at, how).ok();
        made.is_some().then_some(0)
    })?;
    let version = Version::HTTP_2;
    Some((Hit { version, ..hit }, made?, read))
}

/// Host and target of a request in the form in which they go on, one behind the other, and where the second begins.
/// `None`: it is refused, or goes on without some of its fields, which is for the other lane.
fn read(request: &RequestHeader, now: &Snapshot, trusted: bool) -> Option<(Read, usize)> {
    let hosts = request.headers.get_all(header::HOST).iter();
    let hosts: SmallVec<[&[u8]; 2]> = hosts.map(HeaderValue::as_bytes).collect();
    let asked = pseudo::Pseudo {
        method: request.method.as_str(),
        scheme: request.uri.scheme_str(),
        target: request.uri.path_and_query()?.as_str(),
        authority: request.uri.authority().map(|a| a.as_str()),
        hosts: &hosts,
    };
    let settled = pseudo::check(&asked, &now.rules).ok()?;
    let fields = request.headers.iter();
    let fields: SmallVec<[(&str, &[u8]); 24]> =
        fields.map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    let dropped = pseudo::fields(&fields, &now.rules, trusted).ok()?;
    let mut read = Read::new();
    read.extend_from_slice(settled.host.as_bytes());
    let host = read.len();
    read.extend_from_slice(settled.target.as_bytes());
    dropped.is_empty().then_some((read, host))
}
