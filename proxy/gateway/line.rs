//! A place on a node: at once where there is one, else in line with the others.
//!
//! First come, first served: as long as anybody waits, nobody overtakes. Every wait has an end. Never sends anything.

use std::time::{Duration, Instant};

use http::HeaderMap;
use smallvec::SmallVec;
use tokio::time::timeout_at;

use super::ctx::Ctx;
use super::{key, split, sticky};
use crate::balance::node::InFlight;
use crate::balance::pick::Ask;
use crate::balance::pool::{self, Pool};
use crate::base::reason::End;
use crate::config::checked::Config;

/// Why a request gets no node.
#[derive(Debug, Clone, Copy)]
pub struct Nobody {
    /// How it ends.
    pub end: End,
    /// When it may come again, in seconds.
    pub retry_after: u64,
}

impl Nobody {
    /// Whether no node is fit; else some are, and have enough to do.
    pub fn is_for_want_of_a_fit_one(&self) -> bool {
        matches!(self.end, End::NoNode | End::BreakerOpen)
    }
}

/// A node for the request, begun on it; waits for one where all have enough to do.
///
/// # Errors
/// Why there is none.
pub async fn take(
    fields: &HeaderMap,
    ctx: &mut Ctx,
    now: Instant,
) -> Result<(usize, InFlight), Nobody> {
    let Some(pool) = ctx.upstream().map(|u| &u.pool) else {
        return Err(nobody(pool::Nobody::Fit));
    };
    if !pool.has_a_line() {
        match choose(ctx, now, false) {
            Err(pool::Nobody::Free) => {}
            taken => return taken.map_err(nobody),
        }
    }
    let taken = wait(fields, ctx).await;
    let waited = now.elapsed();
    ctx.queued = Some(ctx.queued.unwrap_or_default() + waited);
    if let Some(upstream) = ctx.upstream() {
        let metric = &upstream.metrics.queue_duration;
        metric.observe(waited.as_secs_f64());
    }
    taken
}

/// Waits for a place on a node.
async fn wait(fields: &HeaderMap, ctx: &mut Ctx) -> Result<(usize, InFlight), Nobody> {
    let Some((rules, queue)) = ctx.upstream().map(|u| {
        let pool = &u.pool;
        (pool.how().queue, pool.commons().queue.clone())
    }) else {
        return Err(nobody(pool::Nobody::Fit));
    };
    let Some(waiting) = queue.line_up(rules.size as usize) else {
        return Err(soon(End::QueueFull));
    };
    let mut until = Instant::now() + rules.timeout;
    if let Some(deadline) = ctx.deadline {
        until = until.min(deadline);
    }
    while timeout_at(until.into(), waiting.called()).await.is_ok() {
        renew(fields, ctx);
        match choose(ctx, Instant::now(), true) {
            // It may not go everywhere: what is free may be for those behind it.
            Err(pool::Nobody::Free) if !ctx.tried.is_empty() => waiting.passes_on(),
            Err(pool::Nobody::Free) => {}
            taken => return taken.map_err(nobody),
        }
    }
    let overdue = ctx.deadline.is_some_and(|at| until >= at);
    Err(soon(match overdue {
        true => End::RequestTimeout,
        false => End::QueueTimeout,
    }))
}

/// A request that no node has seen moves on to the generation in use, where its route and its upstream are there too: the
/// operator may have made the room that it waits for.
pub fn renew(fields: &HeaderMap, ctx: &mut Ctx) {
    let own = ctx.snapshot.generation;
    if ctx.attempts() > 0 || ctx.control.hold.look(|now| now.generation == own) {
        return;
    }
    let now = ctx.control.hold.load();
    let names = ctx.route.zip(ctx.upstream);
    let Some((route, upstream)) = names.and_then(|(route, upstream)| {
        let route = &ctx.snapshot.config.routes[route].name;
        let name = &ctx.snapshot.upstreams[upstream].name;
        let route = now.config.routes.iter().position(|r| r.name == *route)?;
        let upstream = now.upstreams.iter().position(|u| u.name == *name)?;
        // In the same role: a primary may have become a replica.
        let role = |config: &Config, route: usize, at: usize| {
            config.routes[route].upstreams().position(|to| to == at)
        };
        let (old, own) = (&ctx.snapshot.config, (ctx.route?, ctx.upstream?));
        let role_now = role(&now.config, route, upstream)?;
        (role(old, own.0, own.1) == Some(role_now)).then_some((route, upstream))
    }) else {
        return;
    };
    ctx.snapshot = now;
    (ctx.route, ctx.upstream) = (Some(route), Some(upstream));
    ctx.key = key::of(fields, ctx);
    ctx.session = sticky::read(fields, ctx);
}

