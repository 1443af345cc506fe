//! What is written is read by the types that OpenTelemetry generates.

use std::time::Instant;

use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1 as collector;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as theirs;

use super::super::super::finished::Finished;
use super::super::Recording;
use super::*;
use crate::base::reason::End;
use crate::base::trace::Trace;

fn written(finished: &Finished<'_>, trace: Trace) -> theirs::Span {
    let sender = Sender {
        service: "shop".into(),
        host: "edge-1".into(),
        instance: "i".into(),
        version: "1.2.3",
    };
    let body = encode(&sender, &[Span::of(finished, trace)]);
    let mut read = collector::ExportTraceServiceRequest::decode(&*body).unwrap();
    // Nothing is lost on the way: what they write is what we wrote.
    assert_eq!(read.encode_to_vec(), body);
    let mut resource = read.resource_spans.remove(0);
    let mut scope = resource.scope_spans.remove(0);
    assert_eq!(scope.scope.unwrap().version, "1.2.3");
    scope.spans.remove(0)
}

fn value<'a>(span: &'a theirs::Span, key: &str) -> Option<&'a Value> {
    let found = span.attributes.iter().find(|pair| pair.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

#[test]
fn every_kind_of_value_is_what_it_is() {
    let begun = Instant::now();
    let recording = Recording::new(begun);
    let node: std::sync::Arc<str> = "app-2".into();
    recording.note(
        Event::Hedge { node, won: true },
        begun + Duration::from_millis(3),
    );
    let finished = Finished {
        queue: Some(Duration::from_millis(250)),
        recording: Some(&recording),
        bytes_out: u64::MAX,
        tls: Some("1.3"),
        ..Finished::example("/a", &["app-1", "app-2"])
    };
    let trace = Trace::begins(0x0102, 3, true);
    let span = written(&finished, trace.goes_on(4, true));
    assert_eq!(span.trace_id.len(), 16);
    assert_eq!((span.span_id[7], span.parent_span_id[7]), (4, 3));
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (1_500_000_000, 1_502_000_000)
    );
    assert_eq!(span.kind(), theirs::span::SpanKind::Server);
    assert_eq!(
        value(&span, "tidegate.queue"),
        Some(&Value::DoubleValue(0.25))
    );
    assert_eq!(
        value(&span, "http.response.body.size"),
        Some(&Value::IntValue(i64::MAX))
    );
    assert!(
        matches!(value(&span, "tidegate.nodes"), Some(Value::ArrayValue(nodes)) if nodes.values.len() == 2)
    );
    assert_eq!(
        value(&span, "url.scheme"),
        Some(&Value::StringValue("https".into()))
    );
    let event = &span.events[0];
    assert_eq!(
        (event.name.as_str(), event.time_unix_nano),
        ("hedge", 1_503_000_000)
    );
    let won = event.attributes[1].value.clone().unwrap().value;
    assert_eq!(won, Some(Value::BoolValue(true)));
}

#[test]
fn names_of_spans_are_few_whatever_clients_send() {
    let odd = Method::from_bytes(b"PURGE7").unwrap();
    let finished = Finished {
        method: &odd,
        route: "",
        host: "[::1]:8443",
        status: 0,
        end: End::UpstreamReset,
        ..Finished::example("/", &[])
    };
    let span = written(&finished, Trace::begins(1, 1, true));
    assert_eq!(span.name, "HTTP");
    let text = |key: &str| match value(&span, key) {
        Some(Value::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    assert_eq!(text("http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(
        text("http.request.method_original").as_deref(),
        Some("PURGE7")
    );
    assert_eq!(text("server.address").as_deref(), Some("[::1]"));
    assert_eq!(value(&span, "server.port"), Some(&Value::IntValue(8443)));
    assert_eq!(text("error.type").as_deref(), Some("upstream_reset"));
    assert_eq!(value(&span, "http.response.status_code"), None);
    assert_eq!(
        span.status.unwrap().code(),
        theirs::status::StatusCode::Error
    );
}

#[test]
fn what_a_collector_answers_is_understood_and_anything_else_says_nothing() {
    let answer = collector::ExportTraceServiceResponse {
        partial_success: Some(collector::ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "no room".into(),
        }),
    };
    let said = taken(&answer.encode_to_vec());
    assert_eq!((said.rejected, said.message.as_str()), (3, "no room"));
    for body in [&b""[..], b"{}", b"\xff\xff\xff", b"<html>"] {
        assert_eq!(taken(body).rejected, 0);
    }
}
