//! A gRPC probe: `grpc.health.v1.Health/Check` over HTTP/2 with prior knowledge.
//!
//! Only SERVING is healthy. Everything else has its name in the reason: the word of the service, the status of the
//! call, or what broke below it. An answer is small or it is none.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};

use super::message::{self, Serving};
use super::stream::Wire;

/// What is asked for.
const PATH: &str = "/grpc.health.v1.Health/Check";
/// The largest answer: it has two bytes, and a later protocol may add some.
const ANSWER_AT_MOST: usize = 4 * 1024;
/// The largest head or trailer, in bytes.
const FIELDS_AT_MOST: u32 = 16 * 1024;
/// So much of a node's own words is told.
const SHOWN: usize = 100;

/// The names of a call's status, by number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What is asked, ready to be sent.
pub struct Question {
    /// `Err`: why nothing can be.
    head: Result<Request<()>, String>,
    message: Bytes,
}

impl Question {
    /// Prepares it.
    pub fn new(
        service: &str,
        host: &HeaderValue,
        headers: &[(HeaderName, HeaderValue)],
        tls: bool,
    ) -> Self {
        Question {
            head: head(host, headers, tls).map_err(|e| format!("cannot be asked: {e}")),
            message: message::request(service).into(),
        }
    }

    /// Asks over `stream`.
    pub async fn ask(&self, stream: Box<dyn Wire>) -> Result<(), String> {
        let head = self.head.clone()?;
        let mut client = h2::client::Builder::new();
        client
            .max_header_list_size(FIELDS_AT_MOST)
            .enable_push(false);
        let shaken = client.handshake(stream).await;
        let (send, connection) = shaken.map_err(|e| broken(&e))?;
        let answer = call(send, head, self.message.clone());
        tokio::pin!(answer);
        // The connection moves the call along, and may be over before its end has been read.
        tokio::select! {
            biased;
            answer = &mut answer => judge(&answer?),
            _ = connection => judge(&answer.await?),
        }
    }
}

fn head(
    host: &HeaderValue,
    headers: &[(HeaderName, HeaderValue)],
    tls: bool,
) -> http::Result<Request<()>> {
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(host.as_bytes())
        .path_and_query(PATH)
        .build()?;
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "tidegate-health");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(())
}

/// What came back.
struct Call {
    status: StatusCode,
    fields: HeaderMap,
    message: Vec<u8>,
    trailers: HeaderMap,
}

async fn call(
    send: h2::client::SendRequest<Bytes>,
    head: Request<()>,
    message: Bytes,
) -> Result<Call, String> {
    let mut send = send.ready().await.map_err(|e| broken(&e))?;
    let (answer, mut body) = send.send_request(head, false).map_err(|e| broken(&e))?;
    // Who has answered already may not want it.
    let _ = body.send_data(message, true);
    let (head, mut body) = answer.await.map_err(|e| broken(&e))?.into_parts();
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|e| broken(&e))?;
        // Below the window: there is no need to give any of it back.
        message.extend_from_slice(&piece);
        if message.len() > ANSWER_AT_MOST {
            return Err(format!("an answer of more than {ANSWER_AT_MOST} bytes"));
        }
    }
    let trailers = body.trailers().await.map_err(|e| broken(&e))?;
    Ok(Call {
        status: head.status,
        fields: head.headers,
        message,
        trailers: trailers.unwrap_or_default(),
    })
}

fn judge(call: &Call) -> Result<(), String> {
    let kind = call.fields.get(header::CONTENT_TYPE);
    let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if call.status != StatusCode::OK || !grpc {
        return Err(format!(
            "it speaks HTTP/2 but not gRPC (status {})",
            call.status.as_u16()
        ));
    }
    // An answer without a message may have its end in its head.
    let ends = [&call.trailers, &call.fields];
    let Some(end) = ends.into_iter().find(|f| f.contains_key("grpc-status")) else {
        return Err("an answer without grpc-status".into());
    };
    let status = end["grpc-status"].as_bytes();
    if status != b"0" {
        return Err(failed(status, end.get("grpc-message")));
    }
    match message::answer(&call.message)? {
        Serving::Serving => Ok(()),
        other => Err(format!("it says {}", other.in_words())),
    }
}

/// A call that failed, with its name and what the node says of it.
fn failed(status: &[u8], message: Option<&HeaderValue>) -> String {
    let status = String::from_utf8_lossy(&status[..status.len().min(SHOWN)]).into_owned();
    let known = status.parse::<usize>().ok().and_then(|n| STATUSES.get(n));
    let name = known.map_or("no status that is known", |name| name);
    let mut words = format!("grpc-status {status} ({name})");
    if let Some(message) = message
        .and_then(|m| m.to_str().ok())
        .filter(|m| !m.is_empty())
    {
        let end = message.len().min(SHOWN); // visible ASCII, as `to_str` has seen
        words.push_str(": ");
        words.push_str(&message[..end]);
    }
    words
}

/// What broke below a call, in words for the operator.
fn broken(e: &h2::Error) -> String {
    if e.is_io() {
        return match e.get_io().map(std::io::Error::kind) {
            // What h2 makes of bytes that are no frames.
            Some(std::io::ErrorKind::InvalidData) => "it does not speak HTTP/2".into(),
            _ => "connection closed before an answer".into(),
        };
    }
    let reason = e.reason().unwrap_or(h2::Reason::PROTOCOL_ERROR);
    let reason = reason.description();
    match (e.is_reset(), e.is_go_away(), e.is_remote()) {
        (true, _, true) => format!("it reset the call: {reason}"),
        (_, true, true) => format!("it gave up the connection: {reason}"),
        _ => format!("it does not speak HTTP/2: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(fields: &[(&str, &str)], message: &[u8], trailers: &[(&str, &str)]) -> Call {
        let map = |fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    value.parse::<HeaderValue>().unwrap(),
                )
            });
            fields.collect::<HeaderMap>()
        };
        Call {
            status: StatusCode::OK,
            fields: map(fields),
            message: message.into(),
            trailers: map(trailers),
        }
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

    #[test]
    fn only_serving_with_status_0_is_healthy() {
        let serving = [0, 0, 0, 0, 2, 8, 1];
        assert_eq!(
            judge(&call(&[GRPC], &serving, &[("grpc-status", "0")])),
            Ok(())
        );
        for (call, why) in [
            (
                call(&[GRPC], &[0, 0, 0, 0, 2, 8, 2], &[("grpc-status", "0")]),
                "it says NOT_SERVING",
            ),
            (
                call(&[GRPC], &serving, &[]),
                "an answer without grpc-status",
            ),
            (
                call(
                    &[
                        GRPC,
                        ("grpc-status", "12"),
                        ("grpc-message", "no Health here"),
                    ],
                    &[],
                    &[],
                ),
                "grpc-status 12 (UNIMPLEMENTED): no Health here",
            ),
            (
                call(&[GRPC], &[], &[("grpc-status", "5")]),
                "grpc-status 5 (NOT_FOUND)",
            ),
            (
                call(&[GRPC], &[], &[("grpc-status", "99")]),
                "grpc-status 99 (no status that is known)",
            ),
            (
                call(&[GRPC], &[], &[("grpc-status", "0")]),
                "an answer without a message",
            ),
            (
                call(
                    &[("content-type", "text/html")],
                    &serving,
                    &[("grpc-status", "0")],
                ),
                "it speaks HTTP/2 but not gRPC (status 200)",
            ),
        ] {
            assert_eq!(judge(&call), Err(why.into()));
        }
    }
}
