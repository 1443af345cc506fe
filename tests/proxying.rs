//! A request goes to a node and its answer comes back: nothing lost, nothing added that does not belong.

use std::time::{Duration, Instant};

use crate::support::client::{Answer, Client, Request, status_of};
use crate::support::load::Load;
use crate::support::origin::{BlackHole, Origin, Reply, Step, chunk, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::wire::{Broken, Framing};
use crate::support::{Gate, check, eventually, ms, raise_open_files};

/// A body that shows a byte lost, doubled or moved.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i % 251) as u8 ^ (i / 251) as u8)
        .collect()
}

/// One origin behind the proxy.
async fn one_node() -> (Origin, Tidegate) {
    one_node_with("").await
}

async fn one_node_with(keys: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web(keys, nodes([&app]))).await;
    (app, tide)
}

#[tokio::test]
async fn a_request_reaches_a_node_and_its_answer_comes_back() {
    let (app, tide) = one_node().await;
    app.answers(|seen| {
        Reply::usual(seen)
            .field("Server", "scripted")
            .field("X-Twice", "1")
    });
    let request = Request::get("/a%20b//c?d=%2F&e")
        .host("shop.test:81")
        .field("Accept", "x/y");
    let answer = tide.ask(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), format!("app-1 0 {}\n", request.its_id()));
    assert_eq!(answer.head.get("server"), Some("scripted"));
    assert_eq!(answer.head.get("x-twice"), Some("1"));
    let seen = app.only();
    assert_eq!(seen.target(), "/a%20b//c?d=%2F&e", "forwarded as it came");
    assert_eq!(seen.head.get("host"), Some("shop.test:81"));
    assert_eq!(seen.head.get("accept"), Some("x/y"));
}

#[tokio::test]
async fn one_client_connection_carries_many_requests() {
    let (_app, tide) = one_node().await;
    let mut client = tide.connect().await;
    for n in 0..20 {
        let request = Request::post(&format!("/{n}"), format!("body {n}"));
        let answer = client.ask(&request).await.unwrap();
        assert!(answer.stays_open, "request {n}");
        assert!(answer.text().contains(request.its_id()));
    }
}

#[tokio::test]
async fn each_data_port_of_the_file_serves() {
    let app = Origin::start("app-1").await;
    let ports = "listen: [{ addr: \"127.0.0.1:0\" }, { addr: \"127.0.0.2:0\" }]\n".to_owned();
    let tide = Tidegate::run(ports + &web("", nodes([&app]))).await;
    let addrs = tide.addrs();
    assert_eq!(addrs.len(), 2, "{addrs:?}");
    for addr in addrs {
        let mut client = Client::connect(addr).await.unwrap();
        assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
        let name = addr.to_string();
        let listener = [("listener", name.as_str())];
        tide.metric_is("tidegate_connections_active", &listener, 1.0)
            .await;
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_it_can_read() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::chunked(["one ", "two ", "three"]));
    let mut client = tide.connect().await;
    let answer = client.ask(&Request::get("/").http10()).await.unwrap();
    assert_eq!(answer.text(), "one two three");
    assert_ne!(answer.framing, Framing::Chunked, "HTTP/1.0 knows no chunks");
    assert!(!answer.stays_open);
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));

    app.answers(|_| Reply::mirror());
    let answer = tide.ask(&Request::post("/", "upload").http10()).await;
    assert_eq!(answer.text(), "upload");
}

#[tokio::test]
async fn bodies_of_a_mebibyte_go_both_ways_with_length_and_in_chunks() {
    let (app, tide) = one_node().await;
    let body = pattern((1 << 20) + 4_321);
    let sized = Request::post("/sized", body.clone());
    for upload in [sized.clone(), sized.chunked(10_007)] {
        app.answers(|_| Reply::mirror());
        let answer = tide.ask(&upload).await;
        assert!(answer.framing == Framing::Sized(body.len()) && answer.body == body);

        let chunks: Vec<Vec<u8>> = body.chunks(77_777).map(Vec::from).collect();
        app.answers(move |_| Reply::chunked(chunks.clone()));
        let answer = tide.ask(&upload).await;
        assert!(answer.framing == Framing::Chunked && answer.body == body);
    }
    assert!(app.seen().iter().all(|s| s.complete && s.body == body));
}

