//! Spans as OTLP has them, in protobuf (opentelemetry-proto 1.x), by the names of OpenTelemetry's semantic conventions
//! for HTTP.
//!
//! Never waits and never fails: what cannot be said is left out.

use std::time::{Duration, SystemTime};

use http::Version;
use prost::Message;

use super::{Event, Span};
use crate::base::cached::{Outcome, Why};
use crate::telemetry::metrics::METHODS;

/// What is sent, field by field.
mod proto;

use proto::{
    Any, AnyValue, Array, KeyValue, ProtoEvent, ProtoSpan, Request, Resource, ResourceSpans,
    Response, Scope, ScopeSpans, Status,
};

/// What attributes are named by.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.27.0";
/// `SPAN_KIND_SERVER`
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`
const ERROR: i32 = 2;
/// The span's parent is known to be somebody else's, or not to be there.
const FLAGS_HAS_IS_REMOTE: u32 = 0x100;
const FLAGS_IS_REMOTE: u32 = 0x200;

/// Who sends spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name of the service.
    pub service: String,
    /// The machine.
    pub host: String,
    /// The process, on that machine.
    pub instance: String,
    /// Version of the program.
    pub version: &'static str,
}

/// What a collector did with a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Spans that it did not want.
    pub rejected: u64,
    /// Why, or what else it has to say.
    pub message: String,
}

/// The body of a request with these spans.
pub fn encode(sender: &Sender, spans: &[Span]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            text("service.name", &sender.service),
            text("service.instance.id", &sender.instance),
            text("host.name", &sender.host),
            text("telemetry.sdk.name", "tidegate"),
            text("telemetry.sdk.language", "rust"),
            text("telemetry.sdk.version", sender.version),
        ],
    };
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(Scope {
                    name: "tidegate".into(),
                    version: sender.version.into(),
                }),
                spans: spans.iter().map(span).collect(),
                schema_url: SCHEMA.into(),
            }],
            schema_url: SCHEMA.into(),
        }],
    };
    request.encode_to_vec()
}

/// Reads what a collector answers. An answer that cannot be read says nothing against the spans.
pub fn taken(body: &[u8]) -> Taken {
    let partial = Response::decode(body).ok().and_then(|r| r.partial_success);
    let partial = partial.unwrap_or_default();
    Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(),
        message: partial.error_message,
    }
}

fn span(span: &Span) -> ProtoSpan {
    let parent = span.trace.parent;
    let remote = match parent {
        Some(_) => FLAGS_HAS_IS_REMOTE | FLAGS_IS_REMOTE,
        None => FLAGS_HAS_IS_REMOTE,
    };
    let known = METHODS.contains(&span.method);
    let method = if known { span.method.as_str() } else { "HTTP" };
    ProtoSpan {
        trace_id: span.trace.id.to_vec(),
        span_id: span.trace.span.to_vec(),
        parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
        // The name of a route is few among many requests, as names of spans have to be.
        name: match span.route.is_empty() {
            true => method.into(),
            false => format!("{method} {}", span.route),
        },
        kind: SERVER,
        start_time_unix_nano: nanos(span.at, Duration::ZERO),
        end_time_unix_nano: nanos(span.at, span.total),
        attributes: attributes(span, known),
        events: (span.events.iter())
            .map(|(after, what)| event(nanos(span.at, *after), what))
            .collect(),
        status: span.failed().then(|| Status {
            message: String::new(),
            code: ERROR,
        }),
        flags: u32::from(span.trace.flags()) | remote,
    }
}

fn attributes(span: &Span, known: bool) -> Vec<KeyValue> {
    let (version, method) = (
        match span.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        },
        if known {
            span.method.as_str()
        } else {
            "_OTHER"
        },
    );
    let mut all = vec![
        text("http.request.method", method),
        text("url.path", &span.path),
        text("url.scheme", if span.tls { "https" } else { "http" }),
        text("network.protocol.name", "http"),
        text("network.protocol.version", version),
        text("client.address", &span.client.to_string()),
        number("http.request.body.size", span.bytes.0),
        number("http.response.body.size", span.bytes.1),
        text("tidegate.request_id", &span.id),
        text("tidegate.end", span.end.as_str()),
    ];
    if !known {
        all.push(text("http.request.method_original", span.method.as_str()));
    }
    let (host, port) = match span.host.rsplit_once(':') {
        // An address of IPv6 has its colons in brackets.
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
        _ => (&*span.host, None),
    };
    if !host.is_empty() {
        all.push(text("server.address", host));
    }
    all.extend(port.map(|port| number("server.port", u64::from(port))));
    if span.status != 0 {
        all.push(number("http.response.status_code", u64::from(span.status)));
    }
    if span.failed() {
        let kind = match span.end.as_str() {
            "ok" => span.status.to_string(),
            end => end.into(),
        };
        all.push(text("error.type", &kind));
    }
    for (key, word) in [
        ("tidegate.route", &*span.route),
        ("tidegate.upstream", &*span.upstream),
        ("tidegate.cache", span.cache.0.map_or("", Outcome::as_str)),
        (
            "tidegate.cache.reason",
            span.cache.1.map_or("", Why::as_str),
        ),
    ] {
        if !word.is_empty() {
            all.push(text(key, word));
        }
    }
    for (key, time) in [
        ("tidegate.queue", span.queue),
        ("tidegate.connect", span.connect),
        ("tidegate.ttfb", span.ttfb),
    ] {
        all.extend(time.map(|time| key_value(key, Any::Double(time.as_secs_f64()))));
    }
    if !span.nodes.is_empty() {
        let nodes = span.nodes.iter().map(|node| AnyValue {
            value: Some(Any::Text(node.clone())),
        });
        let nodes = Array {
            values: nodes.collect(),
        };
        all.push(key_value("tidegate.nodes", Any::Array(nodes)));
        if span.nodes.len() > 1 {
            all.push(number(
                "http.request.resend_count",
                span.nodes.len() as u64 - 1,
            ));
        }
    }
    all
}

fn event(at: u64, event: &Event) -> ProtoEvent {
    let (name, attributes) = match event {
        Event::Attempt { node, resend } => (
            "attempt",
            vec![
                text("tidegate.node", node),
                number("http.request.resend_count", *resend as u64),
            ],
        ),
        Event::Failed { why } => ("attempt.failed", vec![text("error.type", why.as_str())]),
        Event::KeptBack { status } => (
            "attempt.failed",
            vec![
                text("error.type", &status.to_string()),
                number("http.response.status_code", u64::from(*status)),
            ],
        ),
        Event::Hedge { node, won } => (
            "hedge",
            vec![
                text("tidegate.node", node),
                key_value("tidegate.hedge.won", Any::Bool(*won)),
            ],
        ),
    };
    ProtoEvent {
        time_unix_nano: at,
        name: name.into(),
        attributes,
    }
}

/// Nanoseconds since 1970, so long after `at`.
fn nanos(at: SystemTime, after: Duration) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from((since + after).as_nanos()).unwrap_or(u64::MAX)
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, Any::Text(value.into()))
}

fn number(key: &str, value: u64) -> KeyValue {
    key_value(key, Any::Number(i64::try_from(value).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
