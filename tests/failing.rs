//! Nodes that accept connections and fail requests: they rest, longer each time, and their breaker opens.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Step};
use crate::support::{check, eventually, ms};

fn fails() -> Reply {
    Reply::sized(500, "broken")
}

/// Nodes `app-1`… of which the first so many fail every request.
async fn some_fail(all: usize, failing: usize) -> Vec<Origin> {
    let apps = Origin::several(all).await;
    for app in &apps[..failing] {
        app.answers(|_| fails());
    }
    apps
}

async fn ejected(tide: &Tidegate) -> f64 {
    let labels = [("upstream", "web"), ("health", "ejected")];
    tide.metric("tidegate_node_health", &labels).await.unwrap()
}

#[tokio::test]
async fn a_node_that_fails_in_a_row_rests_and_comes_back() {
    let apps = some_fail(3, 1).await;
    let keys = "balance: round_robin\noutlier: { consecutive_failures: 3, eject: 1s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let mut failed = 0;
    for _ in 0..30 {
        failed += usize::from(tide.get("/").await.status == 500);
    }
    assert_eq!((failed, apps[0].requests()), (3, 3), "a 500 is passed on");
    let node = tide.node("web/app-1").await;
    assert_eq!(node["health"], "ejected", "{node}");
    assert!(node["rests_for_seconds"].as_f64().unwrap() > 0.0, "{node}");
    assert_eq!(node["effective_weight"], 0, "{node}");
    let why = [("node", "app-1"), ("reason", "consecutive_failures")];
    tide.metric_is("tidegate_node_ejections_total", &why, 1.0)
        .await;
    assert!(tide.log().contains("3 requests failed in a row; rests 1s"));
    apps[0].answers(Reply::usual);
    tide.node_has("web/app-1", "health", "healthy").await;
    for _ in 0..3 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(apps[0].requests(), 4);
}

#[tokio::test]
async fn a_node_that_fails_half_of_its_requests_rests() {
    let apps = Origin::several(2).await;
    apps[0].answers(|seen| match seen.serial % 2 {
        0 => fails(),
        _ => Reply::usual(seen),
    });
    let keys = "balance: round_robin\noutlier: { min_requests: 10, eject: 30s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    for _ in 0..40 {
        tide.get("/").await;
    }
    assert_eq!(
        apps[0].requests(),
        11,
        "ten say little of a share above half; the eleventh fails"
    );
    let why = [("node", "app-1"), ("reason", "failure_rate")];
    tide.metric_is("tidegate_node_ejections_total", &why, 1.0)
        .await;
}

#[tokio::test]
async fn never_more_nodes_rest_than_the_cap_allows() {
    let apps = some_fail(4, 3).await;
    let keys =
        "balance: round_robin\noutlier: { consecutive_failures: 3, max_ejected: 50%, eject: 30s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let tally = Load::at(200).count(400).run(tide.addr()).await;
    assert_eq!(ejected(&tide).await, 2.0, "{tally}");
    let busy = apps[..3].iter().filter(|app| app.requests() > 50).count();
    assert_eq!(busy, 1, "the third goes on: {tally}");
}

#[tokio::test]
async fn a_failure_that_all_nodes_share_rests_none_of_them() {
    let apps = some_fail(4, 4).await;
    let keys = "balance: round_robin\noutlier: { consecutive_failures: 3, min_requests: 5 }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    Load::at(200).count(200).run(tide.addr()).await;
    let shares: Vec<_> = apps.iter().map(Origin::requests).collect();
    assert!(ejected(&tide).await <= 1.0, "{shares:?}");
    assert!(
        shares.iter().filter(|n| **n >= 40).count() >= 3,
        "{shares:?}"
    );
}

#[tokio::test]
async fn a_node_that_fails_the_only_clients_there_are_rests_although_nobody_else_is_asked() {
    for balance in ["ip_hash", "hash", "round_robin\nsticky: tg"] {
        let apps = Origin::several(3).await;
        let keys = format!("balance: {balance}\nretry: off");
        let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
        let first = tide.get("/").await;
        let cookie = first.head.get("set-cookie").unwrap_or("none=1").to_owned();
        let cookie = cookie.split(';').next().unwrap();
        let own = apps.iter().find(|app| app.name() == first.node()).unwrap();
        own.answers(|_| fails());
        let mut failed = 0;
        for _ in 0..20 {
            let post = Request::post("/", "x").field("Cookie", cookie);
            failed += usize::from(tide.ask(&post).await.status == 500);
        }
        assert_eq!(failed, 5, "{balance}");
    }
}

#[tokio::test]
async fn backups_serve_when_every_node_before_them_fails() {
    for later in ["backup: true", "priority: 1"] {
        let apps = some_fail(3, 2).await;
        let list = format!("[{}, {}, {}]", apps[0], apps[1], apps[2].with(later));
        let keys = "balance: round_robin\noutlier: { consecutive_failures: 3 }";
        let tide = Tidegate::run(web(keys, list)).await;
        let mut failed = 0;
        for _ in 0..40 {
            failed += usize::from(tide.ask(&Request::post("/", "x")).await.status == 500);
        }
        assert_eq!(failed, 6, "{later}: three of each");
        assert_eq!(apps[2].requests(), 34);
    }
}

