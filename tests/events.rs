//! Server-sent events: every event is with its client when it was sent, and nobody gets those of another's stream.

use std::process::Command;
use std::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::h2::{H2, request};
use crate::support::origin::{Origin, nodes};
use crate::support::process::Process;
use crate::support::proxy::Tidegate;
use crate::support::reply::{Reply, Step};
use crate::support::websocket::Node;
use crate::support::{Gate, check, eventually, ms};

/// What a route may do with answers, none of which may hold an event back.
const ROUTES: [&str; 5] = [
    "",
    ", compress: true",
    ", cache: true",
    ", cache: { ttl: 60s }, compress: true",
    ", cache: { override_ttl: 60s }",
];

/// A node that sends an event at each gate; the proxy in front of it with these keys of the route.
struct Stream {
    app: Origin,
    tide: Tidegate,
    gates: Vec<Gate>,
}

/// The file, with these nodes (and further keys of their upstream behind them) and keys of the route.
fn file(nodes: &str, route: &str) -> String {
    format!(
        "listen: [{{ addr: \"127.0.0.1:0\", h2c: true }}]
upstreams: {{ web: {{ nodes: {nodes} }} }}
routes: [{{ upstream: web{route} }}]\n"
    )
}

/// The `n`-th event.
fn event(n: usize) -> Vec<u8> {
    format!("id: {n}\ndata: event {n}\n\n").into_bytes()
}

impl Stream {
    async fn of(route: &str, framed: bool, keys: &str) -> Self {
        let app = Origin::start("app-1").await;
        let gates: Vec<Gate> = (0..4).map(|_| Gate::closed()).collect();
        let script = gates.clone();
        app.answers(move |_| {
            let mut fields = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
            if framed {
                fields.push(("transfer-encoding".into(), "chunked".into()));
            }
            let mut reply = Reply::steps([Step::Head(200, fields)]);
            for (n, gate) in script.iter().enumerate() {
                let event = match framed {
                    true => Step::Chunk(event(n)),
                    false => Step::Bytes(event(n)),
                };
                reply = reply.then(Step::Gate(gate.clone())).then(event);
            }
            match framed {
                true => reply.then(Step::Chunk(vec![])),
                false => reply.then(Step::Close),
            }
        });
        let nodes = nodes([&app]) + keys;
        let tide = Tidegate::run(file(&nodes, route)).await;
        Stream { app, tide, gates }
    }

    fn ask(&self) -> Request {
        Request::get("/events")
            .field("Accept", "text/event-stream")
            .field("Accept-Encoding", "gzip, br, zstd")
    }

    /// A client that has the head of its stream.
    async fn follower(&self, request: &Request) -> Client {
        let mut client = self.tide.connect().await;
        client.send(request).await.unwrap();
        let head = client.head().await.unwrap();
        assert_eq!(head.get("content-type"), Some("text/event-stream"));
        assert_eq!(head.get("content-encoding"), None, "{head:?}");
        client
    }
}

#[tokio::test]
async fn every_event_is_with_its_client_when_it_was_sent() {
    for route in ROUTES {
        for framed in [true, false] {
            let stream = Stream::of(route, framed, "").await;
            let mut client = stream.follower(&stream.ask()).await;
            for (n, gate) in stream.gates.iter().enumerate() {
                gate.open();
                assert_eq!(client.chunk().await, Ok(Some(event(n))), "{route} {framed}");
            }
            assert_eq!(client.chunk().await, Ok(None), "{route} {framed}");
            assert_eq!(stream.tide.told("/events").await["end"], "ok");
        }
    }
}

