//! One limit for all proxies: together they let in what one would, and without Redis each what it would alone.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::is_used;
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

/// A configuration whose one route, `api`, has this limit and these keys more, with these keys more for Redis.
fn file(redis: &Redis, keys: &str, limit: &str, route: &str, app: &Origin) -> String {
    format!(
        "cache: {{ redis: {{ url: \"{}\"{keys} }} }}\n\
         upstreams: {{ web: {{ nodes: {} }} }}\n\
         routes: [{{ name: api, upstream: web, rate_limit: {{ {limit} }}{route} }}]\n",
        redis.url(),
        nodes([app])
    )
}

/// A node, and two proxies with this limit that have a connection to Redis.
async fn two(redis: &Redis, keys: &str, limit: &str) -> (Origin, [Tidegate; 2]) {
    let app = Origin::start("app-1").await;
    let yaml = file(redis, keys, limit, "", &app);
    let both = [Tidegate::run(&yaml).await, Tidegate::run(&yaml).await];
    for tide in &both {
        is_used(tide).await;
    }
    (app, both)
}

/// Asks each of the proxies so often at once; how many were let in. Everybody else was told to come again.
async fn at_once(both: &[Tidegate; 2], times: usize) -> usize {
    let mut asked = JoinSet::new();
    for tide in both {
        for _ in 0..times {
            let to = tide.addr();
            asked.spawn(async move {
                let mut client = Client::connect(to).await.unwrap();
                let answer = client.ask(&Request::get("/")).await.unwrap();
                (answer.status, answer.head.all("retry-after").len())
            });
        }
    }
    let all = asked.join_all().await;
    let refused = all.iter().filter(|end| **end == (429, 1)).count();
    let admitted = all.iter().filter(|end| **end == (200, 0)).count();
    assert_eq!(admitted + refused, 2 * times, "{all:?}");
    admitted
}

async fn decided(tide: &Tidegate, result: &str) -> f64 {
    let labels = [("route", "api"), ("result", result)];
    let found = tide.metric("tidegate_rate_limit_shared_total", &labels);
    found.await.expect("it is counted from the beginning")
}

/// How often scripts were run in Redis.
async fn scripts(redis: &Redis) -> u64 {
    let stats = redis.ask(&["INFO", "commandstats"]).await;
    let of = |line: &String| {
        let line = line.strip_prefix("cmdstat_eval")?;
        let (_, calls) = line.split_once("calls=")?;
        calls.split(',').next()?.parse::<u64>().ok()
    };
    stats.iter().filter_map(of).sum()
}

#[tokio::test]
async fn two_proxies_let_in_together_what_one_would_alone() {
    let redis = Redis::run().await;
    let limit = "rate: 10/s, burst: 10, scope: cluster";
    let (app, both) = two(&redis, ", timeout: 1s", limit).await;
    let began = Instant::now();
    for tide in &both {
        assert_eq!(tide.get("/").await.status, 200);
    }
    let admitted = 2 + at_once(&both, 19).await;
    let back = began.elapsed().as_millis() as usize / 100 + 1;
    assert!(admitted >= 10, "{admitted} of the burst");
    assert!(admitted <= 10 + back, "{admitted} of 10 and {back}");
    assert_eq!(app.requests(), admitted);
    for tide in &both {
        assert_eq!(decided(tide, "fallback").await, 0.0);
        let all = decided(tide, "admitted").await
            + decided(tide, "refused").await
            + decided(tide, "remembered").await;
        assert_eq!(all, 20.0);
    }
}

#[tokio::test]
async fn without_redis_each_proxy_counts_for_itself_and_nobody_fails() {
    let redis = Redis::run().await;
    let limit = "rate: 10/h, burst: 10, scope: cluster";
    let (_app, both) = two(&redis, "", limit).await;
    redis.kill().await;
    assert_eq!(at_once(&both, 20).await, 20, "a burst each");
    for tide in &both {
        assert_eq!(decided(tide, "fallback").await, 20.0);
        assert_eq!(decided(tide, "admitted").await, 0.0);
    }
}

