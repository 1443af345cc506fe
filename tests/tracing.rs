//! Which trace a request belongs to, its id, and what its client is told of where the time went.
//!
//! Contexts are judged by what the node got, never by what the proxy says of itself.

#[cfg(feature = "otlp")]
mod spans;

use serde_json::Value;

use crate::support::client::{Client, Request};
use crate::support::h2::{H2, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node_under, web};
use crate::support::reply::Reply;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Fields of a cache that stores all for a minute.
const CACHED: &str = "cache: { ttl: 60s }";

/// One node and a route that stores.
async fn caching(top: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "{top}\nupstreams: {{ web: {{ nodes: {} }} }}\nroutes: [{{ upstream: web, {CACHED} }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

/// The first line of which the cache said so; lines that are near each other may stand in any order.
fn line<'a>(lines: &'a [Value], cache: &str, path: &str) -> &'a Value {
    let found = lines
        .iter()
        .find(|line| line["cache"] == cache && line["path"] == path);
    found.unwrap_or_else(|| panic!("no {cache} of {path} in {lines:?}"))
}

/// The parts of a `traceparent`.
fn parts(value: &str) -> Vec<&str> {
    value.split('-').collect()
}

#[tokio::test]
async fn unless_somebody_asks_a_trace_is_no_business_of_the_proxy() {
    let (app, tide) = one_node_under("").await;
    let odd = Request::get("/odd")
        .field("traceparent", "not one")
        .field("tracestate", "???");
    tide.ask(&odd).await;
    tide.get("/none").await;
    let seen = app.seen();
    assert_eq!(seen[0].head.get("traceparent"), Some("not one"));
    assert_eq!(seen[0].head.get("tracestate"), Some("???"));
    assert_eq!(seen[1].head.get("traceparent"), None);
    let line = tide.told("/odd").await;
    assert!(
        line.get("trace").is_none() && line.get("span").is_none(),
        "{line}"
    );
}

#[tokio::test]
async fn a_trace_is_passed_on_as_it_came_and_one_that_is_wrong_is_not() {
    let (app, tide) = one_node_under("tracing: { context: pass }\n").await;
    let right = Request::get("/right")
        .field("traceparent", &parent("01"))
        .field("tracestate", "vendor=opaque,other=1");
    let wrong = Request::get("/wrong")
        .field("traceparent", &parent("01").to_uppercase())
        .field("tracestate", "vendor=opaque");
    for asked in [&right, &wrong, &Request::get("/none")] {
        tide.ask(asked).await;
    }
    let seen = app.seen();
    assert_eq!(seen[0].head.get("traceparent"), Some(&*parent("01")));
    assert_eq!(
        seen[0].head.get("tracestate"),
        Some("vendor=opaque,other=1")
    );
    for head in [&seen[1].head, &seen[2].head] {
        assert_eq!(
            (head.get("traceparent"), head.get("tracestate")),
            (None, None)
        );
    }
    let line = tide.told("/right").await;
    assert_eq!(
        (&line["trace"], &line["span"]),
        (&TRACE.into(), &PARENT.into()),
        "{line}"
    );
    assert!(tide.told("/wrong").await.get("trace").is_none());
}

#[tokio::test]
async fn a_node_gets_our_place_in_the_trace_that_a_request_came_with() {
    let (app, tide) = one_node_under("tracing: { context: create, sample: parent }\n").await;
    let asked = Request::get("/on")
        .field("traceparent", &parent("01"))
        .field("tracestate", "vendor=opaque");
    tide.ask(&asked).await;
    let head = app.only().head;
    let sent = head.all("traceparent");
    assert_eq!(sent.len(), 1, "{sent:?}");
    let sent = parts(sent[0]);
    assert_eq!((sent[0], sent[1], sent[3]), ("00", TRACE, "01"));
    assert_ne!(sent[2], PARENT, "the node's parent is this proxy");
    assert_eq!(head.get("tracestate"), Some("vendor=opaque"));
    let line = tide.told("/on").await;
    assert_eq!(
        (&line["trace"], &line["span"]),
        (&TRACE.into(), &sent[2].into()),
        "{line}"
    );
}

