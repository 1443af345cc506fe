//! Requests over TLS are served as others are, and the nodes are told.

use std::time::Duration;

use super::{ONE, run_one, site};
use crate::support::client::{Client, Request};
use crate::support::h2::{self, H2};
use crate::support::origin::{Origin, nodes};
use crate::support::pattern;
use crate::support::reply::{Reply, Step};
use crate::support::tls::{Authority, Bridge};
use crate::support::wire::Broken;

/// The proxy with one certificate in front of `app`, and a bridge to it that speaks `alpn`.
async fn stage(
    app: &Origin,
    route: &str,
    alpn: &[&str],
) -> (crate::support::proxy::Tidegate, Bridge) {
    let authority = Authority::new();
    let tide = run_one(&authority, &site(ONE, &nodes([app]), route)).await;
    let bridge = Bridge::open(tide.addr(), "site.test", authority.client(alpn)).await;
    (tide, bridge)
}

#[tokio::test]
async fn a_request_over_tls_is_served_and_its_node_knows_the_scheme() {
    let app = Origin::start("app-1").await;
    let (tide, bridge) = stage(&app, "", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    for _ in 0..3 {
        let answer = client.ask(&Request::get("/page")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let forged = Request::get("/forged").field("X-Forwarded-Proto", "http");
    client.ask(&forged).await.unwrap();
    for seen in app.seen() {
        assert_eq!(seen.head.all("x-forwarded-proto"), ["https"]);
    }
    let line = tide.told("/page").await;
    assert_eq!(
        (&line["tls"], &line["sni"]),
        (&"1.3".into(), &"site.test".into()),
        "{line}"
    );
}

#[tokio::test]
async fn large_bodies_pass_both_ways_byte_by_byte() {
    const SIZE: usize = 3 << 20;
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::mirror());
    let (_tide, bridge) = stage(&app, "", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    let sent = Request::post("/", pattern(SIZE));
    assert!(client.ask(&sent).await.unwrap().body == pattern(SIZE));
    let sent = Request::post("/", pattern(SIZE)).chunked(10_000);
    assert!(client.ask(&sent).await.unwrap().body == pattern(SIZE));
}

#[tokio::test]
async fn the_express_lane_answers_over_tls_and_its_store_keeps_schemes_apart() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| {
        Reply::text(seen.target().as_bytes().repeat(20_000)).field("Cache-Control", "max-age=600")
    });
    let (tide, bridge) = stage(&app, ", name: shop, cache: true", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    for _ in 0..4 {
        let answer = client.ask(&Request::get("/large")).await.unwrap();
        assert!(
            answer.body == b"/large".repeat(20_000),
            "{}",
            answer.body.len()
        );
    }
    assert_eq!(app.requests(), 1);
    let express = "tidegate_express_requests_total";
    tide.metric_is(express, &[("route", "shop")], 3.0).await;
    let key = tide
        .json("/api/v1/cache/explain?url=https://tide.test/large")
        .await;
    assert!(key.to_string().contains("https"), "{key}");
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_their_order() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| Reply::text(seen.target()).field("Cache-Control", "max-age=600"));
    let (_tide, bridge) = stage(&app, ", cache: true", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    for target in ["/a", "/b", "/c"] {
        client.ask(&Request::get(target)).await.unwrap();
    }
    let heads: Vec<u8> = ["/a", "/b", "/c"]
        .iter()
        .flat_map(|t| Request::get(t).head_bytes())
        .collect();
    client.send_bytes(&heads).await.unwrap();
    for target in ["/a", "/b", "/c"] {
        assert_eq!(client.answer("GET").await.unwrap().text(), target);
    }
}

#[tokio::test]
async fn http2_is_spoken_where_both_want_it() {
    let app = Origin::start("app-1").await;
    let (tide, bridge) = stage(&app, "", &["h2", "http/1.1"]).await;
    let mut client = H2::connect(bridge.addr()).await;
    for _ in 0..3 {
        let answer = client.ask(h2::request("GET", "/page"), b"").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(app.seen()[0].head.get("x-forwarded-proto"), Some("https"));
    let (name, h2) = ("tidegate_connections_total", [("protocol", "h2")]);
    tide.metric_is(name, &h2, 1.0).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_does_not_end_like_a_whole_one() {
    let app = Origin::start("app-1").await;
    app.answers(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        Reply::steps([
            Step::Bytes(head.to_vec()),
            Step::Wait(Duration::from_millis(100)),
            Step::Reset,
        ])
    });
    let (_tide, bridge) = stage(&app, "", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    // To HTTP/1.0 the body ends with the connection: nothing but its end can tell.
    let cut = client.ask(&Request::get("/").http10()).await;
    assert!(matches!(cut, Err(Broken::Reset | Broken::Cut)), "{cut:?}");
}

#[tokio::test]
async fn a_whole_answer_that_ends_with_its_connection_ends_in_good_order() {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::chunked(["hel", "lo"]));
    let (_tide, bridge) = stage(&app, "", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    let answer = client.ask(&Request::get("/").http10()).await.unwrap();
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let app = Origin::start("app-1").await;
    let gate = crate::support::Gate::closed();
    let held = gate.clone();
    app.answers(move |_| {
        Reply::steps([
            Reply::chunked_head(),
            Step::Bytes(crate::support::reply::chunk(b"one")),
        ])
        .then(Step::Gate(held.clone()))
        .then(Step::Bytes(crate::support::reply::chunk(b"two")))
    });
    let (_tide, bridge) = stage(&app, "", &[]).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    client.send(&Request::get("/events")).await.unwrap();
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap().as_deref(), Some(&b"one"[..]));
    gate.open();
    assert_eq!(client.chunk().await.unwrap().as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn a_route_for_http_sends_who_came_in_the_clear_to_https() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let yaml = format!(
        "listen:
  - {{ addr: \"127.0.0.1:0\" }}
  - {{ addr: \"127.0.0.1:0\", tls: {{ {ONE} }} }}
upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ path: /old/ }}, redirect: {{ to: \"{{scheme}}://new.test/\", status: 301 }} }}
  - {{ match: {{ scheme: http }}, redirect: {{ to: \"https://{{host}}{{uri}}\", status: 308 }} }}
  - {{ upstream: web }}
",
        nodes([&app])
    );
    let tide = run_one(&authority, &yaml).await;
    let answer = tide.get("/a?b=c").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.head.get("location"), Some("https://tide.test/a?b=c"));
    let bridge = Bridge::open(tide.addrs()[1], "site.test", authority.client(&[])).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    assert_eq!(client.ask(&Request::get("/a")).await.unwrap().status, 200);
    // Where both are sent away, each keeps its scheme.
    let old = Request::get("/old/a?b=c");
    let there = tide.ask(&old).await;
    assert_eq!(there.head.get("location"), Some("http://new.test/a?b=c"));
    let there = client.ask(&old).await.unwrap();
    assert_eq!(there.head.get("location"), Some("https://new.test/a?b=c"));
}
