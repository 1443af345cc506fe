//! What somebody else's answer must not become: stories of what a review of the cache found, kept so that it stays found.
//!
//! Each tells of two clients, of which the second must not get what was meant for the first, or for nobody.

use super::{Stage, is_hit, reply, row_of, told};
use crate::support::Gate;
use crate::support::client::Request;
use crate::support::cookies;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::{Reply, Seen, Step};

/// What an attacker writes.
const MARK: &str = "evil.example";

const FRESH: &str = "Cache-Control: max-age=600";

/// Two upstreams on the same paths: who sends `X-Canary: 1` is for the second.
async fn with_a_canary() -> (Origin, Origin, Tidegate) {
    let (app, canary) = (Origin::start("app-1").await, Origin::start("canary").await);
    let tide = Tidegate::run_with_faults(format!(
        "upstreams:
  web: {{ nodes: {}, outlier: off }}
  next: {{ nodes: {}, outlier: off }}
routes:
  - {{ name: canary, match: {{ headers: {{ X-Canary: \"1\" }} }}, upstream: next, cache: true }}
  - {{ name: plain, upstream: web, cache: true }}\n",
        nodes([&app]),
        nodes([&canary])
    ))
    .await;
    (app, canary, tide)
}

fn canary(target: &str) -> Request {
    Request::get(target).field("X-Canary", "1")
}

#[tokio::test]
async fn what_one_route_stored_is_no_answer_of_another_route_to_the_same_url() {
    let (app, next, tide) = with_a_canary().await;
    for origin in [&app, &next] {
        origin.answers(|seen| reply(seen, 200, FRESH));
    }
    for _ in 0..2 {
        assert_eq!(tide.get("/plain-first").await.node(), "app-1");
        assert_eq!(tide.ask(&canary("/plain-first")).await.node(), "canary");
        assert_eq!(tide.ask(&canary("/canary-first")).await.node(), "canary");
        assert_eq!(tide.get("/canary-first").await.node(), "app-1");
    }
    let (plain, other) = (app.requests(), next.requests());
    assert_eq!((plain, other), (2, 2), "each is stored all the same");
}

#[tokio::test]
async fn who_asks_two_routes_for_a_cold_url_at_once_waits_for_no_answer_of_the_other_route() {
    for canary_begins in [true, false] {
        let (app, next, tide) = with_a_canary().await;
        let gate = Gate::closed();
        for origin in [&app, &next] {
            let held = gate.clone();
            origin.answers(move |seen| reply(seen, 200, FRESH).when(&held));
        }
        let asked = [(Request::get("/"), "app-1"), (canary("/"), "canary")];
        let order = if canary_begins { [1, 0] } else { [0, 1] };
        let mut clients = Vec::new();
        for (n, at) in (1..).zip(order) {
            let mut client = tide.connect().await;
            client.send(&asked[at].0).await.unwrap();
            let in_flight = "tidegate_http_requests_in_flight";
            tide.metric_is(in_flight, &[], f64::from(n)).await;
            clients.push((client, asked[at].1));
        }
        gate.open();
        for (mut client, node) in clients {
            assert_eq!(client.answer("GET").await.unwrap().node(), node);
        }
    }
}

#[tokio::test]
async fn what_varies_by_a_field_that_the_proxy_writes_for_each_client_is_not_stored() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let name = seen.target().trim_start_matches('/').replace('+', ", ");
        reply(seen, 200, FRESH).field("Vary", &name)
    });
    for path in [
        "/X-Forwarded-For",
        "/x-forwarded-for",
        "/X-Real-IP",
        "/Forwarded",
        "/X-Request-Id",
        "/Via",
        "/Accept-Encoding+X-Real-IP",
    ] {
        let first = stage.get(path).await;
        assert!(
            told(&first).ends_with("; detail=vary_any"),
            "{path}: {}",
            told(&first)
        );
        let second = stage.get(path).await;
        assert!(
            !is_hit(&second) && second.body != first.body,
            "{path}: {}",
            told(&second)
        );
    }
    stage.get("/Accept").await;
    assert!(is_hit(&stage.get("/Accept").await), "a client's own field");
}

/// What passes through a proxy that is believed, and is not what a proxy says of its client.
fn dirty() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let line = |name, value: &str| (name, value.to_string());
    let own = line("X-Forwarded-Host", "tide.test");
    let host = line("X-Forwarded-Host", MARK);
    vec![
        (
            "Forwarded",
            vec![line("Forwarded", &format!("host={MARK}"))],
        ),
        ("its own host, another", vec![own.clone(), host.clone()]),
        ("another host, its own", vec![host, own]),
        (
            "a host that is no text",
            vec![line("X-Forwarded-Host", &format!("{MARK}\u{e9}"))],
        ),
        (
            "a scheme that is none",
            vec![line("X-Forwarded-Proto", &format!("{MARK}\"><"))],
        ),
        (
            "an address that is none",
            vec![line("X-Forwarded-For", &format!("{MARK}, 9.9.9.9"))],
        ),
    ]
}

/// An origin that believes all it is told and shows it.
fn reflects(seen: &Seen) -> Reply {
    let body = String::from_utf8_lossy(&seen.head.raw).into_owned();
    Reply::text(body).field("Cache-Control", "max-age=600")
}

#[tokio::test]
async fn what_slips_through_a_trusted_proxy_is_not_in_the_answer_of_its_other_clients() {
    let top = "trusted_proxies: [127.0.0.0/8]\nrequests: { drop: [] }\n";
    let stage = Stage::under(top, "true").await;
    stage.app.answers(reflects);
    let said = "X-Forwarded-For: 10.1.1.1\nX-Forwarded-Host: tide.test\nX-Forwarded-Proto: http";
    let (mut poisoned, mut shared) = (Vec::new(), 0);
    for (n, (name, lines)) in dirty().into_iter().enumerate() {
        for (kind, clean) in [("full", said), ("bare", "")] {
            let path = format!("/{n}/{kind}");
            let bad = Request::get(&path);
            let bad = (lines.iter()).fold(bad, |all, (name, value)| all.field(name, value));
            // Who is refused at the door has poisoned nothing.
            let _ = stage.tide.try_ask(&bad).await;
            let mut hits = 0;
            for _ in 0..3 {
                let answer = stage.get_with(&path, clean).await;
                if answer.text().contains(MARK) {
                    poisoned.push((name, kind));
                }
                hits += usize::from(is_hit(&answer));
            }
            shared += usize::from(hits > 0);
        }
    }
    assert!(poisoned.is_empty(), "{} seen: {poisoned:?}", poisoned.len());
    assert_eq!(shared, 2 * dirty().len(), "the clean ones share an answer");
}

#[tokio::test]
async fn what_was_never_fresh_for_others_is_not_theirs_when_the_node_is_down() {
    for how in ["killed", "drained"] {
        let stage = Stage::open("true").await;
        stage.says("ETag: \"v1\"");
        assert_eq!(stage.get("/").await.text(), "/ 0");
        match how {
            "killed" => stage.app.kill().await,
            _ => drop(stage.tide.verb("web/app-1", "drain").await),
        }
        for _ in 0..2 {
            let other = stage.get("/").await;
            assert!(
                matches!(other.status, 502 | 503),
                "{how}: {} {}",
                other.status,
                told(&other)
            );
        }
    }
}

#[tokio::test]
async fn who_may_not_use_what_is_arriving_does_not_join_the_fetch_of_it() {
    let brief = "Cache-Control: max-age=1, must-revalidate";
    for (name, lines, passed, wants) in [
        ("it is stale by now", brief, 5, ""),
        ("no-cache", FRESH, 0, "Cache-Control: no-cache"),
        ("max-age=0", FRESH, 0, "Cache-Control: max-age=0"),
    ] {
        let stage = Stage::open("true").await;
        let gate = Gate::closed();
        let held = gate.clone();
        stage.app.answers(move |seen| {
            let halves = [
                Reply::chunked_head(),
                Step::Chunk(b"one ".to_vec()),
                Step::Gate(held.clone()),
                Step::Chunk(b"two".to_vec()),
                Step::Chunk(Vec::new()),
            ];
            let (field, value) = lines.split_once(": ").expect("one line");
            match seen.serial {
                0 => Reply::steps(halves).field(field, value),
                _ => reply(seen, 200, lines),
            }
        });
        let mut first = stage.tide.connect().await;
        first.send(&Request::get("/")).await.unwrap();
        first.head().await.unwrap();
        assert_eq!(first.chunk().await.unwrap(), Some(b"one ".to_vec()));
        if passed > 0 {
            stage.passes(passed).await;
        }
        let request = super::with(Request::get("/"), wants);
        let mut other = stage.tide.connect().await;
        other.send(&request).await.unwrap();
        let head = other.head().await.unwrap();
        let status = head.get("cache-status").unwrap_or_default();
        assert_eq!(head.get("x-serial"), Some("1"), "{name}: {status}");
        assert_eq!(other.exactly(3).await.unwrap(), b"/ 1", "{name}");
        gate.open();
        assert_eq!(first.chunk().await.unwrap(), Some(b"two".to_vec()));
        assert_eq!(stage.asked("/"), 2, "{name}");
    }
}

#[tokio::test]
async fn what_a_post_said_of_a_query_that_the_key_leaves_out_is_no_answer_to_a_get() {
    let stage = Stage::open("{ key: { drop_query: [\"utm_*\"] } }").await;
    stage.app.answers(|seen| {
        let body = format!("{} {}", seen.method(), seen.target());
        Reply::text(body)
            .field("Content-Location", seen.target())
            .field("Cache-Control", "max-age=600")
    });
    let posted = stage.ask(&Request::post("/self?utm_x=EVIL", "x")).await;
    assert_eq!(posted.status, 200);
    let in_flight = "tidegate_http_requests_in_flight";
    stage.tide.metric_is(in_flight, &[], 0.0).await;
    for target in ["/self", "/self?utm_x=EVIL", "/self?utm_y=1"] {
        let got = stage.get(target).await;
        assert!(
            got.text().starts_with("GET ") && !got.text().contains("EVIL"),
            "{target}: {:?}",
            got.text()
        );
    }
}

#[tokio::test]
async fn a_page_under_the_name_of_a_file_is_not_stored_for_having_a_date() {
    let stage = Stage::open("{ ttl: 60s }").await;
    let page = "Content-Type: text/html\nLast-Modified: {now-864000}";
    stage.says(page);
    let victim = stage
        .get_with("/account/x.css", "Cookie: session=victim")
        .await;
    assert!(
        told(&victim).ends_with("; detail=content_type"),
        "{}",
        told(&victim)
    );
    let other = stage.get("/account/x.css").await;
    assert!(!is_hit(&other), "{}", told(&other));
    assert_ne!(victim.body, other.body);
    // A file is one, with or without a date.
    let file = "Content-Type: text/css\nLast-Modified: {now-864000}";
    stage.keeps(&[row_of("style.css", file)]).await;
}

#[tokio::test]
async fn who_wrote_gets_nothing_that_a_replica_said_before() {
    let (primary, replica) = (Origin::start("primary").await, Origin::start("app-1").await);
    let gate = Gate::closed();
    let held = gate.clone();
    primary.answers(|seen| reply(seen, 200, FRESH));
    replica.answers(move |seen| match seen.target() {
        "/slow" => reply(seen, 200, FRESH).when(&held),
        _ => reply(seen, 200, FRESH),
    });
    let tide = Tidegate::run(format!(
        "upstreams:
  main: {{ nodes: {} }}
  replicas: {{ nodes: {} }}
routes:
  - {{ upstream: main, split: {{ reads: replicas, pin_after_write: 60s }}, cache: true }}\n",
        nodes([&primary]),
        nodes([&replica])
    ))
    .await;
    let wrote = tide.ask(&Request::post("/", "x")).await;
    let pin = cookies::set(&wrote, "tg_pin").expect("who wrote is remembered");
    let pinned = |target: &str| Request::get(target).field("Cookie", &format!("tg_pin={pin}"));
    for _ in 0..2 {
        assert_eq!(tide.get("/").await.node(), "app-1", "another client");
        let own = tide.ask(&pinned("/")).await;
        assert_eq!(own.node(), "primary", "{}", told(&own));
        assert!(told(&own).ends_with("; detail=pinned"), "{}", told(&own));
    }
    assert!(is_hit(&tide.get("/").await), "others' comes from the store");
    // Nor does it wait for what a replica is saying.
    let mut other = tide.connect().await;
    other.send(&Request::get("/slow")).await.unwrap();
    replica.holds(1).await;
    assert_eq!(tide.ask(&pinned("/slow")).await.node(), "primary");
    gate.open();
    assert_eq!(other.answer("GET").await.unwrap().node(), "app-1");
}