#[tokio::test]
async fn what_has_no_trace_or_a_wrong_one_gets_a_new_one() {
    let (app, tide) = one_node_under("tracing: { context: create, sample: 1 }\n").await;
    let wrong = Request::get("/wrong")
        .field(
            "traceparent",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        )
        .field("tracestate", "vendor=opaque");
    let twice = Request::get("/twice")
        .field("traceparent", &parent("01"))
        .field("traceparent", &parent("01"));
    for asked in [&Request::get("/none"), &wrong, &twice] {
        tide.ask(asked).await;
    }
    let mut traces: Vec<String> = Vec::new();
    for seen in app.seen() {
        let sent = seen.head.all("traceparent");
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(
            (sent[0].len(), parts(sent[0])[3]),
            (55, "03"),
            "random and sampled"
        );
        assert_eq!(seen.head.get("tracestate"), None, "it belonged to no trace");
        traces.push(parts(sent[0])[1].to_owned());
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 3);
    assert!(!traces.contains(&TRACE.to_owned()));
}

#[tokio::test]
async fn whether_a_trace_is_recorded_is_for_a_trusted_proxy_to_say_and_for_no_stranger() {
    let app = Origin::start("app-1").await;
    let top = "trusted_proxies: [127.0.0.2/32]\ntracing: { context: create, sample: 0 }\n";
    let tide = Tidegate::run(top.to_owned() + &web("", nodes([&app]))).await;
    let asked = Request::get("/").field("traceparent", &parent("01"));
    let from = "127.0.0.2".parse().unwrap();
    let mut trusted = Client::connect_from(from, tide.addr()).await.unwrap();
    trusted.ask(&asked).await.unwrap();
    tide.ask(&asked).await;
    let flags: Vec<String> = (app.seen().iter())
        .map(|seen| parts(seen.head.get("traceparent").unwrap())[3].to_owned())
        .collect();
    assert_eq!(flags, ["01", "00"]);
}

#[tokio::test]
async fn the_second_node_of_a_request_is_told_the_same_place() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::sized(503, "not now"));
    let yaml =
        "tracing: { context: create }\n".to_owned() + &web("balance: round_robin", nodes(&apps));
    let tide = Tidegate::run(yaml).await;
    assert_eq!(tide.get("/again").await.status, 200);
    let sent = |app: &Origin| app.only().head.get("traceparent").unwrap().to_owned();
    assert_eq!(sent(&apps[0]), sent(&apps[1]));
}

#[tokio::test]
async fn a_fetch_of_the_cache_belongs_to_the_trace_of_who_wanted_it_and_a_hit_to_its_own() {
    let (app, tide) = caching("tracing: { context: create }\n").await;
    tide.ask(&Request::get("/page?first").field("traceparent", &parent("01")))
        .await;
    let sent = app.only().head.get("traceparent").unwrap().to_owned();
    assert_eq!(parts(&sent)[1], TRACE);
    let other = TRACE.replace('4', "5");
    let asked = format!("00-{other}-{PARENT}-01");
    tide.ask(&Request::get("/page?first").field("traceparent", &asked))
        .await;
    assert_eq!(app.requests(), 1, "the second was a hit");
    let lines = tide.tells(2).await;
    let (miss, hit) = (line(&lines, "miss", "/page"), line(&lines, "hit", "/page"));
    assert_eq!(
        (&miss["trace"], &hit["trace"]),
        (&TRACE.into(), &other.into())
    );
    assert_eq!(miss["span"], parts(&sent)[2]);
}

#[tokio::test]
async fn a_request_of_http2_has_a_trace_too() {
    let top = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\ntracing: { context: create }\n";
    let (app, tide) = one_node_under(top).await;
    let mut client = H2::connect(tide.addr()).await;
    let asked = request("GET", "/").header("traceparent", parent("00"));
    client.ask(asked, b"").await.unwrap();
    let sent = app.only().head.get("traceparent").unwrap().to_owned();
    assert_eq!(parts(&sent)[1], TRACE);
}

