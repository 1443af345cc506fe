//! What is stored is answered at the front door over HTTP/2, too, and told as in the other lane.

use serde_json::Value;

use super::H2C;
use crate::support::h2::{H2, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms, pattern, took_about};

const EXPRESS: &str = "tidegate_express_requests_total";
const TAG: &str = "\"v1\"";

/// An origin whose answers may be stored, `/N` with N bytes, and the proxy with its lane `on` or `off`.
async fn stage(lane: &str, top: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    app.answers(|seen| {
        let length = seen.target().trim_start_matches('/').parse();
        Reply::text(pattern(length.unwrap_or(20)))
            .field("Cache-Control", "max-age=600")
            .field("ETag", TAG)
    });
    let yaml = format!(
        "{H2C}{top}upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ name: shop, upstream: web, cache: true }}]\n",
        nodes([&app])
    );
    let env = [("TIDEGATE_EXPRESS_LANE", lane)];
    let tide = Tidegate::run_with_faults_and(&env, yaml).await;
    (app, tide)
}

/// Has it fetched, and waits until it is stored.
async fn stores(tide: &Tidegate, target: &str) {
    assert_eq!(tide.get(target).await.status, 200);
    is_settled(tide).await;
}

/// Nothing is being fetched.
async fn is_settled(tide: &Tidegate) {
    eventually("it is stored", SOON, async || {
        let cache = tide.json("/api/v1/cache").await;
        check(cache["fills"] == 0, cache)
    })
    .await;
}

async fn express(tide: &Tidegate, requests: usize) {
    let what = [("route", "shop")];
    tide.metric_is(EXPRESS, &what, requests as f64).await;
}

/// A line of the access log without what no two requests have in common.
fn alike(mut line: Value) -> Value {
    let fields = line.as_object_mut().expect("a line is an object");
    for name in ["ts", "id", "listener", "t"] {
        fields.remove(name);
    }
    line
}

#[tokio::test]
async fn a_hit_over_http_2_is_answered_in_the_lane_and_told_as_in_the_other() {
    let mut told = Vec::new();
    for (lane, answered) in [("off", 0), ("on", 3)] {
        let (app, tide) = stage(lane, "").await;
        stores(&tide, "/page?a=b").await;
        let mut lines = 1;
        let mut client = H2::connect(tide.addr()).await;
        for (method, tag, status) in [("GET", "", 200), ("HEAD", "", 200), ("GET", TAG, 304)] {
            let mut asked = request(method, "/page?a=b").header("user-agent", "story");
            if !tag.is_empty() {
                asked = asked.header("if-none-match", tag);
            }
            let answer = client.ask(asked, b"").await.unwrap();
            assert_eq!(answer.status, status, "{method} {tag}");
            let whole = method == "GET" && status == 200;
            assert_eq!(answer.body.len(), if whole { 20 } else { 0 });
            let mut fields: Vec<_> = answer
                .fields
                .iter()
                .filter(|(name, _)| !["date", "x-id"].contains(&name.as_str()))
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .map(|line| line.split("ttl=").next().unwrap().to_owned())
                .collect();
            fields.sort();
            assert!(
                fields
                    .iter()
                    .any(|f| f.starts_with("cache-status: tidegate; hit"))
            );
            told.push((lane, format!("{fields:?}")));
            lines += 1;
            let line = tide.tells(lines).await.pop().unwrap();
            told.push((lane, alike(line).to_string()));
        }
        assert_eq!(app.requests(), 1);
        express(&tide, answered).await;
    }
    let of = |lane| {
        let lines = told.iter().filter(move |(of, _)| *of == lane);
        lines.map(|(_, line)| line).collect::<Vec<_>>()
    };
    assert_eq!(of("off"), of("on"));
}

