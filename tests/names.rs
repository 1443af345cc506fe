//! Nodes behind a name: they follow its records, and nothing that goes wrong with DNS takes them away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::dns::{Dns, Says};
use crate::support::load::Load;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

const NAME: &str = "app.internal";

/// Two origins at one port of different addresses, a server of DNS that names the first, and the proxy.
struct Stage {
    apps: [Origin; 2],
    dns: Dns,
    tide: Tidegate,
}

impl Stage {
    async fn set(keys: &str) -> Self {
        let first = Origin::start("app-1").await;
        let other = SocketAddr::new([127, 0, 0, 2].into(), first.addr().port());
        let second = Origin::start_at("app-2", other).await;
        let dns = Dns::start().await;
        dns.has(NAME, &["127.0.0.1"]);
        let tide = Tidegate::run(config(&dns, keys, first.addr().port())).await;
        Stage {
            apps: [first, second],
            dns,
            tide,
        }
    }

    fn config(&self, keys: &str) -> String {
        config(&self.dns, keys, self.apps[0].addr().port())
    }

    fn label(&self) -> String {
        format!("{NAME}:{}", self.apps[0].addr().port())
    }

    /// What the stats port says of the name.
    async fn name(&self) -> serde_json::Value {
        let upstream = self.tide.json("/api/v1/upstreams/web").await;
        upstream["names"][0].clone()
    }

    /// Waits until so many look-ups ended so.
    async fn ended(&self, result: &str, at_least: f64) {
        let labels = [("name", self.label()), ("result", result.to_owned())];
        let labels = [
            (labels[0].0, labels[0].1.as_str()),
            (labels[1].0, labels[1].1.as_str()),
        ];
        eventually(&format!("{result} is counted"), ms(12_000), async || {
            let counted = self.tide.metric("tidegate_dns_resolutions_total", &labels);
            let counted = counted.await;
            check(counted >= Some(at_least), format!("{counted:?}"))
        })
        .await;
    }

    /// Who answers.
    async fn answers(&self) -> String {
        self.tide.get("/").await.node().to_owned()
    }

    /// Waits until requests go to this node; how long it took.
    async fn goes_to(&self, node: &str) -> Duration {
        let began = Instant::now();
        eventually(&format!("requests go to {node}"), ms(8_000), async || {
            let answered = self.answers().await;
            check(answered == node, answered)
        })
        .await;
        began.elapsed()
    }
}

fn config(dns: &Dns, keys: &str, port: u16) -> String {
    let nodes = format!("[{{ addr: \"{NAME}:{port}\", id: app }}]");
    let upstream = web("health: off", nodes);
    format!("dns: {{ servers: [\"{}\"]{keys} }}\n{upstream}", dns.addr())
}

#[tokio::test]
async fn traffic_follows_a_moved_record_when_its_time_is_over() {
    let stage = Stage::set("").await;
    let load = Load::at(200).start(stage.tide.addr());
    for (address, node) in [("127.0.0.2", "app-2"), ("127.0.0.1", "app-1")] {
        stage.dns.has(NAME, &[address]);
        let took = stage.goes_to(node).await;
        assert!(took < ms(2_000), "a second holds a second: {took:?}");
    }
    load.stop().await.nothing_failed_of(50);
    let name = stage.name().await;
    assert_eq!(
        (&name["name"], &name["addresses"]),
        (&stage.label().into(), &1.into())
    );
    assert!(name["age_seconds"].as_f64() < Some(3.0), "{name}");
    let stamp = stage
        .tide
        .metric("tidegate_dns_last_success_timestamp_seconds", &[]);
    assert!(stamp.await > Some(1e9));
}

