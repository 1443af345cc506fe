//! Connections to nodes are kept and used again.

use crate::support::load::Load;
use crate::support::proxy::one_node;
use crate::support::reply::Reply;
use crate::support::{Gate, raise_open_files};

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