#[tokio::test]
async fn a_redis_that_hangs_holds_a_request_up_for_no_longer_than_it_may() {
    let redis = Redis::run().await;
    let limit = "rate: 1000/s, scope: cluster";
    let (_app, [one, _]) = two(&redis, ", timeout: 300ms", limit).await;
    redis.stop();
    let began = Instant::now();
    assert_eq!(one.get("/").await.status, 200);
    let took = began.elapsed();
    assert!(took >= ms(300) && took < ms(600), "{took:?}");
    for _ in 0..6 {
        assert_eq!(one.get("/").await.status, 200);
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(one.get("/").await.status, 200);
    }
    assert!(began.elapsed() < ms(3_000), "nobody asks any more");
    redis.go_on();
}

#[tokio::test]
async fn who_is_refused_is_told_when_to_come_and_costs_redis_nothing_until_then() {
    let redis = Redis::run().await;
    let limit = "rate: 1/h, burst: 2, scope: cluster";
    let (app, [one, other]) = two(&redis, "", limit).await;
    assert_eq!(one.get("/").await.status, 200);
    assert_eq!(other.get("/").await.status, 200);
    let refused = one.get("/").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.head.all("retry-after")[0].parse().unwrap();
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    let policy = refused.head.all("ratelimit-policy");
    assert_eq!(policy, ["\"default\";q=2;w=7200"]);
    let before = scripts(&redis).await;
    for _ in 0..30 {
        assert_eq!(one.get("/").await.status, 429);
    }
    assert_eq!(scripts(&redis).await, before, "it is not asked again");
    assert_eq!(decided(&one, "remembered").await, 30.0);
    assert_eq!(decided(&one, "refused").await, 1.0);
    assert_eq!(other.get("/").await.status, 429, "the other asks itself");
    assert!(scripts(&redis).await > before);
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn who_has_waited_is_let_in_again() {
    let redis = Redis::run().await;
    let limit = "rate: 2/s, burst: 1, scope: cluster";
    let (_app, [one, other]) = two(&redis, ", timeout: 1s", limit).await;
    assert_eq!(one.get("/").await.status, 200);
    assert_eq!(other.get("/").await.status, 429);
    let refused = Instant::now();
    while other.get("/").await.status != 200 {
        let waited = refused.elapsed();
        assert!(waited < Duration::from_secs(5), "not let in for {waited:?}");
        tokio::time::sleep(ms(20)).await;
    }
    assert_eq!(decided(&other, "admitted").await, 1.0);
    let keys = redis.keys("tg:r:").await;
    assert!(keys.len() <= 1, "{keys:?}");
}

#[tokio::test]
async fn redis_shows_no_client_and_forgets_who_has_its_burst_again() {
    let redis = Redis::run().await;
    let limit = "rate: 1/s, burst: 5, scope: cluster, key: \"header:X-Api-Key\"";
    let (_app, [one, other]) = two(&redis, "", limit).await;
    let secret = Request::get("/").field("X-Api-Key", "s3cret-key");
    assert_eq!(one.ask(&secret).await.status, 200);
    assert_eq!(other.ask(&secret).await.status, 200);
    assert_eq!(one.get("/").await.status, 200);
    let keys = redis.keys("").await;
    let rates: Vec<&String> = keys.iter().filter(|k| k.starts_with("tg:r:")).collect();
    for key in &rates {
        let value = redis.get(key).await.unwrap_or_default();
        let both = format!("{key} {}", String::from_utf8_lossy(&value));
        for shown in ["127.0.0.1", "7f000001", "s3cret", "733363726574"] {
            assert!(!both.contains(shown), "{both}");
        }
        let left = redis.ask(&["PTTL", key]).await;
        let left: i64 = left[0].parse().unwrap();
        assert!(left == -2 || (1..=2_000).contains(&left), "{left} ms");
    }
    assert_eq!(rates.len(), 2, "a key for each client: {rates:?}");
    eventually("they are gone", ms(5_000), async || {
        let left = redis.keys("tg:r:").await;
        check(left.is_empty(), left.join(" "))
    })
    .await;
}

#[tokio::test]
async fn what_would_be_refused_is_only_counted_where_the_file_says_so() {
    let redis = Redis::run().await;
    let limit = "rate: 1/h, burst: 3, scope: cluster, dry_run: true";
    let (app, both) = two(&redis, "", limit).await;
    assert_eq!(at_once(&both, 10).await, 20, "all are let in");
    assert_eq!(app.requests(), 20);
    let mut over = 0.0;
    for tide in &both {
        let labels = [("route", "api"), ("outcome", "dry_run")];
        let counted = tide.metric("tidegate_rate_limited_total", &labels).await;
        over += counted.unwrap_or_default();
    }
    assert_eq!(over, 17.0, "but three");
}

#[tokio::test]
async fn the_express_lane_leaves_such_a_route_to_the_other() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    app.answers(|_| Reply::text("kept").field("cache-control", "max-age=60"));
    let of = |scope: &str| {
        let limit = format!("rate: 1/h, burst: 5, scope: {scope}");
        file(&redis, "", &limit, ", cache: true", &app)
    };
    let tide = Tidegate::run(of("cluster")).await;
    is_used(&tide).await;
    let lane = async || tide.json("/api/v1/cache").await["routes"][0]["express"].clone();
    assert_eq!(lane().await, "cluster_limit");
    for _ in 0..5 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(tide.get("/").await.status, 429, "hits are counted, too");
    assert_eq!(app.requests(), 1);
    let express = async || tide.metric("tidegate_express_hits_total", &[]).await;
    assert_eq!(express().await.unwrap_or_default(), 0.0);
    tide.apply(&of("local")).await;
    assert_eq!(lane().await, "open");
    assert_eq!(tide.get("/").await.status, 200);
    assert_eq!(express().await, Some(1.0));
}

