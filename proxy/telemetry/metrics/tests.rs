//! What the metrics say, as text, is what was counted.

use std::time::Duration;

use super::lives::STAYS;
use super::*;
use crate::base::node::{Circuit, Health, Intent, Standing};
use crate::base::reason::End;
use http::Method;

fn gauges_of(metrics: &NodeMetrics, health: Health) -> NodeGauges<'_> {
    NodeGauges {
        metrics,
        intent: Intent::Up,
        health,
        in_flight: 3,
        tunnels: 1,
        circuit: None,
        weight: 2.0,
        draining: false,
    }
}

#[track_caller]
fn says(text: &str, lines: &[&str]) {
    for line in lines {
        let is_there = text.lines().any(|l| l == *line);
        assert!(is_there, "{line} is missing in\n{text}");
    }
}

/// Everything that names `web`, `shop` or one of theirs.
fn series_of_the_file(m: &Metrics) -> Vec<String> {
    let text = m.text();
    let named = |line: &&str| line.contains(r#"="web""#) || line.contains(r#"="shop""#);
    text.lines().filter(named).map(String::from).collect()
}

/// One that served, limits, keeps sessions, tried again and asked a second node.
fn busy() -> Arc<Metrics> {
    let m = Metrics::new("1");
    let took = Duration::from_millis(3);
    let node = m.node("web", "a");
    node.answered(200, took);
    node.attempt_took(took);
    node.failed(End::UpstreamReset);
    node.probed(true);
    let upstream = m.upstream("web");
    upstream.retried(End::UpstreamReset);
    upstream.reuse.inc();
    m.sticky("web").kept.inc();
    let route = m.cached_route("shop");
    let hit = Some((crate::base::cached::Outcome::Hit, true));
    route.finished(&Method::GET, (200, End::Ok), took, (1, 2), hit);
    route.in_express();
    m.rate_limit("shop").refused.inc();
    m
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
    says(
        &text,
        &[
            r#"tidegate_http_requests_total{code="200",method="GET",route="shop"} 1"#,
            r#"tidegate_http_requests_total{code="418",method="OTHER",route="shop"} 1"#,
            r#"tidegate_http_request_duration_seconds_bucket{cache="none",route="shop",le="0.005"} 2"#,
            r#"tidegate_http_response_bytes_total{route="shop"} 2"#,
            r#"tidegate_client_aborts_total{route="shop"} 1"#,
            r#"tidegate_build_info{version="1"} 1"#,
        ],
    );
    assert!(text.contains("\nprocess_open_fds "), "{text}");
    assert_eq!(m.requests_total(), 2);
}

#[test]
fn the_state_of_a_node_is_told_by_who_has_it_and_kept_nowhere() {
    let m = busy();
    let node = m.node("web", "a");
    let standing = |health| Standing {
        intent: Intent::Up,
        health,
        circuit: Circuit::Closed,
    };
    let (from, to) = (standing(Health::Healthy), standing(Health::Ejected));
    node.changed(from, to, Some("connect"));
    let upstream = m.upstream("web");
    let draining = m.node("web", "b");
    let state = State {
        nodes: vec![
            gauges_of(&node, Health::Ejected),
            NodeGauges {
                intent: Intent::Drain,
                draining: true,
                circuit: Some(Circuit::HalfOpen),
                weight: 0.25,
                ..gauges_of(&draining, Health::Healthy)
            },
        ],
        upstreams: vec![UpstreamGauges {
            metrics: &upstream,
            available: 1,
            fails_open: true,
            waiting: 4,
        }],
        cache: None,
        tier: None,
    };
    let text = m.exposition(&state);
    says(
        &text,
        &[
            r#"tidegate_node_health{health="ejected",node="a",upstream="web"} 1"#,
            r#"tidegate_node_health{health="healthy",node="a",upstream="web"} 0"#,
            r#"tidegate_node_state{node="b",state="drain",upstream="web"} 1"#,
            r#"tidegate_node_effective_weight{node="a",upstream="web"} 2"#,
            r#"tidegate_node_effective_weight{node="b",upstream="web"} 0.25"#,
            r#"tidegate_node_drain_remaining_requests{node="b",upstream="web"} 3"#,
            r#"tidegate_breaker_state{node="b",state="half_open",upstream="web"} 1"#,
            r#"tidegate_upstream_requests_in_flight{node="a",upstream="web"} 3"#,
            r#"tidegate_upstream_nodes_available{upstream="web"} 1"#,
            r#"tidegate_upstream_fail_open{upstream="web"} 1"#,
            r#"tidegate_upstream_queue_length{upstream="web"} 4"#,
            r#"tidegate_node_ejections_total{node="a",reason="connect",upstream="web"} 1"#,
            r#"tidegate_upstream_errors_total{node="a",reason="upstream_reset",upstream="web"} 1"#,
        ],
    );
    assert!(!text.contains(r#"drain_remaining_requests{node="a""#));
    assert!(!text.contains(r#"breaker_state{node="a""#));
    let text = m.text();
    assert!(
        !text.contains("node_health{"),
        "its state is gone with it: {text}"
    );
    assert!(!text.contains("nodes_available{"), "{text}");
    assert!(text.contains(r#"upstream_requests_total{code="200",node="a""#));
}

#[test]
fn two_texts_of_one_moment_are_alike_but_for_the_process() {
    let m = busy();
    let ours = |text: String| {
        let lines = text.lines().filter(|line| !line.contains("process_"));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(ours(m.text()), ours(m.text()));
}

#[test]
fn a_node_that_is_gone_keeps_its_counts_for_ten_minutes() {
    let (m, t0) = (busy(), Instant::now());
    m.node_left("web", "a", t0);
    m.forget_gone(t0 + STAYS - Duration::from_secs(1));
    assert!(m.text().contains(r#"node="a""#));
    m.forget_gone(t0 + STAYS);
    assert!(!m.text().contains(r#"node="a""#), "{}", m.text());
    assert!(m.known_node("web", "a").is_none());
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_counts() {
    let m = Metrics::new("1");
    m.node("web", "a").answered(200, Duration::ZERO);
    let t0 = Instant::now();
    m.node_left("web", "a", t0);
    assert_eq!(m.node("web", "a").requests_total(), 1);
    m.forget_gone(t0 + STAYS);
    assert_eq!(m.node("web", "a").requests_total(), 1, "it is back");
}

#[test]
fn everything_that_the_file_no_longer_names_is_gone_after_ten_minutes() {
    let (m, t0) = (busy(), Instant::now());
    let (requests, before) = (m.requests_total(), series_of_the_file(&m).len());
    m.node_left("web", "a", t0);
    m.only(&InUse::default(), t0);
    m.forget_gone(t0 + STAYS - Duration::from_secs(1));
    assert_eq!(series_of_the_file(&m).len(), before);
    m.forget_gone(t0 + STAYS);
    assert_eq!(series_of_the_file(&m), [""; 0]);
    assert_eq!(m.requests_total(), requests, "sums do not go back");
    assert_eq!(m.cache.requests(crate::base::cached::Outcome::Hit), 1);
    says(&m.text(), &["tidegate_express_hits_total 1"]);
}

#[test]
fn what_comes_back_in_time_keeps_its_counts_and_what_comes_back_later_begins_anew() {
    let (m, t0) = (busy(), Instant::now());
    let all = InUse {
        routes: ["shop"].into(),
        rate_limits: ["shop"].into(),
        upstreams: ["web"].into(),
        sticky: ["web"].into(),
        shared: false,
    };
    let before = series_of_the_file(&m);
    m.only(&InUse::default(), t0);
    m.only(&all, t0 + STAYS / 2);
    m.forget_gone(t0 + STAYS * 2);
    assert_eq!(series_of_the_file(&m), before);
    m.only(&InUse::default(), t0 + STAYS * 2);
    m.forget_gone(t0 + STAYS * 3);
    m.upstream("web").reuse.inc();
    says(
        &m.text(),
        &[r#"tidegate_upstream_connection_reuse_total{upstream="web"} 1"#],
    );
}

#[test]
fn what_a_route_or_an_upstream_no_longer_has_goes_and_what_it_has_stays() {
    let (m, t0) = (busy(), Instant::now());
    let without = InUse {
        routes: ["shop"].into(),
        upstreams: ["web"].into(),
        ..InUse::default()
    };
    m.only(&without, t0);
    m.forget_gone(t0 + STAYS);
    let left = series_of_the_file(&m).join("\n");
    assert!(!left.contains("rate_limited"), "{left}");
    assert!(!left.contains("sticky"), "{left}");
    assert!(left.contains("http_requests_total{"), "{left}");
    assert!(left.contains("upstream_connection_reuse_total{"), "{left}");
}

#[test]
fn a_name_of_a_node_leaves_its_time_at_once_and_its_counts_later() {
    let (m, t0) = (Metrics::new("1"), Instant::now());
    m.names.ended("app.test:80", NameMetrics::OK);
    m.names.resolved("app.test:80", 7.5);
    says(
        &m.text(),
        &[r#"tidegate_dns_last_success_timestamp_seconds{name="app.test:80"} 7.5"#],
    );
    m.names.left("app.test:80", t0);
    assert!(!m.text().contains("timestamp_seconds{name"), "{}", m.text());
    m.forget_gone(t0 + STAYS - Duration::from_secs(1));
    says(
        &m.text(),
        &[r#"tidegate_dns_resolutions_total{name="app.test:80",result="ok"} 1"#],
    );
    m.forget_gone(t0 + STAYS);
    assert!(!m.text().contains("app.test"), "{}", m.text());
}