/// Chooses the node that has the request's session, else among those that it has not tried.
fn choose(ctx: &Ctx, now: Instant, has_waited: bool) -> Result<(usize, InFlight), pool::Nobody> {
    let Some(pool) = ctx.upstream().map(|u| &u.pool) else {
        return Err(pool::Nobody::Fit);
    };
    let of_session = match ctx.tried.is_empty() {
        true => sticky::member(ctx, now),
        false => None,
    };
    if let Some(at) = of_session
        && let Some(begun) = pool.begin(at, now)
    {
        return Ok((at, begun));
    }
    let barred = barred(ctx, pool, has_waited, now);
    match sticky::lot(ctx) {
        None => pool.take(&ask(ctx, now), &barred),
        Some(key) => {
            let ask = Ask {
                key,
                ..ask(ctx, now)
            };
            pool.take_by_lot(&ask, &barred)
        }
    }
}

/// Another node at once, without waiting and without overtaking anybody.
pub fn at_once(ctx: &Ctx, now: Instant) -> Option<(usize, InFlight)> {
    let pool = &ctx.upstream()?.pool;
    match pool.has_a_line() {
        true => None,
        false => choose(ctx, now, false).ok(),
    }
}

/// Whether another node could be asked now.
pub fn is_there_another(ctx: &Ctx, now: Instant) -> bool {
    let pool = ctx.upstream().map(|u| &u.pool);
    pool.is_some_and(|pool| pool.has_one(&barred(ctx, pool, false, now), now))
        || split::could_fall_back(ctx, now)
}

fn ask(ctx: &Ctx, now: Instant) -> Ask {
    Ask {
        key: ctx.key,
        random: fastrand::u64(..),
        now,
    }
}

/// Whom the request does not go to. `has_waited`: time has passed since its generation was the one in use.
pub fn barred(ctx: &Ctx, pool: &Pool, has_waited: bool, now: Instant) -> SmallVec<[usize; 4]> {
    let mut barred = ctx.tried.clone();
    if barred.is_empty() && !has_waited {
        return barred;
    }
    // The request's generation may be seconds old by now: nodes drained since then get nothing new, unless all of
    // them were, because a reload replaced every node.
    let candidates = || pool.candidates().iter().enumerate();
    if candidates().any(|(_, c)| c.node.is_up()) {
        let drained = candidates().filter(|(_, c)| !c.node.is_up());
        barred.extend(drained.map(|(at, _)| at));
    }
    // A request that a node has seen is not sent again to one that asked for a pause. One that nobody has seen may be.
    if ctx.sent > 0 {
        let pauses = candidates().filter(|(_, c)| c.node.pauses(now));
        barred.extend(pauses.map(|(at, _)| at));
    }
    barred
}

fn nobody(why: pool::Nobody) -> Nobody {
    match why {
        pool::Nobody::Fit => soon(End::NoNode),
        pool::Nobody::Free => soon(End::QueueFull),
        pool::Nobody::Open(left) => Nobody {
            end: End::BreakerOpen,
            retry_after: left
                .div_duration_f64(Duration::from_secs(1))
                .ceil()
                .max(1.0) as u64,
        },
    }
}

fn soon(end: End) -> Nobody {
    Nobody {
        end,
        retry_after: 1,
    }
}
