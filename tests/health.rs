//! Nodes that fail leave and come back; what a client sees of it is nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Step};
use crate::support::{check, eventually, ms, pattern};

const QUICK: &str = "health: { path: /healthz, interval: 100ms, timeout: 500ms, rise: 2, fall: 2 }";

#[tokio::test]
async fn a_failing_node_leaves_and_a_recovered_one_returns() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(QUICK, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    apps[0].set_health(503);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    let before = apps[0].requests();
    Load::at(500)
        .count(50)
        .run(tide.addr())
        .await
        .nothing_failed_of(50);
    assert_eq!(apps[0].requests(), before, "an unhealthy node gets nothing");
    let seen = tide.node("web/app-1").await;
    assert_eq!(seen["last_check"]["ok"], false, "{seen}");
    assert!(
        seen["last_check"]["text"].as_str().unwrap().contains("503"),
        "{seen}"
    );
    assert_eq!(seen["state"], "up", "health is not the operator's word");

    apps[0].set_health(200);
    tide.node_has("web/app-1", "health", "healthy").await;
    Load::at(500)
        .count(50)
        .run(tide.addr())
        .await
        .nothing_failed_of(50);
    assert!(apps[0].requests() > before, "it works again");
    let transitions = [("upstream", "web"), ("node", "app-1")];
    let counted = tide
        .metric("tidegate_node_transitions_total", &transitions)
        .await;
    assert!(counted >= Some(2.0), "{counted:?}");
}

