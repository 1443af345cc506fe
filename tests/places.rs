//! Nodes that are full, new, or only for when the others are gone: lines, slow starts, tiers.

use std::time::Instant;

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// One node with one place, held by a request until the gate opens.
async fn full(keys: &str) -> (Origin, Tidegate, Gate) {
    let app = Origin::start("app-1").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let tide = Tidegate::run(web(keys, format!("[{}]", app.with("max_conns: 1")))).await;
    (app, tide, gate)
}

async fn waiting(tide: &Tidegate, n: usize) {
    tide.metric_is(
        "tidegate_upstream_queue_length",
        &[("upstream", "web")],
        n as f64,
    )
    .await;
}

#[tokio::test]
async fn who_waits_is_served_in_the_order_of_coming() {
    let (app, tide, gate) = full("queue: { size: 10, timeout: 20s }").await;
    let mut clients = Vec::new();
    for n in 0..6 {
        let mut client = tide.connect().await;
        client.send(&Request::get(&format!("/{n}"))).await.unwrap();
        clients.push(client);
        match n {
            0 => app.holds(1).await,
            n => waiting(&tide, n).await,
        }
    }
    assert_eq!(app.requests(), 1, "one place");
    let view = tide.json("/api/v1/upstreams").await;
    assert_eq!(view["upstreams"][0]["waiting"], 5, "{view}");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    }
    let order: Vec<_> = app.seen().iter().map(|s| s.target().to_owned()).collect();
    assert_eq!(order, ["/0", "/1", "/2", "/3", "/4", "/5"]);
    let line = tide.told("/5").await;
    assert!(line["t"]["queue"].as_f64().unwrap() > 0.0, "{line}");
    assert_eq!(tide.told("/0").await["t"].get("queue"), None);
    let waited = tide
        .metric("tidegate_upstream_queue_duration_seconds_count", &[])
        .await;
    assert_eq!(waited, Some(5.0));
    waiting(&tide, 0).await;
}

#[tokio::test]
async fn the_line_has_an_end_and_waiting_has_one_too() {
    let (app, tide, gate) = full("queue: { size: 1, timeout: 700ms }").await;
    let mut first = tide.connect().await;
    first.send(&Request::get("/first")).await.unwrap();
    app.holds(1).await;
    let mut second = tide.connect().await;
    let began = Instant::now();
    second.send(&Request::get("/second")).await.unwrap();
    waiting(&tide, 1).await;
    let third = tide.get("/third").await;
    assert_eq!(
        (third.status, third.head.get("retry-after")),
        (503, Some("1"))
    );
    assert!(began.elapsed() < ms(600), "at once");
    assert_eq!(tide.told("/third").await["end"], "queue_full");
    let second = second.answer("GET").await.unwrap();
    let waited = began.elapsed();
    assert_eq!(second.status, 503);
    assert!(waited >= ms(690) && waited < ms(1_500), "{waited:?}");
    let line = tide.told("/second").await;
    assert_eq!(line["end"], "queue_timeout", "{line}");
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().status, 200);
    assert_eq!(app.requests(), 1, "who gave up was not sent");
    assert_eq!(tide.get("/").await.status, 200, "the place is free");
}

#[tokio::test]
async fn without_a_line_a_full_house_is_a_503_at_once() {
    let (app, tide, gate) = full("queue: off").await;
    let mut first = tide.connect().await;
    first.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    let began = Instant::now();
    assert_eq!(tide.get("/").await.status, 503);
    assert!(began.elapsed() < ms(500));
    gate.open();
}

