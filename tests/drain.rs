//! Taking a node out: nothing new for it, what it has finishes, and the operator sees what is left.

use std::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::wire::Broken;
use crate::support::{Gate, check, eventually, ms, took_about};

/// Two nodes, of which the first holds five requests until the gate opens.
struct Held {
    apps: Vec<Origin>,
    tide: Tidegate,
    gate: Gate,
    waiting: Vec<Client>,
}

impl Held {
    async fn with(keys: &str) -> Self {
        let apps = Origin::several(2).await;
        let gate = Gate::closed();
        let held = gate.clone();
        apps[0].answers(move |seen| Reply::usual(seen).when(&held));
        let tide = Tidegate::run(Held::file(keys, nodes(&apps))).await;
        let mut waiting = Vec::new();
        while waiting.len() < 5 {
            let mut client = tide.connect().await;
            let before = apps[0].requests() + apps[1].requests();
            client.send(&Request::get("/held")).await.unwrap();
            eventually("somebody has it", ms(3_000), async || {
                let now = apps[0].requests() + apps[1].requests();
                check(now > before, "nobody")
            })
            .await;
            if apps[0].in_flight() > waiting.len() {
                waiting.push(client);
            }
        }
        Held {
            apps,
            tide,
            gate,
            waiting,
        }
    }

    fn file(keys: &str, nodes: String) -> String {
        web(&format!("balance: round_robin\n{keys}"), nodes)
    }

    /// Nothing new for the first node within a second, and five requests left on it.
    async fn takes_nothing_new(&self) {
        let began = Instant::now();
        eventually("it is draining", ms(1_000), async || {
            let seen = self.tide.node("web/app-1").await;
            check(seen["state"] == "drain", seen)
        })
        .await;
        assert!(began.elapsed() < ms(1_000));
        let before = self.apps[0].requests();
        let tally = Load::at(400).count(80).run(self.tide.addr()).await;
        tally.nothing_failed_of(80);
        assert_eq!(self.apps[0].requests(), before, "{tally}");
        let seen = self.tide.node("web/app-1").await;
        assert_eq!(seen["drain"]["remaining"], 5, "{seen}");
        assert_eq!(seen["in_flight"], 5, "{seen}");
        let labels = [("upstream", "web"), ("node", "app-1")];
        let left = self
            .tide
            .metric("tidegate_node_drain_remaining_requests", &labels);
        assert_eq!(left.await, Some(5.0));
        let state = [("upstream", "web"), ("node", "app-1"), ("state", "drain")];
        assert_eq!(
            self.tide.metric("tidegate_node_state", &state).await,
            Some(1.0)
        );
    }