#[tokio::test]
async fn without_outlier_a_node_may_fail_as_it_likes_and_the_file_says_what_failing_is() {
    let apps = some_fail(2, 1).await;
    let yaml = |keys: &str| web(&format!("balance: round_robin\n{keys}"), nodes(&apps));
    let tide = Tidegate::run(yaml("outlier: off")).await;
    for _ in 0..40 {
        tide.get("/").await;
    }
    assert_eq!(apps[0].requests(), 20);
    tide.apply(&yaml("failure_statuses: [503]")).await;
    for _ in 0..40 {
        tide.get("/").await;
    }
    assert_eq!(apps[0].requests(), 40, "a 500 is none");
    tide.apply(&yaml("failure_statuses: [5xx]")).await;
    for _ in 0..40 {
        tide.get("/").await;
    }
    assert_eq!(apps[0].requests(), 45);
    // Without the rule nobody rests by it any more.
    tide.apply(&yaml("outlier: off")).await;
    tide.node_has("web/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn a_node_that_flaps_rests_longer_and_longer_and_fails_no_get() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let load = Load::at(300).new_connection_every(20).start(tide.addr());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        apps[0].kill().await;
        tokio::time::sleep(ms(200)).await; // it is the story that it comes and goes
        apps[0].revive().await;
        tokio::time::sleep(ms(200)).await;
    }
    load.stop().await.nothing_failed_of(2_000);
    let changes = tide
        .metric("tidegate_node_transitions_total", &[("node", "app-1")])
        .await
        .unwrap();
    println!("{changes} changes in 20 rounds");
    // Rests of 1, 2 and 4 s fill the eight seconds; a connection that finds it accepting ends one early.
    assert!(changes <= 16.0, "{changes}");
    let log = tide.log();
    assert!(log.contains("rests 2s"), "no rest has grown: {log}");
}

#[tokio::test]
async fn an_open_breaker_answers_at_once_and_a_few_requests_close_it() {
    let apps = some_fail(2, 2).await;
    let keys = "balance: round_robin\noutlier: off\nretry: off\n\
                breaker: { min_requests: 4, open: 1s, trials: 2 }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    for _ in 0..8 {
        assert_eq!(tide.get("/").await.status, 500);
    }
    let state = |node, state| [("node", node), ("state", state)];
    for app in ["app-1", "app-2"] {
        tide.metric_is("tidegate_breaker_state", &state(app, "open"), 1.0)
            .await;
        assert_eq!(tide.node(&format!("web/{app}")).await["breaker"], "open");
    }
    let mut client = tide.connect().await;
    let began = Instant::now();
    let answer = client.ask(&Request::get("/closed")).await.unwrap();
    assert!(began.elapsed() < ms(100), "{:?}", began.elapsed());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    assert!(answer.stays_open);
    assert_eq!(tide.told("/closed").await["end"], "breaker_open");
    assert_eq!(apps[0].requests() + apps[1].requests(), 8);
    // One failure opens it again.
    eventually("one of them is tried", ms(5_000), async || {
        let status = tide.get("/").await.status;
        check(status == 500, status)
    })
    .await;
    for app in &apps {
        app.answers(Reply::usual);
    }
    eventually("both serve again", ms(5_000), async || {
        let status = tide.get("/").await.status;
        let closed = [
            tide.node("web/app-1").await["breaker"].clone(),
            tide.node("web/app-2").await["breaker"].clone(),
        ];
        check(
            closed == [json!("closed"), json!("closed")],
            format!("{status} {closed:?}"),
        )
    })
    .await;
    assert!(tide.log().contains("breaker open"), "{}", tide.log());
}

#[tokio::test]
async fn a_breaker_of_one_node_leaves_the_others_alone_and_a_reload_forgets_nothing() {
    let apps = some_fail(2, 1).await;
    let keys = "balance: round_robin\noutlier: off\nbreaker: { min_requests: 4, open: 60s }";
    let yaml = |more: &str| web(&format!("{keys}\n{more}"), nodes(&apps));
    let tide = Tidegate::run(yaml("")).await;
    for _ in 0..20 {
        tide.get("/").await;
    }
    let met = apps[0].requests();
    assert!((4..=5).contains(&met), "{met}");
    tide.apply(&yaml("forwarded: true")).await;
    for _ in 0..10 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(apps[0].requests(), met);
    // Without the section the node is asked again.
    tide.apply(&web("balance: round_robin\noutlier: off", nodes(&apps)))
        .await;
    for _ in 0..4 {
        tide.get("/").await;
    }
    assert_eq!(apps[0].requests(), met + 2);
    assert_eq!(tide.node("web/app-1").await.get("breaker"), None);
}

#[tokio::test]
async fn an_answer_that_breaks_off_speaks_against_its_node() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::short_of(1_000, "half").then(Step::Reset));
    let keys = "balance: round_robin\noutlier: { consecutive_failures: 4, eject: 30s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let mut cut = 0;
    for _ in 0..30 {
        cut += usize::from(tide.try_ask(&Request::get("/")).await.is_err());
    }
    assert_eq!(cut, apps[0].requests(), "what was begun is not sent again");
    // A good head each time, so that it is the share that tells.
    let node = tide.node("web/app-1").await;
    println!("{cut} cut: {node}");
    assert!(cut <= 12, "{cut}");
    assert_eq!(node["health"], "ejected", "{node}");
}
