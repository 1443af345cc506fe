//! The front door: what is taken in, what is refused in our own words, and what waits its turn.

use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, one_node_under, one_node_with, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms, pattern};

/// Whatever is sent, and how it is answered: all of it, as text.
async fn said_to(tide: &Tidegate, bytes: &[u8]) -> String {
    let mut client = tide.connect().await;
    // The proxy may refuse before all is sent.
    let _ = client.send_bytes(bytes).await;
    let said = client.until_closed(ms(3_000)).await.unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn every_refusal_of_a_head_is_ours_counted_and_told() {
    let (app, tide) = one_node_with("").await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let heads = [
        ("GET /a?b=<x> HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /` HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://[/ HTTP/1.0\r\n\r\n", 400),
        ("GET http://a:b:c/ HTTP/1.1\r\nHost: a:b:c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (&long, 414),
        (&wide, 431),
    ];
    for (head, status) in heads {
        let said = said_to(&tide, head.as_bytes()).await;
        let shown = &head[..head.len().min(60)];
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {said}"
        );
        assert!(
            said.contains("\r\nConnection: close\r\n"),
            "{shown}: {said}"
        );
        let server = said.to_lowercase().contains("\r\nserver:");
        assert!(!server, "{shown} is answered under another name: {said}");
    }
    assert_eq!(app.requests(), 0, "no node saw any of them");
    for (reason, n) in [("bad_request", 8), ("method", 1), ("version", 1)] {
        let labels = [("reason", reason)];
        tide.metric_is("tidegate_requests_refused_total", &labels, f64::from(n))
            .await;
    }
}

#[tokio::test]
async fn an_absolute_target_reaches_the_node_in_origin_form_and_decides_the_route() {
    let apps = Origin::several(2).await;
    let yaml = format!(
        "upstreams:\n  a: {{ nodes: {} }}\n  b: {{ nodes: {} }}\nroutes:\n  - {{ match: {{ host: b.test }}, upstream: b }}\n  - upstream: a\n",
        nodes(&apps[..1]),
        nodes(&apps[1..]),
    );
    let tide = Tidegate::run(yaml).await;
    let request = Request::new("GET", "http://b.test/x?y").host("b.test");
    assert_eq!(tide.ask(&request).await.node(), "app-2");
    assert_eq!(apps[1].only().target(), "/x?y");
    let said = said_to(&tide, b"GET http://b.test/z HTTP/1.0\r\nx-id: 1\r\n\r\n").await;
    assert!(said.contains("app-2"), "{said}");
    let seen = apps[1].seen();
    assert_eq!(seen[1].target(), "/z");
    assert_eq!(seen[1].head.get("host"), Some("b.test"));
}

#[tokio::test]
async fn requests_sent_in_one_piece_are_answered_in_their_order() {
    let (app, tide) = one_node().await;
    let mut client = tide.connect().await;
    let requests: Vec<Request> = (0..5)
        .map(|n| match n % 2 {
            0 => Request::get(&format!("/{n}")),
            _ => Request::post(&format!("/{n}"), format!("body {n}")),
        })
        .collect();
    let piece: Vec<u8> = requests
        .iter()
        .flat_map(|r| [r.head_bytes(), r.body_bytes()].concat())
        .collect();
    client.send_bytes(&piece).await.unwrap();
    for request in &requests {
        let answer = client.answer(request.its_method()).await.unwrap();
        assert!(
            answer.text().contains(request.its_id()),
            "{}",
            answer.text()
        );
        assert!(answer.stays_open);
    }
    let bodies: Vec<_> = app.seen().iter().map(|s| s.body.len()).collect();
    assert_eq!(bodies, [0, 6, 0, 6, 0]);
}

#[tokio::test]
async fn a_quiet_websocket_outlives_the_limit_of_a_body() {
    let yaml = "timeouts: { body: 300ms }\n".to_owned();
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::websocket());
    let tide = Tidegate::run(yaml + &web("", nodes([&app]))).await;
    let upgrade = Request::websocket("/chat");
    let mut client = tide.connect().await;
    assert_eq!(client.ask(&upgrade).await.unwrap().status, 101);
    let closed = client.until_closed(ms(1_000)).await;
    assert!(closed.is_err(), "quiet for a second and still open");
    client.send_bytes(b"still there?").await.unwrap();
    assert_eq!(client.exactly(12).await.unwrap(), b"still there?");
}