#[tokio::test]
async fn no_node_ever_has_more_than_its_places_and_nobody_is_lost() {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(20)));
    }
    let list: Vec<String> = apps.iter().map(|app| app.with("max_conns: 4")).collect();
    let keys = "balance: random\nqueue: { size: 1000, timeout: 20s }";
    let tide = Tidegate::run(web(keys, format!("[{}]", list.join(", ")))).await;
    // Twelve places of 20 ms are 600 a second; 900 come.
    let load = Load::at(900).count(1_800).start(tide.addr());
    let mut most = 0;
    let watched = Instant::now();
    while watched.elapsed() < ms(2_000) {
        most = most.max(apps.iter().map(Origin::in_flight).max().unwrap());
        tokio::time::sleep(ms(2)).await;
    }
    load.done().await.nothing_failed_of(1_800);
    assert!(most <= 4, "{most} at a time");
    waiting(&tide, 0).await;
    let gauge = "tidegate_upstream_requests_in_flight";
    tide.metric_is(gauge, &[("upstream", "web")], 0.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_the_line_makes_room_for_the_next() {
    let (app, tide, gate) = full("queue: { size: 2, timeout: 20s }").await;
    let mut first = tide.connect().await;
    first.send(&Request::get("/first")).await.unwrap();
    app.holds(1).await;
    let mut leaver = tide.connect().await;
    leaver.send(&Request::get("/leaver")).await.unwrap();
    waiting(&tide, 1).await;
    let mut stayer = tide.connect().await;
    stayer.send(&Request::get("/stayer")).await.unwrap();
    waiting(&tide, 2).await;
    drop(leaver);
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().status, 200);
    assert_eq!(stayer.answer("GET").await.unwrap().status, 200);
    waiting(&tide, 0).await;
}

#[tokio::test]
async fn what_an_operator_does_makes_room_for_those_who_wait() {
    let apps = Origin::several(2).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let yaml = |nodes: String| web("queue: { size: 10, timeout: 20s }", nodes);
    let one = |most: u32| apps[0].with(&format!("max_conns: {most}"));
    let tide = Tidegate::run(yaml(format!("[{}]", one(1)))).await;
    let mut clients = Vec::new();
    for n in 0..4 {
        let mut client = tide.connect().await;
        client.send(&Request::get(&format!("/{n}"))).await.unwrap();
        clients.push(client);
        match n {
            0 => apps[0].holds(1).await,
            n => waiting(&tide, n).await,
        }
    }
    tide.apply(&yaml(format!("[{}]", one(2)))).await;
    apps[0].holds(2).await;
    waiting(&tide, 2).await;
    tide.apply(&yaml(format!("[{}, {}]", one(2), apps[1])))
        .await;
    waiting(&tide, 0).await;
    for client in &mut clients[2..] {
        assert_eq!(client.answer("GET").await.unwrap().node(), "app-2");
    }
    gate.open();
    for client in &mut clients[..2] {
        assert_eq!(client.answer("GET").await.unwrap().node(), "app-1");
    }
    // Those that wait do not go to a node that is drained meanwhile.
    assert_eq!(apps[0].requests(), 2);
}

#[tokio::test]
async fn who_may_not_use_a_place_lets_others_have_it() {
    let apps = Origin::several(2).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[1].answers(move |seen| Reply::usual(seen).when(&held));
    let list: Vec<String> = apps.iter().map(|app| app.with("max_conns: 1")).collect();
    let keys = "balance: round_robin\nqueue: { size: 10, timeout: 20s }";
    let tide = Tidegate::run(web(keys, format!("[{}]", list.join(", ")))).await;
    let send = async |target: &str| {
        let mut client = tide.connect().await;
        client.send(&Request::get(target)).await.unwrap();
        client
    };
    assert_eq!(tide.get("/").await.node(), "app-1");
    let mut holder = send("/holder").await;
    apps[1].holds(1).await;
    apps[0].kill().await;
    let mut refused = send("/refused").await;
    waiting(&tide, 1).await; // it has tried app-1 and waits for app-2 alone
    let next = send("/next").await;
    waiting(&tide, 2).await;
    apps[0].revive().await;
    let mut next = next;
    assert_eq!(next.answer("GET").await.unwrap().node(), "app-1");
    gate.open();
    for client in [&mut holder, &mut refused] {
        assert_eq!(client.answer("GET").await.unwrap().node(), "app-2");
    }
    waiting(&tide, 0).await;
}

#[tokio::test]
async fn tiers_are_used_one_after_the_other() {
    let apps = Origin::several(3).await;
    let list = format!(
        "[{}, {}, {}]",
        apps[0].with("priority: 1"),
        apps[1],
        apps[2].with("backup: true")
    );
    let tide = Tidegate::run(web("", list)).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        let node = tide.get("/").await.node().to_owned();
        let at = apps.iter().position(|app| app.name() == node).unwrap();
        assert_eq!(tide.get("/").await.node(), node);
        apps[at].kill().await;
        order.push(node);
    }
    assert_eq!(order, ["app-2", "app-1", "app-3"]);
    apps[1].revive().await;
    eventually("the first tier again", ms(12_000), async || {
        let answer = tide.get("/").await;
        check(answer.node() == "app-2", answer.node())
    })
    .await;
}

