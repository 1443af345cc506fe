//! What was purged at one proxy comes back at none, though answers are kept in Redis.

use nix::sys::signal::Signal;
use serde_json::json;

use super::cluster::{Cluster, reply};
use crate::support::Gate;
use crate::support::proxy::{SOON, Tidegate};
use crate::support::{check, eventually};

const FRESH: &str = "Cache-Control: max-age=600\r\nCache-Tag: shop";

async fn purge(tide: &Tidegate, what: serde_json::Value) {
    let answer = tide.api("POST", "/api/v1/purge", &what.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A proxy knows so many purges.
async fn knows(tide: &Tidegate, n: u64) {
    eventually("purges", SOON, async || {
        let view = tide.json("/api/v1/cluster").await;
        check(view["purges"]["position"] == n, view)
    })
    .await;
}

#[tokio::test]
async fn purges_that_a_proxy_takes_with_it_since_redis_is_away_are_said_to_be_lost() {
    let cluster = Cluster::open(1, "", "true").await;
    cluster.redis.kill().await;
    let tide = &cluster.tides[0];
    eventually("redis is away", SOON, async || {
        let view = tide.json("/api/v1/cluster").await;
        check(view["redis"]["state"] == "down", view)
    })
    .await;
    purge(tide, json!({ "tag": "shop" })).await;
    purge(tide, json!({ "url": "http://tide.test/page" })).await;
    tide.signal(Signal::SIGTERM);
    assert_eq!(tide.ended(SOON).await, 0);
    let log = tide.log();
    let lost = "2 purges were never told to the other proxies, since Redis at redis://";
    assert!(log.contains(lost) && log.contains("is away"), "{log}");
}

/// While another proxy fetches an answer, it is purged: nobody gets what that fetch stores.
async fn beats_a_fetch_in_flight(what: serde_json::Value) {
    let cluster = Cluster::open(3, "", "true").await;
    let gate = Gate::closed();
    let shut = gate.clone();
    cluster.app.answers(move |seen| match seen.serial {
        0 => reply(seen, FRESH).when(&shut),
        _ => reply(seen, FRESH),
    });
    let (old, ()) = tokio::join!(cluster.get(1, "/page"), async {
        cluster.app.holds(1).await;
        purge(&cluster.tides[0], what).await;
        for tide in &cluster.tides {
            knows(tide, 1).await;
        }
        gate.open();
    });
    assert_eq!(old.status, 200);
    // Until what it stored could be there: another answer of the same proxy is, which was stored after it.
    cluster.get(1, "/other").await;
    eventually("the other answer", SOON, async || {
        let mut answers = Vec::new();
        for key in cluster.redis.keys("tg:e:").await {
            answers.extend(cluster.redis.get(&key).await);
        }
        let is_answer = |value: &&Vec<u8>| value.starts_with(b"TGS1E");
        check(
            answers.iter().any(|value| is_answer(&value)),
            "it is not there",
        )
    })
    .await;
    for tide in 0..3 {
        let new = cluster.get(tide, "/page").await;
        assert_ne!(new.body, old.body, "proxy {tide}");
    }
}

#[tokio::test]
async fn a_purge_of_a_url_beats_a_fetch_of_it_in_flight_at_another_proxy() {
    beats_a_fetch_in_flight(json!({ "url": "http://tide.test/page", "hard": true })).await;
}

#[tokio::test]
async fn a_purge_of_a_tag_beats_a_fetch_of_it_in_flight_at_another_proxy() {
    beats_a_fetch_in_flight(json!({ "tag": "shop", "hard": true })).await;
}

#[tokio::test]
async fn what_was_purged_is_not_found_in_redis_by_a_proxy_that_starts_later() {
    let mut cluster = Cluster::open(2, "", "true").await;
    cluster.says(FRESH);
    let old = cluster.get(0, "/page").await;
    cluster.keeps(1).await;
    purge(&cluster.tides[1], json!({ "tag": "shop", "hard": true })).await;
    cluster.join().await;
    knows(&cluster.tides[2], 1).await;
    let new = cluster.get(2, "/page").await;
    assert_ne!(new.body, old.body);
}