#[tokio::test]
async fn the_first_chunk_arrives_before_the_origin_has_finished() {
    let (app, tide) = one_node().await;
    let gate = Gate::closed();
    let steps = [
        Reply::chunked_head(),
        Step::Chunk(b"first".into()),
        Step::Gate(gate.clone()),
        Step::Chunk(b"second".into()),
        Step::Chunk(vec![]),
    ];
    app.answers(move |_| Reply::steps(steps.clone()));
    let mut client = tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(200));
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"first");
    gate.open();
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"second");
    assert_eq!(client.chunk().await, Ok(None));
}

#[tokio::test]
async fn an_upload_reaches_the_node_before_the_client_has_finished() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::mirror());
    let request = Request::post("/", pattern(5_000));
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    client
        .send_bytes(&request.body_bytes()[..2_000])
        .await
        .unwrap();
    app.holds(1).await;
    client
        .send_bytes(&request.body_bytes()[2_000..])
        .await
        .unwrap();
    assert_eq!(client.answer("POST").await.unwrap().body, pattern(5_000));
}

#[tokio::test]
async fn a_client_that_expects_100_continue_hears_it_from_the_node() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::mirror());
    let request = Request::post("/", "the body").field("Expect", "100-continue");
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    assert_eq!(status_of(&client.head().await.unwrap()), Ok(100));
    client.send_bytes(&request.body_bytes()).await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().text(), "the body");

    app.answers(|_| Reply::sized(413, "too much").without_reading());
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    let answer = client.answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.interim), (413, vec![]));
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::websocket());
    let upgrade = Request::get("/chat")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13");
    let mut client = tide.connect().await;
    let answer = client.ask(&upgrade).await.unwrap();
    assert_eq!(answer.status, 101);
    assert!(answer.head.names("upgrade", "websocket"));
    assert!(answer.head.names("connection", "upgrade"));
    for size in [1, 5, 70_000] {
        client.send_bytes(&pattern(size)).await.unwrap();
        assert!(client.exactly(size).await.unwrap() == pattern(size));
    }
    let seen = app.only();
    assert!(seen.head.names("upgrade", "websocket"));
    assert_eq!(seen.head.all("sec-websocket-key").len(), 1);
    drop(client);
    eventually("the node's side is closed too", ms(3_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
}

#[tokio::test]
async fn head_and_options_pass_and_leave_the_connection_usable() {
    let (app, tide) = one_node().await;
    let mut client = tide.connect().await;
    let head = client.ask(&Request::new("HEAD", "/page")).await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.head.get("content-length").is_some_and(|n| n != "0"));
    let get = client.ask(&Request::get("/page")).await.unwrap();
    assert!(get.text().starts_with("app-1 1 "), "{}", get.text());
    let options = client.ask(&Request::new("OPTIONS", "/page")).await.unwrap();
    assert_eq!((options.status, options.node()), (200, "app-1"));
    let methods: Vec<String> = app.seen().iter().map(|s| s.method().into()).collect();
    assert_eq!(methods, ["HEAD", "GET", "OPTIONS"]);
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_arrives_whole() {
    let (app, tide) = one_node().await;
    let steps = [
        Step::Head(200, vec![]),
        Step::Bytes(pattern(100_000)),
        Step::Close,
    ];
    app.answers(move |_| Reply::steps(steps.clone()));
    assert!(tide.get("/").await.body == pattern(100_000));
}

// -- fields

#[tokio::test]
async fn a_stranger_cannot_say_who_he_is() {
    let (app, tide) = one_node_with("forwarded: true").await;
    let spoofed = Request::get("/")
        .field("X-Forwarded-For", "203.0.113.9")
        .field("X-Forwarded-Proto", "https")
        .field("X-Forwarded-Host", "evil.test")
        .field("X-Real-IP", "203.0.113.9")
        .field("Forwarded", "for=203.0.113.9;proto=https");
    let answer = tide.ask(&spoofed).await;
    let head = app.only().head;
    assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.get("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto"), Some("http"));
    assert_eq!(head.get("x-forwarded-host"), Some("tide.test"));
    let forwarded = head.get("forwarded").unwrap().to_lowercase();
    assert!(forwarded.contains("for=127.0.0.1"), "{forwarded}");
    assert!(forwarded.contains("proto=http"), "{forwarded}");
    assert!(!forwarded.contains("203.0.113.9"), "{forwarded}");
    assert_eq!(head.get("via"), Some("1.1 tidegate"));
    assert_eq!(answer.head.get("via"), Some("1.1 tidegate"));
    assert!(head.get("x-request-id").is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_its_chain_goes_on() {
    let app = Origin::start("app-1").await;
    let trusting = "trusted_proxies: [127.0.0.2/32]\n".to_owned();
    let tide = Tidegate::run(trusting + &web("", nodes([&app]))).await;
    let request = Request::get("/")
        .field("X-Forwarded-For", "203.0.113.9")
        .field("X-Forwarded-Proto", "https")
        .field("X-Forwarded-Host", "shop.test");
    let from = "127.0.0.2".parse().unwrap();
    let mut trusted = Client::connect_from(from, tide.addr()).await.unwrap();
    trusted.ask(&request).await.unwrap();
    tide.ask(&request).await;
    let seen = app.seen();
    let by_trusted = &seen[0].head;
    assert_eq!(
        by_trusted.get("x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.2")
    );
    assert_eq!(by_trusted.get("x-real-ip"), Some("203.0.113.9"));
    assert_eq!(by_trusted.get("x-forwarded-proto"), Some("https"));
    assert_eq!(by_trusted.get("x-forwarded-host"), Some("shop.test"));
    assert!(
        by_trusted.all("forwarded").is_empty(),
        "nobody asked for it"
    );
    let by_stranger = &seen[1].head;
    assert_eq!(by_stranger.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(by_stranger.get("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let (app, tide) = one_node().await;
    app.answers(|seen| {
        Reply::usual(seen)
            .field("Connection", "X-Internal")
            .field("X-Internal", "secret")
            .field("Keep-Alive", "timeout=99")
            .field("Proxy-Connection", "keep-alive")
            .field("X-End", "stays")
    });
    let request = Request::get("/")
        .field("Connection", "keep-alive, X-Mine")
        .field("X-Mine", "1")
        .field("Keep-Alive", "timeout=999999")
        .field("Proxy-Connection", "keep-alive")
        .field("TE", "trailers")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAAQAAP__")
        .field("X-Yours", "stays");
    let answer = tide.ask(&request).await;
    let head = app.only().head;
    for gone in [
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(head.all(gone).is_empty(), "{gone} reached the node");
    }
    assert!(!head.names("connection", "x-mine"));
    assert_eq!(head.get("x-yours"), Some("stays"));
    for gone in ["x-internal", "proxy-connection"] {
        assert!(
            answer.head.all(gone).is_empty(),
            "{gone} reached the client"
        );
    }
    assert!(!answer.head.all("keep-alive").contains(&"timeout=99"));
    assert!(!answer.head.names("connection", "x-internal"));
    assert_eq!(answer.head.get("x-end"), Some("stays"));
}

// -- refusals and failures

/// The shape of every answer the proxy makes itself: the status in words, the request's id, nothing from inside.
#[track_caller]
fn is_refusal(answer: &Answer, status: u16) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(text.starts_with(&format!("{status} ")), "{text}");
    assert!(text.contains("request "), "{text}");
    let kind = answer.head.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{kind}");
    let raw = String::from_utf8_lossy(&answer.head.raw).to_lowercase();
    let all = raw + &text.to_lowercase();
    for inside in [
        "pingora",
        "127.0.0.1",
        "app-1",
        "errno",
        "os error",
        "upstream",
        "refused by",
    ] {
        assert!(
            !all.contains(inside),
            "{inside:?} is told to a client: {all}"
        );
    }
    assert!(answer.head.all("server").is_empty());
    assert_eq!(answer.head.get("retry-after").is_some(), status == 503);
}

#[tokio::test]
async fn a_refusing_node_is_a_502_and_no_node_at_all_a_503_with_retry_after() {
    let app = Origin::refusing("app-1");
    let tide = Tidegate::run_unready(web("", nodes([&app]))).await;
    is_refusal(&tide.get("/").await, 502);
    let down = app.with("state: down");
    tide.apply(&web("", format!("[{down}]"))).await;
    is_refusal(&tide.get("/").await, 503);
    is_refusal(
        &tide.ask(&Request::post("/", "x".repeat(100_000))).await,
        503,
    );
}

#[tokio::test]
async fn a_node_that_breaks_off_is_a_502() {
    let (app, tide) = one_node().await;
    for broken in [
        Reply::reset(),
        Reply::close(),
        Reply::steps([Step::Bytes(b"nonsense\r\n\r\n".into()), Step::Close]),
        Reply::steps([Step::Bytes(b"HTTP/1.1 200 OK\r\nhalf".into()), Step::Reset]),
    ] {
        app.answers(move |_| broken.clone());
        is_refusal(&tide.ask(&Request::post("/", "once")).await, 502);
    }
}

#[tokio::test]
async fn a_node_that_is_too_slow_is_a_504() {
    let hole = BlackHole::open().await;
    let (app, tide) = one_node_with("timeouts: { connect: 300ms, read: 300ms }").await;
    app.answers(|seen| Reply::usual(seen).after(ms(30_000)));
    let began = Instant::now();
    is_refusal(&tide.ask(&Request::post("/read", "x")).await, 504);
    took_about(began, ms(300));

    tide.apply(&web("timeouts: { connect: 300ms }", format!("[{hole}]")))
        .await;
    let began = Instant::now();
    is_refusal(&tide.get("/connect").await, 504);
    took_about(began, ms(300));
}

#[tokio::test]
async fn nobody_hears_what_the_proxy_is_made_of() {
    let (_app, tide) = one_node().await;
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/7.7\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "\x16\x03\x01 hello\r\n\r\n",
    ] {
        let mut client = tide.connect().await;
        client.send_bytes(bad.as_bytes()).await.unwrap();
        let told = client.until_closed(ms(5_000)).await;
        let told = told.unwrap_or_else(|e| panic!("{bad:?}: {e}, and it stays open"));
        let told = String::from_utf8_lossy(&told).to_lowercase();
        assert!(!told.contains("pingora"), "{bad:?}: {told}");
        assert!(
            told.is_empty() || told.starts_with("http/1.1 4") || told.starts_with("http/1.1 505")
        );
    }
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete() {
    let (app, tide) = one_node().await;
    let cut_chunks = |end: Step| {
        let part = [Reply::chunked_head(), Step::Chunk(pattern(3_000)), end];
        Reply::steps(part)
    };
    let half_chunk = Step::Bytes(b"ff\r\nonly this".into());
    for cut in [
        Reply::short_of(1_000, "half"),
        Reply::short_of(200_000, &"h".repeat(100_000)),
        cut_chunks(Step::Close),
        cut_chunks(Step::Reset),
        cut_chunks(half_chunk).then(Step::Close),
    ] {
        app.answers(move |_| cut.clone());
        let broken = tide
            .try_ask(&Request::get("/cut"))
            .await
            .map(|a| (a.status, a.body.len()));
        assert!(
            matches!(broken, Err(Broken::Cut | Broken::Reset)),
            "{broken:?}"
        );
    }
}

// -- time limits

#[track_caller]
fn took_about(began: Instant, limit: Duration) {
    let took = began.elapsed();
    assert!(took > limit * 3 / 4, "only {took:?} of {limit:?}");
    assert!(took < limit + ms(2_500), "{took:?} instead of {limit:?}");
}

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

// -- the pool

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

#[tokio::test]
async fn bytes_glued_behind_a_body_are_never_another_clients_answer() {
    let (app, tide) = one_node().await;
    app.answers(|seen| {
        let glued = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nx-id: none\r\n\r\nstolen";
        Reply::usual(seen).then(Step::Bytes(glued.to_vec()))
    });
    for _ in 0..30 {
        let request = Request::get("/");
        let answer = tide.ask(&request).await;
        assert!(
            answer.text().contains(request.its_id()),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn trailers_and_chunk_sizes_of_an_upload_do_not_matter() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::mirror());
    let request = Request::post("/", "").chunked(1);
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    for byte in b"drop by drop" {
        client.send_bytes(&chunk(&[*byte])).await.unwrap();
    }
    client.send_bytes(b"0\r\nX-Sum: 1\r\n\r\n").await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().text(), "drop by drop");
    assert!(app.only().complete);
}
