//! A session's node drains, fails, leaves: where the session goes, and that it stays there.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use super::{COOKIE, STICKY, Session, counted};
use crate::support::client::Request;
use crate::support::cookies::set;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// The session's next request goes elsewhere, and stays there.
async fn moves(session: &Session, tide: &Tidegate) -> Session {
    let answer = session.goes_on(tide).await;
    let moved = Session::of(&answer).expect("a new cookie");
    assert_ne!(moved.node, session.node);
    moved.stays(tide).await;
    moved
}

#[tokio::test]
async fn a_drain_without_grace_moves_its_sessions_at_once() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-2").await;
    tide.verb("web/app-2", "drain").await;
    let moved = moves(&session, &tide).await;
    counted(&tide, "lost", 1.0).await;
    tide.verb("web/app-2", "undrain").await;
    moved.stays(&tide).await;
}

#[tokio::test]
async fn a_node_that_drains_itself_lets_its_sessions_go_after_the_same_grace() {
    let apps = Origin::several(2).await;
    let health = "health: { path: /healthz, interval: 100ms, timeout: 90ms, agent: true }";
    let keys = format!("{STICKY}\n{health}\ndrain: {{ session_grace: 2s }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    apps[0].says("drain");
    tide.node_has("web/app-1", "agent_share", 0).await;
    session.stays(&tide).await;
    let moved = eventually("the grace is over", SOON, async || {
        let answer = session.goes_on(&tide).await;
        Session::of(&answer).ok_or("still there")
    })
    .await;
    assert_eq!(moved.node, "app-2");
    apps[0].says("");
    tide.node_has("web/app-1", "agent_share", 100).await;
    moved.stays(&tide).await;
}

#[tokio::test]
async fn a_drain_with_grace_keeps_its_sessions_until_that_is_over_and_takes_no_new_ones() {
    let apps = Origin::several(2).await;
    let keys = format!("{STICKY}\ndrain: {{ session_grace: 3s, timeout: 1s }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    let began = Instant::now();
    tide.verb("web/app-1", "drain").await;
    for _ in 0..20 {
        assert_eq!(Session::begin(&tide).await.node, "app-2");
    }
    session.stays(&tide).await;
    let seen = tide.node("web/app-1").await;
    let ends_in = seen["drain"]["ends_in_seconds"].as_f64().unwrap();
    assert!(
        ends_in > 1.0 && ends_in <= 4.0,
        "grace, then what is in flight: {seen}"
    );
    let moved = eventually("the grace is over", SOON, async || {
        let answer = session.goes_on(&tide).await;
        Session::of(&answer).ok_or("still there")
    })
    .await;
    let took = began.elapsed();
    assert!(took > ms(2_900), "after {took:?}");
    assert_eq!(moved.node, "app-2");
}

#[tokio::test]
async fn a_node_that_is_down_or_gone_has_no_sessions() {
    let apps = Origin::several(3).await;
    let keys = format!("{STICKY}\ndrain: {{ session_grace: 1h }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    tide.verb("web/app-1", "down").await;
    moves(&session, &tide).await;
    let session = Session::begin_on(&tide, "app-3").await;
    tide.apply(&web(&keys, nodes(&apps[..2]))).await;
    moves(&session, &tide).await;
    counted(&tide, "lost", 2.0).await;
}

#[tokio::test]
async fn a_killed_node_loses_its_sessions_for_good_and_no_request() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    apps[0].kill().await;
    let moved = moves(&session, &tide).await;
    let again = set(&session.goes_on(&tide).await, COOKIE);
    assert!(
        again.is_some(),
        "who still has the old cookie gets a new one"
    );
    apps[0].revive().await;
    tide.node_has("web/app-1", "health", "healthy").await;
    moved.stays(&tide).await;
    session.stays(&tide).await; // who kept the old cookie is back where it was
}

#[tokio::test]
async fn an_unhealthy_node_loses_its_sessions_until_they_come_back_with_the_old_cookie() {
    let apps = Origin::several(2).await;
    let keys = format!("{STICKY}\nhealth: {{ path: /healthz, interval: 100ms, rise: 1, fall: 1 }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    tide.node_has("web/app-2", "health", "healthy").await;
    let session = Session::begin_on(&tide, "app-1").await;
    apps[0].set_health(503);
    tide.node_has("web/app-1", "health", "unhealthy").await;
    let moved = moves(&session, &tide).await;
    apps[0].set_health(200);
    tide.node_has("web/app-1", "health", "healthy").await;
    moved.stays(&tide).await;
}

#[tokio::test]
async fn a_session_that_began_on_a_backup_stays_there() {
    let apps = Origin::several(2).await;
    let list = format!("[{}, {}]", apps[0], apps[1].with("backup: true"));
    let tide = Tidegate::run(web(STICKY, list)).await;
    apps[0].kill().await;
    let session = Session::begin_on(&tide, "app-2").await;
    apps[0].revive().await;
    eventually("the primary is used again", SOON, async || {
        let new = Session::begin(&tide).await;
        check(new.node == "app-1", new.node)
    })
    .await;
    session.stays(&tide).await;
}

#[tokio::test]
async fn a_session_stays_on_its_node_though_another_is_less_busy() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(&format!("balance: least_conn\n{STICKY}"), nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| {
        let reply = Reply::usual(seen);
        if seen.target() == "/held" {
            reply.when(&held)
        } else {
            reply
        }
    });
    let mut busy = Vec::new();
    for n in 1..=5 {
        let mut client = tide.connect().await;
        let request =
            Request::get("/held").field("Cookie", &format!("{COOKIE}={}", session.cookie));
        client.send(&request).await.unwrap();
        apps[0].holds(n).await;
        busy.push(client);
    }
    session.stays(&tide).await;
    assert_eq!(Session::begin(&tide).await.node, "app-2");
    gate.open();
    for client in &mut busy {
        assert_eq!(client.answer("GET").await.unwrap().node(), "app-1");
    }
}

#[tokio::test]
async fn a_connection_that_the_node_has_closed_meanwhile_is_no_reason_to_move() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-2").await;
    session.stays(&tide).await;
    let connections = apps[1].connections();
    let closed = AtomicBool::new(false);
    apps[1].answers(move |seen| match closed.swap(true, SeqCst) {
        false => Reply::close(),
        true => Reply::usual(seen),
    });
    session.stays(&tide).await;
    assert_eq!(apps[1].connections(), connections + 1, "another connection");
    counted(&tide, "lost", 0.0).await;
}

#[tokio::test]
async fn a_session_is_not_hedged_away_from_a_slow_node() {
    let apps = Origin::several(2).await;
    let keys = format!("{STICKY}\nretry: {{ hedge: {{ after: 20ms }}, budget: 100% }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    let session = Session::begin_on(&tide, "app-1").await;
    apps[0].answers(|seen| Reply::usual(seen).after(ms(200)));
    let answer = session.goes_on(&tide).await;
    assert_eq!((answer.node(), set(&answer, COOKIE)), ("app-1", None));
    let hedges = tide.metric("tidegate_upstream_hedges_total", &[("result", "asked")]);
    assert_eq!(hedges.await, Some(0.0));
}
