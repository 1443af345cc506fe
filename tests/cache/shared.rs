//! What one client does to a fetch or an entry that others share: stories of what a review of the cache found.
//!
//! Whatever it asks, and however it leaves, the others have what they had, and the proxy holds no more than it must.

use std::time::Instant;

use super::{Stage, is_hit, reply, told, validated, with};
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::reply::{Reply, Seen, Step};
use crate::support::{Gate, check, eventually, ms, pattern, raise_open_files, took_about};

const FRESH: &str = "Cache-Control: max-age=600";

/// As many requests as clients wait for.
const IN_FLIGHT: &str = "tidegate_http_requests_in_flight";

/// A client that has sent this and has no answer yet.
async fn asking(tide: &Tidegate, request: &Request) -> Client {
    let mut client = tide.connect().await;
    client.send(request).await.unwrap();
    client
}

#[tokio::test]
async fn who_waits_for_a_place_across_a_reload_gets_it_and_the_log_names_its_upstream() {
    let (app, other) = (Origin::start("app-1").await, Origin::start("other").await);
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| match seen.target() {
        "/held" => reply(seen, 200, FRESH).when(&held),
        _ => reply(seen, 200, FRESH),
    });
    let yaml = |before: &str| {
        format!(
            "upstreams:
{before}  web: {{ nodes: [{}], queue: {{ size: 10, timeout: 20s }} }}
routes:
  - {{ upstream: web, cache: true }}\n",
            app.with("max_conns: 1")
        )
    };
    let tide = Tidegate::run(yaml("")).await;
    let mut first = asking(&tide, &Request::get("/held")).await;
    app.holds(1).await;
    let mut waits = asking(&tide, &Request::get("/waits")).await;
    let queue = "tidegate_upstream_queue_length";
    tide.metric_is(queue, &[("upstream", "web")], 1.0).await;
    let more = format!("  aaa: {{ nodes: {} }}\n", nodes([&other]));
    tide.apply(&yaml(&more)).await;
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().node(), "app-1");
    let answer = waits.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.node()), (200, "app-1"));
    for path in ["/held", "/waits"] {
        let line = tide.told(path).await;
        assert_eq!(line["upstream"], "web", "{line}");
        assert_eq!(line["cache"], "miss", "{line}");
    }
    assert_eq!(other.requests(), 0);
}

/// Two hundred clients ask for something of their own each and leave when the origin has all of it. `Echo`, because an
/// origin that waits for a word sees that its peer has gone.
#[tokio::test]
async fn fetches_that_nobody_waits_for_any_more_are_bounded() {
    raise_open_files();
    let stage = Stage::open("true").await;
    stage.app.answers(|_| Reply::steps([Step::Echo]));
    let mut clients = Vec::new();
    for n in 0..200 {
        clients.push(asking(&stage.tide, &Request::get(&format!("/{n}"))).await);
    }
    stage.app.holds(200).await;
    for client in clients {
        client.reset();
    }
    stage.tide.metric_is(IN_FLIGHT, &[], 0.0).await;
    eventually("at most 64 are left behind", SOON, async || {
        let open = stage.app.in_flight();
        check(open <= 64, open)
    })
    .await;
}

#[tokio::test]
async fn who_has_waited_for_as_long_as_it_may_gets_the_stale_answer_and_waits_for_no_other() {
    let stage = Stage::open("{ wait: 200ms }").await;
    stage.says("Cache-Control: max-age=100, stale-if-error=1000");
    stage.get("/").await;
    stage.passes(150).await;
    stage.app.answers(|_| Reply::hangs());
    let _first = asking(&stage.tide, &Request::get("/")).await;
    stage.app.holds(1).await;
    let began = Instant::now();
    let second = stage.get("/").await;
    took_about(began, ms(200));
    assert_eq!(
        (second.status, second.text()),
        (200, "/ 0".into()),
        "{}",
        told(&second)
    );
    assert_eq!(stage.asked("/"), 2, "the hanging node is asked once");
}

#[tokio::test]
async fn head_of_what_stands_in_for_a_node_that_is_down_is_what_get_is() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=100, stale-if-error=1000");
    stage.get("/").await;
    stage.passes(150).await;
    stage.app.kill().await;
    let get = stage.get("/").await;
    let head = stage.ask(&Request::new("HEAD", "/")).await;
    assert_eq!((get.status, get.text()), (200, "/ 0".into()));
    assert_eq!(head.status, 200, "{}", told(&head));
    for name in ["content-length", "cache-control", "x-serial"] {
        assert_eq!(head.head.get(name), get.head.get(name), "{name}");
    }
}

/// Half of an answer.
const HALF: usize = 50_000;

