//! A node is chosen, tried, and, where that is safe, another one after it.
//!
//! A connection that fails costs the request nothing: nothing was sent, so any method goes on to the next node.
//! After something was sent, only an idempotent request whose body can be replayed goes on, and only while no byte
//! of an answer was seen. Never the same node while another exists.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::ctx::{Attempt, Ctx};
use super::{answer, key};
use crate::balance::node::Input;
use crate::balance::pick::Ask;
use crate::base::reason::End;
use crate::live::control::{Control, tell};
use crate::upstream::classify;
use crate::upstream::connect::Connect;
use crate::upstream::headers::{Told, to_node};
use crate::upstream::peer::bound_by;

/// How often a request is sent again after a node may have seen it: once because an old connection had been closed
/// meanwhile, once because a node died.
const SENT_AGAIN_AT_MOST: u32 = 2;
/// How many nodes may keep a request waiting until their connection times out. A refusal takes no time, so refusing
/// nodes are not counted.
const SLOW_CONNECTS_AT_MOST: u32 = 3;

/// Chooses the first node. `false`: there is none, and the client has been told.
///
/// # Errors
/// When the client cannot be written to.
pub async fn admit(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    ctx.key = key::of(&session.req_header().headers, ctx);
    ctx.chosen = choose(ctx, ctx.begun);
    if ctx.chosen.is_some() {
        return Ok(true);
    }
    ctx.end = Some(End::NoNode);
    answer::send(session, StatusCode::SERVICE_UNAVAILABLE, ctx.id()).await?;
    Ok(false)
}

fn choose(ctx: &Ctx, now: Instant) -> Option<usize> {
    let ask = Ask {
        key: ctx.key,
        random: fastrand::u64(..),
        now,
    };
    let pool = &ctx.upstream()?.pool;
    if ctx.tried.is_empty() {
        return pool.pick(&ask, &[]);
    }
    // The request's generation may be seconds old by now: nodes drained since then get nothing new, unless all of
    // them were, because a reload replaced every node.
    let mut barred = ctx.tried.clone();
    let candidates = pool.candidates().iter().enumerate();
    let drained = candidates.filter(|(_, c)| !c.node.is_up());
    barred.extend(drained.map(|(at, _)| at));
    let any_up = pool.candidates().iter().any(|c| c.node.is_up());
    pool.pick(&ask, if any_up { &barred } else { &ctx.tried })
}

/// The peer of the next attempt.
///
/// # Errors
/// When no node is left to try.
pub fn next_peer(ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
    let before = ctx.attempt.is_some();
    let now = Instant::now();
    ctx.end_attempt(now);
    ctx.body_seen = 0; // sent again, it is counted again
    let stale = ctx.stale.take();
    // With nobody else left, the node whose old connection was closed may well be fine.
    let chosen = ctx.chosen.take().or_else(|| choose(ctx, now)).or(stale);
    let Some(member) = chosen else {
        let error = Error::explain(ErrorType::ConnectError, "no node is left to try");
        return Err(error.into_up());
    };
    ctx.tried.push(member);
    let Some(upstream) = ctx.upstream.map(|at| &ctx.snapshot.upstreams[at]) else {
        return Error::e_explain(
            ErrorType::InternalError,
            "a request without upstream is proxied",
        );
    };
    if before {
        upstream
            .metrics
            .retried(ctx.failure.unwrap_or(End::UpstreamConnect));
    }
    let node = &upstream.pool.candidates()[member].node;
    if let Some(conn) = &ctx.conn {
        conn.is_on(node.clone());
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
        in_flight: node.begin(),
        begun: now,
        reused: old.is_some(),
        answered: false,
    });
    let full = ctx.conn.as_ref().and_then(|c| c.node_is_full.clone());
    let mut peer = Box::new(to.peer.clone());
    if let Some(deadline) = ctx.deadline {
        bound_by(&mut peer, deadline.saturating_duration_since(now));
    }
    if old.is_some() {
        peer.options.total_connection_timeout = None; // nothing to wait for, and no timer to pay
    }
    peer.options.custom_l4 = Some(Arc::new(Connect::new(old, to.kept.clone(), full)));
    Ok(peer)
}

/// The connection stands.
pub fn connected(session: &mut Session, ctx: &mut Ctx, control: &Control) {
    if session.is_http2()
        && !session.as_mut().is_body_done()
        && !session.req_header().headers.contains_key(header::EXPECT)
        && let Some(conn) = &ctx.conn
    {
        conn.awaits_body(true);
    }
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
        tell(node, &transition, &control.metrics);
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
    let why = classify::ending(&error);
    note_failure(ctx, why);
    if classify::is_nodes_fault(&error)
        && let Some(attempt) = &ctx.attempt
    {
        let input = Input::ConnectFailed {
            why: classify::connect_failure_in_words(&error).into(),
        };
        control.apply(attempt.in_flight.node(), input, Instant::now());
    }
    ctx.slow_connects += u32::from(why == End::UpstreamTimeout);
    error.set_retry(ctx.slow_connects < SLOW_CONNECTS_AT_MOST && !ctx.is_overdue());
    error
}

/// Something went wrong after the connection stood.
pub fn attempt_failed(session: &Session, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
    let why = classify::ending(&error);
    let upstream_failed = *error.esource() == pingora::ErrorSource::Upstream;
    if upstream_failed {
        note_failure(ctx, why);
    }
    let Some(attempt) = &ctx.attempt else {
        error.set_retry(false);
        return error;
    };
    let body_is_kept = !session.as_ref().retry_buffer_truncated();
    let again = upstream_failed
        && !attempt.answered
        && session.response_written().is_none()
        && ctx.sent_again < SENT_AGAIN_AT_MOST
        && !ctx.is_overdue()
        && classify::may_send_again(why, &ctx.head.method, body_is_kept);
    if again {
        ctx.sent_again += 1;
        ctx.stale = attempt.reused.then_some(attempt.member);
    }
    error.set_retry(again);
    error
}

fn note_failure(ctx: &mut Ctx, why: End) {
    ctx.failure = Some(why);
    if let Some(member) = ctx.member() {
        member.metrics.failed(why);
    }
}

/// The last word on the fields the node gets.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    let (Some(conn), Some(member), Some(at)) = (&ctx.conn, ctx.member(), ctx.upstream) else {
        return Ok(());
    };
    to_node(
        request,
        &Told {
            peer: &conn.peer_value,
            peer_addr: conn.peer,
            trusted: ctx.trusted,
            client: ctx.client,
            id: &ctx.id,
            version: ctx.head.version,
            forwarded: ctx.snapshot.config.upstreams[at].forwarded,
            default_host: &member.host,
        },
    )
}
