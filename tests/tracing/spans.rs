//! Spans reach the collector, and whatever the collector does, requests do not notice.
//!
//! What is sent is read by the types that OpenTelemetry generates; the collector is an origin that does as it is told.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{PARENT, TRACE, parent};
use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Seen};
use crate::support::{check, eventually, ms};

/// A collector, and a proxy that sends to it; `keys` are further ones of `otlp`.
async fn collected(keys: &str, sample: &str, rest: &str) -> (Origin, Tidegate) {
    let collector = Origin::start("collector").await;
    collector.answers(|_| Reply::sized(200, ""));
    let yaml = format!(
        "tracing:\n  sample: {sample}\n  service: shop-edge\n  otlp: {{ endpoint: \"http://{}\"{keys} }}\n{rest}",
        collector.addr()
    );
    let tide = Tidegate::run(yaml).await;
    (collector, tide)
}

fn batch(seen: &Seen) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(&*seen.body).expect("a request of OTLP")
}

/// All spans that a collector has so far.
fn spans(collector: &Origin) -> Vec<Span> {
    let seen = collector.seen();
    let batches = seen.iter().filter(|seen| seen.complete).map(batch);
    let scopes = batches
        .flat_map(|batch| batch.resource_spans)
        .flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

async fn has(collector: &Origin, n: usize) -> Vec<Span> {
    eventually("spans arrive", ms(10_000), async || {
        let spans = spans(collector);
        check(spans.len() >= n, spans.len()).map(|()| spans)
    })
    .await
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Any> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match value(attributes, key) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

fn number(attributes: &[KeyValue], key: &str) -> i64 {
    match value(attributes, key) {
        Some(Any::IntValue(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_a_span_by_the_conventions_with_what_was_tried() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::sized(503, "not now"));
    let rest = web("balance: round_robin", nodes(&apps));
    let (collector, tide) = collected("", "parent", &rest).await;
    let asked = Request::get("/cart?token=secret")
        .host("shop.test:8080")
        .field("traceparent", &parent("01"));
    assert_eq!(tide.ask(&asked).await.status, 200);
    let unsampled = Request::get("/quiet").field("traceparent", &parent("00"));
    tide.ask(&unsampled).await;
    let span = has(&collector, 1).await.remove(0);
    let to_node = apps[1].seen()[0]
        .head
        .get("traceparent")
        .unwrap()
        .to_owned();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(to_node.split('-').nth(2), Some(&*hex(&span.span_id)));
    assert_eq!(
        (span.name.as_str(), span.kind, span.flags),
        ("GET default", 2, 0x301)
    );
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    let of = &span.attributes;
    for (key, word) in [
        ("http.request.method", "GET"),
        ("url.path", "/cart"),
        ("url.scheme", "http"),
        ("server.address", "shop.test"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("tidegate.upstream", "web"),
        ("tidegate.end", "ok"),
    ] {
        assert_eq!(text(of, key), word, "{key}");
    }
    assert_eq!(number(of, "http.response.status_code"), 200);
    assert_eq!(number(of, "server.port"), 8080);
    assert_eq!(number(of, "http.request.resend_count"), 1);
    let line = tide.told("/cart").await;
    assert_eq!(
        text(of, "tidegate.request_id"),
        line["id"].as_str().unwrap()
    );
    let events: Vec<&str> = span.events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(events, ["attempt", "attempt.failed", "attempt"]);
    assert_eq!(text(&span.events[2].attributes, "tidegate.node"), "app-2");
    assert_eq!(text(&span.events[1].attributes, "error.type"), "503");
    assert!(span.events[0].time_unix_nano >= span.start_time_unix_nano);
    let all = String::from_utf8_lossy(&collector.seen()[0].body).into_owned();
    assert!(!all.contains("secret"), "a query stays in the log");
    assert!(!all.contains("/quiet"), "nobody records that trace");
    let sent = collector.seen()[0].head.clone();
    assert_eq!(sent.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(sent.get("content-type"), Some("application/x-protobuf"));
    let resource = batch(&collector.seen()[0]).resource_spans[0]
        .resource
        .clone()
        .unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), "shop-edge");
}

#[tokio::test]
async fn what_the_cache_did_and_what_failed_is_in_the_span() {
    let app = Origin::start("app-1").await;
    let refusing = Origin::refusing("app-2");
    let rest = format!(
        "upstreams:\n  web: {{ nodes: {} }}\n  gone: {{ nodes: {} }}\nroutes:\n\
         \x20 - {{ upstream: web, cache: {{ ttl: 60s }} }}\n  - {{ name: gone, match: {{ path: /gone }}, upstream: gone }}\n",
        nodes([&app]),
        nodes([&refusing])
    );
    let (collector, tide) = collected("", "1", &rest).await;
    for path in ["/page", "/page", "/gone"] {
        tide.get(path).await;
    }
    let mut spans = has(&collector, 3).await;
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let caches: Vec<&str> = (spans[..2].iter())
        .map(|span| text(&span.attributes, "tidegate.cache"))
        .collect();
    assert_eq!(caches, ["miss", "hit"]);
    let events: Vec<&str> = spans[0].events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(events, ["attempt"], "that of the fetch");
    assert!(spans[1].events.is_empty());
    assert_eq!(spans[2].name, "GET gone");
    assert_eq!(spans[2].status.as_ref().unwrap().code, 2, "an error");
    assert_eq!(text(&spans[2].attributes, "error.type"), "upstream_connect");
    assert!(spans[0].status.is_none() && spans[0].flags & 0x300 == 0x100);
}

#[tokio::test]
async fn a_collector_that_is_away_gets_what_waits_and_costs_no_request() {
    let app = Origin::start("app-1").await;
    let rest = web("", nodes([&app]));
    let (collector, tide) = collected(", queue: 64, timeout: 1s", "1", &rest).await;
    collector.kill().await;
    let load = Load::at(400).count(400);
    load.run(tide.addr()).await.nothing_failed_of(400);
    let dropped = [("reason", "queue_full")];
    let lost = eventually("the line is full", ms(8_000), async || {
        let lost = tide.metric("tidegate_spans_dropped_total", &dropped).await;
        check(lost >= Some(1.0), format!("{lost:?}")).map(|()| lost)
    })
    .await;
    assert!(lost <= Some(400.0));
    eventually("it is told", ms(8_000), async || {
        let log = tide.log();
        check(log.contains("spans cannot be delivered"), &log)
    })
    .await;
    collector.revive().await;
    has(&collector, 1).await;
    eventually("it is told once", ms(8_000), async || {
        let log = tide.log();
        check(log.contains("spans reach the collector again"), &log)
    })
    .await;
    assert_eq!(
        tide.log().matches("spans cannot be delivered").count(),
        1,
        "{}",
        tide.log()
    );
    let exported = tide.metric("tidegate_spans_exported_total", &[]).await;
    assert!(exported >= Some(1.0), "{exported:?}");
}

#[tokio::test]
async fn what_a_busy_collector_asks_to_have_later_comes_later_and_what_it_refuses_does_not() {
    let app = Origin::start("app-1").await;
    let rest = web("", nodes([&app]));
    let (collector, tide) = collected("", "1", &rest).await;
    collector.answers(|seen| match seen.serial {
        0 => Reply::sized(503, "").field("Retry-After", "0"),
        1 => {
            let answer = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: 1,
                    error_message: "no room\u{1b}[2J".into(),
                }),
            };
            Reply::sized(200, answer.encode_to_vec())
        }
        _ => Reply::sized(401, ""),
    });
    tide.get("/one").await;
    let metric = async |reason: &str| {
        let labels = [("reason", reason)];
        tide.metric("tidegate_spans_dropped_total", &labels).await
    };
    eventually("one is rejected", ms(8_000), async || {
        let n = metric("rejected").await;
        check(n == Some(1.0), format!("{n:?}"))
    })
    .await;
    let seen = collector.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, seen[1].body, "the same batch");
    let log = tide.log();
    assert!(log.contains("rejected 1 of 1 spans: no room[2J"), "{log}");
    tide.get("/two").await;
    eventually("one is refused", ms(8_000), async || {
        let n = metric("undelivered").await;
        check(n == Some(1.0), format!("{n:?}"))
    })
    .await;
    assert_eq!(collector.requests(), 3, "it is not asked again");
    assert!(tide.log().contains("`headers_file`"), "{}", tide.log());
}

