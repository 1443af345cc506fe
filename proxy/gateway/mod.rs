//! The way of a request, moment by moment.
//!
//! | moment | hook | file |
//! |---|---|---|
//! | connection, head read, handed over | – | `entrance`, `front`, `waiting`, `turn`, `refuse`, `h2` |
//! | answered at once, when it is stored and fresh | – | `express` |
//! | body read, answer written | – | `client_io`, `inlet`, `pace`, `linger` |
//! | arrives: who, which limits | `early_request_filter` | `accept` |
//! | belongs: route, or answered here | `request_filter` | `accept`, `door` |
//! | looked up: answered from the store, fetched for all who want it | `request_filter` | `lookup` |
//! | admitted: first node chosen, or waited for | `proxy_upstream_filter` | `forward`, `split`, `sticky`, `line` |
//! | tried, retried | `upstream_peer`, `connected_to_upstream`, `fail_to_connect`, `error_while_proxy` | `forward`, `over_h2`, `again` |
//! | sent: the fields the node gets | `upstream_request_filter` | `forward` |
//! | answered | `upstream_response_filter` and its likes | `receive`, `over_h2`, `calls` |
//! | replied | `response_filter`, `response_body_filter`, `fail_to_proxy` | `reply`, `encode`, `answer` |
//! | told | `logging`, or the request's own drop | `finish` |
//!
//! Each hook is a few lines that call the stage; no hook decides anything itself.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use crate::live::control::Control;

mod accept;
mod again;
mod announce;
mod answer;
mod beside;
mod calls;
mod challenge;
mod client_io;
pub mod conn;
pub mod crowd;
mod ctx;
mod door;
mod encode;
pub mod entrance;
mod express;
mod faults;
mod finish;
mod forward;
pub mod front;
mod h2;
mod inlet;
mod key;
mod line;
mod linger;
mod lookup;
mod over_h2;
mod pace;
mod receive;
mod refuse;
pub mod rehearsal;
mod reply;
mod split;
mod sticky;
/// TLS towards clients.
pub mod tls;
mod trace;
mod tunnel;
mod turn;
mod waiting;

use conn::Conn;
use ctx::Ctx;

/// The proxy as pingora sees it.
pub struct Gateway {
    control: Arc<Control>,
}

impl Gateway {
    /// A gateway that serves what `control` holds.
    pub fn new(control: Arc<Control>) -> Self {
        Gateway { control }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: what pingora keeps of a request has several places for it, and all of that is copied when a request begins.
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(Ctx::new(
            self.control.hold.load(),
            self.control.clone(),
            self.control.metrics.begin_request(),
        ))
    }

    /// None: pingora's compression module would cost every request and compress every hit.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// The front hands the connection in here; pingora calls it for every request that has one.
    fn on_connection_reuse(
        &self,
        _: &mut Session,
        ctx: &mut Self::CTX,
        conn: Box<dyn Any + Send + Sync>,
    ) {
        ctx.conn = conn.downcast::<Arc<Conn>>().ok().map(|conn| *conn);
    }

    /// A fetch of the cache is a subrequest.
    fn allow_spawning_subrequest(&self, _: &Session, ctx: &Self::CTX) -> bool {
        ctx.fetch.is_none() && ctx.snapshot.caches
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        if lookup::fetch::arrives(session, ctx) {
            return Ok(());
        }
        accept::arrives(session, ctx)
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        faults::strike(session.req_header(), "arrives");
        if ctx.fetch.is_some() {
            return lookup::fetch::goes_on(ctx);
        }
        faults::set_clock(session.req_header(), &ctx.control.clock);
        if accept::route(session, ctx).await? {
            return Ok(true);
        }
        encode::asks::arrives(session, ctx)?;
        if lookup::answer(session, ctx).await? {
            return Ok(true);
        }
        encode::asks::goes_on(session, ctx)?;
        Ok(false)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        // An empty last piece would become a last chunk beside the one that ends the body, and stand before the next
        // request of the connection. (One in the middle is left out by pingora; `None` there would end the body.)
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        accept::takes(body.as_ref().map_or(0, Bytes::len), end, ctx)
    }

    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> Result<bool> {
        forward::admit(session, ctx).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> Result<Box<HttpPeer>> {
        ctx.ends = announce::ends(session, ctx);
        forward::next_peer(session, ctx).await
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool, // of pingora's own pool, which has connections of HTTP/2 alone
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        over_h2::connected(session, ctx, reused).await?;
        forward::connected(session, ctx, &self.control);
        faults::strike(session.req_header(), "connected");
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        forward::connect_failed(ctx, error, &self.control)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        _: bool,
    ) -> Box<Error> {
        again::attempt_failed(session, ctx, error)
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forward::dress(request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        faults::strike(session.req_header(), "answered");
        receive::answered(session, answer, ctx)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        over_h2::piece(body.as_ref().map_or(0, Bytes::len), ctx)?;
        calls::goes_on(ctx)?;
        lookup::after::more(body.as_ref(), end, ctx);
        Ok(None)
    }

    /// Of nodes that speak HTTP/2; those of HTTP/1.1 end in the connection.
    fn upstream_response_trailer_filter(
        &self,
        _: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        over_h2::trailers(trailers);
        calls::ends(trailers, ctx);
        Ok(())
    }

    /// The body ends without a last piece where trailers follow it.
    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        let mut rest = None;
        encode::live::piece(&mut rest, true, ctx)?;
        ctx.bytes_out += rest.as_ref().map_or(0, |b| b.len() as u64);
        Ok(rest)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if ctx.fetch.is_none() && !head.status.is_informational() {
            lookup::status::add(head, ctx)?;
        }
        encode::live::answers(session, head, ctx)?;
        over_h2::fits(head, ctx)?;
        reply::fit(session, head, ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        encode::live::piece(body, end, ctx)?;
        ctx.bytes_out += body.as_ref().map_or(0, |b| b.len() as u64);
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Self::CTX,
    ) -> FailToProxy {
        reply::fail(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        reply::over(session, error, ctx);
    }

    /// The access log and the metrics tell every failure; a line more for each would only let clients fill a disk.
    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, error: &Error) -> bool {
        tracing::debug!("{error}");
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Self::CTX,
        error: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        tracing::debug!("{error}");
        true
    }
}
