//! A client that shuts its sending side is answered; one that is gone is noticed.
//!
//! From here both look alike: what tells them apart is how long they stay.

use std::time::Instant;

use crate::support::client::Request;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, one_node, one_node_under};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms, took_about};

#[tokio::test]
async fn whoever_has_asked_all_it_wants_is_answered() {
    let (app, tide) = one_node().await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |_| Reply::mirror().when(&held));
    let requests = [
        Request::get("/plain"),
        Request::post("/sized", "a body"),
        Request::post("/chunked", "a body in chunks").chunked(5),
    ];
    let mut clients = Vec::new();
    for request in &requests {
        let mut client = tide.connect().await;
        client.send(request).await.unwrap();
        client.shut().await;
        clients.push(client);
    }
    app.holds(3).await; // the end has come before the answer
    gate.open();
    for (client, request) in clients.iter_mut().zip(&requests) {
        let answer = client.answer(request.its_method()).await.unwrap();
        assert_eq!(answer.status, 200);
        let sent = match request.its_method() {
            "GET" => 0,
            _ => app
                .seen()
                .iter()
                .find(|s| s.id() == request.its_id())
                .unwrap()
                .body
                .len(),
        };
        assert_eq!(answer.body.len(), sent);
        assert_eq!(client.until_closed(ms(3_000)).await, Ok(vec![]));
    }
    assert!(app.seen().iter().all(|s| s.complete));
    for line in [tide.told("/plain").await, tide.told("/chunked").await] {
        assert_eq!(line["end"], "ok", "{line}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn two_requests_and_the_end_in_one_piece_are_both_answered() {
    let (app, tide) = one_node().await;
    let mut client = tide.connect().await;
    let requests = [
        Request::post("/first", "one").chunked(2),
        Request::get("/second"),
    ];
    let piece: Vec<u8> = requests
        .iter()
        .flat_map(|r| [r.head_bytes(), r.body_bytes()].concat())
        .collect();
    client.send_bytes(&piece).await.unwrap();
    client.shut().await;
    for request in &requests {
        let answer = client.answer(request.its_method()).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(request.its_id()));
    }
    assert_eq!(client.until_closed(ms(3_000)).await, Ok(vec![]));
    assert_eq!(app.requests(), 2);
    tide.is_empty().await;
}

/// A node that holds what it gets, and the proxy with this patience.
async fn holding(half_close: &str) -> (Origin, Tidegate, Gate) {
    let top = format!("requests: {{ half_close: {half_close} }}\n");
    let (app, tide) = one_node_under(&top).await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    (app, tide, gate)
}

#[tokio::test]
async fn who_left_is_noticed_when_patience_is_over() {
    let (app, tide, _gate) = holding("600ms").await;
    let mut client = tide.connect().await;
    client.send(&Request::get("/left")).await.unwrap();
    app.holds(1).await;
    let began = Instant::now();
    drop(client);
    let line = tide.told("/left").await;
    took_about(began, ms(600));
    assert_eq!(line["end"], "client_abort", "{line}");
    tide.is_empty().await;
}

#[tokio::test]
async fn without_patience_a_shut_side_means_gone() {
    let (app, tide, gate) = holding("0s").await;
    let mut client = tide.connect().await;
    client.send(&Request::get("/gone")).await.unwrap();
    app.holds(1).await;
    let began = Instant::now();
    client.shut().await;
    let line = tide.told("/gone").await;
    assert!(began.elapsed() < ms(1_500), "{:?}", began.elapsed());
    assert_eq!(line["end"], "client_abort", "{line}");
    let rest = client.until_closed(ms(3_000)).await.unwrap();
    assert_eq!(rest, b"", "not answered");
    gate.open();
    eventually("the node is let go", ms(5_000), async || {
        check(app.open_connections() == 0, app.open_connections())
    })
    .await;
    tide.is_empty().await;
}

#[tokio::test]
async fn half_a_request_and_the_end_reach_nobody_whole() {
    let (app, tide) = one_node().await;
    for cut in ["GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut client = tide.connect().await;
        client.send_bytes(cut.as_bytes()).await.unwrap();
        client.shut().await;
        client.until_closed(ms(3_000)).await.unwrap();
    }
    assert_eq!(app.requests(), 0);
    for request in [
        Request::post("/half", vec![b'x'; 5_000]),
        Request::post("/half", vec![b'x'; 5_000]).chunked(1_000),
    ] {
        let mut client = tide.connect().await;
        client.send_bytes(&request.head_bytes()).await.unwrap();
        let part = &request.body_bytes()[..2_500];
        client.send_bytes(part).await.unwrap();
        client.shut().await;
        client.until_closed(ms(5_000)).await.unwrap();
    }
    tide.is_empty().await;
    assert!(app.seen().iter().all(|s| !s.complete));
}