#[tokio::test]
async fn what_is_not_for_the_lane_is_answered_all_the_same() {
    let (app, tide) = stage("on", "").await;
    stores(&tide, "/page").await;
    let mut client = H2::connect(tide.addr()).await;
    let get = || request("GET", "/page");
    let mut in_lane = 0;
    for (asked, body, status, lane) in [
        (get().header("range", "bytes=0-3"), &b""[..], 206, false),
        (request("POST", "/page"), b"x", 200, false),
        (get(), b"", 200, false), // it was purged by that
        (get(), b"", 200, true),
        (get(), b"a body", 200, false),
        (get().header("cache-control", "no-cache"), b"", 200, false),
        (
            get().header("x-forwarded-for", "192.0.2.1"),
            b"",
            200,
            false,
        ),
        (
            get().header("cookie", "a").header("cookie", "b"),
            b"",
            200,
            false,
        ),
        (get().header("expect", "100-continue"), b"", 200, false),
        (request("TRACE", "/page"), b"", 405, false),
        (request("HEAD", "//page"), b"", 200, true),
        (get().header("te", "trailers"), b"", 200, true),
        (get().header("host", "tide.test"), b"", 200, true),
        (get().header("cookie", "a=1"), b"", 200, true),
    ] {
        let shown = format!("{asked:?}");
        let answer = client.ask(asked, body).await.unwrap();
        assert_eq!(answer.status, status, "{shown}");
        is_settled(&tide).await;
        in_lane += usize::from(lane);
        express(&tide, in_lane).await;
    }
    assert!(app.requests() >= 3, "some of them go to the node");
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn a_hundred_hits_at_once_are_each_answered_whole() {
    let (app, tide) = stage("on", "").await;
    stores(&tide, "/300000").await;
    let mut client = H2::connect(tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        let stream = client.send(request("GET", "/300000"), true).await.unwrap();
        streams.push(tokio::spawn(stream.answer()));
    }
    let body = pattern(300_000);
    for stream in streams {
        let answer = stream.await.unwrap().unwrap();
        assert!(answer.status == 200 && answer.body == body);
    }
    assert_eq!(app.requests(), 1);
    express(&tide, 100).await;
    let told = tide.tells(101).await;
    let whole = told.iter().filter(|line| line["bytes_out"] == 300_000);
    assert_eq!(whole.count(), 101);
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn a_hit_that_nobody_takes_is_ended() {
    let (_app, tide) = stage("on", "timeouts: { write: 500ms }\n").await;
    stores(&tide, "/4000000").await;
    let mut client = H2::connect(tide.addr()).await;
    let began = std::time::Instant::now();
    let stream = client.send(request("GET", "/4000000"), true).await.unwrap();
    let (status, _, unread) = stream.head().await.unwrap();
    assert_eq!(status, 200);
    let line = tide.tells(2).await.pop().unwrap();
    took_about(began, ms(500));
    assert_eq!(line["end"], "client_timeout", "{line}");
    express(&tide, 1).await;
    drop((unread, client));
    tide.is_empty().await;
}

#[tokio::test]
async fn who_gives_up_a_hit_is_told_to_have_left() {
    let (_app, tide) = stage("on", "").await;
    stores(&tide, "/4000000").await;
    let mut client = H2::connect(tide.addr()).await;
    let stream = client.send(request("GET", "/4000000"), true).await.unwrap();
    let taken = stream.head().await.unwrap();
    drop(taken);
    let line = tide.tells(2).await.pop().unwrap();
    assert_eq!(line["end"], "client_abort", "{line}");
    // The others on its connection go on.
    let answer = client.ask(request("GET", "/4000000"), b"").await.unwrap();
    assert_eq!(answer.body.len(), 4_000_000);
}

#[tokio::test]
async fn limits_of_a_route_hold_for_hits_over_http_2() {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::text("page").field("Cache-Control", "max-age=600"));
    let yaml = format!(
        "{H2C}upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ path: /shut }}, upstream: web, cache: true, deny: 127.0.0.1 }}
  - {{ name: shop, upstream: web, cache: true, rate_limit: {{ rate: 3/h }} }}\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let mut client = H2::connect(tide.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(client.status(request("GET", "/page"), b"").await.unwrap());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(client.status(request("GET", "/shut"), b"").await, Some(403));
    assert_eq!(app.requests(), 1);
}