#[tokio::test]
async fn a_reload_changes_who_counts_and_hands_out_no_burst_twice() {
    let redis = Redis::run().await;
    let local = "rate: 1/h, burst: 3";
    let (app, [one, other]) = two(&redis, "", local).await;
    let statuses = async |tide: &Tidegate, n: usize| {
        let mut all = Vec::new();
        for _ in 0..n {
            all.push(tide.get("/").await.status);
        }
        all
    };
    assert_eq!(statuses(&one, 4).await, [200, 200, 200, 429]);
    let cluster = file(&redis, "", &format!("{local}, scope: cluster"), "", &app);
    one.apply(&cluster).await;
    other.apply(&cluster).await;
    assert_eq!(statuses(&other, 2).await, [200, 200], "a count of its own");
    assert_eq!(statuses(&one, 2).await, [200, 429], "of both");
    one.apply(&file(&redis, "", local, "", &app)).await;
    assert_eq!(statuses(&one, 1).await, [429], "it knows what it counted");
    one.apply(&cluster).await;
    assert_eq!(statuses(&one, 1).await, [429], "as does Redis");
}

#[tokio::test]
async fn limits_that_differ_do_not_share_a_count() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let of = |burst: u32| {
        let limit = format!("rate: 1/h, burst: {burst}, scope: cluster");
        file(&redis, "", &limit, "", &app)
    };
    let tide = Tidegate::run(of(1)).await;
    is_used(&tide).await;
    assert_eq!(tide.get("/").await.status, 200);
    assert_eq!(tide.get("/").await.status, 429);
    tide.apply(&of(2)).await;
    assert_eq!(tide.get("/").await.status, 200, "a new limit begins anew");
    assert_eq!(redis.keys("tg:r:api:").await.len(), 2);
}
