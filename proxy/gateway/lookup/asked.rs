//! What a request is to the cache: its key and its wishes, or why the cache has no business with it.
//!
//! The target that makes the key is the one that is forwarded: what a route leaves out of the query is left out for
//! both. Pure but for that.

use std::borrow::Cow;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, Method, Uri, header};
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use super::super::sticky::came_by_tls;
use crate::base::cached::Why;
use crate::base::fields::Fields;
use crate::cache::asks::{no_business, tidied, wants_part};
use crate::cache::key::{Key, Target};
use crate::cache::policy::directives::Wish;
use crate::config::checked::{CacheKey, RouteCache};

/// The host that a client named to a proxy in front.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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

/// Who asks: what of a request is not in its fields, or is believed of them only under conditions.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The method.
    pub method: &'a Method,
    /// It brings a body.
    pub has_body: bool,
    /// `Host` as it came; `None`: there is none, or it is no text.
    pub host: Option<&'a str>,
    /// The peer is a proxy that is believed.
    pub trusted: bool,
    /// The scheme of the connection.
    pub scheme: &'static str,
    /// Nodes are told whose certificate the client has.
    pub is_known: bool,
}

/// What a request says to the cache.
#[derive(Debug)]
pub struct Said<'a> {
    /// What it says of the answer it takes.
    pub wish: Wish,
    /// The scheme that the client used.
    pub scheme: &'static str,
    /// The host that the node is told.
    pub host: Cow<'a, str>,
}

/// What a request with these fields says to the cache.
///
/// # Errors
/// Why the cache has no business with it.
pub fn said<'a>(
    fields: &'a impl Fields,
    asker: Asker<'a>,
    rules: &RouteCache,
) -> Result<Said<'a>, Why> {
    if let Some(why) = no_business(asker.method, asker.has_body, fields) {
        return Err(why);
    }
    if asker.is_known {
        return Err(Why::ClientCertificate);
    }
    Ok(Said {
        host: host(fields, asker.host, asker.trusted).ok_or(Why::NoHost)?,
        wish: Wish::of(fields, rules.ignore_client_cache_control),
        scheme: scheme(fields, asker.trusted, asker.scheme),
    })
}

/// What a request is to the cache.
///
/// # Errors
/// Why the cache has no business with it.
pub fn of(session: &mut Session, ctx: &Ctx, rules: &RouteCache) -> Result<Asked, Why> {
    let has_body = has_body(session);
    let fields = &session.req_header().headers;
    let asker = Asker {
        method: &ctx.head.method,
        has_body,
        host: ctx.own_host(),
        trusted: ctx.trusted,
        scheme: ctx.own_scheme(),
        is_known: ctx.client_subject().is_some(),
    };
    let Said { wish, scheme, host } = said(fields, asker, rules)?;
    let (is_part, host) = (wants_part(fields), host.into_owned());
    tidy(session, &rules.key);
    let uri = &session.req_header().uri;
    let key = key(ctx, scheme, &host, uri.path(), uri.query());
    Ok(Asked {
        key,
        wish,
        is_head: ctx.head.method == Method::HEAD,
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

/// The scheme that the client used; `own` is that of the connection.
pub fn scheme(fields: &impl Fields, trusted: bool, own: &str) -> &'static str {
    match came_by_tls(fields, trusted, own) {
        true => "https",
        false => "http",
    }
}

/// The host that the node is told. What a proxy in front says of it, where that is believed, goes to the node too and
/// so belongs to the key.
pub fn host<'a>(fields: &impl Fields, own: Option<&'a str>, trusted: bool) -> Option<Cow<'a, str>> {
    let own = own?;
    let name = FORWARDED_HOST;
    let mut said = fields.lines(&name).filter(|_| trusted);
    let host = match (said.next(), said.next()) {
        (None, _) => Cow::Borrowed(own),
        (Some(said), None) if said.eq_ignore_ascii_case(own.as_bytes()) => Cow::Borrowed(own),
        (Some(said), None) => Cow::Owned(format!("{}>{own}", text(said)?)),
        // The node would see all of them.
        (Some(_), Some(_)) => return None,
    };
    (!host.is_empty()).then_some(host)
}

/// What stands in a field, where it is text.
fn text(value: &[u8]) -> Option<&str> {
    let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    is_text.then(|| std::str::from_utf8(value).ok()).flatten()
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
    let target = match tidied(query, rules) {
        Some(left) if left == query => return,
        Some(query) => format!("{}?{query}", uri.path()),
        None => uri.path().to_string(),
    };
    // Made of parts of a valid target: it is one.
    if let Ok(target) = target.parse::<PathAndQuery>() {
        session.req_header_mut().set_uri(Uri::from(target));
    }
}