#[tokio::test]
async fn an_answer_of_our_own_to_an_upload_leaves_the_connection_usable() {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "upstreams:\n  web: {{ nodes: {} }}\nroutes:\n  - {{ match: {{ path: /old/ }}, redirect: {{ to: /new/ }} }}\n  - {{ match: {{ path: /new/ }}, upstream: web }}\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let mut client = tide.connect().await;
    let upload = vec![b'x'; 100_000];
    for (target, status) in [("/old/", 302), ("/nowhere", 404), ("/new/", 200)] {
        let answer = client
            .ask(&Request::post(target, upload.clone()))
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.stays_open),
            (status, true),
            "{target}"
        );
    }
}

#[tokio::test]
async fn one_dead_node_costs_one_request_a_handful_of_attempts() {
    let (app, tide) = one_node_with("").await;
    let mut client = tide.connect().await;
    assert_eq!(
        client.ask(&Request::get("/warm")).await.unwrap().status,
        200
    );
    app.kill().await;
    let answer = client.ask(&Request::get("/dead")).await.unwrap();
    assert_eq!(answer.status, 503);
    let line = tide.told("/dead").await;
    let tried = line["nodes"].as_array().unwrap().len();
    assert!(tried <= 3, "{line}");
}

#[tokio::test]
async fn a_retry_avoids_a_node_that_was_drained_meanwhile() {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|_| Reply::reset().after(ms(1_000)));
    }
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let addr = tide.addr();
    let asked = tokio::spawn(async move {
        let mut client = Client::connect(addr).await.unwrap();
        client.ask(&Request::get("/first")).await
    });
    let holder = || apps.iter().position(|app| app.in_flight() == 1);
    eventually("a node has the request", ms(3_000), async || {
        check(holder().is_some(), "none")
    })
    .await;
    let first = holder().unwrap();
    let drained = (first + 1) % 3;
    let name = format!("web/{}", apps[drained].name());
    tide.verb(&name, "drain").await;
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status, 502, "both others were tried in vain");
    assert_eq!(apps[drained].requests(), 0, "it was empty and stays so");
}

#[tokio::test]
async fn much_that_comes_early_is_neither_lost_nor_mixed_up() {
    let (app, tide) = one_node_under("limits: { pipeline: 0 }\n").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| match seen.target() {
        "/slow" => Reply::text("slow").when(&held),
        _ => Reply::mirror(),
    });
    let mut client = tide.connect().await;
    client.send(&Request::get("/slow")).await.unwrap();
    app.holds(1).await;
    let uploads: Vec<Request> = [5_000, 3, 40_000, 0, 100_000, 4_096]
        .map(|size| Request::post("/upload", pattern(size)))
        .into();
    let mut piece = Vec::new();
    for upload in &uploads {
        piece.extend(upload.head_bytes());
        piece.extend(upload.body_bytes());
        for _ in 0..50 {
            piece.extend(Request::get("/small").head_bytes());
        }
    }
    let (mut reading, sending) = (client, gate);
    // What does not fit into the buffers on the way goes on when the answers are read.
    reading.send_bytes(&piece[..60_000]).await.unwrap();
    tide.get("/seen").await;
    sending.open();
    assert_eq!(reading.answer("GET").await.unwrap().text(), "slow");
    let mut rest = piece[60_000..].chunks(10_000);
    for upload in &uploads {
        for _ in 0..4 {
            if let Some(more) = rest.next() {
                reading.send_bytes(more).await.unwrap();
            }
        }
        let answer = reading.answer("POST").await.unwrap();
        assert!(
            answer.body == upload.body_bytes(),
            "{} bytes",
            answer.body.len()
        );
        for _ in 0..50 {
            assert_eq!(reading.answer("GET").await.unwrap().status, 200);
        }
    }
    assert_eq!(app.requests(), 1 + 1 + 6 * 51, "as many as were sent");
}
