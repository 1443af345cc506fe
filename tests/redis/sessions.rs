//! Sessions that all proxies know of: begun through one, followed by every other, and agreed on without Redis too.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{RECOVERY, is_used};
use crate::support::client::Answer;
use crate::support::cookies::get_with;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

/// Apps that begin a session of this name for a request to `/login?NAME` and know it afterwards.
async fn apps(n: usize) -> Vec<Origin> {
    let apps = Origin::several(n).await;
    for app in &apps {
        app.answers(|seen| match seen.target().strip_prefix("/login?") {
            Some(id) => Reply::usual(seen).field("set-cookie", &format!("sid={id}; Path=/")),
            None => Reply::usual(seen),
        });
    }
    apps
}

/// A configuration that follows the sessions of these apps, with these keys more for Redis and for `learn`.
fn file(redis: &Redis, keys: &str, learn: &str, apps: &[Origin]) -> String {
    format!(
        "cache: {{ redis: {{ url: \"{}\"{keys} }} }}\n\
         upstreams:\n  web:\n    sticky: {{ learn: {{ cookie: sid, store: redis{learn} }} }}\n    nodes: {}\n\
         routes: [{{ upstream: web }}]\n",
        redis.url(),
        nodes(apps)
    )
}

/// Two proxies with this configuration, both with a connection to Redis.
async fn two(yaml: &str) -> [Tidegate; 2] {
    let both = [Tidegate::run(yaml).await, Tidegate::run(yaml).await];
    for tide in &both {
        is_used(tide).await;
    }
    both
}

/// Names of sessions, as many.
fn ids(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("visitor-{i}-of-many")).collect()
}

fn node_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.node().to_owned()
}

/// Begins a session each and says which node has it.
async fn login(tide: &Tidegate, ids: &[String]) -> Vec<String> {
    let mut on = Vec::new();
    for id in ids {
        on.push(node_of(&tide.get(&format!("/login?{id}")).await));
    }
    on
}

/// The node of a session's next request.
async fn node(tide: &Tidegate, id: &str) -> String {
    node_of(&tide.ask(&get_with(&format!("sid={id}"))).await)
}

/// The node of each session's next request.
async fn each(tide: &Tidegate, ids: &[String]) -> Vec<String> {
    let mut on = Vec::new();
    for id in ids {
        on.push(node(tide, id).await);
    }
    on
}

/// Waits until Redis knows so many sessions.
async fn are_told(redis: &Redis, n: usize) {
    eventually("redis knows them", SOON, async || {
        let keys = redis.keys("tg:s:web:").await;
        check(keys.len() == n, format!("{} keys", keys.len()))
    })
    .await;
}

fn differ(nodes: &[String]) -> usize {
    nodes.iter().collect::<BTreeSet<_>>().len()
}

async fn lookups(tide: &Tidegate, result: &str) -> f64 {
    let labels = [("upstream", "web"), ("result", result)];
    let found = tide.metric("tidegate_sticky_shared_lookups_total", &labels);
    found.await.expect("it is counted from the beginning")
}

#[tokio::test]
async fn a_session_begun_through_one_proxy_is_followed_by_the_other() {
    let (redis, apps, ids) = (Redis::run().await, apps(3).await, ids(12));
    let [one, other] = two(&file(&redis, "", "", &apps)).await;
    let begun = login(&one, &ids).await;
    assert_eq!(differ(&begun), 3, "they are balanced");
    are_told(&redis, 12).await;
    for _ in 0..3 {
        assert_eq!(each(&other, &ids).await, begun);
        assert_eq!(each(&one, &ids).await, begun);
    }
    assert_eq!(lookups(&other, "found").await, 12.0, "once each");
    let asked = lookups(&one, "found").await + lookups(&one, "unknown").await;
    assert_eq!(asked, 0.0, "who began them knows them");
}

#[tokio::test]
async fn a_proxy_that_is_started_anew_follows_the_sessions_that_were_there() {
    let (redis, apps, ids) = (Redis::run().await, apps(3).await, ids(12));
    let yaml = file(&redis, "", "", &apps);
    let first = Tidegate::run(&yaml).await;
    is_used(&first).await;
    let begun = login(&first, &ids).await;
    are_told(&redis, 12).await;
    drop(first);
    let anew = Tidegate::run(&yaml).await;
    is_used(&anew).await;
    assert_eq!(each(&anew, &ids).await, begun);
}

