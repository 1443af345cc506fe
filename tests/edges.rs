//! Good requests and answers that lie at the edge of a rule: each was once refused, cut or held back by it.
//!
//! What a rule is for is told elsewhere; here is whom it must not hit, and whom it must not miss by an inch. It must
//! never be answered by a rule made looser: each story has the rule in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::net::TcpListener;

use crate::support::client::{Request, status_of};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, one_node_under, web};
use crate::support::reply::{Reply, Step};
use crate::support::wire::{Broken, Framing, Wire};
use crate::support::{Gate, ms, pattern};

/// A GET that came by a proxy which keeps a byte that is no text, and a client who speaks for itself.
const BY_A_PROXY: &[u8] = b"GET / HTTP/1.1\r\nHost: tide.test\r\n\
    X-Forwarded-For: \xff, 203.0.113.9\r\nForwarded: for=10.0.0.5\r\n\r\n";

#[tokio::test]
async fn a_byte_that_is_no_text_hides_no_address() {
    let app = Origin::start("app-1").await;
    let config = |route: &str| {
        format!(
            "trusted_proxies: [127.0.0.1/32]
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web{route} }}]\n",
            nodes([&app])
        )
    };
    let tide = Tidegate::run(config(", allow: [10.0.0.0/8]")).await;
    let mut client = tide.connect().await;
    client.send_bytes(BY_A_PROXY).await.unwrap();
    assert_eq!(client.answer("GET").await.unwrap().status, 403);
    assert_eq!(app.requests(), 0);

    let tide = Tidegate::run(config("")).await;
    let mut client = tide.connect().await;
    client.send_bytes(BY_A_PROXY).await.unwrap();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
    let head = app.only().head;
    assert_eq!(head.get("x-real-ip"), Some("203.0.113.9"));
    assert_eq!(head.all("x-forwarded-for").len(), 1);
    let kept = b": \xff, 203.0.113.9, 127.0.0.1\r\n";
    let kept = head.raw.windows(kept.len()).any(|w| w == kept);
    assert!(kept, "{}", String::from_utf8_lossy(&head.raw));
}

#[tokio::test]
async fn a_websocket_may_carry_more_than_a_body() {
    let (app, tide) = one_node_under("limits: { body: 64KiB }\n").await;
    app.answers(|_| Reply::websocket());
    let mut client = tide.connect().await;
    let answer = client.ask(&Request::websocket("/chat")).await.unwrap();
    assert_eq!(answer.status, 101);
    let piece = pattern(16 << 10);
    for n in 0..12 {
        client.send_bytes(&piece).await.unwrap();
        let echoed = client.exactly(piece.len()).await;
        assert!(echoed.as_ref() == Ok(&piece), "piece {n}");
    }
}

#[tokio::test]
async fn a_body_that_is_sent_again_is_not_twice_as_large() {
    let apps = Origin::several(2).await;
    let tries = Arc::new(AtomicUsize::new(0));
    for app in &apps {
        let tries = tries.clone();
        app.answers(move |_| match tries.fetch_add(1, SeqCst) {
            0 => Reply::close(),
            _ => Reply::mirror(),
        });
    }
    let yaml = "limits: { body: 64KiB }\n".to_owned() + &web("", nodes(&apps));
    let tide = Tidegate::run(yaml).await;
    let put = Request::new("PUT", "/again").field("Content-Length", "40000");
    let bytes = [put.head_bytes(), pattern(40_000)].concat();
    let mut client = tide.connect().await;
    client.send_bytes(&bytes).await.unwrap();
    let answer = client.answer("PUT").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.body == pattern(40_000));
    let both: Vec<_> = apps.iter().map(Origin::requests).collect();
    assert_eq!(both, [1, 1], "one refused, the other one served");
}

