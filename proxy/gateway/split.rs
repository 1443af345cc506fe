//! Reads go to the replicas, writes to the primary, and who has just written reads from the primary.
//!
//! | request | goes to |
//! |---|---|
//! | GET, HEAD, OPTIONS | the replicas |
//! | the same from a client that wrote a moment ago; a WebSocket | the primary |
//! | a read, with `fallback`, while no replica is fine, or when none is left to try | the primary |
//! | everything else | the primary |
//!
//! That a client wrote is told by a cookie with the time until which it counts. It is not signed: whoever forges one
//! only reads from where anybody who writes reads, and proxies need no key in common to understand it. Never sends a
//! write to a replica.

use std::time::{Duration, Instant, SystemTime};

use http::header;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

use super::ctx::Ctx;
use super::sticky;
use crate::balance::node::Fitness;
use crate::balance::pick::Candidate;
use crate::balance::sticky::cookies;
use crate::base::fields::Fields;
use crate::config::checked::{Action, Config, Route, Split};

/// How far ahead the clock of another proxy may be that pinned a client.
const SKEW: Duration = Duration::from_secs(60);

/// What a split has done with a request.
#[derive(Debug, Default)]
pub struct Way {
    /// Replicas that were tried before it fell back to the primary: positions in their pool.
    pub left: SmallVec<[usize; 4]>,
    /// Whether its client came by TLS.
    by_tls: bool,
    /// Until when its client reads from the primary.
    pinned_until: Option<Duration>,
}

/// Chooses the upstream of a request whose route splits.
pub fn decide(request: &RequestHeader, ctx: &mut Ctx) {
    let Some(split) = of(ctx) else {
        return;
    };
    let pinned_until = pinned_until(&request.headers, split, &ctx.snapshot.config, ctx.at);
    let (reads, by_tls) = (
        split.reads,
        sticky::came_by_tls(&request.headers, ctx.trusted, ctx.own_scheme()),
    );
    let is_read = Split::READS.contains(&ctx.head.method)
        && !request.headers.contains_key(header::UPGRADE)
        && pinned_until.is_none();
    // Replicas that rest are not tried for the sake of it: a dead machine costs a time-out each.
    let stays = |at: usize| split.fallback && !has_fit(ctx, reads) && is_usable(ctx, at, ctx.begun);
    let goes = is_read && !ctx.upstream.is_some_and(stays);
    ctx.way.by_tls = by_tls;
    ctx.way.pinned_until = pinned_until;
    if goes {
        ctx.upstream = Some(reads);
    }
}

/// Whether any of an upstream's nodes is known to be fine, or may well be.
fn has_fit(ctx: &Ctx, upstream: usize) -> bool {
    let pool = &ctx.snapshot.upstreams[upstream].pool;
    let is_fit = |c: &Candidate| {
        c.weight > 0 && matches!(c.node.fitness(ctx.begun), Fitness::Good | Fitness::Untried)
    };
    pool.candidates().iter().any(is_fit) || pool.fails_open(ctx.begun)
}

fn is_usable(ctx: &Ctx, upstream: usize, now: Instant) -> bool {
    ctx.snapshot.upstreams[upstream].pool.is_usable(now)
}

/// The primary, where a read is among the replicas and may go there instead.
fn instead(ctx: &Ctx) -> Option<usize> {
    of(ctx).filter(|split| split.fallback && ctx.upstream == Some(split.reads))?;
    match ctx.snapshot.config.routes[ctx.route?].action {
        Action::Proxy(primary) => Some(primary),
        Action::Redirect { .. } => None,
    }
}

/// Whether a read could still go to the primary.
pub fn could_fall_back(ctx: &Ctx, now: Instant) -> bool {
    instead(ctx).is_some_and(|primary| is_usable(ctx, primary, now))
}

/// Moves a read from the replicas, among which no node is left, to the primary. `false`: it is there already, or may
/// not go there.
pub fn falls_back(ctx: &mut Ctx) -> bool {
    let Some(primary) = instead(ctx) else {
        return false;
    };
    ctx.upstream = Some(primary);
    ctx.way.left = std::mem::take(&mut ctx.tried);
    true
}

/// The names of the replicas that were tried before it fell back.
pub fn left(ctx: &Ctx) -> impl Iterator<Item = &str> {
    let replicas = of(ctx).map(|split| ctx.snapshot.upstreams[split.reads].pool.candidates());
    let tried = ctx.way.left.iter();
    tried.filter_map(move |at| Some(&*replicas?.get(*at)?.node.id))
}

/// A node has answered: who wrote reads from the primary for a while.
///
/// # Errors
/// When our own field cannot be added, which does not happen.
pub fn answered(answer: &mut ResponseHeader, ctx: &Ctx) -> Result<()> {
    let Some(split) = of(ctx).filter(|split| !split.pin_after_write.is_zero()) else {
        return Ok(());
    };
    if Split::READS.contains(&ctx.head.method) || answer.status.is_server_error() {
        return Ok(());
    }
    // Another route may have pinned it for longer, by the same cookie.
    let own_end = sticky::since_1970(ctx.at) + split.pin_after_write;
    if ctx.way.pinned_until.is_some_and(|until| until > own_end) {
        return Ok(());
    }
    // From the answer on: until then nothing was written.
    let now = sticky::since_1970(ctx.at) + ctx.begun.elapsed();
    let until = (now + split.pin_after_write).as_millis();
    let max_age = split.pin_after_write.as_millis().div_ceil(1_000);
    let secure = if ctx.way.by_tls { "; Secure" } else { "" };
    let name = &split.cookie;
    let field =
        format!("{name}={until}; Path=/; Max-Age={max_age}; SameSite=Lax; HttpOnly{secure}");
    answer.append_header("Set-Cookie", field)?;
    Ok(())
}

/// The split of a request's route.
fn of(ctx: &Ctx) -> Option<&Split> {
    ctx.snapshot.config.routes[ctx.route?].split.as_ref()
}

/// Whether a read is to see what its client wrote a moment ago: what is stored may come from a replica.
pub fn is_pinned(fields: &impl Fields, route: &Route, config: &Config, at: SystemTime) -> bool {
    let split = route.split.as_ref();
    split.is_some_and(|split| pinned_until(fields, split, config, at).is_some())
}

/// Until when a cookie says that its client reads from the primary, because it wrote a moment ago.
fn pinned_until(
    fields: &impl Fields,
    split: &Split,
    config: &Config,
    at: SystemTime,
) -> Option<Duration> {
    if split.pin_after_write.is_zero() {
        return None;
    }
    // As long as any route pins: they may share the cookie.
    let splits = config.routes.iter().flat_map(|r| &r.split);
    let longest = splits.map(|split| split.pin_after_write).max();
    let now = sticky::since_1970(at);
    let latest = now + longest.unwrap_or_default() + SKEW;
    let until = |value: &[u8]| {
        let millis = std::str::from_utf8(value).ok()?.parse().ok()?;
        Some(Duration::from_millis(millis))
    };
    let values = cookies::values(fields, &split.cookie).filter_map(until);
    values
        .filter(|until| now < *until && *until <= latest)
        .max()
}
