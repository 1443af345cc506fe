//! The node's answer arrives.
//!
//! Noted before anything is done to it, so that what is measured is the node. Never judges it: that is `line`'s before,
//! byte by byte, and `forward`'s where it fails.

use std::time::Instant;

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::ctx::Ctx;
use super::lookup::after;
use super::{again, beside, split, sticky, tunnel};
use crate::upstream::headers::from_node;

/// Notes the answer and takes from it what concerned the connection to the node only; says what the client is to
/// bring along next time.
///
/// # Errors
/// When the answer is not passed on because another node is asked.
pub fn answered(session: &Session, answer: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let status = answer.status;
    let interim = status.is_informational() && status.as_u16() != 101;
    if interim {
        return Ok(()); // 100, 103: the answer is still to come
    }
    let now = Instant::now();
    beside::learn(ctx, now);
    beside::settle(ctx, now);
    if let Some(attempt) = &mut ctx.attempt {
        attempt.answered = true;
        let took = now.duration_since(attempt.begun);
        attempt.in_flight.node().answered_in(took, now);
        ctx.ttfb = Some(now.duration_since(ctx.begun));
        if let Some(member) = ctx.member() {
            member.metrics.answered(status.as_u16(), took);
        }
    }
    if status.as_u16() == 101 {
        tunnel::stands(ctx, now);
    }
    if let Some(another) = again::answered(session, answer, ctx, now) {
        return Err(another);
    }
    from_node(answer)?;
    let Some(fetch) = ctx.fetch.clone() else {
        after::written(session, answer, ctx);
        after::kept(session, answer, ctx);
        sticky::answered(answer, ctx)?;
        return split::answered(answer, ctx);
    };
    // What is said to one client only is not part of an answer that many may get.
    let mut apart = answer.clone();
    sticky::answered(&mut apart, ctx)?;
    split::answered(&mut apart, ctx)?;
    let cookies = apart.headers.get_all(header::SET_COOKIE).iter();
    let of_node = answer.headers.get_all(header::SET_COOKIE).iter().count();
    let cookies = cookies.skip(of_node).cloned();
    fetch.is_answered(answer, now);
    fetch.keeps_apart(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    fetch.note(ctx);
    Ok(())
}