#[tokio::test]
async fn sessions_of_a_drained_node_move_to_the_same_node_on_every_proxy() {
    let (redis, apps, ids) = (Redis::run().await, apps(4).await, ids(16));
    let [one, other] = two(&file(&redis, "", "", &apps)).await;
    let begun = login(&one, &ids).await;
    are_told(&redis, 16).await;
    assert_eq!(each(&other, &ids).await, begun);
    for tide in [&one, &other] {
        tide.verb("web/app-1", "drain").await;
    }
    let moved = each(&other, &ids).await;
    assert_eq!(each(&one, &ids).await, moved);
    let mut of_drained = Vec::new();
    for (was, is) in begun.iter().zip(&moved) {
        match was.as_str() {
            "app-1" => of_drained.push(is.clone()),
            _ => assert_eq!(was, is, "the others stay"),
        }
    }
    assert_eq!(of_drained.len(), 4);
    assert!(!of_drained.contains(&"app-1".into()), "{of_drained:?}");
    assert!(differ(&of_drained) > 1, "they spread: {of_drained:?}");
}

#[tokio::test]
async fn sessions_of_a_dead_node_move_to_the_same_node_on_every_proxy_without_redis() {
    let (redis, apps, ids) = (Redis::run().await, apps(4).await, ids(16));
    let [one, other] = two(&file(&redis, "", "", &apps)).await;
    let begun = login(&one, &ids).await;
    are_told(&redis, 16).await;
    assert_eq!(each(&other, &ids).await, begun);
    redis.kill().await;
    apps[0].kill().await;
    let moved = each(&one, &ids).await;
    assert_eq!(each(&other, &ids).await, moved);
    assert!(!moved.contains(&"app-1".into()), "{moved:?}");
}

#[tokio::test]
async fn a_session_that_another_proxy_moved_is_followed_though_its_old_node_is_fine_here() {
    let (redis, apps, ids) = (Redis::run().await, apps(3).await, ids(6));
    // Believed for half a second.
    let [one, other] = two(&file(&redis, "", ", ttl: 2s", &apps)).await;
    let begun = login(&one, &ids).await;
    are_told(&redis, 6).await;
    assert_eq!(each(&other, &ids).await, begun);
    one.verb("web/app-1", "drain").await;
    let moved = each(&one, &ids).await;
    assert_ne!(moved, begun);
    eventually("the other follows", SOON, async || {
        let on = each(&other, &ids).await;
        check(on == moved, format!("{on:?}, not {moved:?}"))
    })
    .await;
    // And nobody takes them back.
    one.verb("web/app-1", "undrain").await;
    let end = Instant::now() + ms(1_200);
    while Instant::now() < end {
        assert_eq!(each(&one, &ids).await, moved);
        assert_eq!(each(&other, &ids).await, moved);
    }
}

#[tokio::test]
async fn without_redis_all_proxies_choose_the_same_node_and_wait_no_longer_than_they_may() {
    let (redis, apps, ids) = (Redis::run().await, apps(4).await, ids(40));
    let limit = ms(300);
    let [one, other] = two(&file(&redis, ", timeout: 300ms", "", &apps)).await;
    redis.stop();
    let mut chosen = Vec::new();
    for id in &ids[..3] {
        let began = Instant::now();
        chosen.push(node(&one, id).await);
        let took = began.elapsed();
        assert!(took >= limit, "redis was asked: {took:?}");
        assert!(took < 2 * limit, "no longer than it may take: {took:?}");
    }
    // Nobody asks any more once it failed five times within ten seconds.
    for tide in [&one, &other] {
        eventually("the breaker is open", RECOVERY, async || {
            node(tide, "somebody").await;
            check(tide.log().contains("is not used"), tide.log())
        })
        .await;
    }
    let began = Instant::now();
    chosen.extend(each(&one, &ids[3..]).await);
    assert_eq!(each(&other, &ids).await, chosen);
    let took = began.elapsed();
    assert!(took < limit * 10, "{took:?} for 77 requests");
    assert_eq!(differ(&chosen), 4, "they spread: {chosen:?}");
    redis.go_on();
}

