//! What a request is to the cache: its key and its wishes, or why the cache has no business with it.
//!
//! The target that makes the key is the one that is forwarded: what a route leaves out of the query is left out for
//! both. Pure but for that.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri, header};
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use super::super::sticky::came_by_tls;
use crate::base::cached::Why;
use crate::cache::asks::{no_business, tidied, wants_part};
use crate::cache::key::{Key, Target};
use crate::cache::policy::directives::Wish;
use crate::config::checked::{CacheKey, RouteCache};

/// A request that the cache may answer.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What its answer is stored under.
    pub key: Arc<Key>,
    /// What it says of the answer it takes.
    pub wish: Wish,
    /// It wants the head alone.
    pub is_head: bool,
    /// It wants a part that does not begin where the whole does.
    pub is_part: bool,
}

/// What a request is to the cache.
///
/// # Errors
/// Why the cache has no business with it.
pub fn of(session: &mut Session, ctx: &Ctx, rules: &RouteCache) -> Result<Asked, Why> {
    let is_head = ctx.head.method == Method::HEAD;
    let has_body = has_body(session);
    let fields = &session.req_header().headers;
    if let Some(why) = no_business(&ctx.head.method, has_body, fields) {
        return Err(why);
    }
    let Some(host) = host(fields, ctx) else {
        return Err(Why::NoHost);
    };
    let is_part = wants_part(fields);
    let wish = Wish::of(fields, rules.ignore_client_cache_control);
    let scheme = scheme(fields, ctx);
    tidy(session, &rules.key);
    let uri = &session.req_header().uri;
    let key = key(ctx, scheme, &host, uri.path(), uri.query());
    Ok(Asked {
        key,
        wish,
        is_head,
        is_part,
    })
}

/// Whether there is a body.
fn has_body(session: &mut Session) -> bool {
    let fields = &session.req_header().headers;
    let announced = fields.contains_key(header::TRANSFER_ENCODING)
        || (fields.get(header::CONTENT_LENGTH)).is_some_and(|length| length != "0");
    // Over HTTP/2 a body needs no field to announce it.
    announced || !session.as_mut().is_body_empty()
}

/// The scheme that the client used.
pub fn scheme(fields: &HeaderMap, ctx: &Ctx) -> &'static str {
    match came_by_tls(fields, ctx) {
        true => "https",
        false => "http",
    }
}

/// The host that the node is told. What a proxy in front says of it, where that is believed, goes to the node too and
/// so belongs to the key.
pub fn host(fields: &HeaderMap, ctx: &Ctx) -> Option<String> {
    let own = ctx.head.host.as_ref()?.to_str().ok()?;
    let mut said = fields
        .get_all("x-forwarded-host")
        .iter()
        .filter(|_| ctx.trusted);
    let host = match (said.next(), said.next()) {
        (None, _) => own.to_string(),
        (Some(said), None) if said.as_bytes().eq_ignore_ascii_case(own.as_bytes()) => {
            own.to_string()
        }
        (Some(said), None) => format!("{}>{own}", said.to_str().ok()?),
        // The node would see all of them.
        (Some(_), Some(_)) => return None,
    };
    (!host.is_empty()).then_some(host)
}

/// The host that clients see, of what [`host`] says.
pub fn seen(host: &str) -> &str {
    host.split('>').next().unwrap_or(host)
}

/// The key of a target.
pub fn key(ctx: &Ctx, scheme: &str, host: &str, path: &str, query: Option<&str>) -> Arc<Key> {
    Arc::new(ctx.control.cache.key(Target {
        scheme,
        host,
        path,
        query,
    }))
}

/// Leaves out of the query what makes no difference, and puts it in order, for the key and for the node.
fn tidy(session: &mut Session, rules: &CacheKey) {
    if rules.drop_query.is_empty() && !rules.sort_query {
        return;
    }
    let uri = &session.req_header().uri;
    let Some(query) = uri.query() else {
        return;
    };
    let tidied = tidied(query, rules);
    if tidied.as_deref() == Some(query) {
        return;
    }
    let target = match tidied {
        Some(query) => format!("{}?{query}", uri.path()),
        None => uri.path().to_string(),
    };
    // Made of parts of a valid target: it is one.
    if let Ok(target) = target.parse::<PathAndQuery>() {
        session.req_header_mut().set_uri(Uri::from(target));
    }
}
