//! A purge at one proxy takes effect at all that share its Redis, whatever becomes of Redis or of a proxy meanwhile.
//!
//! Answers are not kept in Redis here: what is told of purges is looked at by itself.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{RECOVERY, shared_at};
use crate::support::client::Request;
use crate::support::origin::Origin;
use crate::support::proxy::{SOON, Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::reply::Seen;
use crate::support::shop::{get, is_hit, shop};
use crate::support::{check, eventually};

/// What is stored in these stories: host and target.
const STORED: [(&str, &str); 4] = [
    ("tide.test", "/a/1"),
    ("tide.test", "/a/2"),
    ("tide.test", "/b/1"),
    ("other.test", "/a/1"),
];

/// What a proxy may take at most to hear of a purge, in 99 of 100 cases; the promise is 100 ms on a machine that has
/// nothing else to do.
const HEARD: Duration = Duration::from_millis(250);

/// Proxies that share a Redis, before one shop.
struct Cluster {
    redis: Redis,
    app: Origin,
    tides: Vec<Tidegate>,
}

impl Cluster {
    async fn of(many: usize) -> Cluster {
        Cluster::on(Redis::run().await, many).await
    }

    async fn on(redis: Redis, many: usize) -> Cluster {
        let app = Origin::start("app-1").await;
        app.answers(shop);
        let mut cluster = Cluster {
            redis,
            app,
            tides: Vec::new(),
        };
        for _ in 0..many {
            let tide = cluster.another().await;
            cluster.tides.push(tide);
        }
        cluster
    }

    /// One more proxy, which is in step with the others.
    async fn another(&self) -> Tidegate {
        let nodes = [self.app.addr().to_string()];
        let yaml = shared_at(&self.redis.url(), ", entries: false", &nodes);
        let yaml = yaml.replacen("cache: {", "cache: { purge_token_file: token,", 1);
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("tidegate.yaml"), complete(&yaml)).unwrap();
        std::fs::write(dir.path().join("token"), "correct-horse-battery-staple\n").unwrap();
        let tide = Tidegate::run_in(dir).await;
        in_step(&tide).await;
        tide
    }

    /// All is stored everywhere.
    async fn fill(&self) {
        for tide in &self.tides {
            for (host, target) in STORED {
                get(tide, host, target).await;
                let again = get(tide, host, target).await;
                assert!(is_hit(&again), "{host}{target}");
            }
        }
    }
}

/// What a proxy says of the purges it shares.
async fn purges(tide: &Tidegate) -> Value {
    tide.json("/api/v1/cluster").await["purges"].clone()
}

async fn in_step(tide: &Tidegate) {
    eventually("in step", RECOVERY, async || {
        let purges = purges(tide).await;
        check(purges["in_step"] == true, purges)
    })
    .await;
}

/// A proxy has found out that Redis is away.
async fn is_away(tide: &Tidegate) {
    eventually("redis is away", RECOVERY, async || {
        let view = tide.json("/api/v1/cluster").await;
        check(view["redis"]["state"] == "down", view)
    })
    .await;
}

/// A proxy has heard so many purges of others.
async fn heard(tide: &Tidegate, n: u64) {
    eventually("purges of others", RECOVERY, async || {
        let purges = purges(tide).await;
        check(purges["received"].as_u64() >= Some(n), purges)
    })
    .await;
}

/// Which of what was stored is no longer used as it is; afterwards all is fresh again.
async fn touched(tide: &Tidegate) -> Vec<usize> {
    let mut all = Vec::new();
    for (at, (host, target)) in STORED.into_iter().enumerate() {
        if !is_hit(&get(tide, host, target).await) {
            all.push(at);
        }
    }
    all
}

async fn purge(tide: &Tidegate, what: &Value) -> Value {
    let answer = tide.api("POST", "/api/v1/purge", &what.to_string()).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.json()
}

/// This page is not used as it is any more.
async fn is_purged(tide: &Tidegate, (host, target): (&str, &str)) {
    eventually("a purged page", RECOVERY, async || {
        let answer = get(tide, host, target).await;
        check(!is_hit(&answer), "it is still used")
    })
    .await;
}