#[tokio::test]
async fn a_record_is_not_asked_for_before_its_time_is_over() {
    let stage = Stage::set(", min_ttl: 1h, max_ttl: 2h").await;
    let asked = stage.dns.asked();
    assert!(asked >= 2, "for both families");
    stage.dns.has(NAME, &["127.0.0.2"]);
    // Nothing to await here but that nothing comes.
    tokio::time::sleep(ms(1_500)).await;
    assert_eq!(
        (stage.dns.asked(), stage.answers().await.as_str()),
        (asked, "app-1")
    );
    // A reload that changes how names are resolved applies at once.
    stage.tide.apply(&stage.config(", max_ttl: 1s")).await;
    stage.goes_to("app-2").await;
}

#[tokio::test]
async fn without_ttl_the_interval_counts() {
    let stage = Stage::set(", ttl: false, interval: 300ms").await;
    stage
        .dns
        .says(NAME, Says::Has(vec!["127.0.0.2".parse().unwrap()], 86_400));
    let took = stage.goes_to("app-2").await;
    assert!(took < ms(2_000), "{took:?}");
}

#[tokio::test]
async fn whatever_goes_wrong_the_last_good_addresses_stay() {
    let stage = Stage::set(", interval: 1s").await;
    let load = Load::at(100).start(stage.tide.addr());
    for (says, result, words) in [
        (Says::Code(2), "servfail", "SERVFAIL"),
        (Says::Code(5), "refused", "REFUSED"),
        (Says::Code(3), "nxdomain", "NXDOMAIN"),
        (Says::Has(vec![], 1), "empty", "it has no address"),
        (Says::Nothing, "timeout", "no answer within"),
    ] {
        stage.dns.says(NAME, says);
        stage.ended(result, 1.0).await;
        let name = stage.name().await;
        assert_eq!(name["addresses"], 1, "{name}");
        let why = name["failure"].as_str().unwrap_or_default();
        assert!(why.contains(words), "{name}");
        assert_eq!(stage.answers().await, "app-1");
    }
    stage.dns.has(NAME, &["127.0.0.2"]);
    stage.goes_to("app-2").await;
    assert_eq!(stage.name().await["failure"], serde_json::Value::Null);
    load.stop().await.nothing_failed_of(100);
}

#[tokio::test]
async fn a_failure_is_told_once_and_its_end_too() {
    let stage = Stage::set(", interval: 200ms").await;
    stage.dns.says(NAME, Says::Code(2));
    stage.ended("servfail", 4.0).await;
    stage.dns.has(NAME, &["127.0.0.1"]);
    eventually("its end is told", ms(8_000), async || {
        check(
            stage.tide.log().contains("is resolved again"),
            stage.tide.log(),
        )
    })
    .await;
    let log = stage.tide.log();
    assert_eq!(log.matches("SERVFAIL").count(), 1, "{log}");
    assert!(
        log.contains("the addresses known before stay in use (1)"),
        "{log}"
    );
}

#[tokio::test]
async fn half_an_answer_takes_no_node_of_the_other_half_away() {
    let stage = Stage::set(", interval: 300ms").await;
    stage.dns.has(NAME, &["127.0.0.1", "::1"]);
    let has = async |what: &str, n: usize| {
        eventually(what, ms(8_000), async || {
            let name = stage.name().await;
            check(name["addresses"] == n, &name)
        })
        .await;
    };
    has("both families", 2).await;
    let half = vec!["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    stage.dns.says(NAME, Says::HalfBroken(half, 2));
    has("the new one beside both old ones", 3).await;
    stage.dns.has(NAME, &["127.0.0.2"]);
    has("the whole answer counts again", 1).await;
}

#[tokio::test]
async fn the_file_says_which_family_is_wanted() {
    let stage = Stage::set("").await;
    let port = stage.apps[0].addr().port();
    let nodes = async |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|ip| format!("{ip}:{port}")).collect();
        eventually(
            &format!("the nodes are {wanted:?}"),
            ms(8_000),
            async || {
                let seen = stage.tide.json("/api/v1/upstreams/web").await;
                let here = seen["nodes"].as_array().unwrap().iter();
                let mut here: Vec<_> = here
                    .filter(|n| n["removed"] == false)
                    .map(|n| n["addr"].as_str().unwrap())
                    .collect();
                here.sort();
                check(here == wanted, &seen)
            },
        )
        .await;
    };
    stage.dns.has(NAME, &["127.0.0.1", "::1"]);
    nodes(&["127.0.0.1", "[::1]"]).await;
    stage.tide.apply(&stage.config(", family: ipv4")).await;
    nodes(&["127.0.0.1"]).await;
    stage.tide.apply(&stage.config(", family: ipv6")).await;
    nodes(&["[::1]"]).await;
    // A name with IPv6 alone.
    stage.dns.has(NAME, &["::1"]);
    stage.tide.apply(&stage.config(", family: any")).await;
    nodes(&["[::1]"]).await;
}

