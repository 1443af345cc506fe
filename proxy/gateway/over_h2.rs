//! The node speaks HTTP/2.
//!
//! What is different from a connection of HTTP/1.1: streams share connections that pingora keeps, fields are no lines, and
//! what one connection checks byte by byte is here checked field by field, behind what the `h2` crate has checked. Never
//! lets through what could not be written as HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, Result};

use super::calls;
use super::ctx::Ctx;
use crate::base::reason::{End, Refusal};
use crate::upstream::classify;
use crate::upstream::connect::Greeting;
use crate::upstream::h2::{Connect, Connections, Opens};
use crate::upstream::headers::{Added, are_end_to_end};
use crate::upstream::peer::bound_by;

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");

/// A body that is longer, or of which nobody knows how long it is, may take its time.
const SHORT_BODY: u64 = 64 * 1024;
/// Where a body takes its time, the beginning of the answer may take so many times as long: that limit begins with the
/// request, and is not begun anew with each piece.
const LONGER: u32 = 10;
/// A gRPC call may be silent for so long: streams are, and a node that is gone is noticed by the system.
const SILENT_CALL: Duration = Duration::from_secs(3_600);

/// So much earlier the client of a timed call may give up by itself. A read that is too late costs pingora's connection to
/// the node, which others share; a client that goes costs its stream alone.
const HEAD_START: Duration = Duration::from_millis(100);

/// Fields of a request that end here, and that pingora leaves in what came by HTTP/2.
const OF_THE_CLIENT: [HeaderName; 4] = [
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("http2-settings"),
    header::EXPECT, // answered here
];

/// Fields that are nothing behind a body (RFC 9110 §6.5.1): they say how a message is to be read or where it goes, or
/// they are for who has seen the head.
const NO_TRAILERS: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TRAILER,
    header::HOST,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::SET_COOKIE,
    header::AUTHORIZATION,
];

/// Makes `peer` ready for an attempt over HTTP/2. A connection that others are opening is waited for.
pub async fn prepare(
    session: &mut Session,
    ctx: &mut Ctx,
    peer: &mut HttpPeer,
    home: &Arc<Connections>,
    (addr, greeting): (SocketAddr, Greeting),
) {
    let opens = Arc::new(Opens::new(home.clone()));
    let left = ctx
        .deadline
        .map(|at| at.saturating_duration_since(Instant::now()));
    let most = peer.options.total_connection_timeout;
    let most = most.into_iter().chain(left).min();
    opens.settled(most.unwrap_or(Duration::MAX)).await;
    let options = &mut peer.options;
    if ctx.call.is_some() {
        options.read_timeout = options.read_timeout.map(|limit| limit.max(SILENT_CALL));
    } else if has_long_body(session) {
        options.read_timeout = options.read_timeout.map(|limit| limit * LONGER);
    }
    if session.is_http2() {
        // Who waits for a node that takes nothing is not to be called slow: the node's time is over first.
        let patience = ctx.snapshot.config.timeouts.body.map(|body| body * 3 / 4);
        options.write_timeout = options.write_timeout.into_iter().chain(patience).min();
    }
    if are_end_to_end(&session.req_header().headers) {
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    }
    options.custom_l4 = Some(Arc::new(Connect::new(opens.clone(), addr, greeting)));
    ctx.opens = Some(opens);
    ctx.added = Some(Added::default());
    if let Some(deadline) = ctx.deadline {
        bound_by(peer, deadline.saturating_duration_since(Instant::now()));
    }
    if calls::is_timed(ctx) {
        let read = &mut peer.options.read_timeout;
        *read = read.map(|limit| limit + HEAD_START);
    }
}

fn has_long_body(session: &mut Session) -> bool {
    if session.as_mut().is_body_empty() {
        return false;
    }
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_none_or(|length| length > SHORT_BODY)
}

/// The attempt has its stream. A client that waits for a word before it sends its body is told to: a node's own word
/// does not come through.
pub async fn connected(session: &mut Session, ctx: &mut Ctx, reused: bool) -> Result<()> {
    let Some(opens) = &ctx.opens else {
        return Ok(());
    };
    opens.is_done(true);
    if let Some(attempt) = &mut ctx.attempt {
        attempt.reused = reused;
    }
    let waits = session.req_header().headers.contains_key(header::EXPECT);
    if !waits || session.as_mut().is_body_done() {
        return Ok(());
    }
    session.as_mut().write_continue_response().await?;
    if let Some(conn) = &ctx.conn {
        conn.inlet.goes_on();
    }
    Ok(())
}

