//! A request goes to a node and its answer comes back: nothing lost, nothing added that does not belong.

use crate::support::client::{Client, Request, status_of};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, web};
use crate::support::reply::{Reply, Step, chunk};
use crate::support::wire::{Broken, Framing};
use crate::support::{Gate, check, eventually, ms, pattern};

#[tokio::test]
async fn a_request_reaches_a_node_and_its_answer_comes_back() {
    let (app, tide) = one_node().await;
    app.answers(|seen| {
        Reply::usual(seen)
            .field("Server", "scripted")
            .field("X-Twice", "1")
    });
    let request = Request::get("/a%20b/c?d=%2F&e//f")
        .host("shop.test:81")
        .field("Accept", "x/y");
    let answer = tide.ask(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), format!("app-1 0 {}\n", request.its_id()));
    assert_eq!(answer.head.get("server"), Some("scripted"));
    assert_eq!(answer.head.get("x-twice"), Some("1"));
    let seen = app.only();
    assert_eq!(seen.target(), "/a%20b/c?d=%2F&e//f", "forwarded as it came");
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
async fn an_upload_that_breaks_off_never_looks_complete_to_the_node() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::mirror());
    let sized = Request::post("/", pattern(90_000));
    for upload in [sized.clone(), sized.chunked(1_000)] {
        let mut client = tide.connect().await;
        client.send_bytes(&upload.head_bytes()).await.unwrap();
        client
            .send_bytes(&upload.body_bytes()[..50_000])
            .await
            .unwrap();
        app.holds(1).await;
        drop(client);
        eventually("the node is let go", ms(3_000), async || {
            check(app.in_flight() == 0, app.in_flight())
        })
        .await;
    }
    let seen = app.seen();
    assert!(seen.len() == 2 && seen.iter().all(|s| !s.complete));
    tide.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
}

#[tokio::test]
async fn requests_sent_in_one_go_are_answered_in_their_order_or_not_at_all() {
    let (app, tide) = one_node().await;
    app.answers(|seen| Reply::usual(seen).after(ms(30 - 10 * seen.serial as u64 % 30)));
    let requests = [
        Request::get("/1"),
        Request::post("/2", "two"),
        Request::get("/3"),
    ];
    let mut bytes = Vec::new();
    for request in &requests {
        bytes.extend(request.head_bytes());
        bytes.extend(request.body_bytes());
    }
    let mut client = tide.connect().await;
    client.send_bytes(&bytes).await.unwrap();
    for (n, request) in requests.iter().enumerate() {
        let answer = match client.answer("GET").await {
            Err(Broken::Closed) if n > 0 => break,
            answer => answer.unwrap(),
        };
        assert!(
            answer.text().contains(request.its_id()),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_request_sent_too_early_does_not_cost_the_one_before_it() {
    let (app, tide) = one_node().await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let mut client = tide.connect().await;
    let first = Request::post("/1", "an order");
    client.send(&first).await.unwrap();
    app.holds(1).await;
    client.send(&Request::get("/2")).await.unwrap();
    // Its answer shows that the proxy had the time to notice the early bytes.
    app.answers(Reply::usual);
    tide.get("/3").await;
    gate.open();
    let answer = client
        .answer("POST")
        .await
        .expect("the order was carried out");
    assert!(answer.text().contains(first.its_id()), "{}", answer.text());
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
    let upgrade = Request::websocket("/chat");
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
async fn an_upgrade_that_the_node_refuses_is_an_ordinary_answer() {
    let (_app, tide) = one_node().await;
    let upgrade = Request::get("/chat")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    let mut client = tide.connect().await;
    let answer = client.ask(&upgrade).await.unwrap();
    assert!(answer.status == 200 && answer.text().contains(upgrade.its_id()));
    if answer.stays_open {
        assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
    }
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