#[tokio::test]
async fn whatever_a_purge_names_it_takes_effect_at_every_proxy_and_touches_nothing_else() {
    let cluster = Cluster::of(3).await;
    cluster.fill().await;
    let mut told = 0;
    for (what, concerns) in [
        (json!({ "url": "http://tide.test/a/1" }), vec![0]),
        (json!({ "tag": "p/a/2" }), vec![1]),
        (json!({ "prefix": "/a/" }), vec![0, 1, 3]),
        (json!({ "prefix": "/a/", "host": "TIDE.test" }), vec![0, 1]),
        (json!({ "host": "other.test" }), vec![3]),
        (json!({ "all": true }), vec![0, 1, 2, 3]),
    ] {
        for hard in [false, true] {
            let mut what = what.clone();
            what["hard"] = json!(hard);
            let said = purge(&cluster.tides[0], &what).await;
            assert_eq!(said["purged"], concerns.len(), "{what}: {said}");
            assert_eq!(said["cluster"], "sent", "{what}: {said}");
            told += 1;
            let before = cluster.app.requests();
            for tide in &cluster.tides[1..] {
                heard(tide, told).await;
                assert_eq!(touched(tide).await, concerns, "{what}");
            }
            // What is stale is validated, what is gone is fetched.
            let asked = &cluster.app.seen()[before..];
            let validated = |seen: &Seen| seen.head.get("if-none-match").is_some();
            assert_eq!(asked.iter().all(validated), !hard, "{what}");
            assert_eq!(touched(&cluster.tides[0]).await, concerns, "{what}");
        }
    }
    let log = cluster.tides[1].log();
    assert!(
        log.contains("purged the tag \"p/a/2\" (soft): 1 answers") && log.contains(" at "),
        "{log}"
    );
    let labels = [("kind", "prefix"), ("mode", "hard")];
    let name = "tidegate_cache_purges_total";
    cluster.tides[2].metric_is(name, &labels, 2.0).await;
}

#[tokio::test]
async fn a_purge_on_the_data_port_takes_effect_at_the_others() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    let bearer = "Bearer correct-horse-battery-staple";
    let ask = Request::new("PURGE", "/a/1").host("tide.test");
    let answer = cluster.tides[0]
        .ask(&ask.field("Authorization", bearer))
        .await;
    assert_eq!(answer.json()["cluster"], "sent", "{}", answer.text());
    heard(&cluster.tides[1], 1).await;
    assert_eq!(touched(&cluster.tides[1]).await, [0]);
}

#[tokio::test]
async fn a_write_through_one_proxy_makes_the_others_forget_what_they_stored() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    let write = Request::new("POST", "/a/2").host("tide.test");
    let answer = cluster.tides[0].ask(&write).await;
    assert_eq!(answer.status, 200);
    heard(&cluster.tides[1], 1).await;
    assert_eq!(touched(&cluster.tides[1]).await, [1]);
    // Nobody asked for it: it is no line of the log.
    assert!(
        !cluster.tides[1].log().contains("purged"),
        "{}",
        cluster.tides[1].log()
    );
}

#[tokio::test]
async fn others_hear_of_a_purge_within_a_moment() {
    let cluster = Cluster::of(2).await;
    let [one, other] = [&cluster.tides[0], &cluster.tides[1]];
    let mut client = other.connect().await;
    let mut took = Vec::new();
    for n in 0..60 {
        let target = format!("/page/{n}");
        get(other, "tide.test", &target).await;
        let url = format!("http://tide.test{target}");
        purge(one, &json!({ "url": url, "hard": true })).await;
        let begun = Instant::now();
        let ask = Request::get(&target).host("tide.test");
        while is_hit(&client.ask(&ask).await.unwrap_or_else(|e| panic!("{e}"))) {
            assert!(begun.elapsed() < RECOVERY, "{target} is never purged");
        }
        took.push(begun.elapsed());
    }
    took.sort();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("purges take effect at the others after {half:?} (p50), {most:?} (p99)");
    assert!(most < HEARD, "{half:?} (p50), {most:?} (p99)");
}

