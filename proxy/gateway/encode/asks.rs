//! A request arrives on a route that compresses: what its client takes, and what the nodes are told.
//!
//! What may be stored is asked for as it is: one body then serves every client, whatever it takes. Entity tags of our
//! forms are translated for the nodes, which only know their own.

use http::{HeaderName, HeaderValue, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use crate::transform::etag;
use crate::transform::negotiate::Accepted;

/// Preconditions that compare entity tags of whole answers. Not `If-Range`: a part of one form does not continue
/// another.
const PRECONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MATCH];

/// Notes what the client takes, and tells the nodes what the route says.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn arrives(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let snapshot = ctx.snapshot.clone();
    let Some(at) = ctx.route else {
        return Ok(());
    };
    let route = &snapshot.config.routes[at];
    if route.compress.is_none() {
        return Ok(());
    }
    ctx.accepts = Some(Accepted::of(&session.req_header().headers));
    if route.asks_plain(&ctx.head.method) {
        let plain = HeaderValue::from_static("identity");
        let request = session.req_header_mut();
        request.insert_header(header::ACCEPT_ENCODING, plain)?;
    }
    Ok(())
}

/// Tells a node its own entity tags where the client names those of our forms.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    if ctx.accepts.is_none() {
        return Ok(());
    }
    for name in PRECONDITIONS {
        let lines = request.headers.get_all(&name).iter();
        let told = |line: &HeaderValue| match etag::for_nodes(line.as_bytes()) {
            // Made of a valid value and of parts of it.
            Some(both) => HeaderValue::from_bytes(&both).unwrap_or_else(|_| line.clone()),
            None => line.clone(),
        };
        let lines: smallvec::SmallVec<[HeaderValue; 2]> = lines.map(told).collect();
        if lines.is_empty() {
            continue;
        }
        request.remove_header(&name);
        for line in lines {
            request.append_header(&name, line)?;
        }
    }
    Ok(())
}
