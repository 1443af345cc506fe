//! Connections over TLS are kept, raced, filled and closed like others.

use super::{Secure, at, config, run, web};
use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::Origin;
use crate::support::reply::{Reply, Step};
use crate::support::secure::{Papers, SecureDoor};
use crate::support::tls::Authority;
use crate::support::{Gate, check, eventually, ms, pattern};

#[tokio::test]
async fn many_requests_take_one_handshake() {
    let secure = Secure::with("").await;
    for n in 0..50 {
        let request = match n % 2 {
            0 => Request::get("/"),
            _ => Request::post("/", "body"),
        };
        assert_eq!(secure.tide.ask(&request).await.status, 200);
    }
    // An answer may arrive before its connection is put back: then the next request opens another, with what it knows.
    let (whole, resumed) = secure.door.handshakes();
    assert!(
        whole == 1 && resumed <= 3,
        "{whole} whole, {resumed} resumed"
    );
    assert_eq!(secure.app.connections(), whole + resumed);
}

#[tokio::test]
async fn a_new_connection_takes_up_the_session_of_an_old_one() {
    let secure = Secure::with("timeouts: { idle: 0s }").await;
    for _ in 0..5 {
        assert_eq!(secure.tide.get("/").await.status, 200);
    }
    assert_eq!(secure.door.handshakes(), (1, 4));
}

#[tokio::test]
async fn nothing_is_lost_with_connections_that_the_node_closed() {
    let secure = Secure::with("").await;
    for n in 0..20 {
        let request = match n % 2 {
            0 => Request::get("/"),
            _ => Request::post("/", "body"),
        };
        let answer = secure.tide.ask(&request).await;
        assert_eq!(answer.status, 200, "request {n}: {}", answer.text());
        // In good order, and without a word.
        match n % 3 {
            0 => secure.door.cut(),
            _ => secure.door.close(),
        }
        eventually("closed", ms(2_000), async || {
            let open = secure.app.open_connections();
            check(open == 0, format!("{open} open"))
        })
        .await;
    }
    assert_eq!(secure.app.requests(), 20);
}

#[tokio::test]
async fn load_over_tls_fails_nowhere() {
    let secure = Secure::with("").await;
    let load = Load::at(500).count(500).new_connection_every(3);
    load.run(secure.tide.addr()).await.nothing_failed_of(500);
    let (whole, resumed) = secure.door.handshakes();
    assert!(whole + resumed < 100, "{whole} and {resumed} handshakes");
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() {
    let secure = Secure::with("").await;
    secure.app.answers(|_| Reply::mirror());
    let body = pattern(6 << 20);
    for request in [
        Request::post("/sized", body.clone()),
        Request::post("/chunked", body.clone()).chunked(64 << 10),
    ] {
        let answer = secure.tide.ask(&request).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{} bytes came", answer.body.len());
    }
    let again = secure.tide.get("/").await;
    assert_eq!(again.status, 200);
    assert_eq!(secure.door.handshakes(), (1, 0), "all on one connection");
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_must_end_in_good_order() {
    let secure = Secure::with("").await;
    let unframed = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it";
    let bytes = || Step::Raw(unframed.into());
    let whole = Reply::steps([bytes(), Step::Close]);
    secure.app.answers(move |_| whole.clone());
    let whole = secure.tide.get("/whole").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "all of it"));
    // Cut by somebody who stands between: it must not look complete (RFC 8446 §6.1).
    let cut = Reply::steps([bytes(), Step::Gate(Gate::closed())]);
    secure.app.answers(move |_| cut.clone());
    let mut client = secure.tide.connect().await;
    client.send(&Request::get("/cut")).await.unwrap();
    let head = client.head().await.unwrap();
    assert!(head.get("transfer-encoding").is_some(), "{head:?}");
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"all of it");
    secure.door.cut();
    assert!(client.chunk().await.is_err(), "no last chunk");
    assert_eq!(secure.tide.told("/cut").await["end"], "upstream_reset");
}

#[tokio::test]
async fn a_second_node_is_asked_over_tls_too() {
    let (apps, authority) = (Origin::several(2).await, Authority::new());
    apps[0].answers(|_| Reply::hangs());
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let first = SecureDoor::open(apps[0].addr(), papers.server(None)).await;
    let second = SecureDoor::open(apps[1].addr(), papers.server(None)).await;
    let keys = "balance: round_robin\ntls: { ca: ca.pem }\nretry: { hedge: { after: 100ms }, budget: 100% }";
    let tide = run(&authority, &web(keys, at(&[&first, &second]))).await;
    for n in 0..4 {
        let answer = tide.get(&format!("/{n}")).await;
        assert_eq!((answer.status, answer.node()), (200, "app-2"));
    }
    // The first may still be first.
    apps[0].answers(|seen| Reply::usual(seen).after(ms(250)));
    apps[1].answers(|seen| Reply::usual(seen).after(ms(600)));
    for n in 4..6 {
        let answer = tide.get(&format!("/{n}")).await;
        assert_eq!(answer.status, 200);
    }
    let gauge = "tidegate_upstream_requests_in_flight";
    tide.metric_is(gauge, &[("upstream", "web")], 0.0).await;
}

#[tokio::test]
async fn a_reset_answer_is_asked_of_another_node() {
    let (apps, authority) = (Origin::several(2).await, Authority::new());
    apps[0].answers(|_| Reply::reset());
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let first = SecureDoor::open(apps[0].addr(), papers.server(None)).await;
    let second = SecureDoor::open(apps[1].addr(), papers.server(None)).await;
    let keys = "balance: round_robin\ntls: { ca: ca.pem }\nretry: { tries: 2, budget: 100% }";
    let tide = run(&authority, &web(keys, at(&[&first, &second]))).await;
    let answer = tide.get("/").await;
    assert_eq!((answer.status, answer.node()), (200, "app-2"));
    assert_eq!((apps[0].requests(), apps[1].requests()), (1, 1));
}

#[tokio::test]
async fn a_reload_that_says_the_same_of_tls_keeps_connections_and_another_does_not() {
    let secure = Secure::with("").await;
    assert_eq!(secure.tide.get("/").await.status, 200);
    let usual = |keys: &str| config("ca: ca.pem", keys, &secure.door);
    secure.tide.apply(&usual("forwarded: true")).await;
    assert_eq!(secure.tide.get("/").await.status, 200);
    assert_eq!(secure.door.handshakes(), (1, 0));
    // The same words, but the file holds somebody else now: what was believed before counts no more.
    Authority::new().write(&secure.tide.dir().join("ca.pem"));
    let generation = secure.tide.generation().await;
    secure.tide.reaches_generation(generation.max(3)).await;
    assert_eq!(secure.tide.get("/").await.status, 502);
    assert_eq!(secure.door.handshakes(), (1, 0), "no session of before");
    secure.authority.write(&secure.tide.dir().join("ca.pem"));
    secure.tide.reaches_generation(4).await;
    assert_eq!(secure.tide.get("/").await.status, 200);
    assert_eq!(secure.door.handshakes(), (2, 0));
    assert!(secure.door.refused() >= 1);
}
