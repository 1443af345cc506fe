//! What a CA asks for to see that a name is ours (ACME http-01, RFC 8555 §8.3).
//!
//! Answered before routes, so that no redirect or app stands in the way, and only for tokens that are known: who runs a
//! client of ACME behind this proxy gets its own requests as ever. Never stored, never passed on.

use http::Method;
use pingora::Result;
use pingora::proxy::Session;

use super::answer;
use super::ctx::Ctx;

/// Where the CA asks.
const PLACE: &str = "/.well-known/acme-challenge/";

/// Answers, if it is a token that we know. `true`: it is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn answer(session: &mut Session, ctx: &Ctx) -> Result<bool> {
    let Some(token) = ctx.head.uri.path().strip_prefix(PLACE) else {
        return Ok(false);
    };
    if !matches!(ctx.head.method, Method::GET | Method::HEAD) {
        return Ok(false);
    }
    match ctx.control.issued.answer(token) {
        Some(proof) => answer::proof(session, ctx, proof).await.map(|()| true),
        None => Ok(false),
    }
}
