//! gRPC calls on their way.
//!
//! A call is a request whose media type says so. Its time is a limit of ours too, its ending is in a field and not in the
//! status, and what we have to say ourselves is said in the same words. Messages are never looked at, never held back.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::Ctx;
use super::{again, answer};
use crate::base::reason::End;
use crate::upstream::classify;
use crate::wire::grpc;

/// What is known of a call.
#[derive(Debug, Default)]
pub struct Call {
    /// How it ended, as the node or we said it.
    pub status: Option<u32>,
    /// Its client said how long it may take.
    is_timed: bool,
    /// The node of the attempt that runs is not judged before the end.
    unjudged: bool,
}

/// How long the request with this head may take as a call, where it is one that says so.
pub fn limit(request: &RequestHeader) -> Option<Duration> {
    grpc::timeout(&request.headers).filter(|_| is_one(request))
}

fn is_one(request: &RequestHeader) -> bool {
    request.method == Method::POST && grpc::is_call(&request.headers)
}

/// Notes that a request is a call, and how long it may take.
pub fn arrives(request: &RequestHeader, ctx: &mut Ctx) {
    if !is_one(request) {
        return;
    }
    let limit = limit(request);
    ctx.deadline = ctx
        .deadline
        .into_iter()
        .chain(limit.and_then(|limit| ctx.begun.checked_add(limit)))
        .min();
    ctx.call = Some(Call {
        is_timed: limit.is_some(),
        ..Call::default()
    });
}

/// Whether a client may be silent in the midst of its body: who streams may. That a request says it is a call is not enough,
/// else everybody could say so and keep a connection to an app that knows no calls.
pub fn may_be_silent(ctx: &Ctx) -> bool {
    let upstream = ctx.upstream.map(|at| &ctx.snapshot.config.upstreams[at]);
    ctx.call.is_some() && upstream.is_some_and(|upstream| upstream.h2.is_some())
}

/// Tells the node how long it has left.
///
/// # Errors
/// When the field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    let Some(deadline) = ctx.deadline.filter(|_| is_timed(ctx)) else {
        return Ok(());
    };
    let left = deadline.saturating_duration_since(Instant::now());
    request.insert_header(grpc::TIMEOUT, grpc::written(left))
}

/// The status of HTTP by which the node of an answer is judged; `None`: by how the call ends, which is not known yet.
pub fn judged_by(answer: &ResponseHeader, ctx: &mut Ctx) -> Option<u16> {
    let status = answer.status.as_u16();
    let over_h2 = ctx.opens.is_some();
    let Some(call) = ctx.call.as_mut().filter(|_| status == 200) else {
        return Some(status);
    };
    call.status = grpc::status(&answer.headers);
    call.unjudged = over_h2 && call.status.is_none();
    match call.status {
        Some(ended) => Some(grpc::as_http(ended)),
        None => (!call.unjudged).then_some(status),
    }
}

/// Whether a node says, before anything else, that it cannot serve a call now.
pub fn is_unavailable(answer: &ResponseHeader, ctx: &Ctx) -> bool {
    let said = ctx.call.as_ref().and_then(|call| call.status);
    answer.status == StatusCode::OK && said == Some(grpc::UNAVAILABLE)
}

/// The call ends with these trailers: its node is judged by them.
pub fn ends(trailers: &HeaderMap, ctx: &mut Ctx) {
    let Some(call) = &mut ctx.call else {
        return;
    };
    call.status = grpc::status(trailers).or(call.status);
    let status = call.status.map_or(200, grpc::as_http);
    judge_by(status, ctx);
}

/// The request of a call is over, and went well: so did its node, unless it was judged before.
pub fn is_over(ctx: &mut Ctx) {
    judge_by(200, ctx);
}

fn judge_by(status: u16, ctx: &mut Ctx) {
    let unjudged = |call: &mut Call| std::mem::take(&mut call.unjudged);
    if !ctx.call.as_mut().is_some_and(unjudged) {
        return;
    }
    let Some(at) = ctx.upstream else {
        return;
    };
    let failures = &ctx.snapshot.config.upstreams[at].failure_statuses;
    again::judge(ctx, classify::is_failure(status, failures), Instant::now());
}

/// Notes what the head said that was sent: an answer of ours, where no node has said how the call ended.
pub fn is_told(head: &ResponseHeader, ctx: &mut Ctx) {
    if let Some(call) = ctx.call.as_mut().filter(|call| call.status.is_none()) {
        call.status = grpc::status(&head.headers);
    }
}

/// Ends a call whose answer has begun and cannot go on: how it ended is said behind what was sent, so that its client
/// learns more than that the stream was reset. A message that was cut stays one: no client takes what ends so for a whole.
/// Nothing is said where there is no place for it, as behind an answer over HTTP/1.
///
/// # Errors
/// When the client cannot be written to.
pub async fn breaks_off(session: &mut Session, status: StatusCode, ctx: &mut Ctx) -> Result<()> {
    if !session.is_http2() || ctx.call.is_none() {
        return Ok(());
    }
    let words = answer::in_words(status, ctx.id());
    let code = grpc::of_http(status);
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(grpc::STATUS, code.into());
    trailers.insert(
        grpc::MESSAGE,
        HeaderValue::try_from(grpc::message(&words))
            .expect("invariant: what is percent-encoded is printable ASCII"),
    );
    let end = vec![HttpTask::Trailer(Some(Box::new(trailers)))];
    session.as_mut().response_duplex_vec(end).await?;
    if let Some(call) = &mut ctx.call {
        call.status = Some(code);
    }
    Ok(())
}

/// Whether the client of a call gives up by itself when its time is over.
pub fn is_timed(ctx: &Ctx) -> bool {
    ctx.call.as_ref().is_some_and(|call| call.is_timed)
}

/// A piece of a call's answer has come: not after its time.
///
/// # Errors
/// When its time is over. Neither the node nor its connection is to blame.
pub fn goes_on(ctx: &mut Ctx) -> Result<()> {
    if ctx.call.is_none() || !ctx.is_overdue() {
        return Ok(());
    }
    ctx.end = Some(End::RequestTimeout);
    Error::e_explain(ErrorType::InternalError, "the time of a call is over")
}

/// Our own answer to a call: how it ended, and nothing else. `None`: the request is none.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn answer(
    session: &Session,
    status: StatusCode,
    words: &str,
) -> Result<Option<ResponseHeader>> {
    let request = session.req_header();
    if !is_one(request) {
        return Ok(None);
    }
    let mut head = ResponseHeader::build(StatusCode::OK, Some(6))?;
    let kind = request.headers.get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/grpc"));
    head.insert_header(header::CONTENT_TYPE, kind)?;
    head.insert_header(grpc::STATUS, grpc::of_http(status).to_string())?;
    head.insert_header(grpc::MESSAGE, grpc::message(words))?;
    Ok(Some(head))
}
