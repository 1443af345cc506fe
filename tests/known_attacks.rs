//! Attacks that have a name, each as a few lines, so that who reads of one finds out at once how it ends here.
//!
//! The classes are covered widely in `tests/corpus/` and `tests/differential.rs`; this is the index by name. A story is
//! never removed because its class is covered elsewhere.

mod fields;
mod floods;

use std::time::Instant;

use crate::support::client::Request;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, web};
use crate::support::reply::Reply;
use crate::support::wire::Broken;
use crate::support::{Gate, ms, pattern};

/// A request to be smuggled: the origin must never see it as a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: tide.test\r\nx-id: smuggled\r\n\r\n";

/// `POST` of [`SMUGGLED`] as a body of its right length.
fn carrier(method: &str, target: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: tide.test\r\nx-id: carrier\r\n{more}Content-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    )
    .into_bytes()
}

/// Everything that is answered to these bytes until the proxy closes.
async fn said_to(tide: &Tidegate, bytes: &[u8]) -> String {
    let mut client = tide.connect().await;
    // It may refuse before all is sent.
    let _ = client.send_bytes(bytes).await;
    let said = client.until_closed(ms(3_000)).await;
    String::from_utf8_lossy(&said.unwrap_or_default()).into_owned()
}

/// Refused, closed, and no node heard of it.
async fn refuses(app: &Origin, tide: &Tidegate, bytes: &str) {
    let before = app.requests();
    let said = said_to(tide, (bytes.to_owned() + SMUGGLED).as_bytes()).await;
    assert!(
        said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 5"),
        "{bytes:?}: {said}"
    );
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{bytes:?}: {said}");
    let whole = app.seen()[before..].iter().filter(|s| s.complete).count();
    assert_eq!(whole, 0, "{bytes:?} reached the node");
    assert!(!targets(app).contains(&"/smuggled".to_owned()), "{bytes:?}");
}

fn targets(app: &Origin) -> Vec<String> {
    app.seen().iter().map(|s| s.target().to_owned()).collect()
}

// -- bodies that become requests

/// The body of a request that is answered without being read must not be read as the next one. There is no cache to
/// hit yet: redirects, missing routes and nodes that answer early are what answers without reading today.
#[tokio::test]
async fn cve_2025_4366_the_unread_body_of_an_answered_request() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| match seen.target() {
        "/early" => Reply::sized(200, "early").without_reading(),
        _ => Reply::usual(seen),
    });
    let routes = "routes:\n  - { match: { path: /old/ }, redirect: { to: /new/ } }\n  - { match: { path: /app/ }, upstream: web }\n  - { match: { path: /early }, upstream: web }\n  - { match: { path: /smuggled }, upstream: web }\n";
    let yaml = format!(
        "upstreams:\n  web: {{ nodes: {} }}\n{routes}",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    for (method, target, status) in [
        ("GET", "/old/", 302),
        ("POST", "/old/", 302),
        ("GET", "/nowhere", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/early", 200),
    ] {
        let mut client = tide.connect().await;
        client
            .send_bytes(&carrier(method, target, ""))
            .await
            .unwrap();
        let answer = client.answer(method).await.unwrap();
        assert_eq!(answer.status, status, "{method} {target}");
        // Either the connection has ended, or the next answer is for the next request.
        if let Ok(next) = client.ask(&Request::get("/app/").id("next")).await {
            assert_eq!(next.head.get("x-id"), Some("next"), "{method} {target}");
        }
    }
    assert!(!targets(&app).contains(&"/smuggled".to_owned()));
}

#[tokio::test]
async fn cl_0_a_body_that_nobody_expects() {
    let (app, tide) = one_node().await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "BREW"] {
        let mut client = tide.connect().await;
        client.send_bytes(&carrier(method, "/", "")).await.unwrap();
        assert_eq!(client.answer(method).await.unwrap().status, 200, "{method}");
        let next = client.ask(&Request::get("/next").id("next")).await.unwrap();
        assert_eq!(next.head.get("x-id"), Some("next"), "{method}");
        let seen = app.seen();
        let carried = &seen[seen.len() - 2];
        assert_eq!(
            carried.body,
            SMUGGLED.as_bytes(),
            "{method}: it stays a body"
        );
    }
    assert!(!targets(&app).contains(&"/smuggled".to_owned()));
}

