//! Who shares a Redis is seen at each proxy, and whether all of them run the same.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{RECOVERY, shared_at};
use crate::support::origin::Origin;
use crate::support::proxy::{SOON, Tidegate};
use crate::support::redis::Redis;
use crate::support::{check, eventually};

/// Who says nothing is gone after fifteen seconds.
const GONE: Duration = Duration::from_secs(25);

/// A proxy on this Redis whose route has a cache; `more` goes into its file.
async fn proxy(redis: &Redis, app: &Origin, more: &str) -> Tidegate {
    let yaml = shared_at(&redis.url(), "", &[app.addr().to_string()]);
    Tidegate::run(format!("{yaml}{more}")).await
}

/// What a proxy says of the cluster, once it sees so many.
async fn sees(tide: &Tidegate, many: usize, limit: Duration) -> Value {
    eventually("so many proxies", limit, async || {
        let view = tide.json("/api/v1/cluster").await;
        let peers = view["peers"].as_array().map_or(0, Vec::len);
        match peers == many && view["peers_total"] == many {
            true => Ok(view),
            false => Err(view.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn every_proxy_sees_all_that_share_its_redis_and_itself_among_them() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let mut tides = Vec::new();
    for _ in 0..3 {
        tides.push(proxy(&redis, &app, "").await);
    }
    for tide in &tides {
        let view = sees(tide, 3, RECOVERY).await;
        assert_eq!(view["enabled"], true);
        assert_eq!(view["redis"]["state"], "up", "{view}");
        assert_eq!(view["redis"]["address"], redis.url());
        let peers = view["peers"].as_array().unwrap();
        let this: Vec<_> = peers
            .iter()
            .filter(|peer| peer["is_this"] == true)
            .collect();
        assert_eq!(this.len(), 1, "{view}");
        assert_eq!(this[0]["id"], view["id"]);
        for peer in peers {
            assert_eq!(peer["version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(peer["generation"], 1);
            assert!(!peer["name"].as_str().unwrap().is_empty(), "{view}");
            assert_eq!(peer["listen"][0], "127.0.0.1:0");
        }
        // Where they listen differs, what they do does not.
        assert_eq!(view["peers_differing"], 0, "{view}");
    }
}

#[tokio::test]
async fn one_with_another_configuration_is_seen_to_differ_until_it_has_the_same() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let one = proxy(&redis, &app, "").await;
    let more = "limits: { headers: 99 }\n";
    let other = proxy(&redis, &app, more).await;
    let view = sees(&one, 2, RECOVERY).await;
    assert_eq!(view["peers_differing"], 1, "{view}");
    let peers = view["peers"].as_array().unwrap();
    for peer in peers {
        assert_eq!(peer["differs"], peer["is_this"] == false, "{view}");
    }
    let yaml = shared_at(&redis.url(), "", &[app.addr().to_string()]);
    other.apply(&yaml).await;
    eventually("no difference", RECOVERY, async || {
        let view = one.json("/api/v1/cluster").await;
        check(view["peers_differing"] == 0, view)
    })
    .await;
}

#[tokio::test]
async fn one_that_stops_is_gone_when_it_has_ended() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let one = proxy(&redis, &app, "").await;
    let other = proxy(&redis, &app, "").await;
    sees(&one, 2, RECOVERY).await;
    other.signal(Signal::SIGTERM);
    assert_eq!(other.ended(SOON).await, 0);
    let seen = redis.ask(&["ZCARD", "tg:{peers}:seen"]).await;
    assert_eq!(seen, ["1"], "it took itself out");
    sees(&one, 1, RECOVERY).await;
}

#[tokio::test]
async fn one_that_was_killed_is_gone_after_a_while() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let one = proxy(&redis, &app, "").await;
    let other = proxy(&redis, &app, "").await;
    sees(&one, 2, RECOVERY).await;
    other.signal(Signal::SIGKILL);
    sees(&one, 1, GONE).await;
}

#[tokio::test]
async fn a_redis_that_was_away_is_told_who_is_there_when_it_is_back() {
    let (mut redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let one = proxy(&redis, &app, "").await;
    let _other = proxy(&redis, &app, "").await;
    sees(&one, 2, RECOVERY).await;
    redis.kill().await;
    eventually("redis is away", RECOVERY, async || {
        let view = one.json("/api/v1/cluster").await;
        let has_why = !view["redis"]["why"].is_null();
        check(view["redis"]["state"] == "down" && has_why, view)
    })
    .await;
    redis.restart().await;
    eventually("both are back", RECOVERY, async || {
        let seen = redis.ask(&["ZCARD", "tg:{peers}:seen"]).await;
        check(seen == ["2"], seen.join(" "))
    })
    .await;
    sees(&one, 2, RECOVERY).await;
}

#[tokio::test]
async fn what_others_write_there_is_not_believed() {
    let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
    let one = proxy(&redis, &app, "").await;
    sees(&one, 1, RECOVERY).await;
    let [seen, info] = ["tg:{peers}:seen", "tg:{peers}:info"];
    redis.ask(&["ZADD", seen, "99999999999999", "x"]).await;
    redis.ask(&["HSET", info, "x", "no proxy says this"]).await;
    let view = eventually("it is counted", RECOVERY, async || {
        let view = one.json("/api/v1/cluster").await;
        match view["peers_total"] == 2 {
            true => Ok(view),
            false => Err(view.to_string()),
        }
    })
    .await;
    assert_eq!(view["peers"].as_array().map(Vec::len), Some(1), "{view}");
}

#[tokio::test]
async fn a_proxy_on_its_own_says_so() {
    let (_app, tide) = crate::support::proxy::one_node().await;
    let view = tide.json("/api/v1/cluster").await;
    assert_eq!(view["enabled"], false);
    assert!(
        view["redis"].is_null() && view["purges"].is_null(),
        "{view}"
    );
}
