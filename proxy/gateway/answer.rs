//! Answers of the proxy itself: one place that turns an ending into what the client reads.
//!
//! The client learns the status and the request's id, which the operator finds in the log with everything else.
//! No internal word, no name of a program.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;

use super::calls;
use super::ctx::Ctx;
use super::trace;

/// What a client that met a full or empty house should wait before it comes again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// What a refused method is told instead (RFC 9110 §15.5.6).
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Sends `status` to the client, with the request's id to ask about.
///
/// # Errors
/// When the client cannot be written to.
pub async fn send(session: &mut Session, status: StatusCode, ctx: &Ctx) -> Result<()> {
    send_with(session, status, ctx, &[]).await
}

/// The same with fields that say more.
///
/// # Errors
/// When the client cannot be written to.
pub async fn send_with(
    session: &mut Session,
    status: StatusCode,
    ctx: &Ctx,
    more: &[(&'static str, String)],
) -> Result<()> {
    let body = body(status, ctx.id());
    if let Some(mut head) = calls::answer(session, status, &in_words(status, ctx.id()))? {
        for (name, value) in more {
            head.insert_header(*name, value)?;
        }
        return write(session, ctx, head, Bytes::new()).await;
    }
    let mut head = ResponseHeader::build(status, Some(6 + more.len()))?;
    head.insert_header(header::CONTENT_TYPE, TEXT)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    if let Some((name, value)) = remedy(status) {
        head.insert_header(name, value)?;
    }
    for (name, value) in more {
        head.insert_header(*name, value)?;
    }
    write(session, ctx, head, body).await
}

/// Sends what a verb of the operator came to.
///
/// # Errors
/// When the client cannot be written to.
pub async fn json(session: &mut Session, ctx: &Ctx, said: &serde_json::Value) -> Result<()> {
    let body = format!("{said}\n");
    let mut head = ResponseHeader::build(StatusCode::OK, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    write(session, ctx, head, body.into()).await
}

/// Sends what proves to a CA that a name is ours (RFC 8555 §8.3).
///
/// # Errors
/// When the client cannot be written to.
pub async fn proof(session: &mut Session, ctx: &Ctx, proof: String) -> Result<()> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, BYTES)?;
    head.insert_header(header::CONTENT_LENGTH, proof.len())?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    write(session, ctx, head, proof.into()).await
}

/// Sends a redirect.
///
/// # Errors
/// When the client cannot be written to.
pub async fn redirect(
    session: &mut Session,
    ctx: &Ctx,
    status: StatusCode,
    location: &str,
) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(4))?;
    head.insert_header(header::LOCATION, location)?;
    head.insert_header(header::CONTENT_LENGTH, 0)?;
    write(session, ctx, head, Bytes::new()).await
}

/// Answers a question about the proxy itself.
///
/// # Errors
/// When the client cannot be written to.
pub async fn options(session: &mut Session, ctx: &Ctx) -> Result<()> {
    let mut head = ResponseHeader::build(StatusCode::NO_CONTENT, Some(2))?;
    head.insert_header(header::ALLOW, ALLOW)?;
    write(session, ctx, head, Bytes::new()).await
}

async fn write(
    session: &mut Session,
    ctx: &Ctx,
    mut head: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    trace::says(&mut head, ctx);
    // The body nobody wants is read (for a bounded time) and the connection kept, so that the answer reaches the
    // client instead of being lost to a reset. A client that waits for 100 will not send one.
    if !session.req_header().headers.contains_key(header::EXPECT) {
        session.set_close_on_response_before_downstream_finish(false);
    }
    if body.is_empty() && session.is_http2() {
        // In one frame: what comes behind a head that ends nothing is no ending of a call.
        let whole = vec![HttpTask::Header(Box::new(head), true)];
        return session.write_response_tasks(whole).await.map(drop);
    }
    session.write_response_header(Box::new(head), false).await?;
    // Over HTTP/1 the session itself leaves a body out where a method has none.
    let body = (session.req_header().method != Method::HEAD).then_some(body);
    session.write_response_body(body, true).await
}

/// The field that says what to do about a status.
fn remedy(status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, ALLOW)),
        _ => None,
    }
}

fn body(status: StatusCode, id: &str) -> Bytes {
    let reason = reason(status);
    format!("{} {reason}\nrequest {id}\n", status.as_u16()).into()
}

/// The same in one line.
pub fn in_words(status: StatusCode, id: &str) -> String {
    format!("{} {}, request {id}", status.as_u16(), reason(status))
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// The bytes of a refusal that never became a request, with what the client can do about it; an answer to HEAD goes
/// without its body.
pub fn on_the_wire(
    status: StatusCode,
    id: &str,
    remedy_in_words: Option<&str>,
    with_body: bool,
) -> Bytes {
    let mut body = BytesMut::from(&body(status, id)[..]);
    for part in remedy_in_words.into_iter().flat_map(|words| [words, "\n"]) {
        body.put_slice(part.as_bytes());
    }
    let mut bytes = BytesMut::with_capacity(256);
    bytes.put_slice(
        format!(
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nDate: {}\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error"),
            body.len(),
            httpdate::fmt_http_date(std::time::SystemTime::now()),
        )
        .as_bytes(),
    );
    if let Some((name, value)) = remedy(status) {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    bytes.put_slice(b"Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    if with_body {
        bytes.put(body);
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_status_and_the_id_and_closes() {
        let bytes = on_the_wire(StatusCode::BAD_REQUEST, "id1", None, true);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.ends_with("\r\n\r\n400 Bad Request\nrequest id1\n"));
        assert!(text.contains("\r\nConnection: close\r\n"));
        assert!(text.contains("\r\nContent-Length: 28\r\n"), "{text}");
    }
}