#[tokio::test]
async fn two_hundred_records_are_two_hundred_nodes_and_too_many_are_cut() {
    let stage = Stage::set("").await;
    let many = |n: u16| {
        let ip = |i: u16| std::net::IpAddr::from([127, 1, (i / 250) as u8, (i % 250 + 1) as u8]);
        Says::Has((0..n).map(ip).collect(), 1)
    };
    for (records, nodes) in [(200, 200), (300, 256)] {
        stage.dns.says(NAME, many(records));
        eventually(&format!("{nodes} nodes"), ms(8_000), async || {
            let name = stage.name().await;
            check(name["addresses"] == nodes, &name)
        })
        .await;
    }
    let log = stage.tide.log();
    assert!(log.contains("has 300 addresses: the first 256"), "{log}");
    stage.dns.has(NAME, &["127.0.0.1"]);
    stage.goes_to("app-1").await;
}

#[tokio::test]
async fn a_slow_server_delays_no_request_and_no_other_name() {
    let stage = Stage::set("").await;
    let port = stage.apps[0].addr().port();
    stage.dns.says("slow.internal", Says::Nothing);
    let slow = (0..4).map(|n| format!("\"slow.internal:{}\"", 1_000 + n));
    let list = slow.collect::<Vec<_>>().join(", ");
    let nodes = format!("[{list}, {{ addr: \"{NAME}:{port}\", id: app }}]");
    let upstream = web("health: off", nodes);
    let servers = stage.dns.addr();
    stage
        .tide
        .apply(&format!("dns: {{ servers: [\"{servers}\"] }}\n{upstream}"))
        .await;
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(stage.answers().await, "app-1");
    }
    assert!(began.elapsed() < ms(3_000), "{:?}", began.elapsed());
    stage.dns.has(NAME, &["127.0.0.2"]);
    let took = stage.goes_to("app-2").await;
    assert!(took < ms(2_000), "{took:?}");
    let seen = stage.tide.json("/api/v1/upstreams/web").await;
    assert_eq!(seen["unresolved"].as_array().unwrap().len(), 4, "{seen}");
}

#[tokio::test]
async fn a_name_that_comes_later_is_used_and_one_that_left_is_forgotten() {
    let app = Origin::start("app-1").await;
    app.answers(Reply::usual);
    let dns = Dns::start().await;
    let named = config(&dns, ", interval: 500ms", app.addr().port());
    let tide = Tidegate::run_unready(&named).await;
    assert_eq!(tide.get("/").await.status, 503);
    let told = tide.json("/api/v1/upstreams/web").await;
    assert_eq!(told["names"][0]["addresses"], 0, "{told}");
    dns.has(NAME, &["127.0.0.1"]);
    eventually("it is resolved", ms(8_000), async || {
        let answer = tide.get("/").await;
        check(answer.status == 200, answer.status)
    })
    .await;
    tide.apply(&web("health: off", format!("[{app}]"))).await;
    // What was counted of it stays ten minutes, for a look back.
    eventually("it is no name of ours any more", ms(8_000), async || {
        let told = tide.json("/api/v1/upstreams/web").await;
        check(told["names"].as_array().is_some_and(Vec::is_empty), told)
    })
    .await;
}
