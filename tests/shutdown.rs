//! The process ends when nothing is in flight any more: not before, not much later, and never without a bound.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::wire::Broken;
use crate::support::{Gate, check, eventually, ms};

async fn with_shutdown(shutdown: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!("shutdown: {{ {shutdown} }}\n") + &web("", nodes([&app]));
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

/// Waits until the stats port says that it is not ready; it must say so at once.
async fn is_not_ready(tide: &Tidegate) {
    eventually("readiness is off", ms(500), async || {
        let answer = tide.api("GET", "/readyz", "").await;
        check(answer.status == 503, answer.text())
    })
    .await;
    assert!(
        tide.api("GET", "/readyz", "")
            .await
            .text()
            .contains("stopping")
    );
    assert_eq!(
        tide.api("GET", "/healthz", "").await.status,
        200,
        "alive is not ready"
    );
    assert_eq!(tide.status().await["state"], "stopping");
}

/// Requests that the origin holds until the gate opens.
async fn held(app: &Origin, tide: &Tidegate, n: usize) -> (Gate, Vec<Client>) {
    let gate = Gate::closed();
    let waits = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&waits));
    let mut clients = Vec::new();
    for _ in 0..n {
        let mut client = tide.connect().await;
        client.send(&Request::get("/held")).await.unwrap();
        clients.push(client);
    }
    app.holds(n).await;
    (gate, clients)
}

#[tokio::test]
async fn a_hundred_requests_in_flight_are_answered_and_then_it_ends_at_once() {
    let (app, tide) = with_shutdown("grace: 20s").await;
    app.answers(|seen| Reply::usual(seen).after(ms(100 + 19 * seen.serial as u64)));
    let mut idle = tide.connect().await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = tide.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        clients.push(client);
    }
    eventually("all have arrived", ms(5_000), async || {
        check(app.requests() == 100, app.requests())
    })
    .await;
    tide.signal(Signal::SIGTERM);
    is_not_ready(&tide).await;
    let answers = clients.into_iter().map(|mut client| {
        tokio::spawn(async move { client.answer("GET").await.map(|a| (a.status, a.stays_open)) })
    });
    let mut late = 0;
    for answer in answers.collect::<Vec<_>>() {
        let (status, stays_open) = answer.await.unwrap().expect("none is cut");
        assert_eq!(status, 200);
        late += usize::from(!stays_open);
    }
    assert!(late >= 50, "answers say Connection: close, {late} did");
    let last = Instant::now();
    assert_eq!(tide.ended(ms(5_000)).await, 0);
    assert!(
        last.elapsed() < ms(1_000),
        "{:?} after the last answer",
        last.elapsed()
    );
    assert!(idle.is_closed(), "the idle connection is closed too");
}