#[tokio::test]
async fn a_proxy_that_was_stopped_hears_of_what_was_purged_meanwhile() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    cluster.tides[1].signal(Signal::SIGSTOP);
    purge(&cluster.tides[0], &json!({ "tag": "p/a/1" })).await;
    purge(&cluster.tides[0], &json!({ "url": "http://tide.test/b/1" })).await;
    cluster.tides[1].signal(Signal::SIGCONT);
    heard(&cluster.tides[1], 2).await;
    assert_eq!(touched(&cluster.tides[1]).await, [0, 2, 3]);
}

#[tokio::test]
async fn a_proxy_that_starts_learns_what_was_purged_before_and_after() {
    let mut cluster = Cluster::of(1).await;
    for n in 0..20 {
        purge(&cluster.tides[0], &json!({ "tag": format!("t{n}") })).await;
    }
    eventually("all are told", SOON, async || {
        let purges = purges(&cluster.tides[0]).await;
        check(purges["position"] == 20, purges)
    })
    .await;
    let late = cluster.another().await;
    assert_eq!(purges(&late).await["position"], 20);
    let log = late.log();
    assert!(log.contains("caught up with 20 purges of others"), "{log}");
    cluster.tides.push(late);
    cluster.fill().await;
    purge(&cluster.tides[0], &json!({ "tag": "p/a/2" })).await;
    heard(&cluster.tides[1], 21).await;
    assert_eq!(touched(&cluster.tides[1]).await, [1]);
}

#[tokio::test]
async fn while_redis_is_away_a_purge_takes_effect_here_at_once_and_there_when_it_is_back() {
    let mut cluster = Cluster::of(2).await;
    cluster.fill().await;
    cluster.redis.kill().await;
    is_away(&cluster.tides[0]).await;
    let said = purge(&cluster.tides[0], &json!({ "tag": "p/a/2" })).await;
    assert_eq!(
        (&said["purged"], &said["cluster"]),
        (&json!(1), &json!("queued"))
    );
    assert_eq!(touched(&cluster.tides[0]).await, [1]);
    assert_eq!(purges(&cluster.tides[0]).await["queued"], 1);
    let held = touched(&cluster.tides[1]).await;
    assert!(held.is_empty(), "nobody could tell it: {held:?}");
    cluster.redis.restart().await;
    is_purged(&cluster.tides[1], STORED[1]).await;
    let rest = touched(&cluster.tides[1]).await;
    assert!(rest.is_empty(), "nothing else was touched: {rest:?}");
}

#[tokio::test]
async fn what_waited_is_told_as_soon_as_redis_is_used_again() {
    let mut cluster = Cluster::of(1).await;
    cluster.redis.kill().await;
    is_away(&cluster.tides[0]).await;
    for n in 0..3 {
        purge(&cluster.tides[0], &json!({ "tag": format!("t{n}") })).await;
    }
    cluster.redis.restart().await;
    let tide = &cluster.tides[0];
    eventually("redis is used", RECOVERY, async || {
        let times = tide.log().matches("is used").count();
        check(times == 2, times.to_string())
    })
    .await;
    let begun = Instant::now();
    eventually("they are told", RECOVERY, async || {
        let told = cluster.redis.ask(&["XLEN", "tg:{feed}:log"]).await;
        check(told == ["3"], told.join(" "))
    })
    .await;
    assert!(begun.elapsed() < HEARD, "{:?}", begun.elapsed());
}

