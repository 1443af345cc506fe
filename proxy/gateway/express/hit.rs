//! One request that is answered in the express lane: what is sent, and what is told of it.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Version};

use super::super::ctx::new_id;
use super::super::finish::Over;
use super::super::trace::Traced;
use super::decide::Lane;
use crate::base::cached::{Outcome, Why};
use crate::base::coding::Coding;
use crate::base::reason::{End, Refusal};
use crate::cache::entry::Entry;
use crate::telemetry::finished::Finished;

/// Where something stands in the bytes that were read.
pub type Span = Range<usize>;

/// Which body of an entry is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// None.
    Nothing,
    /// Its own.
    Own,
    /// That of the form in this coding.
    Form(Coding),
}

/// A request that is answered here.
#[derive(Debug)]
pub struct Hit {
    /// What is sent of.
    pub entry: Arc<Entry>,
    /// Which body.
    pub source: Source,
    /// Bytes of that body.
    pub length: u64,
    /// Its body is copied behind its head.
    pub is_copied: bool,
    /// Where in its batch ends what is written of it.
    pub written_to: usize,
    /// Position in the configuration's `routes`.
    pub route: usize,
    /// `HEAD`, and not `GET`.
    pub is_head: bool,
    /// Version of HTTP.
    pub version: Version,
    /// Status.
    pub status: u16,
    /// The client's real address.
    pub client: IpAddr,
    /// Why it would not have been taken in, were that not only counted.
    pub dry_run: Option<Refusal>,
    /// How the body is written.
    pub encoding: Option<Coding>,
    /// Its trace.
    pub traced: Traced,
    /// Its id, where somebody was told of it or a trusted peer gave it; else it gets one when it is told.
    pub id: Option<HeaderValue>,
    /// `Host`.
    pub host: Span,
    /// The path.
    pub path: Span,
    /// The query.
    pub query: Option<Span>,
}

impl Hit {
    /// The pieces of the body that is sent.
    pub fn pieces(&self) -> &[Bytes] {
        match self.source {
            Source::Nothing => &[],
            Source::Own => self.entry.body.pieces(),
            Source::Form(coding) => {
                let body = self.entry.form(coding).and_then(|form| form.body.as_ref());
                body.map_or(&[], |body| body.pieces())
            }
        }
    }

    /// Counts it and writes its line, at this time. `sent` are the bytes of its body that were; `heads` is what the client sent.
    pub fn tell(&self, to: Lane<'_>, (at, end): (Instant, End), sent: u64, heads: &[u8]) {
        let over = Over {
            control: to.control,
            snapshot: to.now,
            route: Some(self.route),
            method: if self.is_head {
                &Method::HEAD
            } else {
                &Method::GET
            },
            status: self.status,
            end,
            at: to.moment.at,
            took: at.duration_since(to.moment.begun),
            bytes: (0, sent),
            cached: Some((Outcome::Hit, false)),
            key: Some(&self.entry.key),
            traced: self.traced,
        };
        to.now.route_metrics[self.route].in_express();
        let keeps = over.count(over.took);
        if keeps.is_nobody() {
            return;
        }
        let text = |span: &Span| {
            let bytes = heads.get(span.clone()).unwrap_or_default();
            std::str::from_utf8(bytes).unwrap_or_default()
        };
        let secured = to.conn.secured();
        let id = self.id.as_ref().and_then(|id| id.to_str().ok());
        let mut own_id = None;
        let finished = Finished {
            at: over.at,
            id: match &id {
                Some(id) => id,
                None => &*own_id.insert(new_id()),
            },
            client: self.client,
            listener: &to.conn.port.label,
            route: &to.now.config.routes[self.route].name,
            method: over.method,
            host: text(&self.host),
            path: text(&self.path),
            query: self.query.as_ref().map(text),
            version: self.version,
            tls: secured.map(|secured| secured.version),
            sni: secured.and_then(|secured| secured.sni.as_deref()),
            status: self.status,
            bytes_in: 0,
            bytes_out: sent,
            queue: None,
            connect: None,
            ttfb: None,
            total: over.took,
            upstream: "",
            nodes: &[],
            cache: Some(Outcome::Hit),
            cache_reason: Some(Why::Fresh),
            encoding: self.encoding,
            grpc_status: None,
            dry_run: self.dry_run,
            trace: self.traced.trace,
            recording: None,
            end,
        };
        over.keep(keeps, &finished);
    }
}
