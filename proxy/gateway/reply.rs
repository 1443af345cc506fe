//! The answer leaves for the client, or what takes its place.
//!
//! Here an ending gets its name and, while nothing was written yet, its words. Never says anything after a head was
//! sent: what is cut then must be seen to be cut.

use http::{StatusCode, Version, header};
use pingora::Error;
use pingora::ErrorSource;
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};

use super::conn::Conn;
use super::ctx::Ctx;
use super::lookup::{self, status};
use super::{answer, calls, encode, trace, tunnel};
use crate::base::coding::Coding;
use crate::base::reason::End;
use crate::upstream::classify;

/// Fits the answer's head to the client and to the state of the process.
pub fn fit(session: &mut Session, head: &mut ResponseHeader, ctx: &mut Ctx) {
    if ctx.fetch.is_some() {
        return; // there is no client: who reads along fits it to theirs
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        ctx.status = head.status.as_u16();
        // From here on the client speaks another protocol, and may be silent for as long as the node is not.
        if let Some(conn) = &ctx.conn {
            conn.inlet.let_through();
        }
    }
    // An answer before the end of the body ends the connection; what only comes before the answer does not.
    let inner = session.as_mut();
    inner.set_close_on_response_before_downstream_finish(is_final(head));
    if head.status.is_informational() {
        if let Some(conn) = ctx
            .conn
            .as_ref()
            .filter(|_| head.status == StatusCode::CONTINUE)
        {
            conn.inlet.goes_on();
            awaits_body(session, conn);
        }
        return;
    }
    if let Some(conn) = ctx.conn.as_ref().filter(|_| !calls::may_be_silent(ctx)) {
        // Whether it waited for a word or not: now it has one.
        awaits_body(session, conn);
    }
    ctx.status = head.status.as_u16();
    trace::says(head, ctx);
    let coding = head.headers.get(header::CONTENT_ENCODING);
    ctx.encoding = coding.and_then(|coding| Coding::of(coding.as_bytes()));
    // Whether an answer is old is judged by its own time.
    if ctx.cached.outcome.is_some()
        && let (Some(conn), Some(date)) = (&ctx.conn, head.headers.get(header::DATE))
    {
        conn.dates(date.clone());
    }
    if ctx.control.lifecycle.is_stopping() {
        session.set_keepalive(None);
    }
    if let Some(conn) = ctx.conn.as_ref().filter(|_| !session.is_http2()) {
        conn.is_answering(true);
    }
    // HTTP/1.0 knows no chunks: the body ends with the connection (RFC 9112 §6.1).
    if ctx.head.version == Version::HTTP_10 && head.headers.contains_key(header::TRANSFER_ENCODING)
    {
        head.remove_header(&header::TRANSFER_ENCODING);
        session.set_keepalive(None);
        // Whatever cuts it from now on: closed in good order it would look complete.
        if let Some(conn) = &ctx.conn {
            conn.is_to_be_reset(true);
        }
    }
}

/// From now on the body of an HTTP/2 request is waited for, where there is one. (That of HTTP/1 is where it is read.)
fn awaits_body(session: &mut Session, conn: &Conn) {
    if session.is_http2() && conn.body_awaited().is_none() && !session.as_mut().is_body_done() {
        conn.awaits_body(true);
    }
}

/// How a request that failed ended.
pub fn ending(error: &Error, ctx: &Ctx) -> End {
    if let Some(end) = ctx.end {
        return end;
    }
    // pingora only knows that it could not read or write; the connection knows why.
    if *error.esource() != ErrorSource::Upstream
        && let Some(fault) = ctx.conn.as_ref().and_then(|c| c.fault())
    {
        return fault;
    }
    let end = classify::ending(error);
    let towards_a_node = *error.esource() == ErrorSource::Upstream;
    if towards_a_node && ctx.is_overdue() {
        return End::RequestTimeout;
    }
    match ctx.failure {
        Some(_) if towards_a_node && ctx.attempts() > 1 && !is_answered(ctx) => End::RetryExhausted,
        Some(failure) if towards_a_node => failure,
        _ => end,
    }
}

fn is_answered(ctx: &Ctx) -> bool {
    ctx.attempt.as_ref().is_some_and(|a| a.answered)
}

/// Tells the client that its request failed, if it can still be told.
pub async fn fail(session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
    let end = ending(error, ctx);
    ctx.end = Some(end);
    if let Some(fetch) = &ctx.fetch {
        fetch.fails(end);
    }
    if let End::Refused(why) = end {
        ctx.control.metrics.refused(why);
    }
    let begun = session.response_written().is_some_and(is_final);
    let code = end_status(end, ctx);
    if let Some(code) = code.filter(|_| begun)
        && let Err(e) = calls::breaks_off(session, code, ctx).await
    {
        tracing::debug!("request {}: the call could not be ended: {e}", ctx.id());
    }
    let code = code.filter(|_| !begun);
    if let Some(conn) = ctx.conn.as_ref().filter(|_| !begun) {
        // The answer that failed was not seen by anybody; what is said now is said to its end.
        conn.is_answering(false);
    }
    // Whatever is sent now, the connection is closed after it: say so.
    session.set_keepalive(None);
    let failed_by_a_node = code.is_some_and(|code| code.is_server_error());
    if failed_by_a_node && lookup::rescues(session, ctx).await.unwrap_or(false) {
        return FailToProxy {
            error_code: ctx.status,
            can_reuse_downstream: false,
        };
    }
    if let Some(code) = code {
        let more = status::more(ctx);
        if let Err(e) = answer::send_with(session, code, ctx, &more).await {
            tracing::debug!(
                "request {}: the client could not be told {code}: {e}",
                ctx.id()
            );
        }
    }
    FailToProxy {
        error_code: code.map_or(0, |s| s.as_u16()), // 0: nobody was told
        can_reuse_downstream: false,
    }
}

/// Whether nothing follows this head but its body.
fn is_final(head: &ResponseHeader) -> bool {
    !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
}

/// When every node timed out while connecting, the client learns of a timeout, not of a bad gateway.
fn end_status(end: End, ctx: &Ctx) -> Option<StatusCode> {
    match (end, ctx.failure) {
        (End::RetryExhausted | End::UpstreamStatus, Some(End::UpstreamStatus)) => {
            ctx.kept_back.or(end.status())
        }
        (End::RetryExhausted, Some(last)) => last.status(),
        _ => end.status(),
    }
}

/// The request is over: `error` is what ended it, if anything did.
pub fn over(session: &Session, error: Option<&Error>, ctx: &mut Ctx) {
    if let Some(head) = session.response_written().filter(|head| is_final(head)) {
        ctx.status = head.status.as_u16();
        calls::is_told(head, ctx);
    }
    ctx.bytes_in = session.body_bytes_read() as u64;
    ctx.bytes_out = session.body_bytes_sent() as u64;
    let end = match error {
        Some(error) => ending(error, ctx),
        None => ctx.end.unwrap_or(End::Ok),
    };
    let end = tunnel::closes(ctx).unwrap_or(end);
    if let Some(conn) = ctx.conn.as_ref().filter(|_| error.is_none()) {
        conn.is_to_be_reset(false);
        conn.is_answering(false);
    }
    if error.is_none() {
        calls::is_over(ctx);
    }
    encode::live::over(ctx);
    if let Some(filler) = ctx.keeps.take().filter(|_| error.is_none()) {
        let _ = filler.finish();
    }
    ctx.tell(end);
}
