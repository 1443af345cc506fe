//! What a node says of itself in the answer to a probe, and what becomes of it.

use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

const LISTENS: &str =
    "health: { path: /healthz, interval: 100ms, timeout: 500ms, rise: 2, fall: 3, agent: true }";

/// Two nodes that are healthy, and the proxy in front of them.
async fn two(health: &str) -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(health, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    tide.node_has("web/app-2", "health", "healthy").await;
    (apps, tide)
}

/// How many of 100 requests the first node gets.
async fn share(tide: &Tidegate, apps: &[Origin]) -> usize {
    let before = apps[0].requests();
    let load = Load::at(800).count(100);
    load.run(tide.addr()).await.nothing_failed_of(100);
    apps[0].requests() - before
}

#[tokio::test]
async fn a_node_that_says_drain_gets_nothing_new_and_finishes_what_it_has() {
    let (apps, tide) = two(LISTENS).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let load = Load::at(200).count(2).start(tide.addr());
    apps[0].holds(1).await;
    apps[0].says("drain");
    tide.node_has("web/app-1", "agent_share", 0).await;
    let node = tide.node("web/app-1").await;
    assert_eq!(
        (&node["state"], &node["health"]),
        (&"up".into(), &"healthy".into())
    );
    assert_eq!(node["effective_weight"], 0);
    assert_eq!(share(&tide, &apps).await, 0);
    gate.open();
    load.stop().await.nothing_failed_of(2);

    let told = "node web/app-1: up healthy: it asks for no new requests";
    assert!(tide.log().contains(told), "{}", tide.log());

    apps[0].says("");
    tide.node_has("web/app-1", "agent_share", 100).await;
    assert_eq!(share(&tide, &apps).await, 50);
    let told = "it takes requests as the file says again";
    assert_eq!(tide.log().matches(told).count(), 1, "{}", tide.log());
}

#[tokio::test]
async fn a_node_that_says_down_is_unhealthy_at_once_and_comes_back_like_any_other() {
    let (apps, tide) = two(LISTENS).await;
    let before = apps[0].probes();
    apps[0].says("down");
    tide.node_has("web/app-1", "health", "unhealthy").await;
    assert!(apps[0].probes() - before <= 2, "fall: 3 is not waited for");
    let node = tide.node("web/app-1").await;
    assert_eq!(node["last_check"]["text"], "it says that it is down");
    assert_eq!(share(&tide, &apps).await, 0);
    let before = apps[0].probes();
    apps[0].says("up");
    tide.node_has("web/app-1", "health", "healthy").await;
    assert!(apps[0].probes() - before >= 2, "rise: 2");
    assert_eq!(share(&tide, &apps).await, 50);
}

#[tokio::test]
async fn what_was_said_holds_until_a_probe_passes_without_it() {
    let (apps, tide) = two(LISTENS).await;
    apps[0].says("drain");
    tide.node_has("web/app-1", "agent_share", 0).await;
    apps[0].says("");
    apps[0].set_health(503);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    assert_eq!(tide.node("web/app-1").await["agent_share"], 0);
    apps[0].set_health(200);
    tide.node_has("web/app-1", "agent_share", 100).await;
    tide.node_has("web/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn words_nobody_knows_change_nothing() {
    let (apps, tide) = two(LISTENS).await;
    apps[0].says("sleepy, weight=400, drain");
    tide.node_has("web/app-1", "agent_share", 0).await;
    apps[0].says("sleepy");
    tide.node_has("web/app-1", "agent_share", 100).await;
    assert_eq!(tide.node("web/app-1").await["health"], "healthy");
}

#[tokio::test]
async fn nobody_listens_unless_the_file_says_so() {
    let deaf = LISTENS.replace("agent: true", "agent: false");
    let (apps, tide) = two(&deaf).await;
    apps[0].says("down, weight=0");
    let probes = apps[0].probes();
    eventually("three more probes", ms(8_000), async || {
        check(apps[0].probes() >= probes + 3, apps[0].probes())
    })
    .await;
    let node = tide.node("web/app-1").await;
    assert_eq!(
        (&node["health"], &node["agent_share"]),
        (&"healthy".into(), &100.into())
    );
    assert_eq!(share(&tide, &apps).await, 50);

    tide.apply(&web(LISTENS, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "unhealthy").await;
    tide.node_has("web/app-1", "agent_share", 0).await;
    tide.apply(&web(&deaf, nodes(&apps))).await;
    tide.node_has("web/app-1", "agent_share", 100).await;
    tide.node_has("web/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn a_reload_does_not_forget_what_a_node_said() {
    let (apps, tide) = two(LISTENS).await;
    apps[0].says("drain");
    tide.node_has("web/app-1", "agent_share", 0).await;
    let weighted = format!("[{}, {}]", apps[0].with("weight: 5"), apps[1]);
    tide.apply(&web(LISTENS, weighted)).await;
    assert_eq!(tide.node("web/app-1").await["agent_share"], 0);
    assert_eq!(share(&tide, &apps).await, 0);
}

#[tokio::test]
async fn a_node_that_asks_for_half_its_weight_gets_half() {
    let (apps, tide) = two(LISTENS).await;
    apps[0].says("up, weight=50");
    tide.node_has("web/app-1", "agent_share", 50).await;
    let third = share(&tide, &apps).await;
    assert!((30..=36).contains(&third), "{third} of 100");
    apps[0].says("ready");
    tide.node_has("web/app-1", "agent_share", 100).await;
    assert_eq!(share(&tide, &apps).await, 50);
}
