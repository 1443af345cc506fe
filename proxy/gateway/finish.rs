//! The end of a request: counted and told, once.
//!
//! One record for metrics and log, so that they never disagree. Never waits: the log has a thread of its own.

use std::time::{Duration, Instant};

use super::ctx::Ctx;
use super::lookup;
use super::split;
use crate::base::reason::End;
use crate::telemetry::finished::Finished;

/// Counts a finished request and writes its line.
pub fn tell(ctx: &Ctx, end: End, now: Instant) {
    if let Some(fetch) = &ctx.fetch {
        return fetch.note(ctx);
    }
    let snapshot = &ctx.snapshot;
    let took = now.duration_since(ctx.begun);
    let metrics = match ctx.route {
        Some(at) => &snapshot.route_metrics[at],
        None => &snapshot.no_route_metrics,
    };
    let bytes = (ctx.bytes_in, ctx.bytes_out);
    let cached = ctx.cached.outcome.map(|did| (did, ctx.cached.collapsed));
    metrics.finished(&ctx.head.method, (ctx.status, end), took, bytes, cached);
    lookup::told::finished(ctx);
    let failed = end.always_told() || ctx.status >= 500;
    let refused = matches!(end, End::Refused(_));
    let logged = snapshot.log.wants(failed, fastrand::f64)
        && (!refused || ctx.control.flood.may_tell(ctx.at));
    let slow = is_slow(ctx, took);
    if logged || slow {
        tell_of(ctx, end, took, |finished| {
            if logged {
                snapshot.log.tell(finished);
            }
            if slow {
                ctx.control.slow.note(finished);
                metrics.slow.inc();
            }
        });
    }
}

/// Whether it took longer than its route may take. A tunnel takes as long as its ends talk: what counts is how long
/// they had to wait for it.
fn is_slow(ctx: &Ctx, took: Duration) -> bool {
    let limit = ctx.route.and_then(|at| ctx.snapshot.config.routes[at].slow);
    let took = match ctx.status {
        101 => ctx.ttfb.unwrap_or_default(),
        _ => took,
    };
    limit.is_some_and(|limit| took >= limit)
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
        dry_run: ctx.dry_run,
        end,
    });
}
