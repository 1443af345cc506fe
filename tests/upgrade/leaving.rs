//! The process that was replaced: patient with who is connected, deaf to what is no longer its business, and gone in time.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::Reign;
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::web;
use crate::support::reply::Reply;
use crate::support::websocket::{End, Node, TEXT};
use crate::support::{Gate, ms, took_about};

async fn with_shutdown(shutdown: &str) -> (Origin, Reign) {
    let app = Origin::start("app-1").await;
    let yaml = format!("shutdown: {{ {shutdown} }}\n{}", web("", nodes([&app])));
    let reign = Reign::begin(&yaml).await;
    (app, reign)
}

/// A connection that had an answer and waits.
async fn idle(reign: &Reign) -> Client {
    let mut client = reign.connect().await;
    assert!(client.ask(&Request::get("/")).await.unwrap().stays_open);
    client
}

/// A request that the app answers once the gate opens.
async fn held(app: &Origin, reign: &Reign) -> (Client, Gate) {
    let gate = Gate::closed();
    let waits = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&waits));
    let mut held = reign.connect().await;
    held.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    (held, gate)
}

#[tokio::test]
async fn an_idle_connection_gets_its_next_answer_and_then_the_old_one_ends() {
    let (_app, reign) = with_shutdown("grace: 1s").await;
    let mut idle = idle(&reign).await;
    let mut silent = reign.connect().await;
    reign.upgrade().await;
    tokio::time::sleep(ms(1_500)).await; // longer than the last call and than `grace`
    let last = idle.ask(&Request::get("/")).await.unwrap();
    assert_eq!((last.status, last.stays_open), (200, false));
    let last = silent.ask(&Request::get("/")).await.unwrap();
    assert_eq!((last.status, last.stays_open), (200, false));
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    assert_eq!(reign.get("/").await.status, 200);
}

#[tokio::test]
async fn a_long_answer_arrives_whole_from_the_process_that_began_it() {
    let (app, reign) = with_shutdown("grace: 1s").await;
    let body: Vec<u8> = (0..16 << 20).map(|i: usize| (i % 251) as u8).collect();
    let whole = body.clone();
    app.answers(move |_| Reply::text(whole.clone()));
    let mut client = Client::connect_narrow(reign.addr()).await.unwrap();
    client.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    reign.upgrade().await;
    assert!(client.answer("GET").await.unwrap().body == body);
    // The head that it had already promised another answer.
    app.answers(Reply::usual);
    let last = client.ask(&Request::get("/")).await.unwrap();
    assert_eq!((last.status, last.stays_open), (200, false));
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
}

#[tokio::test]
async fn its_patience_ends_and_then_idle_connections_close_and_requests_are_cut() {
    let (app, reign) = with_shutdown("handover: 1500ms").await;
    let mut idle = idle(&reign).await;
    let (mut held, _gate) = held(&app, &reign).await;
    reign.upgrade().await;
    let began = Instant::now();
    assert_eq!(idle.until_closed(ms(5_000)).await, Ok(vec![]));
    took_about(began, ms(1_500));
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    reign.says("shutdown.handover").await;
    assert_ne!(held.answer("GET").await.map(|a| a.status), Ok(200));
}

#[tokio::test]
async fn told_to_stop_it_gives_what_is_in_flight_its_grace_and_the_second_time_none() {
    let (app, reign) = with_shutdown("grace: 20s").await;
    let mut idle = idle(&reign).await;
    let (mut held, gate) = held(&app, &reign).await;
    reign.upgrade().await;
    reign.signal(Signal::SIGTERM);
    let began = Instant::now();
    assert_eq!(idle.until_closed(ms(5_000)).await, Ok(vec![]));
    assert!(began.elapsed() < ms(2_000), "{:?}", began.elapsed());
    assert!(reign.process().runs(), "one request is in flight");
    gate.open();
    assert_eq!(held.answer("GET").await.unwrap().status, 200);
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    assert_eq!(
        reign.get("/").await.status,
        200,
        "the other one was told nothing"
    );
}

#[tokio::test]
async fn it_reloads_no_more_and_says_who_does() {
    let (_app, reign) = with_shutdown("grace: 20s").await;
    let _idle = idle(&reign).await;
    let next = reign.upgrade().await;
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        reign.signal(signal);
        reign
            .says(&format!("{signal}: this process has handed over"))
            .await;
    }
    reign
        .says(&format!("process {next} serves, send it there"))
        .await;
    let before = reign.generation().await;
    let whole = std::fs::read_to_string(reign.path()).unwrap();
    reign.write_file("tidegate.yaml", &whole.replace("grace: 20s", "grace: 21s"));
    reign.reaches_generation(before + 1).await;
    // The one that left would have found it within the same second.
    tokio::time::sleep(ms(1_500)).await;
    let told = reign.log().matches("shutdown.grace 20s → 21s").count();
    assert_eq!(told, 1, "{}", reign.log());
    assert_eq!(reign.pid().await, next);
}

#[tokio::test]
async fn a_websocket_goes_on_and_is_sent_away_when_patience_ends() {
    let node = Node::open().await;
    let yaml = format!("shutdown: {{ handover: 1s }}\n{}", web("", node.entry()));
    let reign = Reign::begin(&yaml).await;
    let chat = Request::websocket("/chat");
    let ((mut client, _), (mut app, _)) =
        tokio::join!(End::opens(reign.addr(), &chat), node.agrees("", b""));
    reign.upgrade().await;
    let began = Instant::now();
    client.says(TEXT, b"still here").await;
    assert_eq!(app.hears().await.unwrap().payload, b"still here");
    tokio::join!(client.is_sent_away(), app.is_sent_away());
    took_about(began, ms(1_000));
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
}