#[tokio::test]
async fn the_id_has_the_name_the_file_gives_it_and_comes_back_where_that_is_wanted() {
    let top = "tracing: { request_id: { header: X-Correlation-Id, return: true } }\n";
    let (app, tide) = caching(top).await;
    // A node that sends the id of another request, as one that logs them might.
    app.answers(|seen| Reply::usual(seen).field("X-Correlation-Id", "stale"));
    let forged = Request::get("/one").field("X-Correlation-Id", "mine");
    let miss = tide.ask(&forged).await;
    let hit = tide.get("/one").await;
    let refused = tide.ask(&Request::new("POST", "/no").host("a b")).await;
    let sent = app.only().head;
    let id = sent.get("x-correlation-id").unwrap();
    assert_ne!(id, "mine");
    assert_eq!(sent.get("x-request-id"), None);
    assert_eq!(miss.head.all("x-correlation-id"), [id]);
    let lines: Vec<Value> = tide.tells(3).await;
    assert_eq!(line(&lines, "miss", "/one")["id"], id);
    let told = line(&lines, "hit", "/one");
    assert_eq!(
        hit.head.all("x-correlation-id"),
        [told["id"].as_str().unwrap()]
    );
    assert_eq!(app.requests(), 1);
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn an_answer_from_the_store_says_the_id_and_the_times_in_either_lane() {
    let top = "tracing: { server_timing: true, request_id: { return: true } }\n";
    for lane in ["on", "off"] {
        let app = Origin::start("app-1").await;
        let yaml = format!(
            "{top}upstreams: {{ web: {{ nodes: {} }} }}\nroutes: [{{ upstream: web, {CACHED} }}]\n",
            nodes([&app])
        );
        let tide = Tidegate::run_with_faults_and(&[("TIDEGATE_EXPRESS_LANE", lane)], yaml).await;
        let miss = tide.get("/page").await;
        let hit = tide.get("/page").await;
        let timing = |answer: &crate::support::client::Answer| {
            answer
                .head
                .get("server-timing")
                .unwrap_or_default()
                .to_owned()
        };
        for part in [
            "cache;desc=miss, ",
            "connect;dur=",
            "ttfb;dur=",
            "total;dur=",
        ] {
            assert!(timing(&miss).contains(part), "{lane}: {}", timing(&miss));
        }
        assert!(
            timing(&hit).starts_with("cache;desc=hit, total;dur="),
            "{lane}: {}",
            timing(&hit)
        );
        let lines = tide.tells(2).await;
        for (answer, cache) in [(&miss, "miss"), (&hit, "hit")] {
            let id = line(&lines, cache, "/page")["id"].as_str().unwrap();
            assert_eq!(answer.head.all("x-request-id"), [id], "{lane}");
        }
        let lane_taken = tide
            .metric("tidegate_express_requests_total", &[("route", "default")])
            .await;
        assert_eq!(
            lane_taken.unwrap_or(0.0),
            f64::from(u8::from(lane == "on")),
            "{lane}"
        );
    }
}

#[tokio::test]
async fn times_are_for_trusted_peers_where_the_file_says_so_and_stand_beside_those_of_the_node() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| Reply::usual(seen).field("Server-Timing", "db;dur=7"));
    let top = "trusted_proxies: [127.0.0.2/32]\ntracing: { server_timing: trusted }\n";
    let tide = Tidegate::run(top.to_owned() + &web("", nodes([&app]))).await;
    let from = "127.0.0.2".parse().unwrap();
    let mut trusted = Client::connect_from(from, tide.addr()).await.unwrap();
    let told = trusted.ask(&Request::get("/")).await.unwrap();
    let told = told.head.all("server-timing");
    assert_eq!((told.len(), told[0]), (2, "db;dur=7"), "{told:?}");
    assert!(told[1].contains("ttfb;dur="), "{told:?}");
    let stranger = tide.get("/").await;
    assert_eq!(stranger.head.all("server-timing"), ["db;dur=7"]);
}

#[tokio::test]
async fn the_id_of_a_trusted_proxy_is_kept_and_that_of_a_stranger_is_not() {
    let app = Origin::start("app-1").await;
    let top = "trusted_proxies: [127.0.0.2/32]\n".to_owned();
    let yaml = format!(
        "{top}upstreams: {{ web: {{ nodes: {} }} }}\nroutes: [{{ upstream: web, {CACHED} }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let from = "127.0.0.2".parse().unwrap();
    let mut trusted = Client::connect_from(from, tide.addr()).await.unwrap();
    let ask = |path: &str, id: &str| Request::get(path).field("X-Request-Id", id);
    trusted.ask(&ask("/one", "edge-1/7.a")).await.unwrap();
    trusted.ask(&ask("/one", "edge-1/8.a")).await.unwrap();
    trusted.ask(&ask("/odd", "a b\"c")).await.unwrap();
    tide.ask(&ask("/two", "mine")).await;
    let lines = tide.tells(4).await;
    assert_eq!(line(&lines, "miss", "/one")["id"], "edge-1/7.a");
    assert_eq!(line(&lines, "hit", "/one")["id"], "edge-1/8.a");
    for (path, theirs) in [("/odd", "a b\"c"), ("/two", "mine")] {
        let id = line(&lines, "miss", path)["id"].as_str().unwrap();
        assert!(id.len() == 16 && id != theirs, "{path}: {id}");
    }
    let seen = app.seen();
    assert_eq!(seen[0].head.all("x-request-id"), ["edge-1/7.a"]);
}
