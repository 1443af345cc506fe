//! Every wait has an end: towards clients and towards nodes, each limit acts when its time has come and not before.

use std::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node_with, web};
use crate::support::reply::{Reply, Step};
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms, pattern, took_about};

async fn with_client_timeouts(timeouts: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!("timeouts: {{ {timeouts} }}\n") + &web("", nodes([&app]));
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let (app, tide) = with_client_timeouts("header: 400ms").await;
    let mut client = tide.connect().await;
    let began = Instant::now();
    client
        .send_bytes(b"GET / HTTP/1.1\r\nHost: ")
        .await
        .unwrap();
    client.until_closed(ms(5_000)).await.unwrap();
    took_about(began, ms(400));
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn the_head_has_one_limit_however_it_trickles_in() {
    let (_app, tide) = with_client_timeouts("header: 500ms").await;
    let mut client = tide.connect().await;
    let began = Instant::now();
    client.send_bytes(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    eventually("it is cut off", ms(5_000), async || {
        let sent = client.send_bytes(b"x").await;
        check(sent.is_err() || client.is_closed(), "still open")
    })
    .await;
    took_about(began, ms(500));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_time_and_not_before() {
    let (_app, tide) = with_client_timeouts("idle: 600ms").await;
    let mut silent = tide.connect().await;
    let mut kept = tide.connect().await;
    kept.ask(&Request::get("/1")).await.unwrap();
    tokio::time::sleep(ms(200)).await;
    let asked = Request::get("/2").field("Keep-Alive", "timeout=3600");
    assert!(kept.ask(&asked).await.unwrap().stays_open);
    let began = Instant::now();
    assert_eq!(kept.until_closed(ms(5_000)).await, Ok(vec![]));
    took_about(began, ms(600));
    silent
        .until_closed(ms(2_000))
        .await
        .expect("silence from the start is idle too");
}

#[tokio::test]
async fn an_upload_that_stalls_is_cut_off() {
    let (app, tide) = with_client_timeouts("body: 400ms").await;
    let request = Request::post("/", pattern(1_000));
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    client
        .send_bytes(&request.body_bytes()[..10])
        .await
        .unwrap();
    let began = Instant::now();
    client.until_closed(ms(5_000)).await.unwrap();
    took_about(began, ms(400));
    eventually("the node is let go", ms(3_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
    assert!(
        app.seen().iter().all(|s| !s.complete),
        "no half body looks whole"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (app, tide) = with_client_timeouts("write: 400ms").await;
    app.answers(|_| Reply::text(vec![b'x'; 16 << 20]));
    let mut client = Client::connect_narrow(tide.addr()).await.unwrap();
    let began = Instant::now();
    client.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    eventually("the node is let go", ms(6_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
    took_about(began, ms(400));
    let rest = client.answer("GET").await.map(|a| a.body.len());
    assert!(matches!(rest, Err(Broken::Cut | Broken::Reset)), "{rest:?}");
}

#[tokio::test]
async fn a_whole_request_has_a_limit_when_the_file_says_so() {
    let (app, tide) = with_client_timeouts("request: 500ms").await;
    app.answers(|seen| Reply::usual(seen).after(ms(20_000)));
    let began = Instant::now();
    let answer = tide.get("/").await;
    took_about(began, ms(500));
    assert_eq!(answer.status, 504, "{}", answer.text());

    let drip = [
        Reply::chunked_head(),
        Step::Chunk(b"drop".into()),
        Step::Wait(ms(20_000)),
    ];
    app.answers(move |_| Reply::steps(drip.clone()));
    let began = Instant::now();
    let cut = tide.try_ask(&Request::get("/drip")).await.map(|a| a.status);
    took_about(began, ms(500));
    assert!(matches!(cut, Err(Broken::Cut | Broken::Reset)), "{cut:?}");
}

#[tokio::test]
async fn a_node_that_stops_in_the_middle_or_does_not_read_is_given_up() {
    let (app, tide) = one_node_with("timeouts: { read: 400ms, write: 400ms }").await;
    let stalls = [
        Reply::chunked_head(),
        Step::Chunk(b"part".into()),
        Step::Wait(ms(20_000)),
    ];
    app.answers(move |_| Reply::steps(stalls.clone()));
    let began = Instant::now();
    let cut = tide
        .try_ask(&Request::get("/stalls"))
        .await
        .map(|a| a.status);
    assert!(matches!(cut, Err(Broken::Cut | Broken::Reset)), "{cut:?}");
    took_about(began, ms(400));

    app.answers(|_| Reply::steps([Step::Wait(ms(20_000))]).without_reading());
    let began = Instant::now();
    let deaf = Request::post("/deaf", vec![b'x'; 24 << 20]);
    let ended = tide.try_ask(&deaf).await.map(|a| a.status);
    assert!(
        !matches!(ended, Ok(200) | Err(Broken::TooLate)),
        "{ended:?}"
    );
    took_about(began, ms(400));
}

#[tokio::test]
async fn an_unused_connection_to_a_node_is_closed_in_its_time() {
    let (app, tide) = one_node_with("timeouts: { idle: 400ms }").await;
    tide.get("/").await;
    let began = Instant::now();
    assert_eq!(app.open_connections(), 1, "kept for the next request");
    eventually("it is closed", ms(5_000), async || {
        check(app.open_connections() == 0, app.open_connections())
    })
    .await;
    took_about(began, ms(400));
}
