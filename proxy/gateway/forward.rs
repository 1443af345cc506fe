//! A node is chosen, tried, and, where that is safe, another one after it.
//!
//! A connection that fails costs the request nothing: nothing was sent, so any method goes on to the next node. What
//! happens after something was sent is `again`'s. Never the same node while another exists.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, Result};

use super::ctx::{Attempt, Ctx};
use super::encode::asks;
use super::lookup::{self, status};
use super::{again, announce, answer, beside, calls, key, line, over_h2, split, sticky, tunnel};
use crate::balance::node::{Fitness, InFlight};
use crate::base::reason::End;
use crate::live::control::Control;
use crate::telemetry::traces::Event;
use crate::upstream::classify;
use crate::upstream::connect::{Connect, Greeting, Way};
use crate::upstream::headers::{Added, Told, are_end_to_end, to_node};
use crate::upstream::patience::Patience;
use crate::upstream::peer::bound_by;

/// How many nodes may keep a request waiting until their connection times out. A refusal takes no time, so refusing
/// nodes are not counted.
const SLOW_CONNECTS_AT_MOST: u32 = 3;

/// Chooses the first node, or waits for one. `false`: there is none, and the client has been told.
///
/// # Errors
/// When the client cannot be written to.
pub async fn admit(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    split::decide(session.req_header(), ctx);
    settle(&session.req_header().headers, ctx).await;
    ctx.repeatable = again::is_repeatable(session, ctx);
    ctx.may_hedge = beside::may(session, ctx);
    let fields = &session.req_header().headers;
    let mut taken = line::take(fields, ctx, ctx.begun).await;
    if taken
        .as_ref()
        .is_err_and(line::Nobody::is_for_want_of_a_fit_one)
        && split::falls_back(ctx)
    {
        settle(fields, ctx).await;
        ctx.repeatable = again::is_repeatable(session, ctx);
        taken = line::take(fields, ctx, Instant::now()).await;
    }
    let nobody = match taken {
        Ok(taken) => {
            ctx.chosen = Some(taken);
            return Ok(true);
        }
        Err(nobody) => nobody,
    };
    ctx.end = Some(nobody.end);
    if let Some(fetch) = &ctx.fetch {
        fetch.fails(nobody.end);
    }
    if lookup::rescues(session, ctx).await? {
        return Ok(false);
    }
    let mut more = status::more(ctx);
    let code = match nobody.end.status() {
        Some(other) if other != StatusCode::SERVICE_UNAVAILABLE => other,
        _ => {
            more.push(("Retry-After", nobody.retry_after.to_string()));
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    answer::send_with(session, code, ctx, &more).await?;
    Ok(false)
}

/// Notes what the request with these `fields` is to the upstream it goes to.
async fn settle(fields: &HeaderMap, ctx: &mut Ctx) {
    ctx.key = key::of(fields, ctx);
    ctx.session = sticky::read(fields, ctx);
    if let Some(upstream) = ctx.upstream() {
        let commons = upstream.pool.commons();
        commons.budget.asked(commons.millis(ctx.begun));
    }
    if sticky::wants_to_know(ctx, ctx.begun) {
        // Boxed: who does not ask Redis does not carry the room for it.
        Box::pin(sticky::asks_others(ctx)).await;
    }
}

/// The peer of the next attempt.
///
/// # Errors
/// When no node is left to try.
pub async fn next_peer(session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
    let before = ctx.attempt.is_some();
    let last = match before {
        true => ctx.end_attempt(Instant::now()),
        false => None,
    };
    let stale = ctx.stale.take();
    // Its place on the node whose old connection was closed is kept: others wait for it, and nobody else may do.
    let held = last.filter(|last| stale == Some(last.member));
    let held = held.map(|last| (last.member, last.in_flight));
    let pause = std::mem::take(&mut ctx.pause);
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    ctx.body_seen = 0; // sent again, it is counted again
    let fields = &session.req_header().headers;
    let (member, in_flight) = next_node(fields, ctx, held, before).await?;
    let now = Instant::now();
    ctx.notes(now, || Event::Attempt {
        node: ctx.node(member),
        resend: ctx.attempts(),
    });
    ctx.tried.push(member);
    ctx.opens = None;
    let over_h2 = ctx.upstream().and_then(|u| u.members[member].h2.clone());
    let (hedge, patience) = match over_h2 {
        Some(_) => (None, None),
        None => (beside::plan(ctx, member, now), again::patience(ctx)),
    };
    let plain = are_end_to_end(fields);
    // A request for a tunnel says so in a field that is for the connection: nothing is looked up for all others.
    let wanted = (!plain).then(|| tunnel::asked(fields, ctx, now)).flatten();
    let Some(upstream) = ctx.upstream.map(|at| &ctx.snapshot.upstreams[at]) else {
        return Error::e_explain(
            ErrorType::InternalError,
            "a request without upstream is proxied",
        );
    };
    if before {
        let why = ctx.failure.unwrap_or(End::UpstreamConnect);
        upstream.metrics.retried(why);
        upstream.members[member].metrics.retried();
    }
    if let Some(conn) = &ctx.conn {
        conn.is_on(in_flight.node().clone());
        conn.awaits_body(false); // nobody reads it before the connection stands
    }
    let to = &upstream.members[member];
    // After an old connection that was closed, no other old one is trusted.
    let old = if stale.is_none() {
        to.kept.take(now)
    } else {
        None
    };
    ctx.attempt = Some(Attempt {
        member,
        in_flight,
        begun: now,
        reused: old.is_some(),
        answered: false,
    });
    let full = ctx.conn.as_ref().and_then(|c| c.node_is_full.clone());
    let mut peer = Box::new(to.peer.clone());
    let kept = to.kept.clone();
    if let Some(home) = over_h2 {
        let to = (to.addr, to.greeting.clone());
        // Boxed: who speaks HTTP/1.1 does not carry the room for it.
        Box::pin(over_h2::prepare(session, ctx, &mut peer, &home, to)).await;
        return Ok(peer);
    }
    let left = ctx.deadline.map(|at| at.saturating_duration_since(now));
    let write = peer.options.write_timeout;
    if let Some(left) = left {
        bound_by(&mut peer, left);
    }
    let options = &mut peer.options;
    if wanted.is_some() {
        // Once the node has agreed it may be silent, and no request's time is over: the line has the limit until then.
        options.read_timeout = None;
        options.write_timeout = write;
    }
    if old.is_some() {
        options.total_connection_timeout = None; // nothing to wait for, and no timer to pay
    } else {
        let limit = options.total_connection_timeout;
        options.total_connection_timeout = limit
            .into_iter()
            .chain(patience.as_ref().map(Patience::most))
            .min();
    }
    if plain {
        // There is nothing to take out, and no need to look for each of it.
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    }
    let added = Added::default();
    ctx.added = Some(added.clone());
    let little = ctx.asks.as_ref().map(|asks| asks.reads_little.clone());
    let way = match old {
        Some(stream) => Way::Kept(stream),
        None => Way::New(Greeting {
            prelude: announce::prelude(ctx),
            ..to.greeting.clone()
        }),
    };
    let connect = Connect::new(way, kept, added, full, little, patience, hedge);
    options.custom_l4 = Some(Arc::new(connect.with_tunnel(wanted)));
    Ok(peer)
}

/// The node of the next attempt, with the request begun on it.
async fn next_node(
    fields: &HeaderMap,
    ctx: &mut Ctx,
    held: Option<(usize, InFlight)>,
    before: bool,
) -> Result<(usize, InFlight)> {
    if let Some(chosen) = ctx.chosen.take() {
        return Ok(chosen);
    }
    let now = Instant::now();
    let paid = std::mem::take(&mut ctx.paid);
    // That it closed an old connection says nothing against a node: it keeps its session.
    if let Some((member, in_flight)) = held {
        let other = match sticky::member(ctx, now) == Some(member) {
            true => None,
            false => line::at_once(ctx, now),
        };
        // With nobody else left, the node whose old connection was closed may well be fine.
        return Ok(other.unwrap_or((member, in_flight)));
    }
    let leaves = std::mem::take(&mut ctx.leaves_replicas);
    if (leaves || ctx.slow_connects >= SLOW_CONNECTS_AT_MOST) && split::falls_back(ctx) {
        ctx.slow_connects = 0;
        settle(fields, ctx).await;
    }
    let is_bet = |on: &InFlight| before && on.node().fitness(now) == Fitness::LastResort;
    match line::take(fields, ctx, now).await {
        // It is resting because it failed a moment ago: with all of them down, trying each of them for every request
        // would be a storm.
        Ok((_, on)) if is_bet(&on) && !paid && !again::is_affordable(ctx, now) => {}
        Ok(taken) => return Ok(taken),
        Err(_) => {}
    }
    if split::falls_back(ctx) {
        settle(fields, ctx).await;
        if let Ok(taken) = line::take(fields, ctx, Instant::now()).await {
            return Ok(taken);
        }
    }
    let error = Error::explain(ErrorType::ConnectError, "no node is left to try");
    Err(error.into_up())
}

/// The connection stands.
pub fn connected(session: &mut Session, ctx: &mut Ctx, control: &Control) {
    if session.is_http2()
        && !session.as_mut().is_body_done()
        && !session.req_header().headers.contains_key(header::EXPECT)
        && !calls::may_be_silent(ctx)
        && let Some(conn) = &ctx.conn
    {
        conn.awaits_body(true);
    }
    ctx.sent += 1;
    let Some(attempt) = &ctx.attempt else {
        return;
    };
    if attempt.reused {
        ctx.connect = Some(Duration::ZERO);
        if let Some(upstream) = ctx.upstream() {
            upstream.metrics.reuse.inc();
        }
        return;
    }
    let now = Instant::now();
    let took = now.duration_since(attempt.begun);
    let node = attempt.in_flight.node();
    if let Some(transition) = node.connected(now) {
        control.changed(node, &transition, now);
    }
    ctx.connect = Some(took);
    if let Some(upstream) = ctx.upstream() {
        let connecting = &upstream.metrics.connect_duration;
        connecting.observe(took.as_secs_f64());
    }
}

/// The connection could not be made: the node rests, the request goes on elsewhere.
pub fn connect_failed(ctx: &mut Ctx, mut error: Box<Error>, control: &Control) -> Box<Error> {
    error.as_up();
    if let Some(opens) = &ctx.opens {
        opens.is_done(false);
        if !opens.is_new() && again::is_left(ctx) {
            error.set_retry(!ctx.is_overdue());
            return error;
        }
        error = over_h2::explained(ctx, error);
    }
    let why = classify::ending(&error);
    note_failure(ctx, why);
    if let (Some(attempt), Some(upstream)) = (&ctx.attempt, ctx.upstream()) {
        let now = Instant::now();
        if again::refused(attempt, &error, &upstream.pool, control, now) {
            again::judge(ctx, true, now);
        }
    }
    ctx.slow_connects += u32::from(why == End::UpstreamTimeout);
    let wanted = ctx.upstream.is_some_and(|at| {
        let rules = &ctx.snapshot.config.upstreams[at].retry;
        rules.on.connect
    });
    let patient =
        ctx.slow_connects < SLOW_CONNECTS_AT_MOST || split::could_fall_back(ctx, Instant::now());
    error.set_retry(wanted && patient && !ctx.is_overdue());
    error
}

/// Notes how the attempt that runs failed.
pub fn note_failure(ctx: &mut Ctx, why: End) {
    ctx.failure = Some(why);
    ctx.notes(Instant::now(), || Event::Failed { why });
    if let Some(member) = ctx.member() {
        member.metrics.failed(why);
    }
}

/// The last word on the fields the node gets.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    asks::dress(request, ctx)?;
    sticky::take_out(request, ctx)?;
    let (Some(conn), Some(member), Some(at)) = (&ctx.conn, ctx.member(), ctx.upstream) else {
        return Ok(());
    };
    let Some(added) = &ctx.added else {
        return Ok(());
    };
    calls::dress(request, ctx)?;
    to_node(
        request,
        &Told {
            peer: &conn.peer_value,
            peer_addr: conn.peer,
            trusted: ctx.trusted,
            client: ctx.client,
            id: &ctx.id,
            id_name: &ctx.snapshot.config.tracing.request_id,
            trace: ctx.traced.onward,
            version: ctx.head.version,
            scheme: conn.scheme(),
            subject: ctx.client_subject(),
            forwarded: ctx.snapshot.config.upstreams[at].forwarded,
            default_host: &member.host,
        },
        added,
    )?;
    match ctx.opens {
        Some(_) => over_h2::dress(request, &added.take(), member.greeting.tls.is_some()),
        None => Ok(()),
    }
}
