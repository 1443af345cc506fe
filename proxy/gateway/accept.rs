//! A request arrives: who sends it, under which limits, and where it belongs.
//!
//! What is decided here holds for every attempt. Never reaches a node: whoever is refused here was seen by nobody.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Version, header};
use ipnet::IpNet;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::{Ctx, Head};
use super::lookup::purge;
use super::sticky::came_by_tls;
use super::{answer, calls, challenge, door, h2, trace};
use crate::base::fields::Fields;
use crate::base::path;
use crate::base::reason::{End, Refusal};
use crate::config::checked::{Action, PathPattern};
use crate::guard::client::{is_trusted, real_client};
use crate::route::{RouteAsk, Table, redirect};
use crate::telemetry::traces::Recording;

/// Who the client is, as proxies in front tell it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How long the rest of a body nobody wants is read before the connection is closed instead.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// Sets the limits of the connection and notes who asks what.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn arrives(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    // How slow a client may be is judged where its bytes pass; timers of the session would only cost.
    session.set_read_timeout(None);
    session.set_total_drain_timeout(Some(DRAIN_PATIENCE));
    if ctx.conn.is_none() {
        ctx.conn = h2::conn();
    }
    let Some(conn) = ctx.conn.clone() else {
        return Ok(());
    };
    ctx.client = conn.peer;
    let trusted = &ctx.snapshot.config.trusted_proxies;
    ctx.trusted = is_believed(conn.peer, trusted);
    if session.is_http2() {
        // A window that stays shut is not a socket that stays full.
        session.set_write_timeout(ctx.snapshot.config.timeouts.write);
        ctx.refused = h2::settle(session.req_header_mut(), &ctx.snapshot.rules, ctx.trusted)?.err();
    }
    if conn.turned_away {
        ctx.refused = Some(Refusal::Connections);
    }
    if ctx.control.lifecycle.is_stopping() || conn.last.load(Relaxed) {
        session.set_keepalive(None);
    }
    if session.req_header().version == Version::HTTP_10 {
        // 103 and its like are for clients that know of them (RFC 9110 §15.2).
        session.as_mut().set_ignore_info_resp(true);
    }
    let request = session.req_header();
    // A refused request of HTTP/2 is as it came, its host beside the fields: the log still wants it.
    let authority = || HeaderValue::from_str(request.uri.authority()?.as_str()).ok();
    ctx.head = Head {
        method: request.method.clone(),
        uri: request.uri.clone(),
        host: request
            .headers
            .get(header::HOST)
            .cloned()
            .or_else(authority),
        version: request.version,
    };
    let rules = &ctx.snapshot.config.tracing;
    ctx.traced = trace::arrives(&request.headers, rules, ctx.trusted);
    if ctx.traced.is_recorded {
        ctx.recording = Some(Recording::new(ctx.begun));
    }
    if ctx.trusted {
        if let Some(id) = trace::given_id(&request.headers, &rules.request_id) {
            ctx.id = id;
        }
        ctx.client = client(conn.peer, &request.headers, trusted);
    }
    calls::arrives(request, ctx);
    Ok(())
}

/// Whether a peer is one of the `trusted` proxies.
pub fn is_believed(peer: IpAddr, trusted: &[IpNet]) -> bool {
    !trusted.is_empty() && is_trusted(peer, trusted)
}

/// The client's real address, of a request with these fields that a trusted peer sent.
pub fn client(peer: IpAddr, fields: &impl Fields, trusted: &[IpNet]) -> IpAddr {
    let (for_list, forwarded) = (FORWARDED_FOR, header::FORWARDED);
    real_client(
        peer,
        trusted,
        fields.lines(&for_list),
        fields.lines(&forwarded),
    )
}

/// Counts a piece of a body. Over HTTP/1 the connection itself counts, before anybody else sees the bytes.
///
/// # Errors
/// When it is more than the file allows.
pub fn takes(bytes: usize, is_last: bool, ctx: &mut Ctx) -> Result<()> {
    if ctx.head.version != Version::HTTP_2 {
        return Ok(());
    }
    let limits = &ctx.snapshot.config.limits;
    if let Some(conn) = &ctx.conn {
        if calls::may_be_silent(ctx) {
            conn.awaits_body(false); // who streams may be silent
        } else if conn.body_comes(bytes, is_last, limits.body_rate).is_err() {
            ctx.end = Some(End::ClientTimeout);
            let why = Error::explain(ErrorType::ReadTimedout, "a body that comes too slowly");
            return Err(why.into_down());
        }
    }
    ctx.body_seen += bytes as u64;
    let most = limits.body;
    if most.is_some_and(|most| ctx.body_seen > most) {
        ctx.end = Some(End::Refused(Refusal::BodyTooLarge));
        let why = Error::explain(ErrorType::InvalidHTTPHeader, "a body that is too large");
        return Err(why.into_down());
    }
    Ok(())
}

/// Finds the route; answers what needs no node. `true`: the request is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn route(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    if let Some(why) = ctx.refused {
        return door::refuse(session, ctx, why).await;
    }
    if door::port(session, ctx).await? {
        return Ok(true);
    }
    if ctx.head.uri.path() == "*" {
        // It asks what the proxy itself can do (RFC 9110 §9.3.7), of no site in particular.
        return answer::options(session, ctx).await.map(|()| true);
    }
    if challenge::answer(session, ctx).await? || purge::answer(session, ctx).await? {
        return Ok(true);
    }
    let Some(at) = find(session, ctx) else {
        return door::refuse(session, ctx, Refusal::NoRoute).await;
    };
    ctx.route = Some(at);
    if door::route(session, ctx, at).await? {
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
                scheme: ctx.own_scheme(),
                host: ctx.host(),
                path: ctx.head.uri.path(),
                query: ctx.head.uri.query(),
            };
            let location = redirect::location(to, &parts, prefix);
            answer::redirect(session, ctx, *status, &location)
                .await
                .map(|()| true)
        }
    }
}

/// The route of a request.
fn find(session: &Session, ctx: &Ctx) -> Option<usize> {
    let request = session.req_header();
    let target = (ctx.host(), ctx.head.uri.path());
    find_by(
        &ctx.snapshot.routes,
        target,
        &request.method,
        &request.headers,
        came_by_tls(&request.headers, ctx.trusted, ctx.own_scheme()),
    )
}

/// The route of a request for this host and path, whose client came by TLS or not.
pub fn find_by(
    routes: &Table,
    (host, path): (&str, &str),
    method: &Method,
    fields: &impl Fields,
    by_tls: bool,
) -> Option<usize> {
    routes.find(&RouteAsk {
        host,
        path: &path::capital(path),
        method,
        headers: fields,
        by_tls,
    })
}
