//! Connections to nodes are kept and used again.

use crate::support::load::Load;
use crate::support::origin::Origin;
use crate::support::proxy::{one_node, one_node_with};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms, raise_open_files};

#[tokio::test]
async fn connections_to_a_node_are_used_again() {
    let (app, tide) = one_node().await;
    let load = Load::at(400).count(400).new_connection_every(1);
    load.run(tide.addr()).await.nothing_failed_of(400);
    let opened = app.connections();
    assert!(opened <= 40, "{opened} connections for 400 requests");
    let reused = tide.metric(
        "tidegate_upstream_connection_reuse_total",
        &[("upstream", "web")],
    );
    assert!(reused.await.is_some_and(|n| n >= 360.0));
}

#[tokio::test]
async fn a_thousand_connections_to_a_node_wait_for_the_next_wave() {
    const WAVE: usize = 1_060;
    raise_open_files();
    let (app, tide) = one_node().await;
    for _ in 0..2 {
        let gate = Gate::closed();
        let held = gate.clone();
        app.answers(move |seen| Reply::usual(seen).when(&held));
        let wave = Load::at(4_000).count(WAVE).start(tide.addr());
        app.holds(WAVE).await;
        gate.open();
        wave.done().await.nothing_failed_of(WAVE);
    }
    let opened = app.connections();
    assert!(
        opened < WAVE + 60,
        "{opened} connections for two waves of {WAVE}"
    );
}

async fn none_is_open(app: &Origin) {
    eventually("no connection is open", ms(2_000), async || {
        let open = app.open_connections();
        check(open == 0, format!("{open} connections"))
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_to_a_node_is_closed_in_its_time() {
    let (app, tide) = one_node_with("timeouts: { idle: 400ms }").await;
    for _ in 0..2 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!((app.connections(), app.open_connections()), (1, 1));
    none_is_open(&app).await;
    assert_eq!(tide.get("/").await.status, 200);
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn no_connection_to_a_node_is_kept_for_no_time() {
    let (app, tide) = one_node_with("timeouts: { idle: 0s }").await;
    for n in 1..=3 {
        assert_eq!(tide.get("/").await.status, 200);
        assert_eq!(app.connections(), n);
    }
    none_is_open(&app).await;
}

#[tokio::test]
async fn idle_connections_to_a_drained_node_are_closed_at_once() {
    let (app, tide) = one_node().await;
    let node = format!("web/{}", app.name());
    for n in 1..=2 {
        assert_eq!(tide.get("/").await.status, 200);
        assert_eq!((app.connections(), app.open_connections()), (n, 1));
        tide.verb(&node, "drain").await;
        none_is_open(&app).await;
        tide.verb(&node, "undrain").await;
    }
}
