//! A request arrives: who sends it, under which limits, and where it belongs.

use std::time::Duration;

use http::header;
use pingora::Result;
use pingora::proxy::Session;
use xxhash_rust::xxh3::xxh3_64;

use super::ctx::{Ctx, Head};
use super::{answer, door};
use crate::base::reason::Refusal;
use crate::config::checked::{Action, PathPattern};
use crate::guard::client::{is_trusted, real_client};
use crate::route::{RouteAsk, redirect};
use crate::telemetry::metrics::Metrics;

/// How long the rest of a body nobody wants is read before the connection is closed instead.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// Sets the limits of the connection and notes who asks what.
pub fn arrives(session: &mut Session, ctx: &mut Ctx) {
    let limits = &ctx.snapshot.config.timeouts;
    session.set_read_timeout(limits.body);
    session.set_write_timeout(limits.write);
    session.set_total_drain_timeout(Some(DRAIN_PATIENCE));
    if ctx.lifecycle.is_stopping() {
        session.set_keepalive(None);
    }
    let request = session.req_header();
    ctx.head = Head {
        method: request.method.clone(),
        uri: request.uri.clone(),
        host: request.headers.get(header::HOST).cloned(),
        version: request.version,
    };
    let Some(conn) = &ctx.conn else { return };
    ctx.client = conn.peer;
    let trusted = &ctx.snapshot.config.trusted_proxies;
    if !trusted.is_empty() && is_trusted(conn.peer, trusted) {
        ctx.trusted = true;
        let lines = |name: &str| -> Vec<&str> {
            let values = request.headers.get_all(name).iter();
            values.filter_map(|v| v.to_str().ok()).collect()
        };
        ctx.client = real_client(
            conn.peer,
            trusted,
            lines("x-forwarded-for").into_iter(),
            lines("forwarded").into_iter(),
        );
    }
}

/// Finds the route; answers what needs no node. `true`: the request is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn route(session: &mut Session, ctx: &mut Ctx, metrics: &Metrics) -> Result<bool> {
    if door::port(session, ctx, metrics).await? {
        return Ok(true);
    }
    let Some(at) = find(session, ctx) else {
        return door::refuse(session, ctx, metrics, Refusal::NoRoute).await;
    };
    ctx.route = Some(at);
    if door::route(session, ctx, at, metrics).await? {
        return Ok(true);
    }
    let route = &ctx.snapshot.config.routes[at];
    match &route.action {
        Action::Proxy(upstream) => {
            ctx.upstream = Some(*upstream);
            Ok(false)
        }
        Action::Redirect { to, status } => {
            let prefix = match &route.matcher.path {
                PathPattern::Prefix(prefix) => Some(prefix.as_str()),
                _ => None,
            };
            let parts = redirect::Parts {
                host: host(ctx),
                path: ctx.head.uri.path(),
                query: ctx.head.uri.query(),
            };
            let location = redirect::location(to, &parts, prefix);
            answer::redirect(session, *status, &location)
                .await
                .map(|()| true)
        }
    }
}

/// The route of a request.
fn find(session: &Session, ctx: &Ctx) -> Option<usize> {
    let request = session.req_header();
    ctx.snapshot.routes.find(&RouteAsk {
        host: host(ctx),
        path: ctx.head.uri.path(),
        method: &request.method,
        headers: &request.headers,
    })
}

/// `Host` as text; empty where there is none.
fn host(ctx: &Ctx) -> &str {
    let host = ctx.head.host.as_ref();
    host.and_then(|h| h.to_str().ok()).unwrap_or_default()
}

/// A hash of the client's address, the same on every machine.
pub fn client_hash(ctx: &Ctx) -> u64 {
    match ctx.client {
        std::net::IpAddr::V4(addr) => xxh3_64(&addr.octets()),
        std::net::IpAddr::V6(addr) => xxh3_64(&addr.octets()),
    }
}
