//! The node's answer arrives.
//!
//! Noted before anything is done to it, so that what is measured is the node. Never judges it: that is `line`'s before,
//! byte by byte, and `forward`'s where it fails.

use std::time::Instant;

use pingora::Result;
use pingora::http::ResponseHeader;

use super::ctx::Ctx;
use crate::upstream::headers::from_node;

/// Notes the answer and takes from it what concerned the connection to the node only.
///
/// # Errors
/// When our own field cannot be added, which does not happen.
pub fn answered(answer: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let status = answer.status;
    let interim = status.is_informational() && status.as_u16() != 101;
    if interim {
        return Ok(()); // 100, 103: the answer is still to come
    }
    if let Some(attempt) = &mut ctx.attempt {
        attempt.answered = true;
        let now = Instant::now();
        let took = now.duration_since(attempt.begun);
        attempt.in_flight.node().answered_in(took, now);
        ctx.ttfb = Some(now.duration_since(ctx.begun));
        if let Some(member) = ctx.member() {
            member.metrics.answered(status.as_u16(), took);
        }
    }
    from_node(answer)
}