#[tokio::test]
async fn with_nothing_in_flight_it_ends_at_once_despite_idle_connections() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (_app, tide) = with_shutdown("grace: 20s").await;
        let mut kept = tide.connect().await;
        kept.ask(&Request::get("/")).await.unwrap();
        let _silent = tide.connect().await;
        let began = Instant::now();
        tide.signal(signal);
        assert_eq!(tide.ended(ms(5_000)).await, 0, "{signal}");
        assert!(
            began.elapsed() < ms(1_000),
            "{signal}: {:?}",
            began.elapsed()
        );
        assert_eq!(kept.until_closed(ms(1_000)).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn before_it_stops_it_still_accepts_and_says_goodbye() {
    let (app, tide) = with_shutdown("pre_stop: 1500ms, grace: 20s").await;
    let (gate, mut clients) = held(&app, &tide, 1).await;
    let mut kept = tide.connect().await;
    app.answers(Reply::usual);
    assert!(kept.ask(&Request::get("/")).await.unwrap().stays_open);
    let began = Instant::now();
    tide.signal(Signal::SIGTERM);
    is_not_ready(&tide).await;
    let fresh = tide.get("/fresh").await;
    assert_eq!((fresh.status, fresh.stays_open), (200, false));
    let last = kept.ask(&Request::get("/kept")).await.unwrap();
    assert_eq!((last.status, last.stays_open), (200, false));
    assert!(
        began.elapsed() < ms(1_500),
        "in time: {:?}",
        began.elapsed()
    );
    eventually("it accepts no more", ms(5_000), async || {
        check(Client::connect(tide.addr()).await.is_err(), "still accepts")
    })
    .await;
    assert!(began.elapsed() >= ms(1_400), "{:?}", began.elapsed());
    assert!(tide.process().runs(), "one request is in flight");
    gate.open();
    assert_eq!(clients[0].answer("GET").await.unwrap().status, 200);
    assert_eq!(tide.ended(ms(2_000)).await, 0);
}

#[tokio::test]
async fn grace_is_a_hard_stop() {
    let (app, tide) = with_shutdown("grace: 1s").await;
    let (_gate, mut clients) = held(&app, &tide, 3).await;
    let began = Instant::now();
    tide.signal(Signal::SIGTERM);
    assert_eq!(tide.ended(ms(6_000)).await, 0);
    let took = began.elapsed();
    assert!(took > ms(900) && took < ms(2_000), "{took:?}");
    for client in &mut clients {
        let cut = client.answer("GET").await.map(|a| a.status);
        assert!(cut != Ok(200), "{cut:?}");
    }
}

#[tokio::test]
async fn a_second_signal_means_now() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (app, tide) = with_shutdown("grace: 20s").await;
        let (_gate, _clients) = held(&app, &tide, 2).await;
        tide.signal(signal);
        is_not_ready(&tide).await;
        let began = Instant::now();
        tide.signal(signal);
        tide.ended(ms(5_000)).await;
        assert!(
            began.elapsed() < ms(1_000),
            "{signal}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn keep_alive_clients_under_load_lose_nothing() {
    let (app, tide) = with_shutdown("pre_stop: 3s, grace: 10s").await;
    app.answers(|seen| Reply::usual(seen).after(ms(seen.serial as u64 % 30)));
    let load = Load::at(300).new_connection_every(10).start(tide.addr());
    let reaches = async |n: usize| {
        eventually("the load goes on", ms(5_000), async || {
            check(app.requests() >= n, app.requests())
        })
        .await;
    };
    reaches(150).await;
    tide.signal(Signal::SIGTERM);
    is_not_ready(&tide).await;
    let before = app.requests();
    reaches(before + 300).await;
    let tally = load.stop().await;
    tally.nothing_failed_of(400);
    assert!(
        tally.connections > 250,
        "each answer ends its connection: {tally}"
    );
    assert_eq!(tide.ended(ms(5_000)).await, 0);
}

#[tokio::test]
async fn an_upload_under_way_may_finish() {
    let (app, tide) = with_shutdown("grace: 20s").await;
    app.answers(|_| Reply::mirror());
    let request = Request::post("/", "first half, second half");
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    client
        .send_bytes(&request.body_bytes()[..10])
        .await
        .unwrap();
    app.holds(1).await;
    tide.signal(Signal::SIGTERM);
    is_not_ready(&tide).await;
    client
        .send_bytes(&request.body_bytes()[10..])
        .await
        .unwrap();
    let answer = client.answer("POST").await.unwrap();
    assert_eq!(answer.text(), "first half, second half");
    assert_eq!(tide.ended(ms(3_000)).await, 0);
}

#[tokio::test]
async fn a_long_answer_under_way_arrives_whole() {
    let (app, tide) = with_shutdown("grace: 20s").await;
    let body: Vec<u8> = (0..16 << 20).map(|i: usize| (i % 251) as u8).collect();
    let whole = body.clone();
    app.answers(move |_| Reply::text(whole.clone()));
    let mut client = Client::connect_narrow(tide.addr()).await.unwrap();
    client.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    tide.signal(Signal::SIGTERM);
    is_not_ready(&tide).await;
    let answer: Result<_, Broken> = client.answer("GET").await;
    assert!(answer.unwrap().body == body);
    assert_eq!(tide.ended(Duration::from_secs(3)).await, 0);
}