#[tokio::test]
async fn zero_cl_a_length_that_only_the_node_would_read() {
    let (app, tide) = one_node().await;
    for line in [
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content-Length:\r\n 5",
        "Content-Length: \x0b5",
        "Content-Length: +5",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "Content-Length\0: 5",
    ] {
        refuses(
            &app,
            &tide,
            &format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"),
        )
        .await;
    }
    let mut client = tide.connect().await;
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n";
    client.send_bytes(head).await.unwrap();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
    assert!(
        app.only().head.all("content_length").is_empty(),
        "nobody reads it"
    );
}

#[tokio::test]
async fn te_0_chunks_that_nobody_expects() {
    let (app, tide) = one_node().await;
    for method in ["OPTIONS", "GET", "HEAD", "DELETE"] {
        let mut client = tide.connect().await;
        let size = SMUGGLED.len();
        let bytes = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
        );
        client.send_bytes(bytes.as_bytes()).await.unwrap();
        assert_eq!(client.answer(method).await.unwrap().status, 200, "{method}");
        assert_eq!(
            app.seen().last().unwrap().body,
            SMUGGLED.as_bytes(),
            "{method}"
        );
    }
    assert!(!targets(&app).contains(&"/smuggled".to_owned()));
}

#[tokio::test]
async fn cve_2026_2835_two_framings_and_chunks_in_http_1_0() {
    let (app, tide) = one_node().await;
    for head in [
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    ] {
        refuses(&app, &tide, &format!("{head}\r\n0\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn a_line_feed_in_a_chunk_extension() {
    let (app, tide) = one_node().await;
    for body in [
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "2;\nxx\r\n4c\r\n0\r\n\r\n",
        "0;\n\r\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        refuses(&app, &tide, &format!("{head}{body}")).await;
    }
}

/// The head comes, the body only after every patience: whatever comes then is no request.
#[tokio::test]
async fn a_pause_between_head_and_body() {
    let app = Origin::start("app-1").await;
    let yaml = "timeouts: { body: 300ms }\n".to_owned();
    let tide = Tidegate::run(yaml + &web("", nodes([&app]))).await;
    for framing in [
        format!("Content-Length: {}\r\n\r\n", SMUGGLED.len()),
        "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let mut client = tide.connect().await;
        let head = format!("POST / HTTP/1.1\r\nHost: tide.test\r\n{framing}");
        client.send_bytes(head.as_bytes()).await.unwrap();
        let answer = client.answer("POST").await.unwrap();
        assert_eq!((answer.status, answer.stays_open), (408, false));
        let _ = client.send_bytes(SMUGGLED.as_bytes()).await;
        assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    }
    assert!(!targets(&app).contains(&"/smuggled".to_owned()));
    assert!(app.seen().iter().all(|s| !s.complete));
}

/// The node refuses before it was sent the body; the body comes all the same.
#[tokio::test]
async fn expect_a_refusal_instead_of_100_continue() {
    let (app, tide) = one_node().await;
    app.answers(|seen| match seen.target() {
        "/refused" => Reply::sized(403, "no").without_reading(),
        _ => Reply::usual(seen),
    });
    let mut client = tide.connect().await;
    let bytes = carrier("POST", "/refused", "Expect: 100-continue\r\n");
    client.send_bytes(&bytes).await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().status, 403);
    if let Ok(next) = client.ask(&Request::get("/next").id("next")).await {
        assert_eq!(next.head.get("x-id"), Some("next"));
    }
    for _ in 0..5 {
        let answer = tide.ask(&Request::get("/other").id("other")).await;
        assert_eq!(
            answer.head.get("x-id"),
            Some("other"),
            "no connection to the node is out of step"
        );
    }
    assert!(!targets(&app).contains(&"/smuggled".to_owned()));
    for wrong in [
        "y 100-continue",
        "100-continue, x",
        "200-ok",
        " 100-continue;a",
    ] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {wrong}\r\nContent-Length: 0\r\n\r\n");
        refuses(&app, &tide, &head).await;
    }
}

/// Bytes behind an Upgrade must not pass before the node has agreed, and are an ordinary request when it refuses.
#[tokio::test]
async fn cve_2026_2833_a_request_glued_behind_an_upgrade() {
    let (app, tide) = one_node().await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| match seen.target() {
        "/no" => Reply::usual(seen).when(&held),
        "/yes" => Reply::websocket(),
        _ => Reply::usual(seen),
    });
    let glued = |target: &str| [Request::websocket(target).head_bytes(), SMUGGLED.into()].concat();
    let mut refused = tide.connect().await;
    refused.send_bytes(&glued("/no")).await.unwrap();
    app.holds(1).await;
    tide.get("/meanwhile").await;
    assert!(
        !targets(&app).contains(&"/smuggled".to_owned()),
        "nothing passes before the answer"
    );
    gate.open();
    assert_eq!(refused.answer("GET").await.unwrap().status, 200);
    // Now it is a request of its own, checked and told like any other, or not answered at all.
    if let Ok(answer) = refused.answer("GET").await {
        assert_eq!(answer.head.get("x-id"), Some("smuggled"));
        let seen = app.seen();
        let its = seen.iter().find(|s| s.target() == "/smuggled").unwrap();
        assert_eq!(its.head.get("via"), Some("1.1 tidegate"));
    }
    let before = app.requests();
    let mut agreed = tide.connect().await;
    agreed.send_bytes(&glued("/yes")).await.unwrap();
    assert_eq!(agreed.answer("GET").await.unwrap().status, 101);
    // Bytes of the tunnel now, if it still stands (tests/tunnels.rs): never a request.
    if let Ok(echoed) = agreed.exactly(SMUGGLED.len()).await {
        assert_eq!(echoed, SMUGGLED.as_bytes());
    }
    assert_eq!(app.requests(), before + 1, "and no request");
}