/// An answer with its length or in chunks, whose other half comes when the gate is open.
fn half(gate: &Gate, sized: bool) -> Reply {
    let (gate, piece) = (Step::Gate(gate.clone()), pattern(HALF));
    let length = (2 * HALF).to_string();
    let steps = match sized {
        true => vec![
            Step::Head(200, vec![("content-length".into(), length)]),
            Step::Bytes(piece.clone()),
            gate,
            Step::Bytes(piece),
        ],
        false => vec![
            Reply::chunked_head(),
            Step::Chunk(piece.clone()),
            gate,
            Step::Chunk(piece),
            Step::Chunk(Vec::new()),
        ],
    };
    Reply::steps(steps).field("Cache-Control", "max-age=600")
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_body_is_noticed_before_more_of_it_comes() {
    for sized in [true, false] {
        let stage = Stage::open("true").await;
        let gate = Gate::closed();
        let held = gate.clone();
        stage.app.answers(move |_| half(&held, sized));
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = asking(&stage.tide, &Request::get("/")).await;
            client.head().await.unwrap();
            client.exactly(HALF).await.unwrap();
            clients.push(client);
        }
        stage.tide.metric_is(IN_FLIGHT, &[], 3.0).await;
        for client in clients {
            client.reset();
        }
        stage.tide.metric_is(IN_FLIGHT, &[], 0.0).await;
        assert_eq!(stage.app.in_flight(), 1, "the gate is still closed");
        gate.open();
        // Nobody has spoilt what was being stored.
        let whole = stage.get("/").await;
        assert!(whole.body == [pattern(HALF), pattern(HALF)].concat());
        assert_eq!(stage.asked("/"), 1);
    }
}

/// Asks for `/` until its refresh is there. All that comes on the way is from the store.
async fn is_refreshed_and_never_missing(stage: &Stage, name: &str) {
    eventually(name, SOON, async || {
        let answer = stage.get("/").await;
        assert!(is_hit(&answer), "{name}: {}", told(&answer));
        check(answer.text() != "/ 0", told(&answer))
    })
    .await;
}

#[tokio::test]
async fn a_request_that_may_not_be_stored_does_not_end_what_others_have_in_its_window() {
    for (name, wants) in [
        ("no-store", "Cache-Control: no-store"),
        ("who they are", "Authorization: Basic eDp5"),
        ("both", "Cache-Control: no-store\nAuthorization: Basic eDp5"),
    ] {
        let stage = Stage::open("true").await;
        stage.says("Cache-Control: max-age=100, stale-while-revalidate=1000");
        stage.get("/").await;
        stage.passes(150).await;
        stage.get_with("/", wants).await;
        is_refreshed_and_never_missing(&stage, name).await;
    }
}

/// The answer to who does not say who they are; the page of who does is theirs.
fn by_cookie(seen: &Seen) -> Reply {
    match seen.head.get("cookie") {
        Some(_) => reply(seen, 200, "Cache-Control: private"),
        None => reply(seen, 200, FRESH),
    }
}

#[tokio::test]
async fn who_wants_it_new_and_for_themselves_leaves_the_fresh_one_to_others() {
    let page = "Cache-Control: no-cache\nCookie: session=1";
    let proof = "Cache-Control: no-cache\nAuthorization: Basic eDp5";
    for (name, wants, own) in [
        ("a private page", page, "/ 1"),
        ("confirmed", proof, "/ 0"),
        (
            "a reload of who they are",
            "Cache-Control: max-age=0\nAuthorization: x",
            "/ 0",
        ),
    ] {
        let stage = Stage::open("true").await;
        match wants == page {
            true => stage.app.answers(by_cookie),
            false => stage.app.answers(|seen| validated(seen, "\"v1\"", FRESH)),
        }
        assert_eq!(stage.get("/").await.text(), "/ 0");
        let theirs = stage.get_with("/", wants).await;
        assert_eq!((theirs.status, theirs.text()), (200, own.into()), "{name}");
        assert_eq!(stage.asked("/"), 2, "{name}");
        for _ in 0..3 {
            let other = stage.get("/").await;
            assert!(is_hit(&other), "{name}: {}", told(&other));
            assert_eq!(other.text(), "/ 0", "{name}");
        }
    }
}

#[tokio::test]
async fn what_who_they_are_ask_of_the_origin_alone_reaches_it_as_they_said_it() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let has = |name: &str| seen.head.get(name).is_some();
        match () {
            () if has("if-none-match") => reply(seen, 304, "ETag: \"v1\""),
            () if has("if-modified-since") => reply(seen, 304, ""),
            () if has("range") => Reply::sized(206, "/ par").field("Content-Range", "bytes 0-4/10"),
            () => reply(seen, 200, "Cache-Control: private\nETag: \"v1\""),
        }
    });
    for (name, value, status) in [
        ("If-None-Match", "\"v1\"", 304),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("Range", "bytes=0-4", 206),
    ] {
        let path = format!("/{name}");
        let own = Request::get(&path).field(name, value);
        let answer = stage.ask(&with(own, "Authorization: Basic eDp5")).await;
        assert_eq!(stage.last().head.get(name), Some(value), "{name}");
        assert_eq!(answer.status, status, "{name}: {}", told(&answer));
        if status == 206 {
            assert_eq!(answer.text(), "/ par");
            assert_eq!(answer.head.get("content-range"), Some("bytes 0-4/10"));
        }
    }
}