#[tokio::test]
async fn an_old_client_can_tell_a_cut_answer_from_a_whole_one() {
    let (app, tide) = one_node().await;
    for size in [4, 100_000] {
        let (first, second) = (pattern(size), pattern(3));
        let cut = Reply::steps([
            Reply::chunked_head(),
            Step::Chunk(first.clone()),
            Step::Close,
        ]);
        app.answers(move |_| cut.clone());
        for request in [
            Request::get("/cut").http10(),
            Request::get("/cut")
                .http10()
                .field("Connection", "keep-alive"),
        ] {
            let broken = tide.try_ask(&request).await;
            let broken = broken.map(|answer| answer.body.len());
            assert_eq!(broken, Err(Broken::Reset), "{size} bytes");
        }
        let whole = [first, second];
        let expected = whole.concat();
        app.answers(move |_| Reply::chunked(whole.clone()));
        let answer = tide.ask(&Request::get("/whole").http10()).await;
        assert_eq!((answer.status, answer.framing), (200, Framing::UntilClose));
        assert!(answer.body == expected, "{size} bytes");
    }
}

#[tokio::test]
async fn an_old_client_can_tell_when_the_proxy_cuts_an_answer() {
    let upstream = "drain: { timeout: 700ms }";
    for limit in ["request", "drain"] {
        let app = Origin::start("app-1").await;
        // On and on: no single read takes long.
        app.answers(|_| {
            let head = [Reply::chunked_head()].into_iter();
            let piece = [Step::Chunk(pattern(1_000)), Step::Wait(ms(20))];
            Reply::steps(head.chain(piece.into_iter().cycle().take(400)))
        });
        let top = match limit {
            "request" => "timeouts: { request: 700ms }\n",
            _ => "",
        };
        let tide = Tidegate::run(top.to_owned() + &web(upstream, nodes([&app]))).await;
        let mut client = tide.connect().await;
        client.send(&Request::get("/on").http10()).await.unwrap();
        client.head().await.unwrap();
        if limit == "drain" {
            tide.verb("web/app-1", "drain").await;
        }
        let end = loop {
            match client.some(ms(5_000)).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(Broken::Reset)), "{limit}: {end:?}");
        let line = tide.told("/on").await;
        assert_eq!(line["end"], format!("{limit}_timeout"), "{line}");
    }
}

#[tokio::test]
async fn an_old_client_hears_nothing_before_its_answer() {
    let (app, tide) = one_node().await;
    app.answers(|_| {
        let hints = Step::Head(103, vec![("link".into(), "</a.css>; rel=preload".into())]);
        let mut reply = Reply::text("done");
        reply.steps.insert(0, hints);
        reply
    });
    let mut client = tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(103));
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
    let mut client = tide.connect().await;
    client.send(&Request::get("/").http10()).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(200));
}

#[tokio::test]
async fn as_many_fields_as_the_file_allows_reach_the_node() {
    let (app, tide) = one_node_under("limits: { headers: 250, header_bytes: 64KiB }\n").await;
    for fields in [215, 250] {
        // Beside `Host` and `x-id`.
        let more = (0..fields - 2).fold(Request::get("/"), |r, n| r.field(&format!("x-{n}"), "v"));
        let answer = tide.ask(&more).await;
        assert_eq!(answer.status, 200, "{fields}: {}", answer.text());
        let head = app.seen().pop().unwrap().head;
        let arrived = (0..fields - 2).filter(|n| head.get(&format!("x-{n}")) == Some("v"));
        assert_eq!(arrived.count(), fields - 2);
    }
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_not_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = format!("[\"{}\"]", listener.local_addr().unwrap());
    // Takes three times as long as a body may pause, then reads what comes.
    let node_works = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut wire = Wire::new(stream);
            let head = wire.head().await.unwrap();
            assert!(head.names("expect", "100-continue"), "{head:?}");
            tokio::time::sleep(ms(1_500)).await;
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            wire.send(go_on).await.unwrap();
            if let Ok(body) = wire.exactly(8).await {
                assert_eq!(body, b"the body");
                let done = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
                wire.send(done).await.unwrap();
            }
        }
    });
    let tide = Tidegate::run("timeouts: { body: 500ms }\n".to_owned() + &web("", node)).await;
    let request = Request::post("/asks", "the body").field("Expect", "100-continue");
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(100));
    client.send_bytes(&request.body_bytes()).await.unwrap();
    let answer = client.answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(answer.stays_open, "it did all that it was told");
    // Once it was told, it is waited for as long as anybody.
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(100));
    let answer = client.answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.stays_open), (408, false));
    node_works.abort();
    assert!(
        node_works.await.is_err_and(|e| e.is_cancelled()),
        "the node"
    );
}