#[tokio::test]
async fn what_was_learned_while_redis_was_away_is_told_when_it_is_back() {
    let (mut redis, apps, ids) = (Redis::run().await, apps(3).await, ids(12));
    let [one, other] = two(&file(&redis, "", "", &apps)).await;
    redis.kill().await;
    let begun = login(&one, &ids).await;
    assert_eq!(each(&one, &ids).await, begun, "it knows them itself");
    redis.restart().await;
    are_told(&redis, 12).await;
    eventually("both have said that they are there", RECOVERY, async || {
        let there = redis.ask(&["HLEN", "tg:{peers}:info"]).await;
        check(there == ["2"], there.join("\n"))
    })
    .await;
    assert_eq!(each(&other, &ids).await, begun);
}

#[tokio::test]
async fn a_redis_that_lost_everything_learns_it_again_from_sessions_that_go_on() {
    let (redis, apps, ids) = (Redis::run().await, apps(3).await, ids(6));
    let [one, other] = two(&file(&redis, "", ", ttl: 4s", &apps)).await;
    let begun = login(&one, &ids).await;
    are_told(&redis, 6).await;
    redis.ask(&["FLUSHALL"]).await;
    eventually("they are told again", SOON, async || {
        assert_eq!(each(&one, &ids).await, begun);
        let keys = redis.keys("tg:s:web:").await;
        check(keys.len() == 6, format!("{} keys", keys.len()))
    })
    .await;
    assert_eq!(each(&other, &ids).await, begun);
}

#[tokio::test]
async fn redis_keeps_a_session_as_long_as_it_is_used_and_forgets_it_afterwards() {
    let (redis, apps, ids) = (Redis::run().await, apps(2).await, ids(1));
    let [one, _] = two(&file(&redis, "", ", ttl: 2s", &apps)).await;
    let begun = login(&one, &ids).await;
    are_told(&redis, 1).await;
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(each(&one, &ids).await, begun);
        assert_eq!(redis.keys("tg:s:web:").await.len(), 1, "it is used");
        tokio::time::sleep(ms(100)).await; // as its visitor clicks
    }
    are_told(&redis, 0).await;
}

#[tokio::test]
async fn no_id_and_no_name_of_a_node_can_be_read_in_redis() {
    let (redis, apps) = (Redis::run().await, apps(3).await);
    let secret = "d0nt-sh0w-this-t0-anyb0dy";
    let [one, other] = two(&file(&redis, ", prefix: shop", "", &apps)).await;
    let begun = login(&one, &[secret.to_owned()]).await;
    let keys = eventually("redis knows it", SOON, async || {
        let keys = redis.keys("").await;
        let about = keys.iter().any(|key| key.starts_with("shop:s:web:"));
        check(about, keys.join(" ")).map(|()| keys)
    })
    .await;
    assert_eq!(node(&other, secret).await, begun[0]);
    for key in keys.iter().filter(|key| key.contains(":s:")) {
        let value = redis.get(key).await.unwrap();
        let both = format!("{key} {}", String::from_utf8_lossy(&value));
        let (_, hash) = key.rsplit_once(':').unwrap();
        assert_eq!(hash.len(), 32, "{both}");
        assert_eq!(value.len(), 16, "{both}");
        // As it is, and as its bytes may be written.
        for shown in [
            secret,
            "d0nt",
            "64306e74",
            "app-",
            &apps[0].addr().to_string(),
        ] {
            assert!(!both.contains(shown), "{both}");
        }
    }
}

#[tokio::test]
async fn a_request_without_a_session_is_balanced_and_asks_nobody() {
    let (redis, apps) = (Redis::run().await, apps(3).await);
    let [one, _] = two(&file(&redis, "", "", &apps)).await;
    let mut on = Vec::new();
    for _ in 0..6 {
        on.push(node_of(&one.get("/").await));
    }
    assert_eq!(differ(&on[..3]), 3, "{on:?}");
    assert_eq!(on[..3], on[3..], "in turn");
    for result in ["found", "unknown", "fault"] {
        assert_eq!(lookups(&one, result).await, 0.0, "{result}");
    }
}