#[tokio::test]
async fn over_http_2_too() {
    for route in ROUTES {
        let stream = Stream::of(route, true, "").await;
        let mut client = H2::connect(stream.tide.addr()).await;
        let asks = request("GET", "/events").header("accept-encoding", "gzip, br, zstd");
        let sent = client.send(asks, true).await.unwrap();
        let (status, fields, mut body) = sent.head().await.unwrap();
        assert_eq!((status, fields.get("content-encoding")), (200, None));
        for (n, gate) in stream.gates.iter().enumerate() {
            gate.open();
            let piece = tokio::time::timeout(ms(5_000), body.data()).await;
            let piece = piece.expect("an event in time").unwrap().unwrap();
            assert_eq!(piece, event(n), "{route}");
            let _ = body.flow_control().release_capacity(piece.len());
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_reads_until_the_end() {
    for route in ROUTES {
        let stream = Stream::of(route, true, "").await;
        let mut client = stream.follower(&stream.ask().http10()).await;
        for (n, gate) in stream.gates.iter().enumerate() {
            gate.open();
            let event = event(n);
            assert_eq!(client.exactly(event.len()).await, Ok(event), "{route}");
        }
        assert_eq!(client.until_closed(ms(3_000)).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn curl_reads_along() {
    let stream = Stream::of(", cache: true, compress: true", true, "").await;
    let url = format!("http://{}/events", stream.tide.addr());
    let curl = Process::start(Command::new("curl").args(["-sN", "--compressed", &url]));
    for (n, gate) in stream.gates.iter().enumerate() {
        gate.open();
        let wanted = format!("data: event {n}");
        eventually(&wanted, ms(5_000), async || {
            let out = curl.output().out;
            check(out.contains(&wanted), out.join("\n"))
        })
        .await;
    }
    assert_eq!(curl.ended(ms(5_000)).await, 0);
}

#[tokio::test]
async fn everybody_has_a_stream_of_their_own_and_nothing_of_it_is_stored() {
    for route in ROUTES {
        let stream = Stream::of(route, true, "").await;
        let mut first = stream.follower(&stream.ask()).await;
        let mut second = stream.follower(&stream.ask()).await;
        stream.gates[0].open();
        for client in [&mut first, &mut second] {
            assert_eq!(client.chunk().await, Ok(Some(event(0))), "{route}");
        }
        // Who comes later gets what its node sends it, from that stream's beginning, and holds nobody up.
        let mut third = stream.follower(&stream.ask()).await;
        stream.gates[1].open();
        for client in [&mut first, &mut second] {
            assert_eq!(client.chunk().await, Ok(Some(event(1))), "{route}");
        }
        assert_eq!(third.chunk().await, Ok(Some(event(0))), "{route}");
        assert_eq!(stream.app.requests(), 3, "{route}");
        let mut clients = [first, second, third];
        stream.gates[2..].iter().for_each(Gate::open);
        for client in &mut clients {
            while client.chunk().await.unwrap().is_some() {}
        }
        // Not even its end makes it something for others.
        stream.follower(&stream.ask()).await;
        assert_eq!(stream.app.requests(), 4, "{route}");
        if route.contains("cache") {
            let lines = stream.tide.tells(3).await;
            let why = lines.iter().map(|line| &line["cache_reason"]);
            assert!(
                why.into_iter()
                    .all(|why| why == "event_stream" || why == "hit_for_miss"),
                "{lines:?}"
            );
        }
    }
}

#[tokio::test]
async fn clients_that_come_at_once_do_not_wait_for_each_other() {
    let stream = Stream::of(", cache: { ttl: 60s }", true, "").await;
    let began = Instant::now();
    let ask = stream.ask();
    let (one, two, three) = tokio::join!(
        stream.follower(&ask),
        stream.follower(&ask),
        stream.follower(&ask)
    );
    assert!(began.elapsed() < ms(3_000), "{:?}", began.elapsed());
    stream.gates[0].open();
    for mut client in [one, two, three] {
        assert_eq!(client.chunk().await, Ok(Some(event(0))));
    }
    assert_eq!(stream.app.requests(), 3);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_stream_with_it() {
    const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n";
    for route in ROUTES {
        let node = Node::open().await;
        let tide = Tidegate::run(file(&node.entry(), route)).await;
        let mut client = tide.connect().await;
        client.send(&Request::get("/events")).await.unwrap();
        let (mut at_node, _) = node.is_asked().await;
        at_node.sends(BEGUN).await;
        client.head().await.unwrap();
        assert_eq!(client.chunk().await, Ok(Some(b"data: 0\n\n".to_vec())));
        client.reset();
        at_node.is_left(ms(2_000)).await;
        let mut client = H2::connect(tide.addr()).await;
        let asks = client.send(request("GET", "/events"), true);
        let (sent, (mut at_node, _)) = tokio::join!(asks, node.is_asked());
        at_node.sends(BEGUN).await;
        let (_, _, mut body) = sent.unwrap().head().await.unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "data: 0\n\n");
        drop(body); // resets this stream, and nothing else
        at_node.is_left(ms(2_000)).await;
        drop(client);
    }
}

#[tokio::test]
async fn one_that_is_silent_for_longer_than_a_node_may_be_ends_visibly() {
    for route in ROUTES {
        let stream = Stream::of(route, true, ", timeouts: { read: 500ms }").await;
        let mut client = stream.follower(&stream.ask()).await;
        let cut = client.chunk().await;
        assert!(cut.is_err(), "{route}: no end that looks like one: {cut:?}");
        let line = stream.tide.told("/events").await;
        assert_eq!(line["end"], "upstream_timeout", "{route}: {line}");
    }
}

#[tokio::test]
async fn at_the_end_of_a_drain_it_ends_visibly() {
    let stream = Stream::of(", cache: true", true, ", drain: { timeout: 500ms }").await;
    let mut client = stream.follower(&stream.ask()).await;
    stream.gates[0].open();
    assert_eq!(client.chunk().await, Ok(Some(event(0))));
    stream.tide.verb("web/app-1", "drain").await;
    assert!(client.chunk().await.is_err(), "no end that looks like one");
    let line = stream.tide.told("/events").await;
    assert_eq!(line["end"], "drain_timeout", "{line}");
}