    /// What was in flight gets its answer.
    async fn finishes(&mut self) {
        self.gate.open();
        for client in &mut self.waiting {
            let answer = client.answer("GET").await.unwrap();
            assert_eq!((answer.status, answer.node()), (200, "app-1"));
        }
        eventually("nothing is left", ms(3_000), async || {
            let seen = self.tide.node("web/app-1").await;
            check(seen["drain"]["remaining"] == 0, seen)
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_drained_in_the_file_finishes_what_it_has() {
    let mut held = Held::with("").await;
    let list = format!("[{}, {}]", held.apps[0].with("state: drain"), held.apps[1]);
    held.tide.write(&Held::file("", list));
    held.takes_nothing_new().await;
    held.finishes().await;
    held.tide.apply(&Held::file("", nodes(&held.apps))).await;
    let tally = Load::at(400).count(40).run(held.tide.addr()).await;
    tally.nothing_failed_of(40);
    assert!(tally.of("app-1") >= 15, "it is back: {tally}");
}

#[tokio::test]
async fn a_node_drained_by_the_verb_finishes_what_it_has_and_can_come_back() {
    let mut held = Held::with("").await;
    let said = held.tide.verb("web/app-1", "drain").await;
    assert_eq!(
        (&said["state"], &said["drift"]),
        (&"drain".into(), &true.into()),
        "{said}"
    );
    held.takes_nothing_new().await;
    held.finishes().await;
    let said = held.tide.verb("web/app-1", "undrain").await;
    assert_eq!(
        (&said["state"], &said["drift"]),
        (&"up".into(), &false.into()),
        "{said}"
    );
    let tally = Load::at(400).count(40).run(held.tide.addr()).await;
    assert!(tally.of("app-1") >= 15, "it is back: {tally}");
}

#[tokio::test]
async fn the_command_waits_until_the_node_is_empty() {
    let mut held = Held::with("").await;
    let deadline = held
        .tide
        .command(&["drain", "web/app-1", "--wait", "1s"])
        .await;
    assert_eq!(deadline.code, 1, "{}", deadline.all());
    assert!(
        deadline.all().contains('5'),
        "says what is left: {}",
        deadline.all()
    );

    let began = Instant::now();
    let gate = held.gate.clone();
    let opens = tokio::spawn(async move {
        tokio::time::sleep(ms(500)).await;
        gate.open();
    });
    let empty = held
        .tide
        .command(&["drain", "web/app-1", "--wait", "10s"])
        .await;
    assert_eq!(empty.code, 0, "{}", empty.all());
    let took = began.elapsed();
    assert!(took >= ms(500) && took < ms(4_000), "{took:?}");
    opens.await.unwrap();
    held.finishes().await;
}

#[tokio::test]
async fn a_drain_has_an_end_and_cuts_what_is_left_then() {
    let mut held = Held::with("drain: { timeout: 1s }").await;
    let began = Instant::now();
    held.tide.verb("web/app-1", "drain").await;
    let seen = held.tide.node("web/app-1").await;
    let ends_in = seen["drain"]["ends_in_seconds"].as_f64().unwrap();
    assert!(ends_in > 0.0 && ends_in <= 1.0, "{seen}");
    let first = held.waiting[0].answer("GET").await;
    let took = began.elapsed();
    assert!(took > ms(900) && took < ms(3_000), "{took:?}");
    assert!(!matches!(first, Ok(ref a) if a.status == 200), "{first:?}");
    for client in &mut held.waiting[1..] {
        let cut = client.answer("GET").await;
        assert!(!matches!(cut, Ok(ref a) if a.status == 200), "{cut:?}");
    }
    held.tide.node_has("web/app-1", "in_flight", 0).await;
    eventually("the log names it", ms(3_000), async || {
        let log = held.tide.access_log();
        let cut = log.iter().filter(|l| l["end"] == "drain_timeout").count();
        check(cut == 5, cut)
    })
    .await;
}

#[tokio::test]
async fn a_websocket_on_a_draining_node_lives_until_the_drain_ends() {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::websocket());
    let tide = Tidegate::run(web("drain: { timeout: 2s }", nodes([&app]))).await;
    let upgrade = Request::get("/chat")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    let mut client = tide.connect().await;
    assert_eq!(client.ask(&upgrade).await.unwrap().status, 101);
    let began = Instant::now();
    tide.verb("web/app-1", "drain").await;
    client.send_bytes(b"still there?").await.unwrap();
    assert_eq!(client.exactly(12).await.unwrap(), b"still there?");
    client
        .until_closed(ms(8_000))
        .await
        .expect("closed at the end of the drain");
    let took = began.elapsed();
    assert!(took > ms(1_700) && took < ms(5_000), "{took:?}");
    let line = tide.told("/chat").await;
    assert_eq!(line["status"], 101, "{line}");
    assert_eq!(line["end"], "drain_timeout", "{line}");
}

#[tokio::test]
async fn draining_each_of_five_nodes_in_turn_under_load_fails_nothing() {
    const N: usize = 5_000;
    let apps = Origin::several(5).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(seen.serial as u64 % 40)));
    }
    let health = "health: { path: /healthz, interval: 300ms, rise: 1, fall: 1 }";
    let tide = Tidegate::run(web(health, nodes(&apps))).await;
    let load = Load::at(600)
        .count(N)
        .new_connection_every(10)
        .start(tide.addr());
    for app in &apps {
        let node = format!("web/{}", app.name());
        app.holds(1).await;
        let done = tide.command(&["drain", &node, "--wait", "10s"]).await;
        assert_eq!(done.code, 0, "{}", done.all());
        assert_eq!(app.in_flight(), 0, "empty means empty");
        app.kill().await;
        tide.node_has(&node, "health", "unhealthy").await;
        app.revive().await;
        tide.node_has(&node, "health", "healthy").await;
        assert_eq!(tide.command(&["undrain", &node]).await.code, 0);
    }
    let tally = load.done().await;
    tally.nothing_failed_of(N);
    for app in &apps {
        assert!(tally.of(app.name()) > 300, "{tally}");
        let labels = [("upstream", "web"), ("node", app.name())];
        tide.metric_is("tidegate_upstream_requests_in_flight", &labels, 0.0)
            .await;
    }
    tide.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
}