/// The cache key lacked the host. There is no cache yet: one path under two hosts is two routes, two answers.
#[tokio::test]
async fn cve_2026_2836_one_path_under_two_hosts() {
    let apps = Origin::several(2).await;
    let yaml = format!(
        "upstreams:\n  a: {{ nodes: {} }}\n  b: {{ nodes: {} }}\nroutes:\n  - {{ match: {{ host: a.test }}, upstream: a }}\n  - {{ match: {{ host: b.test }}, upstream: b }}\n",
        nodes(&apps[..1]),
        nodes(&apps[1..]),
    );
    let tide = Tidegate::run(yaml).await;
    let mut client = tide.connect().await;
    for (host, node) in [
        ("a.test", "app-1"),
        ("b.test", "app-2"),
        ("A.TEST:80", "app-1"),
    ] {
        let answer = client.ask(&Request::get("/same").host(host)).await.unwrap();
        assert_eq!(answer.node(), node, "{host}");
    }
    for host in [
        "a.test.evil.test",
        "evil.a.test",
        "xa.test",
        "a.test@b.test",
    ] {
        let answer = tide.ask(&Request::get("/same").host(host)).await;
        assert!(
            answer.status >= 400,
            "{host} is nobody's: {}",
            answer.node()
        );
    }
}

// -- answers

#[tokio::test]
async fn an_early_refusal_of_ten_mebibytes_is_read() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| match seen.target() {
        "/full" => Reply::sized(413, "full").without_reading(),
        _ => Reply::sized(401, "who?").without_reading(),
    });
    let limits = "limits: { body: 1MiB }\n".to_owned();
    let tide = Tidegate::run(limits + &web("", nodes([&app]))).await;
    let open = Tidegate::run(web("", nodes([&app]))).await;
    let body = pattern(10 << 20);
    for chunked in [false, true] {
        for (tide, target, status) in [
            (&tide, "/limit", 413),
            (&open, "/full", 413),
            (&open, "/who", 401),
        ] {
            let upload = Request::post(target, body.clone());
            let upload = if chunked {
                upload.chunked(65_536)
            } else {
                upload
            };
            let began = Instant::now();
            let mut client = tide.connect().await;
            let bytes = [upload.head_bytes(), upload.body_bytes()].concat();
            // As clients do that send first and read then: what is refused must not be reset.
            let sent = client.send_bytes(&bytes).await;
            let answer = client.answer("POST").await;
            let told =
                |e: Broken| format!("{target}, chunked {chunked}: {e}; sending was {sent:?}");
            let is = answer.map_err(told).map(|a| a.status);
            // A limit reached in the midst of chunks may also have reached the node, which spoke first.
            let fine = is == Ok(status) || (chunked && target == "/limit" && is == Ok(401));
            assert!(fine, "{is:?} for {target}, chunked {chunked}");
            assert!(began.elapsed() < ms(8_000), "{:?}", began.elapsed());
        }
    }
}