/// Shares of `app-1` in loads of a second each, beside the share its curve gives it then.
async fn climb(tide: &Tidegate, began: Instant, time: f64) -> Vec<(f64, f64)> {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let from = began.elapsed().as_secs_f64();
        let tally = Load::at(300).count(300).run(tide.addr()).await;
        let to = began.elapsed().as_secs_f64();
        let share = |at: f64| {
            let part = (at / time).clamp(0.1, 1.0);
            part / (2.0 + part)
        };
        // Of a second of a curve, the mean.
        let moments = (0..100).map(|n| from + (to - from) * f64::from(n) / 100.0);
        let expected = moments.map(share).sum::<f64>() / 100.0;
        seen.push((tally.of("app-1") as f64 / tally.ok as f64, expected));
    }
    seen
}

fn is_near(seen: &[(f64, f64)]) {
    println!("share and what it should be: {seen:.3?}");
    for (share, expected) in seen {
        assert!((share / expected - 1.0).abs() < 0.15, "{seen:?}");
    }
}

const SLOWLY: &str = "balance: round_robin\nslow_start: 6s\n\
                      health: { path: /healthz, interval: 100ms, timeout: 90ms, rise: 1, fall: 1 }";

#[tokio::test]
async fn a_node_that_comes_back_gets_its_share_along_the_curve() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(SLOWLY, nodes(&apps))).await;
    let tally = Load::at(300).count(90).run(tide.addr()).await;
    assert_eq!(tally.of("app-1"), 30, "none starts slowly with the process");
    apps[0].set_health(503);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    apps[0].set_health(200);
    tide.node_has("web/app-1", "health", "healthy").await;
    let began = Instant::now();
    let node = tide.node("web/app-1").await;
    let weight = node["effective_weight"].as_f64().unwrap();
    assert!(weight < 0.3, "{node}");
    is_near(&climb(&tide, began, 6.0).await);
    tide.node_has("web/app-1", "effective_weight", 1).await;
    let tally = Load::at(300).count(90).run(tide.addr()).await;
    assert!((29..=31).contains(&tally.of("app-1")), "{tally}");
}

#[tokio::test]
async fn a_node_that_is_added_starts_slowly_and_a_reload_does_not_start_it_again() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(SLOWLY, nodes(&apps[1..]))).await;
    // Who comes to a pool that nobody carries yet does not start slowly.
    tide.node_has("web/app-2", "health", "healthy").await;
    tide.apply(&web(SLOWLY, nodes(&apps))).await;
    let began = Instant::now();
    tide.node_has("web/app-1", "health", "healthy").await;
    let load = Load::at(300).count(600).run(tide.addr()).await;
    assert!(load.of("app-1") < 120, "{load}");
    tide.apply(&web(&SLOWLY.replace("rise: 1", "rise: 2"), nodes(&apps)))
        .await;
    is_near(&climb(&tide, began, 6.0).await);
}

#[tokio::test]
async fn a_node_that_finds_the_pool_empty_carries_it_at_once() {
    let apps = Origin::several(2).await;
    let keys = SLOWLY.replace("6s", "60s");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    for app in &apps {
        app.set_health(503);
        tide.node_has(&format!("web/{}", app.name()), "health", "unhealthy")
            .await;
    }
    apps[0].set_health(200);
    tide.node_has("web/app-1", "health", "healthy").await;
    assert_eq!(tide.node("web/app-1").await["effective_weight"], 1);
    apps[1].set_health(200);
    tide.node_has("web/app-2", "health", "healthy").await;
    let second = tide.node("web/app-2").await;
    assert!(
        second["effective_weight"].as_f64().unwrap() < 0.3,
        "{second}"
    );
    // A drain and its end count as a return too.
    tide.verb("web/app-1", "drain").await;
    tide.verb("web/app-1", "undrain").await;
    let first = tide.node("web/app-1").await;
    assert!(first["effective_weight"].as_f64().unwrap() < 0.3, "{first}");
}