#[tokio::test]
async fn rise_and_fall_count_probes_in_a_row() {
    let app = Origin::start("app-1").await;
    let health = "health: { path: /healthz, interval: 100ms, rise: 3, fall: 4 }";
    let tide = Tidegate::run(web(health, nodes([&app]))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    let probes_until = async |health: &str| {
        let before = app.probes();
        tide.node_has("web/app-1", "health", health).await;
        app.probes() - before
    };
    app.set_health(500);
    let fell = probes_until("unhealthy").await;
    app.set_health(200);
    let rose = probes_until("healthy").await;
    assert!((3..=6).contains(&fell), "fall: 4, but {fell} probes");
    assert!((2..=5).contains(&rose), "rise: 3, but {rose} probes");
}

#[tokio::test]
async fn what_counts_as_healthy_is_what_the_file_expects() {
    let apps = Origin::several(3).await;
    apps[0].set_health(204);
    apps[1].set_health(301);
    apps[2].set_health(200);
    let health =
        "health: { path: /healthz, interval: 100ms, rise: 1, fall: 1, expect: [204, 301] }";
    let tide = Tidegate::run(web(health, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    tide.node_has("web/app-2", "health", "healthy").await;
    tide.node_has("web/app-3", "health", "unhealthy").await;
}

#[tokio::test]
async fn a_tcp_check_asks_no_more_than_a_connection() {
    let apps = [Origin::start("app-1").await, Origin::refusing("app-2")];
    apps[0].set_health(500);
    let health = "health: { type: tcp, interval: 100ms, rise: 1, fall: 1 }";
    let tide = Tidegate::run(web(health, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    tide.node_has("web/app-2", "health", "unhealthy").await;
    assert_eq!(apps[0].probes(), 0, "nobody asks for /healthz");
    apps[1].revive().await;
    tide.node_has("web/app-2", "health", "healthy").await;
}

#[tokio::test]
async fn a_probe_that_hangs_has_failed() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| Reply::usual(seen).after(ms(20_000)));
    let health = "health: { path: /hangs, interval: 100ms, timeout: 200ms, rise: 1, fall: 1 }";
    let tide = Tidegate::run_unready(web(health, nodes([&app]))).await;
    tide.node_has("web/app-1", "health", "unhealthy").await;
}

#[tokio::test]
async fn the_first_probe_goes_out_at_once_and_an_untried_node_waits_for_it() {
    let apps = [Origin::start("app-1").await, Origin::refusing("app-2")];
    let health = "health: { path: /healthz, interval: 60s, rise: 2, fall: 3, initial: probe }";
    let tide = Tidegate::run(web(health, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    let load = Load::at(500).count(60).posts(10);
    load.run(tide.addr()).await.nothing_failed_of(60);
    assert_eq!(apps[0].probes(), 1, "one passed probe is enough at first");
}

#[tokio::test]
async fn sixty_dead_nodes_and_a_hanging_one_are_probed_side_by_side() {
    let dead: Vec<Origin> = (0..60)
        .map(|n| Origin::refusing(&format!("dead-{n}")))
        .collect();
    let hanging = Origin::start("slow").await;
    hanging.answers(|seen| Reply::usual(seen).after(ms(20_000)));
    let live = Origin::start("live").await;
    let all = format!("{}, {hanging}, {live}]", nodes(&dead).trim_end_matches(']'));
    let health = "health: { path: /check, interval: 300ms, timeout: 300ms, rise: 1, fall: 1 }";
    let began = Instant::now();
    let tide = Tidegate::run_unready(web(health, all)).await;
    tide.node_has("web/live", "health", "healthy").await;
    tide.node_has("web/dead-59", "health", "unhealthy").await;
    tide.node_has("web/slow", "health", "unhealthy").await;
    assert!(began.elapsed() < ms(6_000), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reload_forgets_no_nodes_health() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(QUICK, nodes(&apps))).await;
    apps[0].set_health(500);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    let since = tide.node("web/app-1").await["since_seconds"]
        .as_f64()
        .unwrap();
    let list = format!(
        "[{}, {}]",
        apps[0].with("weight: 3"),
        apps[1].with("weight: 2")
    );
    let load = Load::at(400).start(tide.addr());
    for _ in 0..5 {
        tide.apply(&web(QUICK, &list)).await;
        assert_eq!(tide.node("web/app-1").await["health"], "unhealthy");
        tide.apply(&web(QUICK, nodes(&apps))).await;
        assert_eq!(tide.node("web/app-1").await["health"], "unhealthy");
    }
    let before = apps[0].requests();
    load.stop().await.nothing_failed_of(100);
    assert_eq!(before, 0, "never used in between");
    let now = tide.node("web/app-1").await["since_seconds"]
        .as_f64()
        .unwrap();
    assert!(now >= since, "it is unhealthy since the same moment");
}

#[tokio::test]
async fn it_is_not_ready_before_a_first_node_has_answered() {
    let app = Origin::start("app-1").await;
    app.set_health(500);
    let tide = Tidegate::run_unready(web(QUICK, nodes([&app]))).await;
    tide.node_has("web/app-1", "health", "unhealthy").await;
    assert_eq!(tide.api("GET", "/readyz", "").await.status, 503);
    app.set_health(200);
    eventually("ready", ms(5_000), async || {
        let ready = tide.api("GET", "/readyz", "").await;
        check(ready.status == 200, ready.text())
    })
    .await;
    assert_eq!(tide.get("/").await.status, 200);
}

// -- failures under load

#[tokio::test]
async fn a_node_that_refuses_costs_no_post_and_none_runs_twice() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let load = Load::at(400)
        .posts(500)
        .new_connection_every(5)
        .start(tide.addr());
    let requests = async |n: usize| {
        eventually("the load goes on", ms(8_000), async || {
            let sum: usize = apps.iter().map(Origin::requests).sum();
            check(sum >= n, sum)
        })
        .await;
    };
    requests(150).await;
    apps[1].refuse().await;
    requests(700).await;
    apps[1].revive().await;
    requests(1_200).await;
    let tally = load.stop().await;
    tally.nothing_failed_of(1_200);
    let mut ids = BTreeSet::new();
    for seen in apps.iter().flat_map(Origin::seen) {
        assert!(ids.insert(seen.id().to_owned()), "{} ran twice", seen.id());
    }
    assert_eq!(ids.len(), tally.sent);
}

#[tokio::test]
async fn a_large_upload_does_not_suffer_from_a_node_that_refuses() {
    let apps = [Origin::refusing("app-1"), Origin::start("app-2").await];
    apps[1].answers(|_| Reply::mirror());
    let list = format!("[{}, {}]", apps[0], apps[1].with("backup: true"));
    let tide = Tidegate::run_unready(web("", list)).await;
    for chunked in [false, true] {
        let mut upload = Request::post("/", pattern(1 << 20));
        if chunked {
            upload = upload.chunked(30_000);
        }
        let answer = tide.ask(&upload).await;
        assert!(answer.status == 200 && answer.body == pattern(1 << 20));
    }
    assert_eq!(apps[1].requests(), 2);
}

#[tokio::test]
async fn however_many_nodes_refuse_the_one_that_works_is_found() {
    let dead: Vec<Origin> = (0..20)
        .map(|n| Origin::refusing(&format!("dead-{n}")))
        .collect();
    let live = Origin::start("live").await;
    let list = format!(
        "{}, {}]",
        nodes(&dead).trim_end_matches(']'),
        live.with("backup: true")
    );
    let tide = Tidegate::run_unready(web("", list)).await;
    let answer = tide.ask(&Request::post("/", "an order")).await;
    assert_eq!((answer.status, answer.node()), (200, "live"));
}

#[tokio::test]
async fn killing_one_of_three_nodes_fails_no_get_and_runs_no_post_twice() {
    const GETS: usize = 10_000;
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(10)));
    }
    let tide = Tidegate::run(web(QUICK, nodes(&apps))).await;
    let gets = Load::at(700).new_connection_every(10).start(tide.addr());
    let posts = Load::at(100).posts(100).named("post").start(tide.addr());
    let step = async |what: &str, node: &Origin, health: &str| {
        eventually(what, ms(8_000), async || {
            let seen = tide.node(&format!("web/{}", node.name())).await;
            check(seen["health"] == health, seen)
        })
        .await;
    };
    let asked = || apps.iter().map(Origin::requests).sum::<usize>();
    let mut kills = 0;
    while asked() < GETS * 8 / 7 + 50 {
        for app in &apps {
            app.holds(1).await;
            app.kill().await;
            kills += 1;
            step("the dead node is seen", app, "unhealthy").await;
            app.revive().await;
            step("the revived node is seen", app, "healthy").await;
        }
    }
    gets.stop().await.nothing_failed_of(GETS);
    // Only those that a node had when it was killed.
    let posts = posts.stop().await;
    println!("{kills} kills: {posts}");
    assert!(posts.failures() <= kills * 12, "{posts}");
    let mut ids = BTreeSet::new();
    let ran = apps.iter().flat_map(Origin::seen);
    for seen in ran.filter(|seen| seen.method() == "POST") {
        assert!(ids.insert(seen.id().to_owned()), "{} ran twice", seen.id());
    }
    let gauge = "tidegate_upstream_requests_in_flight";
    tide.metric_is(gauge, &[("upstream", "web")], 0.0).await;
}

#[tokio::test]
async fn with_every_node_down_the_answer_is_a_quick_503() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(QUICK, nodes(&apps))).await;
    for app in &apps {
        app.kill().await;
    }
    tide.node_has("web/app-1", "health", "unhealthy").await;
    tide.node_has("web/app-2", "health", "unhealthy").await;
    let mut client = tide.connect().await;
    let mut waits = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        let answer = client.ask(&Request::get("/")).await.unwrap();
        waits.push(began.elapsed());
        assert_eq!(answer.status, 503);
        assert!(answer.head.get("retry-after").is_some());
        assert!(answer.stays_open);
    }
    waits.sort();
    assert!(
        waits[25] < ms(20),
        "half of them took longer than {:?}",
        waits[25]
    );
    let ready = tide.api("GET", "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("web"), "{}", ready.text());
    for app in &apps {
        app.revive().await;
    }
    tide.node_has("web/app-2", "health", "healthy").await;
    assert_eq!(tide.get("/").await.status, 200);
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|_| Reply::reset());
    }
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    for n in 0..12 {
        let post = Request::post("/", format!("order {n}"));
        let answer = tide.ask(&post).await;
        assert_eq!(answer.status, 502);
        let ran: usize = apps.iter().map(Origin::requests).sum();
        assert_eq!(ran, n + 1, "each order was sent once");
    }
}

