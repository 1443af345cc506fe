//! What answers that were handed on mean for the store: writes that make it wrong, and answers that it may keep.
//!
//! Asked for every answer of a node that no fetch waits for.

use http::Method;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use super::asked;
use crate::cache::policy::invalidate::{invalidates, targets};
use crate::config::checked::CacheKey;
use crate::live::snapshot::Snapshot;
use crate::route::RouteAsk;

/// A write went well: what is stored of its target, and of those that its answer names, is wrong (RFC 9111 §4.4).
pub fn written(session: &Session, answer: &ResponseHeader, ctx: &Ctx) {
    if !invalidates(&ctx.head.method, answer.status) || !ctx.snapshot.caches {
        return;
    }
    let request = session.req_header();
    let Some(host) = asked::host(&request.headers, ctx) else {
        return;
    };
    let scheme = asked::scheme(&request.headers, ctx);
    let Some(target) = request.uri.path_and_query() else {
        return;
    };
    let origin = format!("{scheme}://{host}");
    for target in targets(&origin, target.as_str(), &answer.headers) {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        let rules = rules(&ctx.snapshot, ctx, path);
        let query = match (query, rules) {
            (Some(query), Some(rules)) => asked::tidied(query, rules),
            (query, _) => query.map(str::to_string),
        };
        let key = asked::key(ctx, scheme, &host, path, query.as_deref());
        ctx.control.cache.invalidate(&key);
    }
}

/// What makes the key of a GET for this path.
fn rules<'a>(snapshot: &'a Snapshot, ctx: &Ctx, path: &str) -> Option<&'a CacheKey> {
    let at = snapshot.routes.find(&RouteAsk {
        host: ctx.head.host.as_ref()?.to_str().ok()?,
        path,
        method: &Method::GET,
        headers: &http::HeaderMap::new(),
    })?;
    let cache = snapshot.config.routes[at].cache.as_ref()?;
    Some(&cache.key)
}