/// Says of an attempt that failed what its connection knows of it: that TLS ended it, as when the node demands a certificate
/// (RFC 8446 §4.4.2.4), is seen below HTTP/2 alone.
pub fn explained(ctx: &Ctx, error: Box<Error>) -> Box<Error> {
    let why = || ctx.opens.as_ref()?.broken_by_tls();
    match why().filter(|_| classify::is_of_connection(&error)) {
        Some(why) => {
            let words = "TLS ended the connection";
            Error::because(ErrorType::TLSHandshakeFailure, words, why).into_up()
        }
        None => error,
    }
}

/// Puts the lines that a connection of HTTP/1.1 would add among the fields, and takes out what ends here. `tls`: the node
/// is to know that it is asked over TLS.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, lines: &[u8], tls: bool) -> Result<()> {
    for name in &OF_THE_CLIENT {
        request.remove_header(name);
    }
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue; // behind the last
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            request.append_header(name, value)?;
        }
    }
    if tls && let Some(target) = target(request) {
        request.remove_header(&header::HOST);
        request.set_uri(target);
    }
    Ok(())
}

/// The whole target of a request (RFC 9113 §8.3.1). pingora, which knows of no TLS, would say `http`.
fn target(request: &RequestHeader) -> Option<Uri> {
    let host = request.headers.get(header::HOST)?;
    let path = request.uri.path_and_query()?.clone();
    let target = Uri::builder().scheme("https").authority(host.as_bytes());
    target.path_and_query(path).build().ok()
}

/// Looks at the head of an answer: what the `h2` crate takes and HTTP/1.1 does not know. It goes on with a framing of
/// HTTP/1.1.
///
/// # Errors
/// When it is no answer.
pub fn check(answer: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let status = answer.status.as_u16();
    if !(200..600).contains(&status) {
        return no_answer("a status that HTTP does not know");
    }
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status);
    ctx.bodiless = none || ctx.head.method == Method::HEAD;
    if !ctx.bodiless && !answer.headers.contains_key(header::CONTENT_LENGTH) {
        // A stream has an end of its own: whoever asks whether the body can be told to be whole is told yes.
        answer.insert_header(header::TRANSFER_ENCODING, CHUNKED)?;
    }
    Ok(())
}

/// Looks at a piece of an answer's body.
///
/// # Errors
/// When there must be none.
pub fn piece(bytes: usize, ctx: &Ctx) -> Result<()> {
    match ctx.bodiless && bytes > 0 && ctx.opens.is_some() {
        true => no_answer("a body behind a head that has none"),
        false => Ok(()),
    }
}

/// Whether an answer can be handed on to its client. pingora writes one of unknown length in chunks, which HTTP/1.0 does
/// not know: refused is better than garbled.
///
/// # Errors
/// When it cannot.
pub fn fits(head: &ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    let is_old = ctx.head.version == Version::HTTP_10 && ctx.fetch.is_none();
    // In this order: most answers are of no such client, and nothing is looked up for them.
    if ctx.opens.is_none() || !is_old || ctx.bodiless {
        return Ok(());
    }
    if head.headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(());
    }
    ctx.end = Some(End::Refused(Refusal::Version));
    let why = "an answer of unknown length for a client of HTTP/1.0";
    Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_down())
}

/// Takes from trailers what none may be.
pub fn trailers(trailers: &mut HeaderMap) {
    for name in &NO_TRAILERS {
        trailers.remove(name);
    }
}

fn no_answer(why: &'static str) -> Result<()> {
    Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_lines_become_fields_and_what_ends_here_is_gone() {
        let mut request = RequestHeader::build("POST", b"/", None).unwrap();
        for (name, value) in [("Expect", "100-continue"), ("Proxy-Authorization", "x")] {
            request.insert_header(name, value).unwrap();
        }
        request.insert_header("TE", "trailers").unwrap();
        dress(
            &mut request,
            b"X-Real-IP: ::1\r\nVia: 1.1 a, 1.1 b\r\n",
            false,
        )
        .unwrap();
        let mut fields: Vec<_> = request
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
            .collect();
        fields.sort_unstable();
        let wanted = [
            ("te", "trailers"),
            ("via", "1.1 a, 1.1 b"),
            ("x-real-ip", "::1"),
        ];
        assert_eq!(fields, wanted);
    }

    #[test]
    fn trailers_say_nothing_of_how_a_message_is_read() {
        let fields = [
            ("grpc-status", "0"),
            ("content-length", "7"),
            ("set-cookie", "a=b"),
        ];
        let mut all: HeaderMap = fields
            .into_iter()
            .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
            .collect();
        trailers(&mut all);
        assert_eq!(all.len(), 1);
    }
}