#[tokio::test]
async fn a_get_that_was_reset_is_tried_on_another_node_and_not_on_the_same() {
    let apps = Origin::several(3).await;
    apps[0].answers(|_| Reply::reset());
    apps[1].answers(|_| Reply::close());
    let keys = "balance: round_robin\nretry: { tries: 3, budget: 100% }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    // Each may be sent twice more: no more of them than the budget and its reserve allow in the worst case.
    for _ in 0..8 {
        let request = Request::get("/");
        let answer = tide.ask(&request).await;
        assert_eq!((answer.status, answer.node()), (200, "app-3"));
        for app in &apps {
            let seen = app.seen();
            let times = seen.iter().filter(|s| s.id() == request.its_id()).count();
            assert!(times <= 1, "{} got it {times} times", app.name());
        }
    }
}

#[tokio::test]
async fn an_origin_that_closes_idle_connections_at_random_fails_no_get() {
    let seed = 20_261_121;
    println!("seed {seed}");
    let apps = Origin::several(2).await;
    for (n, app) in apps.iter().enumerate() {
        let chance = std::sync::Mutex::new(fastrand::Rng::with_seed(seed + n as u64));
        app.answers(move |seen| {
            let usual = Reply::usual(seen);
            match chance.lock().unwrap().u8(0..3) {
                0 => usual.then(Step::Close),
                1 => usual.then(Step::Reset),
                _ => usual,
            }
        });
    }
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let load = Load::at(600).count(1_600).run(tide.addr()).await;
    load.nothing_failed_of(1_600);
}

#[tokio::test]
async fn a_dead_node_without_health_checks_is_left_alone_after_a_refusal() {
    let apps = [Origin::start("app-1").await, Origin::refusing("app-2")];
    let tide = Tidegate::run_unready(web("balance: round_robin", nodes(&apps))).await;
    let load = Load::at(300).count(300).posts(10).run(tide.addr()).await;
    load.nothing_failed_of(300);
    let labels = [("upstream", "web"), ("node", "app-2")];
    let refused = tide.metric("tidegate_upstream_errors_total", &labels).await;
    assert!(
        refused.is_some_and(|n| (1.0..=10.0).contains(&n)),
        "{refused:?} attempts"
    );
    apps[1].revive().await;
    eventually("it is tried again", Duration::from_secs(12), async || {
        tide.get("/").await;
        check(apps[1].requests() > 0, "nothing yet")
    })
    .await;
}
