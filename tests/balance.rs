//! Each way of choosing a node keeps its law over real sockets.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// Who answered `n` GETs, one after the other on one connection.
async fn shares(tide: &Tidegate, n: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    let mut client = tide.connect().await;
    for _ in 0..n {
        let answer = client.ask(&Request::get("/")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        *shares.entry(answer.node().to_owned()).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn round_robin_is_exact_and_spreads_each_nodes_turns() {
    let apps = Origin::several(3).await;
    let entries = [
        apps[0].with("weight: 5"),
        apps[1].to_string(),
        apps[2].with("weight: 2"),
    ];
    let list = format!("[{}]", entries.join(", "));
    let tide = Tidegate::run("threads: 1\n".to_owned() + &web("balance: round_robin", list)).await;
    let mut client = tide.connect().await;
    let mut order = Vec::new();
    for _ in 0..80 {
        let answer = client.ask(&Request::get("/")).await.unwrap();
        order.push(answer.node().to_owned());
    }
    for window in order.windows(8) {
        let count = |name: &str| window.iter().filter(|n| *n == name).count();
        let counts = (count("app-1"), count("app-2"), count("app-3"));
        assert_eq!(counts, (5, 1, 2), "in a window of 8: {window:?}");
    }
    let longest = order.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(longest <= Some(3), "smooth, not five in a row: {order:?}");
}

#[tokio::test]
async fn without_a_word_it_is_fair_over_many_connections() {
    let apps = Origin::several(4).await;
    let tide = Tidegate::run(web("balance: rr", nodes(&apps))).await;
    let tally = Load::at(800)
        .count(400)
        .new_connection_every(2)
        .run(tide.addr())
        .await;
    tally.nothing_failed_of(400);
    for app in &apps {
        let share = tally.of(app.name());
        assert!((98..=102).contains(&share), "{tally}");
    }
}

#[tokio::test]
async fn least_conn_leaves_the_slow_node_alone() {
    let apps = Origin::several(3).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let tide = Tidegate::run(web("balance: least_conn", nodes(&apps))).await;
    // On an idle pool the first request goes to the first node, which keeps it.
    let mut client = tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    apps[0].holds(1).await;
    // One after the other, so that one of the others is always idle.
    let fast = shares(&tide, 200).await;
    assert_eq!(fast.get("app-1"), None, "{fast:?}");
    gate.open();
    assert_eq!(client.answer("GET").await.unwrap().node(), "app-1");
    let all = shares(&tide, 30).await;
    assert_eq!(all.len(), 3, "it is used again: {all:?}");
}

#[tokio::test]
async fn least_conn_counts_requests_in_flight_by_weight() {
    let apps = Origin::several(2).await;
    let gate = Gate::closed();
    for app in &apps {
        let held = gate.clone();
        app.answers(move |seen| Reply::usual(seen).when(&held));
    }
    let list = format!("[{}, {}]", apps[0].with("weight: 3"), apps[1]);
    let tide = Tidegate::run("threads: 1\n".to_owned() + &web("balance: least_conn", list)).await;
    let mut clients = Vec::new();
    for n in 1..=12 {
        let mut client = tide.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        clients.push(client);
        eventually("it is held", ms(3_000), async || {
            let held = apps[0].in_flight() + apps[1].in_flight();
            check(held == n, held)
        })
        .await;
    }
    assert_eq!((apps[0].in_flight(), apps[1].in_flight()), (9, 3));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    }
}

/// Who answers a client at this address, optionally behind a proxy that names another.
async fn node_for(tide: &Tidegate, from: &str, forwarded: Option<&str>) -> String {
    let mut client = Client::connect_from(from.parse().unwrap(), tide.addr())
        .await
        .unwrap();
    let mut request = Request::get("/");
    if let Some(forwarded) = forwarded {
        request = request.field("X-Forwarded-For", forwarded);
    }
    client.ask(&request).await.unwrap().node().to_owned()
}

#[tokio::test]
async fn ip_hash_keeps_a_client_at_its_node_and_moves_only_a_lost_nodes_share() {
    let apps = Origin::several(4).await;
    let tide = Tidegate::run(web("balance: ip_hash", nodes(&apps))).await;
    let mut home = BTreeMap::new();
    for n in 1..=40 {
        let from = format!("127.0.1.{n}");
        let first = node_for(&tide, &from, None).await;
        let spoofed = node_for(&tide, &from, Some("203.0.113.9")).await;
        assert_eq!(first, spoofed, "{from}: an untrusted client cannot choose");
        home.insert(from, first);
    }
    let used: BTreeSet<_> = home.values().collect();
    assert_eq!(used.len(), 4, "forty clients use every node: {home:?}");

    tide.apply(&web("balance: ip_hash", nodes(&apps[..3])))
        .await;
    for (from, before) in &home {
        let now = node_for(&tide, from, None).await;
        if before == "app-4" {
            assert_ne!(now, "app-4");
        } else {
            assert_eq!(now, *before, "{from} moved though its node stayed");
        }
    }
}

#[tokio::test]
async fn ip_hash_sees_the_real_client_behind_a_trusted_proxy() {
    let apps = Origin::several(4).await;
    let trusting = "trusted_proxies: [127.0.0.0/8]\n".to_owned();
    let tide = Tidegate::run(trusting + &web("balance: ip_hash", nodes(&apps))).await;
    let mut used = BTreeSet::new();
    for n in 1..=40 {
        let client = format!("198.51.100.{n}");
        let first = node_for(&tide, "127.0.0.1", Some(&client)).await;
        let elsewhere = node_for(&tide, "127.0.0.9", Some(&client)).await;
        let chained = format!("{client}, 127.0.0.7");
        let twice = node_for(&tide, "127.0.0.1", Some(&chained)).await;
        assert_eq!((&first, &first), (&elsewhere, &twice), "{client}");
        used.insert(first);
    }
    assert_eq!(used.len(), 4);
}

/// Who answers a request made of this path and these fields.
async fn node_of(tide: &Tidegate, path: &str, fields: &[(&str, &str)]) -> String {
    let request = fields
        .iter()
        .fold(Request::get(path), |r, (name, value)| r.field(name, value));
    let answer = tide.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.node().to_owned()
}

#[tokio::test]
async fn hash_sends_what_is_alike_to_the_same_node() {
    let apps = Origin::several(4).await;
    let tide = Tidegate::run(web("balance: hash", nodes(&apps))).await;
    let user = |n: usize| format!("user-{n}");
    // A key, two requests that are alike to it, and how the n-th of many differs.
    type Ask = fn(&str) -> (String, Vec<(&'static str, String)>);
    let by: [(&str, Ask, Ask); 5] = [
        (
            "uri",
            |u| (format!("/a?{u}"), vec![]),
            |u| (format!("/%61?{u}"), vec![("X-User", "other".into())]),
        ),
        (
            "path",
            |u| (format!("/{u}"), vec![]),
            |u| (format!("/{u}?page=2"), vec![]),
        ),
        (
            "header:X-User",
            |u| ("/".into(), vec![("x-user", u.into())]),
            |u| ("/b".into(), vec![("X-User", u.into())]),
        ),
        (
            "cookie:session",
            |u| ("/".into(), vec![("Cookie", format!("a=1; session={u}"))]),
            |u| ("/b".into(), vec![("Cookie", format!("session={u}; b=2"))]),
        ),
        (
            "ip",
            |_| ("/".into(), vec![]),
            |u| (format!("/{u}"), vec![]),
        ),
    ];
    for (key, one, alike) in by {
        let hash = format!("balance: hash\n    hash: {{ key: \"{key}\" }}");
        tide.apply(&web(&hash, nodes(&apps))).await;
        let mut used = BTreeSet::new();
        for n in 0..40 {
            let mut found = Vec::new();
            for (path, fields) in [one(&user(n)), alike(&user(n)), one(&user(n))] {
                let fields: Vec<_> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
                found.push(node_of(&tide, &path, &fields).await);
            }
            assert!(
                found.iter().all(|node| *node == found[0]),
                "{key}: {found:?}"
            );
            used.insert(found.remove(0));
        }
        let expected = if key == "ip" { 1 } else { 4 };
        assert_eq!(used.len(), expected, "{key}: {used:?}");
    }
}

#[tokio::test]
async fn without_its_key_a_request_is_hashed_by_its_clients_address() {
    let apps = Origin::several(4).await;
    for key in ["header:X-User", "cookie:session"] {
        let hash = format!("balance: hash\n    hash: {{ key: \"{key}\" }}");
        let tide = Tidegate::run(web(&hash, nodes(&apps))).await;
        let mut used = BTreeSet::new();
        for n in 1..=40 {
            let from = format!("127.0.1.{n}");
            let first = node_for(&tide, &from, None).await;
            assert_eq!(node_for(&tide, &from, None).await, first, "{key}, {from}");
            used.insert(first);
        }
        assert_eq!(used.len(), 4, "{key}");
    }
}

#[tokio::test]
async fn a_hot_key_spills_over_only_as_far_as_the_balance_factor_says() {
    let apps = Origin::several(4).await;
    let held_after = async |hash: &str| {
        let gate = Gate::closed();
        for app in &apps {
            let held = gate.clone();
            app.answers(move |seen| Reply::usual(seen).when(&held));
        }
        let tide = Tidegate::run(web(
            &format!("balance: hash\n    hash: {hash}"),
            nodes(&apps),
        ))
        .await;
        let mut clients = Vec::new();
        for n in 1..=20 {
            let mut client = tide.connect().await;
            client.send(&Request::get("/hot")).await.unwrap();
            clients.push(client);
            eventually("it is held", ms(3_000), async || {
                let held: usize = apps.iter().map(Origin::in_flight).sum();
                check(held == n, held)
            })
            .await;
        }
        let mut held: Vec<_> = apps.iter().map(Origin::in_flight).collect();
        held.sort_unstable();
        gate.open();
        eventually("all are gone", ms(3_000), async || {
            let held: usize = apps.iter().map(Origin::in_flight).sum();
            check(held == 0, held)
        })
        .await;
        held
    };
    assert_eq!(held_after("{ key: uri }").await, [0, 0, 0, 20]);
    // A share of 5, and half of it more: 7.5.
    let spread = held_after("{ key: uri, balance_factor: 1.5 }").await;
    assert!(spread[3] <= 8, "{spread:?}");
}

#[tokio::test]
async fn p2c_takes_the_less_busy_of_two() {
    let apps = Origin::several(2).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let tide = Tidegate::run(web("balance: p2c", nodes(&apps))).await;
    let mut clients = Vec::new();
    while apps[0].in_flight() == 0 {
        let mut client = tide.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        eventually("it is held or answered", ms(3_000), async || {
            let seen = apps[0].in_flight() + apps[1].requests();
            check(seen > clients.len(), seen)
        })
        .await;
        clients.push(client);
    }
    let all = shares(&tide, 200).await;
    assert_eq!(all.get("app-1"), None, "{all:?}");
    gate.open();
}

/// The scenario of the simulation in `proxy/balance`, once on real sockets.
#[tokio::test]
async fn peak_ewma_leaves_a_slow_node_alone_and_takes_it_back() {
    let apps = Origin::several(4).await;
    let tide = Tidegate::run(web("balance: peak_ewma", nodes(&apps))).await;
    let usual = || Load::at(400);
    usual()
        .count(400)
        .run(tide.addr())
        .await
        .nothing_failed_of(400);
    apps[0].answers(|seen| Reply::usual(seen).after(ms(200)));
    let tally = usual().count(2_000).run(tide.addr()).await;
    tally.nothing_failed_of(2_000);
    let met = tally.waits.iter().filter(|w| **w >= ms(200)).count();
    assert!(met < 20, "{met} of 2,000 met the slow node: {tally}");
    assert!(tally.p99() < ms(50), "{:?}: {tally}", tally.p99());
    apps[0].answers(Reply::usual);
    eventually("it has a share again", ms(10_000), async || {
        let tally = usual().count(100).run(tide.addr()).await;
        check(tally.of("app-1") >= 10, tally)
    })
    .await;
}

#[tokio::test]
async fn what_is_known_of_a_nodes_answers_survives_a_reload() {
    let apps = Origin::several(2).await;
    apps[0].answers(|seen| Reply::usual(seen).after(ms(200)));
    let tide = Tidegate::run(web("balance: peak_ewma", nodes(&apps))).await;
    // Both are known after this.
    shares(&tide, 6).await;
    let heavier = format!("[{}, {}]", apps[0].with("weight: 2"), apps[1]);
    tide.apply(&web("balance: peak_ewma", heavier)).await;
    let after = shares(&tide, 50).await;
    assert_eq!(
        after.get("app-1"),
        None,
        "still known to be slow: {after:?}"
    );
}

#[tokio::test]
async fn when_hardly_a_node_is_healthy_health_is_ignored() {
    let apps = Origin::several(5).await;
    for app in &apps[1..] {
        app.set_health(503);
    }
    let health = "health: { path: /healthz, interval: 100ms, fall: 1, rise: 1 }";
    let config = |below: &str| web(&format!("{health}{below}"), nodes(&apps));
    let tide = Tidegate::run(config("")).await;
    for app in &apps[1..] {
        let node = format!("web/{}", app.name());
        tide.node_has(&node, "health", "unhealthy").await;
    }
    assert_eq!(
        shares(&tide, 50).await.len(),
        1,
        "the only healthy one has it all"
    );
    let labels = [("upstream", "web")];
    tide.metric_is("tidegate_upstream_fail_open", &labels, 0.0)
        .await;
    tide.apply(&config("\n    fail_open_below: 40%")).await;
    let all = shares(&tide, 50).await;
    assert_eq!(
        all.values().copied().collect::<Vec<_>>(),
        [10; 5],
        "{all:?}"
    );
    tide.metric_is("tidegate_upstream_fail_open", &labels, 1.0)
        .await;
    eventually("the log says so", ms(3_000), async || {
        check(tide.log().contains("health is ignored"), tide.log())
    })
    .await;
    apps[1].set_health(200);
    tide.node_has(&format!("web/{}", apps[1].name()), "health", "healthy")
        .await;
    assert_eq!(shares(&tide, 50).await.len(), 2, "two of five are 40 %");
    tide.metric_is("tidegate_upstream_fail_open", &labels, 0.0)
        .await;
}

#[tokio::test]
async fn chance_keeps_to_the_weights_or_to_equal_shares() {
    const N: usize = 1_200;
    for (balance, expected) in [("weighted_random", [800, 200, 200]), ("random", [400; 3])] {
        let apps = Origin::several(3).await;
        let list = format!("[{}, {}, {}]", apps[0].with("weight: 4"), apps[1], apps[2]);
        let tide = Tidegate::run(web(&format!("balance: {balance}"), list)).await;
        let shares = shares(&tide, N).await;
        for (app, expected) in apps.iter().zip(expected) {
            let share = shares[app.name()];
            // Five standard deviations of the widest share: a right program fails once in a million runs.
            let off = share.abs_diff(expected);
            assert!(off < 87, "{balance}: {shares:?}, expected about {expected}");
        }
    }
}

#[tokio::test]
async fn a_node_of_weight_0_takes_nothing_new() {
    for balance in [
        "round_robin",
        "least_conn",
        "weighted_random",
        "random",
        "ip_hash",
        "hash",
        "p2c",
        "peak_ewma",
    ] {
        let apps = Origin::several(2).await;
        let list = format!("[{}, {}]", apps[0].with("weight: 0"), apps[1]);
        let tide = Tidegate::run(web(&format!("balance: {balance}"), list)).await;
        let shares = shares(&tide, 30).await;
        assert_eq!(shares.get("app-1"), None, "{balance}: {shares:?}");
    }
}

#[tokio::test]
async fn a_backup_works_only_when_no_other_node_can() {
    let apps = Origin::several(3).await;
    let list = format!(
        "[{}, {}, {}]",
        apps[0],
        apps[1],
        apps[2].with("backup: true")
    );
    let health = "health: { path: /healthz, interval: 100ms, rise: 1, fall: 1 }";
    let tide = Tidegate::run(web(health, list)).await;
    for app in &apps {
        let node = format!("web/{}", app.name());
        tide.node_has(&node, "health", "healthy").await;
    }
    assert_eq!(shares(&tide, 30).await.get("app-3"), None);
    apps[0].set_health(500);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    assert_eq!(
        shares(&tide, 10).await,
        BTreeMap::from([("app-2".into(), 10)])
    );
    apps[1].set_health(500);
    tide.node_has("web/app-2", "health", "unhealthy").await;
    assert_eq!(
        shares(&tide, 10).await,
        BTreeMap::from([("app-3".into(), 10)])
    );
    apps[0].set_health(200);
    tide.node_has("web/app-1", "health", "healthy").await;
    assert_eq!(
        shares(&tide, 10).await,
        BTreeMap::from([("app-1".into(), 10)])
    );
}
