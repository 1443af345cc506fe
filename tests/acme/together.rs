//! Proxies behind one name: any of them answers the CA, one of them orders.

use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;

use super::*;

/// A configuration of one of several proxies, with a state of its own.
fn one_of(stage: &Stage, redis: &Redis, which: usize, keys: &str) -> String {
    let state = stage.state().display().to_string();
    let own = format!("{state}-{which}");
    let config = stage.config(keys).replace(&state, &own);
    format!(
        "cache: {{ redis: {{ url: \"{}\" }} }}\n{config}",
        redis.url()
    )
}

async fn knows_redis(tide: &Tidegate) {
    eventually("redis is used", SOON, async || {
        check(tide.log().contains("is used"), tide.log())
    })
    .await;
}

#[tokio::test]
async fn two_proxies_order_once_and_share_the_certificate() {
    let mut stage = Stage::set(How::default()).await;
    // Nothing is ordered before both are there.
    stage.pebble.stop().await;
    let redis = Redis::run().await;
    let first = Tidegate::run(one_of(&stage, &redis, 1, ", share: true")).await;
    let elsewhere = one_of(&stage, &redis, 2, ", share: true");
    let elsewhere = elsewhere
        .replace(&format!("127.0.0.1:{}", stage.ports.0), "127.0.0.1:0")
        .replace(&format!("127.0.0.1:{}", stage.ports.1), "127.0.0.1:0");
    let second = Tidegate::run(elsewhere).await;
    knows_redis(&first).await;
    knows_redis(&second).await;
    stage.pebble.start().await;
    let (one, two) = tokio::join!(stands(&first, "valid"), stands(&second, "valid"));
    assert_eq!(one["expires_at"], two["expires_at"]);
    assert_eq!(stage.pebble.issued(), 1);
    let said = |tide: &Tidegate| tide.log().contains("comes from another proxy");
    assert!(
        said(&first) != said(&second),
        "{}\n{}",
        first.log(),
        second.log()
    );
}

#[tokio::test]
async fn the_ca_may_come_to_a_proxy_that_did_not_order() {
    let stage = Stage::set(How::default()).await;
    let redis = Redis::run().await;
    // Where the CA looks is one proxy; the other one orders.
    let looked_at =
        one_of(&stage, &redis, 1, "").replace("acme: [a.test, www.a.test]", "acme: [b.test]");
    let looked_at = Tidegate::run(looked_at).await;
    knows_redis(&looked_at).await;
    let orders = one_of(&stage, &redis, 2, "")
        .replace(&format!("127.0.0.1:{}", stage.ports.0), "127.0.0.1:0")
        .replace(&format!("127.0.0.1:{}", stage.ports.1), "127.0.0.1:0");
    let orders = Tidegate::run(orders).await;
    stands(&orders, "valid").await;
    // No key is in Redis that nobody asked to share, and no answer is left there.
    eventually("the answers are taken away", SOON, async || {
        let keys = redis.keys("tg:{acme}").await;
        check(keys.is_empty(), keys.join(" "))
    })
    .await;
    drop(looked_at);
}

#[tokio::test]
async fn a_redis_that_is_away_keeps_nobody_from_a_certificate() {
    let stage = Stage::set(How::default()).await;
    let redis = Redis::run().await;
    redis.kill().await;
    let tide = Tidegate::run(one_of(&stage, &redis, 1, ", share: true")).await;
    stands(&tide, "valid").await;
}

#[tokio::test]
async fn two_processes_on_one_folder_order_once() {
    let stage = Stage::set(How::default()).await;
    // The CA asks on the ports of this one, which therefore has to be the first at the folder.
    let first = Tidegate::run(stage.config("")).await;
    let elsewhere = stage.config("");
    let elsewhere = elsewhere
        .replace(&format!("127.0.0.1:{}", stage.ports.0), "127.0.0.1:0")
        .replace(&format!("127.0.0.1:{}", stage.ports.1), "127.0.0.1:0");
    let second = Tidegate::run(elsewhere).await;
    let (one, two) = tokio::join!(stands(&first, "valid"), stands(&second, "valid"));
    assert_eq!(one["expires_at"], two["expires_at"]);
    assert_eq!(stage.pebble.issued(), 1);
}
