//! What the metrics say, as text, is what was counted.

use super::*;
use crate::base::node::{Circuit, Health, Intent, Standing};
use crate::base::reason::End;
use http::Method;

fn gauges_of(health: Health) -> NodeGauges<'static> {
    NodeGauges {
        upstream: "web",
        node: "a",
        intent: Intent::Up,
        health,
        in_flight: 3,
        circuit: None,
        weight: 2.0,
        draining: false,
    }
}

#[test]
fn a_request_is_counted_by_route_method_and_code() {
    let m = Metrics::new("1");
    let route = m.route("shop");
    let took = Duration::from_millis(3);
    route.finished(&Method::GET, (200, End::Ok), took, (1, 2), None);
    let odd = Method::from_bytes(b"BREW").unwrap();
    route.finished(&odd, (418, End::ClientAbort), Duration::ZERO, (0, 0), None);
    let text = m.text();
    for line in [
        r#"tidegate_http_requests_total{code="200",method="GET",route="shop"} 1"#,
        r#"tidegate_http_requests_total{code="418",method="OTHER",route="shop"} 1"#,
        r#"tidegate_http_request_duration_seconds_bucket{cache="none",route="shop",le="0.005"} 2"#,
        r#"tidegate_http_response_bytes_total{route="shop"} 2"#,
        r#"tidegate_client_aborts_total{route="shop"} 1"#,
        r#"tidegate_build_info{version="1"} 1"#,
        "\nprocess_open_fds ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert_eq!(m.requests_total(), 2);
}

#[test]
fn node_gauges_mirror_the_state_and_leave_with_the_node() {
    let m = Metrics::new("1");
    let node = m.node("web", "a");
    node.answered(200, Duration::ZERO);
    node.failed(End::UpstreamReset);
    let standing = |health| Standing {
        intent: Intent::Up,
        health,
        circuit: Circuit::Closed,
    };
    let (from, to) = (standing(Health::Healthy), standing(Health::Ejected));
    node.changed(from, to, Some("connect"));
    let t0 = Instant::now();
    m.mirror(
        [gauges_of(Health::Ejected)].into_iter(),
        [UpstreamGauges {
            upstream: "web",
            ..UpstreamGauges::default()
        }]
        .into_iter(),
    );
    let text = m.text();
    for line in [
        r#"tidegate_node_health{health="ejected",node="a",upstream="web"} 1"#,
        r#"tidegate_node_health{health="healthy",node="a",upstream="web"} 0"#,
        r#"tidegate_upstream_requests_in_flight{node="a",upstream="web"} 3"#,
        r#"tidegate_node_ejections_total{node="a",reason="connect",upstream="web"} 1"#,
        r#"tidegate_upstream_errors_total{node="a",reason="upstream_reset",upstream="web"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    m.node_left("web", "a", t0);
    m.upstream_left("web");
    let text = m.text();
    assert!(!text.contains("node_health{"), "{text}");
    assert!(!text.contains("nodes_available{"), "{text}");
    assert!(text.contains(r#"upstream_requests_total{code="200",node="a""#));
    m.forget_gone(t0 + REMOVED_NODE_STAYS);
    assert!(!m.text().contains(r#"node="a""#), "{}", m.text());
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_counts() {
    let m = Metrics::new("1");
    m.node("web", "a").answered(200, Duration::ZERO);
    let t0 = Instant::now();
    m.node_left("web", "a", t0);
    assert_eq!(m.node("web", "a").requests_total(), 1);
    m.forget_gone(t0 + REMOVED_NODE_STAYS);
    assert_eq!(m.node("web", "a").requests_total(), 1, "it is back");
}