#[tokio::test]
async fn what_the_collector_asks_for_comes_from_a_file_and_is_shown_nowhere() {
    let app = Origin::start("app-1").await;
    let collector = Origin::start("collector").await;
    collector.answers(|_| Reply::sized(200, ""));
    let dir = tempfile::tempdir().unwrap();
    let fields = "# of the collector\nAuthorization: Bearer k3y-of-ours\n\nX-Tenant: shop\n";
    std::fs::write(dir.path().join("otlp.headers"), fields).unwrap();
    let yaml = format!(
        "tracing: {{ sample: 100%, otlp: {{ endpoint: \"http://{}/custom/path\", headers_file: otlp.headers }} }}\n{}",
        collector.addr(),
        web("", nodes([&app]))
    );
    let whole = crate::support::proxy::complete(&yaml);
    std::fs::write(dir.path().join("tidegate.yaml"), whole).unwrap();
    let tide = Tidegate::run_in(dir).await;
    tide.get("/").await;
    has(&collector, 1).await;
    let sent = collector.seen()[0].head.clone();
    assert_eq!(sent.line, "POST /custom/path HTTP/1.1");
    assert_eq!(sent.get("authorization"), Some("Bearer k3y-of-ours"));
    assert_eq!(sent.get("x-tenant"), Some("shop"));
    let shown = tide.json("/api/v1/config").await.to_string();
    assert!(
        shown.contains("otlp.headers") && !shown.contains("k3y-of-ours"),
        "{shown}"
    );
    tide.write_file("otlp.headers", "Authorization: Bearer another\n");
    tide.reaches_generation(2).await;
    assert!(
        tide.log()
            .contains("the fields for the collector of spans changed"),
        "{}",
        tide.log()
    );
    assert!(!tide.log().contains("another"), "{}", tide.log());
}

#[tokio::test]
async fn the_last_spans_go_out_before_the_process_ends() {
    let app = Origin::start("app-1").await;
    let rest = web("", nodes([&app]));
    let (collector, tide) = collected("", "1", &rest).await;
    tide.get("/last").await;
    tide.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(tide.ended(ms(8_000)).await, 0);
    assert_eq!(spans(&collector).len(), 1);
}