#[tokio::test]
async fn what_the_operator_did_is_drift_until_the_file_says_something_new_of_that_node() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    tide.verb("web/app-1", "drain").await;
    tide.verb("web/app-2", "drain").await;
    assert_eq!(tide.status().await["drift"], 2);
    assert_eq!(tide.metric("tidegate_config_drift", &[]).await, Some(2.0));

    tide.apply(&web("balance: least_conn", nodes(&apps))).await;
    let kept = tide.node("web/app-1").await;
    assert_eq!(
        (&kept["state"], &kept["drift"]),
        (&"drain".into(), &true.into()),
        "{kept}"
    );

    let list = format!("[{}, {}]", apps[0].with("weight: 2"), apps[1]);
    tide.write(&web("balance: least_conn", list));
    let said = tide.api("POST", "/api/v1/reload", "").await;
    assert_eq!(said.status, 200, "{}", said.text());
    tide.node_has("web/app-1", "state", "up").await;
    tide.node_has("web/app-1", "drift", false).await;
    assert_eq!(
        tide.node("web/app-2").await["state"],
        "drain",
        "its entry is the same"
    );
    assert_eq!(tide.status().await["drift"], 1);
}

#[tokio::test]
async fn a_node_that_is_down_is_neither_used_nor_probed_and_finishes_what_it_has() {
    let health = "health: { path: /healthz, interval: 100ms }";
    let mut held = Held::with(health).await;
    held.tide.verb("web/app-1", "down").await;
    held.tide.node_has("web/app-1", "state", "down").await;
    let (requests, probes) = (held.apps[0].requests(), held.apps[0].probes());
    let other = held.apps[1].probes();
    Load::at(400)
        .count(80)
        .run(held.tide.addr())
        .await
        .nothing_failed_of(80);
    eventually("the other node is still probed", ms(4_000), async || {
        check(held.apps[1].probes() >= other + 5, held.apps[1].probes())
    })
    .await;
    assert_eq!(held.apps[0].requests(), requests);
    assert!(
        held.apps[0].probes() <= probes + 1,
        "one may have been on its way"
    );
    held.gate.open();
    for client in &mut held.waiting {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    }
    held.tide.verb("web/app-1", "undrain").await;
    held.tide.node_has("web/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn a_removed_node_is_cut_when_its_drain_ends_and_is_gone() {
    let mut held = Held::with("drain: { timeout: 1s }").await;
    let began = Instant::now();
    let rest = Held::file("drain: { timeout: 1s }", nodes(&held.apps[1..]));
    held.tide.apply(&rest).await;
    for client in &mut held.waiting {
        let cut = client.answer("GET").await;
        assert!(!matches!(cut, Ok(ref a) if a.status == 200), "{cut:?}");
    }
    took_about(began, ms(1_000));
    eventually("it is gone from the list", ms(5_000), async || {
        let web = held.tide.json("/api/v1/upstreams/web").await;
        check(web["nodes"].as_array().unwrap().len() == 1, &web)
    })
    .await;
    held.tide
        .metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
}

#[tokio::test]
async fn a_node_that_is_removed_and_named_again_goes_on_where_it_was() {
    let mut held = Held::with("").await;
    held.tide
        .apply(&Held::file("", nodes(&held.apps[1..])))
        .await;
    assert_eq!(held.tide.node("web/app-1").await["removed"], true);
    held.tide.apply(&Held::file("", nodes(&held.apps))).await;
    let seen = held.tide.node("web/app-1").await;
    assert_eq!(
        (&seen["removed"], &seen["state"]),
        (&false.into(), &"up".into()),
        "{seen}"
    );
    assert_eq!(seen["in_flight"], 5, "{seen}");
    held.gate.open();
    for client in &mut held.waiting {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    }
    let tally = Load::at(400).count(40).run(held.tide.addr()).await;
    tally.nothing_failed_of(40);
    assert!(tally.of("app-1") >= 15, "{tally}");
    held.tide.node_has("web/app-1", "in_flight", 0).await;
}

#[tokio::test]
async fn an_operator_may_put_back_what_the_file_drains() {
    let apps = Origin::several(2).await;
    let list = format!("[{}, {}]", apps[0].with("state: drain"), apps[1]);
    let tide = Tidegate::run(Held::file("", list)).await;
    assert_eq!(tide.node("web/app-1").await["drift"], false);
    let said = tide.verb("web/app-1", "undrain").await;
    assert_eq!(
        (&said["state"], &said["drift"]),
        (&"up".into(), &true.into()),
        "{said}"
    );
    let tally = Load::at(400).count(40).run(tide.addr()).await;
    assert!(tally.of("app-1") >= 15, "{tally}");
}

#[tokio::test]
async fn a_drain_keeps_the_clients_connections() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    let mut client = tide.connect().await;
    for n in 0..20 {
        let answer = client.ask(&Request::get("/")).await;
        let answer: Result<_, Broken> = answer.map(|a| (a.status, a.stays_open));
        assert_eq!(answer, Ok((200, true)), "request {n}");
        if n == 10 {
            tide.verb("web/app-1", "drain").await;
        }
    }
}
