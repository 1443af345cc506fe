//! The stream: one tick a second for everybody who watches, whoever reads slowly, and nobody is waited for.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::document::{document, misfit};
use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, one_node_under, web};
use crate::support::{check, eventually, ms, took_about};

/// Who watches.
pub struct Watching {
    client: Client,
    rest: Vec<u8>,
}

impl Watching {
    /// Asks for the stream.
    pub async fn start(tide: &Tidegate) -> Watching {
        let client = Client::connect(tide.admin()).await.expect("the stats port");
        let (status, watching) = Watching::ask(client, tide).await;
        assert_eq!(status, 200);
        watching
    }

    async fn ask(mut client: Client, tide: &Tidegate) -> (u16, Watching) {
        let request = Request::get("/api/v1/stream").host(&tide.admin().to_string());
        client.send(&request).await.expect("a request");
        let head = client.head().await.expect("a head");
        let status = crate::support::client::status_of(&head).expect("a status");
        let kind = head.get("content-type").unwrap_or_default();
        assert_eq!(kind == "text/event-stream", status == 200, "{kind}");
        let rest = Vec::new();
        (status, Watching { client, rest })
    }

    /// The next tick as it was sent.
    async fn event(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event = self.rest.drain(..end + 2).collect();
                return String::from_utf8(event).expect("text");
            }
            let chunk = self.client.chunk().await.expect("a tick");
            self.rest.extend(chunk.expect("the stream goes on"));
        }
    }

    /// The next tick.
    pub async fn tick(&mut self) -> Value {
        let event = self.event().await;
        let data = event.strip_prefix("event: tick\ndata: ").expect("a tick");
        serde_json::from_str(data).expect("JSON")
    }

    /// The next tick that is as it should be.
    pub async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let tick = self.tick().await;
            if is(&tick) {
                return tick;
            }
            assert!(began.elapsed() < ms(15_000), "{what}: last seen {tick}");
        }
    }
}

#[tokio::test]
async fn the_first_tick_comes_at_once_and_says_what_the_document_says() {
    let (_app, tide) = one_node().await;
    let tick = Watching::start(&tide).await.tick().await;
    assert_eq!(tick["state"], "running", "{tick}");
    assert_eq!(tick["ready"], true);
    assert_eq!(tick["generation"], 1);
    assert_eq!(tick["reload"]["ok"], true);
    assert_eq!(tick["events"], json!([]), "what was before is in the list");
    let web = &tick["upstreams"][0];
    assert_eq!((&web["available"], &web["total"]), (&json!(1), &json!(1)));
    assert_eq!(web["nodes"][0]["id"], "app-1");
    let document = document(&tide).await;
    assert_eq!(misfit(&document, "TickView", &tick), None, "{tick}");
}

#[tokio::test]
async fn ticks_come_once_a_second_and_are_the_same_for_all() {
    let (_app, tide) = one_node().await;
    let mut first = Watching::start(&tide).await;
    let mut second = Watching::start(&tide).await;
    // Of the first one each may have another; then they go together.
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    first.event().await;
    let began = {
        first.event().await;
        Instant::now()
    };
    for _ in 0..3 {
        of_first.push(first.event().await);
    }
    took_about(began, Duration::from_secs(3));
    while !of_second.contains(&of_first[2]) {
        of_second.push(second.event().await);
        assert!(of_second.len() < 10, "they see different ticks");
    }
}

#[tokio::test]
async fn a_tick_shows_the_load_and_what_happened() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let mut watching = Watching::start(&tide).await;
    let load = Load::at(100).start(tide.addr());
    let moves = |tick: &Value| {
        let some = |point: &Value| point["requests"].as_u64() > Some(0) && point["p99"].is_f64();
        let web = &tick["upstreams"][0];
        some(&tick["second"])
            && some(&tick["minute"])
            && some(&tick["routes"][0]["second"])
            && some(&web["second"])
            && some(&web["nodes"][0]["second"])
            && some(&web["nodes"][1]["second"])
    };
    watching.until("all figures move", moves).await;
    tide.verb("web/app-2", "drain").await;
    let tells = |tick: &Value| {
        let mut events = tick["events"].as_array().expect("events").iter();
        events.any(|event| event["kind"] == "node" && event["node"] == "app-2")
    };
    let tick = watching.until("the drain is told", tells).await;
    assert_eq!(tick["drift"], 1, "{tick}");
    let last = tick["events"]
        .as_array()
        .expect("events")
        .last()
        .expect("one");
    assert_eq!(tick["last_event"], last["id"], "{tick}");
    let again = watching.tick().await;
    assert_eq!(again["events"], json!([]), "each is told once");
    load.stop().await.nothing_failed_of(50);
}

#[tokio::test]
async fn sixty_four_may_watch_and_who_leaves_makes_room() {
    let (_app, tide) = one_node().await;
    let mut all = Vec::new();
    for _ in 0..64 {
        all.push(Watching::start(&tide).await);
    }
    let answer = tide.api("GET", "/api/v1/stream", "").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["status"], 503);
    drop(all.pop());
    let again = eventually("there is room", ms(5_000), async || {
        let client = Client::connect(tide.admin()).await.expect("the stats port");
        match Watching::ask(client, &tide).await {
            (200, watching) => Ok(watching),
            (status, _) => Err(status),
        }
    })
    .await;
    drop((again, all));
}

#[tokio::test]
async fn viewers_that_do_not_read_cost_no_memory() {
    let app = Origin::start("app-1").await;
    // Many nodes make long ticks.
    let many: Vec<_> = (1..=300).map(|n| format!("\"127.0.0.2:{n}\"")).collect();
    let top = format!("{}  many:\n    nodes: [{}]\n", "", many.join(", "));
    let yaml = web("", nodes([&app])).replace("routes:", &format!("{top}routes:"));
    let tide = Tidegate::run(yaml).await;
    let mut reads = Watching::start(&tide).await;
    let length = reads.event().await.len();
    assert!(length > 100_000, "{length} bytes");
    let before = tide.process().memory();
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect_narrow(tide.admin())
            .await
            .expect("a connection");
        let request = Request::get("/api/v1/stream").host(&tide.admin().to_string());
        client.send(&request).await.expect("a request");
        idle.push(client);
    }
    for _ in 0..6 {
        reads.event().await;
    }
    let more = tide.process().memory().saturating_sub(before);
    // A copy of each tick for each of them were 40 MiB.
    assert!(more < 16 << 20, "{more} bytes more");
    assert_eq!(tide.api("GET", "/healthz", "").await.status, 200);
}

#[tokio::test]
async fn the_process_ends_with_viewers_at_once_and_tells_them_that_it_stops() {
    let (_app, tide) = one_node_under("shutdown: { pre_stop: 1500ms, grace: 20s }\n").await;
    let mut watching = Watching::start(&tide).await;
    let mut idle = Vec::new();
    for _ in 0..5 {
        idle.push(Watching::start(&tide).await);
    }
    watching.tick().await;
    tide.signal(Signal::SIGTERM);
    let stops = |tick: &Value| tick["state"] == "stopping" && tick["ready"] == false;
    watching.until("it tells that it stops", stops).await;
    assert_eq!(tide.ended(ms(5_000)).await, 0);
    let end = watching.client.until_closed(ms(1_000)).await;
    check(end.is_ok(), format!("{end:?}")).expect("the stream ends with the process");
}