/// After this happened to Redis, a purge still takes effect at the other proxy, and nothing else is touched.
async fn still_heard(trouble: &[&[&str]]) {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    for n in 0..3 {
        purge(&cluster.tides[n % 2], &json!({ "tag": format!("t{n}") })).await;
    }
    heard(&cluster.tides[0], 1).await;
    heard(&cluster.tides[1], 2).await;
    for command in trouble {
        cluster.redis.ask(command).await;
    }
    purge(&cluster.tides[0], &json!({ "tag": "p/a/2" })).await;
    is_purged(&cluster.tides[1], STORED[1]).await;
    purge(&cluster.tides[1], &json!({ "url": "http://tide.test/b/1" })).await;
    is_purged(&cluster.tides[0], STORED[2]).await;
    in_step(&cluster.tides[1]).await;
    assert_eq!(touched(&cluster.tides[0]).await, [1], "its own alone");
    assert_eq!(touched(&cluster.tides[1]).await, [2], "its own alone");
}

#[tokio::test]
async fn a_redis_that_was_emptied_tells_purges_on() {
    still_heard(&[&["FLUSHALL"]]).await;
}

#[tokio::test]
async fn a_redis_that_threw_out_the_head_of_the_chain_tells_purges_on() {
    still_heard(&[&["DEL", "tg:{feed}:head"]]).await;
}

#[tokio::test]
async fn a_redis_that_threw_out_the_log_tells_purges_on() {
    still_heard(&[&["DEL", "tg:{feed}:log"]]).await;
}

#[tokio::test]
async fn a_redis_that_forgot_all_scripts_tells_purges_on() {
    still_heard(&[&["SCRIPT", "FLUSH"]]).await;
}

#[tokio::test]
async fn somebody_elses_entries_in_the_log_and_nonsense_in_the_head_stop_no_purge() {
    still_heard(&[&["XADD", "tg:{feed}:log", "*", "a", "b"]]).await;
    still_heard(&[&["SET", "tg:{feed}:head", "nonsense"]]).await;
}

#[tokio::test]
async fn a_redis_that_is_full_takes_purges_all_the_same() {
    let full = Redis::run_with(&["--maxmemory", "100kb"]).await;
    let cluster = Cluster::on(full, 2).await;
    let refused = cluster.redis.ask(&["SET", "a", "b"]).await;
    assert!(refused[0].starts_with("OOM"), "{refused:?}");
    cluster.fill().await;
    purge(&cluster.tides[0], &json!({ "tag": "p/a/2" })).await;
    heard(&cluster.tides[1], 1).await;
    assert_eq!(touched(&cluster.tides[1]).await, [1]);
}

#[tokio::test]
async fn what_redis_forgot_before_a_proxy_heard_it_is_told_again() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    cluster.tides[1].signal(Signal::SIGSTOP);
    // The first one is the answer to what it waits for.
    for tag in ["t", "p/a/2"] {
        purge(&cluster.tides[0], &json!({ "tag": tag })).await;
    }
    eventually("they are told", SOON, async || {
        let purges = purges(&cluster.tides[0]).await;
        check(purges["position"] == 2, purges)
    })
    .await;
    cluster.redis.ask(&["FLUSHALL"]).await;
    cluster.tides[1].signal(Signal::SIGCONT);
    is_purged(&cluster.tides[1], STORED[1]).await;
    assert_eq!(purges(&cluster.tides[0]).await["again"], 2);
    let rest = touched(&cluster.tides[1]).await;
    assert!(rest.is_empty(), "nothing else was touched: {rest:?}");
}

#[tokio::test]
async fn what_redis_forgot_is_told_by_another_one_that_knew_it_when_who_purged_has_ended() {
    let cluster = Cluster::of(3).await;
    cluster.fill().await;
    let [gone, knew, deaf] = &cluster.tides[..] else {
        unreachable!("three were begun");
    };
    deaf.signal(Signal::SIGSTOP);
    // The first one is the answer to what it waits for.
    for tag in ["t", "p/a/2"] {
        purge(gone, &json!({ "tag": tag })).await;
    }
    heard(knew, 2).await;
    gone.signal(Signal::SIGKILL);
    cluster.redis.ask(&["FLUSHALL"]).await;
    deaf.signal(Signal::SIGCONT);
    is_purged(deaf, STORED[1]).await;
    // The one that the deaf one heard after all may be told by either.
    let again = purges(knew).await["again"].clone();
    assert!(again == 1 || again == 2, "{again}");
    let rest = touched(deaf).await;
    assert!(rest.is_empty(), "nothing else was touched: {rest:?}");
}

