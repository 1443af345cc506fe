//! What the proxy has to say itself, and what it makes of what services say.

use serde_json::json;

use super::{Service, call, in_front_of};
use crate::support::h2_origin::H2Origin;

#[tokio::test]
async fn without_a_node_a_call_is_unavailable() {
    let gone = crate::support::strangers::free_port().await;
    let tide = in_front_of("", "", &[gone.to_string()]).await;
    let said = call(&tide, &["unary"]).await;
    assert_eq!(said["code"], "UNAVAILABLE", "{said}");
    assert!(
        said["details"].as_str().unwrap().contains("request "),
        "{said}"
    );
    let line = tide.told("/tide.Story/Unary").await;
    assert_eq!(
        (&line["status"], &line["grpc_status"]),
        (&json!(200), &json!(14)),
        "{line}"
    );
    assert_eq!(line["end"], "upstream_connect", "{line}");
}

#[tokio::test]
async fn refusals_are_said_in_the_words_of_grpc() {
    let service = Service::start(&[]).await;
    let nodes = format!("[{}]", service.addr());
    let yaml = format!(
        "{}upstreams: {{ web: {{ h2: true, nodes: {nodes} }} }}
routes:
  - {{ match: {{ path: /tide.Story/Unary }}, upstream: web, deny: [127.0.0.1] }}
  - {{ match: {{ path: /tide.Story/Told }}, upstream: web, rate_limit: {{ rate: 1/h, burst: 1 }} }}\n",
        super::H2C
    );
    let tide = crate::support::proxy::Tidegate::run(yaml).await;
    let code = async |name| call(&tide, &["unary", name]).await["code"].clone();
    assert_eq!(code("Unary").await, "PERMISSION_DENIED");
    assert_eq!(code("Elsewhere").await, "UNIMPLEMENTED");
    assert_eq!(code("Told").await, "OK");
    assert_eq!(code("Told").await, "UNAVAILABLE");
}

#[tokio::test]
async fn a_limit_of_ours_that_passes_is_a_deadline() {
    let service = Service::start(&[]).await;
    let tide = in_front_of("timeouts: { request: 500ms }", "", &[service.addr()]).await;
    let said = call(&tide, &["unary", "Slow", "20"]).await;
    assert_eq!(said["code"], "DEADLINE_EXCEEDED", "{said}");
}

#[tokio::test]
async fn an_unavailable_node_is_left_for_another_where_the_file_says_so() {
    let (bad, good) = (H2Origin::start("bad").await, Service::start(&[]).await);
    bad.does(async |exchange| {
        let head = http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "14");
        exchange.answer(head, "", None);
    });
    let nodes = [bad.node(), good.addr()];
    let tide = in_front_of("", "retry: { on: [connect, grpc_unavailable] }", &nodes).await;
    for _ in 0..4 {
        assert_eq!(call(&tide, &["unary"]).await["code"], "OK");
    }
    assert!(bad.requests() > 0);
    let tide = in_front_of("", "outlier: off", &nodes).await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        codes.push(call(&tide, &["unary"]).await["code"].clone());
    }
    assert!(codes.contains(&json!("UNAVAILABLE")), "{codes:?}");
}

#[tokio::test]
async fn a_node_whose_calls_fail_rests() {
    let (bad, good) = (H2Origin::start("bad").await, Service::start(&[]).await);
    // One says so at once, the other behind its head.
    bad.does(async |exchange| {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let status = ("grpc-status".parse().unwrap(), "14".parse().unwrap());
        match exchange.number % 2 {
            0 => exchange.answer(head.header("grpc-status", "14"), "", None),
            _ => exchange.answer(head, "", Some([status].into_iter().collect())),
        }
    });
    let keys = "outlier: { consecutive_failures: 4, eject: 60s }\nretry: off";
    let tide = in_front_of("", keys, &[bad.node(), good.addr()]).await;
    call(&tide, &["many", "1", "40"]).await;
    assert_eq!(bad.requests(), 4);
}

#[tokio::test]
async fn a_stream_that_is_cut_by_a_limit_ends_with_a_deadline_and_not_with_a_riddle() {
    let service = Service::start(&[]).await;
    let tide = in_front_of("timeouts: { request: 700ms }", "", &[service.addr()]).await;
    // One that goes on and on, and one that begins and is silent then.
    for (pause, least) in [("0.05", 3), ("20", 1)] {
        let said = call(&tide, &["ticks", pause]).await;
        assert_eq!(said["code"], "DEADLINE_EXCEEDED", "{said}");
        assert!(said["heard"].as_u64().unwrap() >= least, "{said}");
        assert!(
            said["details"].as_str().unwrap().contains("request "),
            "{said}"
        );
        assert_eq!(said["cancelled"], true, "{said}");
        let line = tide
            .access_log()
            .into_iter()
            .rfind(|l| l["path"] == "/tide.Story/Ticks");
        let line = line.unwrap();
        assert_eq!(line["end"], "request_timeout", "{line}");
        assert_eq!(line["grpc_status"], 4, "{line}");
    }
}

#[tokio::test]
async fn a_stream_whose_node_breaks_ends_as_unavailable() {
    let bad = H2Origin::start("bad").await;
    bad.does(async |mut exchange| {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut stream = exchange.begin(head);
        stream
            .send_data(b"\0\0\0\0\x01x"[..].into(), false)
            .unwrap();
        tokio::time::sleep(crate::support::ms(100)).await; // so that it arrives before the reset
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let tide = in_front_of("", "", &[bad.node()]).await;
    let said = call(&tide, &["ticks", "1"]).await;
    assert_eq!(
        (&said["code"], &said["heard"]),
        (&json!("UNAVAILABLE"), &json!(1))
    );
    let line = tide.told("/tide.Story/Ticks").await;
    assert_eq!(line["end"], "upstream_reset", "{line}");
}