#[tokio::test]
async fn an_answer_with_a_length_is_not_held_back_until_it_is_whole() {
    let (app, tide) = one_node().await;
    let (to_begin, to_end) = (Gate::closed(), Gate::closed());
    let length = ("content-length".to_owned(), "11".to_owned());
    let steps = [
        Step::Head(200, vec![length]),
        Step::Gate(to_begin.clone()),
        Step::Bytes(b"first ".into()),
        Step::Gate(to_end.clone()),
        Step::Bytes(b"later".into()),
    ];
    app.answers(move |_| Reply::steps(steps.clone()));
    let mut client = tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(200));
    to_begin.open();
    assert_eq!(client.exactly(6).await.unwrap(), b"first ");
    to_end.open();
    assert_eq!(client.exactly(5).await.unwrap(), b"later");
}

#[tokio::test]
async fn a_connection_is_counted_once() {
    let (_app, tide) = one_node().await;
    let mut clients = [tide.connect().await, tide.connect().await];
    for client in &mut clients {
        let answer = client.ask(&Request::get("/")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let total = tide.metric("tidegate_connections_total", &[]).await;
    assert_eq!(total, Some(2.0));
}

#[tokio::test]
async fn empty_lines_in_a_body_are_no_requests() {
    let (app, tide) = one_node_under("limits: { pipeline: 4 }\n").await;
    app.answers(|_| Reply::mirror());
    let body = "\r\n\r\n".repeat(30);
    let mut client = tide.connect().await;
    for pair in 0..20 {
        let two = [(); 2].map(|()| Request::post("/lines", body.clone()));
        let piece = two.map(|r| [r.head_bytes(), r.body_bytes()].concat());
        client.send_bytes(&piece.concat()).await.unwrap();
        for _ in 0..2 {
            let answer = client.answer("POST").await;
            let answer = answer.unwrap_or_else(|e| panic!("pair {pair}: {e}"));
            assert_eq!(answer.text(), body);
            assert!(answer.stays_open, "pair {pair}");
        }
    }
    assert_eq!(app.requests(), 40);
}

#[tokio::test]
async fn empty_lines_behind_short_requests_are_no_requests() {
    let (app, tide) = one_node_under("limits: { pipeline: 4 }\n").await;
    let mut piece = Request::get("/g").head_bytes().repeat(4);
    let post = Request::post("/p", "\r\n\r\n".repeat(30));
    piece.extend(post.head_bytes());
    piece.extend(post.body_bytes());
    let mut client = tide.connect().await;
    client.send_bytes(&piece).await.unwrap();
    for n in 0..5 {
        let answer = client.answer("GET").await.unwrap();
        assert!(answer.status == 200 && answer.stays_open, "{n}: {answer:?}");
    }
    assert_eq!(app.requests(), 5);
}

#[tokio::test]
async fn an_upgrade_with_a_length_of_nothing_is_a_tunnel() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::websocket().field("Content-Length", "0"));
    let mut client = tide.connect().await;
    let answer = client.ask(&Request::websocket("/chat")).await.unwrap();
    assert_eq!(answer.status, 101);
    for size in [5, 70_000] {
        client.send_bytes(&pattern(size)).await.unwrap();
        let echoed = client.exactly(size).await.unwrap();
        assert!(echoed == pattern(size), "{size} bytes");
    }
}