#[tokio::test]
async fn a_proxy_that_was_away_longer_than_purges_are_kept_doubts_all_that_it_stored() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    cluster.tides[1].signal(Signal::SIGSTOP);
    for n in 0..3 {
        purge(&cluster.tides[0], &json!({ "tag": format!("t{n}") })).await;
    }
    eventually("they are told", SOON, async || {
        let purges = purges(&cluster.tides[0]).await;
        check(purges["position"] == 3, purges)
    })
    .await;
    cluster
        .redis
        .ask(&["XTRIM", "tg:{feed}:log", "MAXLEN", "1"])
        .await;
    cluster.tides[1].signal(Signal::SIGCONT);
    eventually("doubt", RECOVERY, async || {
        let purges = purges(&cluster.tides[1]).await;
        check(purges["missed"] == 1, purges)
    })
    .await;
    assert_eq!(touched(&cluster.tides[1]).await, [0, 1, 2, 3]);
    let log = cluster.tides[1].log();
    assert!(log.contains("may have been missed"), "{log}");
    let events = cluster.tides[1].json("/api/v1/events?kind=purge").await;
    assert!(
        events.to_string().contains("may have been missed"),
        "{events}"
    );
}

#[tokio::test]
async fn a_purged_url_leaves_a_mark_where_its_answers_are_in_redis() {
    let cluster = Cluster::of(1).await;
    purge(&cluster.tides[0], &json!({ "url": "http://tide.test/a/1" })).await;
    purge(&cluster.tides[0], &json!({ "tag": "t" })).await;
    let mut marks = Vec::new();
    eventually("a mark", SOON, async || {
        marks = cluster.redis.keys("tg:e:").await;
        check(marks.len() == 1, "there is none")
    })
    .await;
    let mark = cluster.redis.get(&marks[0]).await.unwrap_or_default();
    let front = format!("{:016}{:016}", 1, 120_000);
    assert_eq!(
        String::from_utf8_lossy(&mark),
        format!("TGS1T{front}{front}")
    );
    let left: i64 = cluster.redis.ask(&["PTTL", &marks[0]]).await[0]
        .parse()
        .unwrap();
    assert!((60_000..=120_000).contains(&left), "{left}");
}

#[tokio::test]
async fn last_purges_are_told_before_a_proxy_ends() {
    let cluster = Cluster::of(2).await;
    cluster.fill().await;
    purge(&cluster.tides[0], &json!({ "tag": "p/a/2" })).await;
    cluster.tides[0].signal(Signal::SIGTERM);
    assert_eq!(cluster.tides[0].ended(SOON).await, 0);
    heard(&cluster.tides[1], 1).await;
    assert_eq!(touched(&cluster.tides[1]).await, [1]);
}

#[tokio::test]
async fn an_entry_that_nobody_understands_makes_everything_stale_and_is_counted() {
    let cluster = Cluster::of(1).await;
    cluster.fill().await;
    let head = cluster.redis.ask(&["GET", "tg:{feed}:head"]).await[0].clone();
    let uid = head.split(':').nth(1).unwrap();
    let newer = [
        "XADD",
        "tg:{feed}:log",
        "1-0",
        "p",
        uid,
        "u",
        "00000000000000ff",
        "k",
        "e",
        "t",
        "1",
        "r",
        "newer",
    ];
    cluster.redis.ask(&newer).await;
    let head = "1:00000000000000ff:1:00000000000000ff";
    cluster.redis.ask(&["SET", "tg:{feed}:head", head]).await;
    eventually("it is counted", RECOVERY, async || {
        let purges = purges(&cluster.tides[0]).await;
        check(purges["foreign"] == 1, purges)
    })
    .await;
    heard(&cluster.tides[0], 1).await;
    assert_eq!(touched(&cluster.tides[0]).await, [0, 1, 2, 3]);
}
