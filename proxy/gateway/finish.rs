//! The end of a request: counted and told, once.
//!
//! One record for metrics and log, so that they never disagree. Never waits: the log has a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;

use super::ctx::Ctx;
use super::lookup;
use super::split;
use super::trace::Traced;
use crate::base::cached::Outcome;
use crate::base::reason::End;
use crate::cache::key::Key;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::finished::Finished;
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::traces::Span;

/// A finished request as it is counted, whichever lane it took.
pub struct Over<'a> {
    /// What every request shares.
    pub control: &'a Control,
    /// The generation it saw.
    pub snapshot: &'a Snapshot,
    /// Its route: position in the configuration's `routes`.
    pub route: Option<usize>,
    /// Its method.
    pub method: &'a Method,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// When its head had arrived.
    pub at: SystemTime,
    /// From then to its end.
    pub took: Duration,
    /// Body bytes from the client and to it.
    pub bytes: (u64, u64),
    /// What the cache did, and whether the answer was that of another request's fetch.
    pub cached: Option<(Outcome, bool)>,
    /// What its answer is stored under.
    pub key: Option<&'a Arc<Key>>,
    /// Its trace.
    pub traced: Traced,
}

/// Who keeps the record of a finished request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    log: bool,
    slow: bool,
    tap: bool,
    span: bool,
}

impl Keeps {
    /// Whether nobody does: then none has to be made.
    pub fn is_nobody(self) -> bool {
        !self.log && !self.slow && !self.tap && !self.span
    }
}

impl Over<'_> {
    fn metrics(&self) -> &RouteMetrics {
        match self.route {
            Some(at) => &self.snapshot.route_metrics[at],
            None => &self.snapshot.no_route_metrics,
        }
    }

    /// Counts it, and says who wants its record. `waited` is how long its client had to wait for it.
    pub fn count(&self, waited: Duration) -> Keeps {
        let what = (self.status, self.end);
        self.metrics()
            .finished(self.method, what, self.took, self.bytes, self.cached);
        if let (Some(key), Some((outcome, _))) = (self.key, self.cached) {
            lookup::told::finished(self.control, key, outcome, self.bytes.1);
        }
        let failed = self.end.always_told() || self.status >= 500;
        let refused = matches!(self.end, End::Refused(_));
        let log = &self.snapshot.log;
        let limit = self
            .route
            .and_then(|at| self.snapshot.config.routes[at].slow);
        let (log, tap) = (
            log.wants(failed, fastrand::f64),
            self.control.tap.is_heard(self.status),
        );
        // Asked once, whoever wants to know: what it withholds is counted.
        let told = (log || tap) && (!refused || self.control.flood.may_tell(self.at));
        Keeps {
            log: log && told,
            slow: limit.is_some_and(|limit| waited >= limit),
            tap: tap && told,
            span: self.traced.is_recorded,
        }
    }

    /// Hands its record to who keeps it.
    pub fn keep(&self, keeps: Keeps, finished: &Finished<'_>) {
        if keeps.log {
            self.snapshot.log.tell(finished);
        }
        if keeps.slow {
            self.control.slow.note(finished.into());
            self.metrics().slow.inc();
        }
        if keeps.tap {
            self.control.tap.tell(finished);
        }
        if let (true, Some(trace), Some(otlp)) = (
            keeps.span,
            self.traced.trace,
            &self.snapshot.config.tracing.otlp,
        ) && !(self.control.spans).put(Span::of(finished, trace), otlp.queue)
        {
            self.control.metrics.spans.no_room();
        }
    }
}

/// Counts a finished request and writes its line.
pub fn tell(ctx: &Ctx, end: End, now: Instant) {
    if let Some(fetch) = &ctx.fetch {
        return fetch.note(ctx);
    }
    let took = now.duration_since(ctx.begun);
    let over = Over {
        control: &ctx.control,
        snapshot: &ctx.snapshot,
        route: ctx.route,
        method: &ctx.head.method,
        status: ctx.status,
        end,
        at: ctx.at,
        took,
        bytes: (ctx.bytes_in, ctx.bytes_out),
        cached: ctx.cached.outcome.map(|did| (did, ctx.cached.collapsed)),
        key: ctx.cached.key.as_ref(),
        traced: ctx.traced,
    };
    // A tunnel takes as long as its ends talk: what counts is how long they had to wait for it.
    let waited = match ctx.status {
        101 => ctx.ttfb.unwrap_or_default(),
        _ => took,
    };
    let keeps = over.count(waited);
    if !keeps.is_nobody() {
        tell_of(ctx, end, took, |finished| over.keep(keeps, finished));
    }
}

/// The nodes that a request tried, in order.
pub fn nodes(ctx: &Ctx) -> impl Iterator<Item = &str> {
    let candidates = ctx.upstream().map(|u| u.pool.candidates());
    let tried = ctx.tried.iter();
    split::left(ctx).chain(tried.filter_map(move |at| Some(&*candidates?[*at].node.id)))
}

/// Hands the record of a request to who keeps it.
fn tell_of(ctx: &Ctx, end: End, took: Duration, keep: impl FnOnce(&Finished<'_>)) {
    let snapshot = &ctx.snapshot;
    let told = ctx.fetched.as_ref().map(|fetch| fetch.told());
    let nodes: smallvec::SmallVec<[&str; 4]> = match &told {
        Some(told) => told.nodes.iter().map(|id| &**id).collect(),
        None => nodes(ctx).collect(),
    };
    let upstream = match &told {
        Some(told) => told.upstream.as_deref(),
        None => {
            let own = ctx.upstream().filter(|_| !ctx.cached.is_answer());
            own.map(|upstream| &*upstream.name)
        }
    };
    let of_fetch = told.as_ref();
    let secured = ctx.conn.as_ref().and_then(|conn| conn.secured());
    keep(&Finished {
        at: ctx.at,
        id: ctx.id(),
        client: ctx.client,
        listener: ctx.conn.as_ref().map_or("", |c| &c.port.label),
        route: ctx.route.map_or("", |at| &snapshot.config.routes[at].name),
        method: &ctx.head.method,
        host: ctx.host(),
        path: ctx.head.uri.path(),
        query: ctx.head.uri.query(),
        version: ctx.head.version,
        tls: secured.map(|secured| secured.version),
        sni: secured.and_then(|secured| secured.sni.as_deref()),
        status: ctx.status,
        bytes_in: ctx.bytes_in,
        bytes_out: ctx.bytes_out,
        queue: of_fetch.map_or(ctx.queued, |told| told.queued),
        connect: of_fetch.map_or(ctx.connect, |told| told.connect),
        ttfb: match of_fetch {
            Some(told) => told.answered.map(|at| at.duration_since(ctx.begun)),
            None => ctx.ttfb,
        },
        total: took,
        upstream: upstream.unwrap_or_default(),
        nodes: &nodes,
        cache: ctx.cached.outcome,
        cache_reason: ctx.cached.not_stored.or(ctx.cached.why),
        encoding: ctx.encoding,
        grpc_status: ctx.call.as_ref().and_then(|call| call.status),
        dry_run: ctx.dry_run,
        trace: ctx.traced.trace,
        recording: ctx.recording.as_deref(),
        end,
    });
}
