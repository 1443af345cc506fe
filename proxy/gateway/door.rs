//! A request at the door: whether its client may come in by this port and route, and how often.
//!
//! Everything here asks with the client's real address, never with what an untrusted peer says of itself.

use std::time::Instant;

use http::HeaderMap;
use pingora::Result;
use pingora::proxy::Session;

use super::answer;
use super::ctx::Ctx;
use crate::base::reason::{End, Refusal};
use crate::guard::rate::TooOften;
use crate::kv::Op;
use crate::live::doors::{Limit, Together};

/// Refuses a client that may not come in by this port. `true`: it is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn port(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let admits = match &ctx.conn {
        Some(conn) => ctx.snapshot.doors.port(&conn.port.open).admits(ctx.client),
        None => false, // who came in by no port came in by a fault
    };
    match admits {
        true => Ok(false),
        false => refuse(session, ctx, Refusal::Acl).await,
    }
}

/// Refuses a client that may not use the route at `at`, or not now. `true`: it is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn route(session: &mut Session, ctx: &mut Ctx, at: usize) -> Result<bool> {
    let door = &ctx.snapshot.doors.routes[at];
    if !door.acl.admits(ctx.client) {
        return refuse(session, ctx, Refusal::Acl).await;
    }
    let Some(limit) = &door.limit else {
        return Ok(false);
    };
    let fields = &session.req_header().headers;
    let asked = match &limit.together {
        None => limit.rate.ask(ctx.client, fields, ctx.begun),
        // Boxed: who does not ask Redis does not carry the room for it.
        Some(together) => Box::pin(ask_all(limit, together, fields, ctx)).await,
    };
    let Err(too_often) = asked else {
        return Ok(false);
    };
    if limit.dry_run {
        limit.metrics.dry_run.inc();
        ctx.dry_run = Some(Refusal::RateLimit);
        return Ok(false);
    }
    limit.metrics.refused.inc();
    let more = limit.rate.fields(too_often);
    refused(ctx, Refusal::RateLimit);
    let status = Refusal::RateLimit.status();
    answer::send_with(session, status, ctx, &more).await?;
    Ok(true)
}

/// Asks how often the client may, of what all proxies count together: one round trip to Redis. Who was refused and has
/// not waited is not asked for again; where Redis does not say, the proxy's own limit does.
async fn ask_all(
    limit: &Limit,
    together: &Together,
    fields: &HeaderMap,
    ctx: &Ctx,
) -> std::result::Result<(), TooOften> {
    let (count, metrics) = (&together.count, &together.metrics);
    let client = count.client(ctx.client, fields);
    if let Some(too_often) = count.waits(client, ctx.begun) {
        metrics.remembered.inc();
        return Err(too_often);
    }
    let verdict = match &ctx.snapshot.shared {
        None => None, // there is one wherever there is a count
        Some(shared) => {
            let question = [count.question(client)];
            let answer = shared.kv.ask(Op::Rate, &question).await.ok();
            let answer = answer.as_ref().and_then(|replies| replies.first());
            count.verdict(client, answer, Instant::now())
        }
    };
    let Some(verdict) = verdict else {
        metrics.fallback.inc();
        return limit.rate.ask(ctx.client, fields, ctx.begun);
    };
    match verdict {
        Ok(()) => &metrics.admitted,
        Err(_) => &metrics.refused,
    }
    .inc();
    verdict
}

/// Refuses a request in our own words.
///
/// # Errors
/// When the client cannot be written to.
pub async fn refuse(session: &mut Session, ctx: &mut Ctx, why: Refusal) -> Result<bool> {
    refused(ctx, why);
    answer::send(session, why.status(), ctx).await?;
    Ok(true)
}

fn refused(ctx: &mut Ctx, why: Refusal) {
    ctx.end = Some(End::Refused(why));
    ctx.control.metrics.refused(why);
}
