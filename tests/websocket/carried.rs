//! What passes through a WebSocket, and what stands around it.

use super::{Open, file, opened};
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::pattern;
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::websocket::{End, Node, TEXT, frame};

#[tokio::test]
async fn the_offers_of_both_ends_arrive_as_they_were_made() {
    let node = Node::open().await;
    let tide = Tidegate::run(file("", "", &node)).await;
    let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    let request = Request::websocket("/chat")
        .field("Sec-WebSocket-Extensions", offer)
        .field("Sec-WebSocket-Protocol", "chat.v2, chat.v1")
        .field("Origin", "https://tide.test");
    let agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\
                  Sec-WebSocket-Protocol: chat.v1\r\n";
    // Its first frame comes right behind the answer, compressed (RSV1).
    let early = frame(0xc1, b"\xf2H\xcd\xc9\xc9\x07\x00", false);
    let ((mut client, answer), (mut server, head)) = tokio::join!(
        End::opens(tide.addr(), &request),
        node.agrees(agreed, &early)
    );
    assert_eq!(head.get("sec-websocket-extensions"), Some(offer));
    assert_eq!(head.get("sec-websocket-protocol"), Some("chat.v2, chat.v1"));
    assert_eq!(
        head.get("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(head.get("origin"), Some("https://tide.test"));
    assert_eq!(head.get("upgrade"), Some("websocket"));
    assert!(head.names("connection", "upgrade"), "{head:?}");
    let extensions = "permessage-deflate; server_no_context_takeover";
    assert_eq!(answer.get("sec-websocket-extensions"), Some(extensions));
    assert_eq!(answer.get("sec-websocket-protocol"), Some("chat.v1"));
    let first = client.hears().await.unwrap();
    assert_eq!(
        (first.first, &first.payload[..]),
        (0xc1, &b"\xf2H\xcd\xc9\xc9\x07\x00"[..])
    );
    client.says(0xc1, b"\xf2H\xcd\xc9\xc9\x07\x00").await;
    assert_eq!(server.hears().await.unwrap().first, 0xc1);
}

#[tokio::test]
async fn large_messages_pass_whole_both_ways_at_once() {
    let open = Open::with("", "").await;
    let (mut client, mut server) = (open.client, open.server);
    let sent = pattern(3_000_000);
    let (to_node, to_client) = (frame(0x82, &sent, true), frame(0x82, &sent, false));
    // Each end reads what it sends: nobody waits for the other.
    let (up, down) = (to_node.clone(), to_client.clone());
    let node = tokio::spawn(async move {
        let mut got = Vec::new();
        for piece in down.chunks(50_000) {
            server.sends(piece).await;
            got.extend(server.exactly(piece.len()).await.unwrap());
        }
        let rest = server.exactly(to_node.len() - got.len()).await.unwrap();
        got.extend(rest);
        assert!(got == to_node);
        server
    });
    let mut got = Vec::new();
    for piece in up.chunks(50_000) {
        client.sends(piece).await;
        let left: usize = to_client.len() - got.len();
        got.extend(client.exactly(left.min(piece.len() - 4)).await.unwrap());
    }
    let left = to_client.len() - got.len();
    got.extend(client.exactly(left).await.unwrap());
    assert!(got == to_client);
    node.await.unwrap();
}

#[tokio::test]
async fn a_refused_offer_is_an_answer_like_any_other_and_the_connection_goes_on() {
    for status in [200, 403, 426] {
        let app = Origin::start("app-1").await;
        app.answers(move |_| Reply::sized(status, "no WebSocket here").field("x-why", "closed"));
        let tide = Tidegate::run(web("", nodes([&app]))).await;
        let mut client = tide.connect().await;
        for _ in 0..2 {
            let answer = client.ask(&Request::websocket("/chat")).await.unwrap();
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, "no WebSocket here")
            );
            assert_eq!(answer.head.get("x-why"), Some("closed"));
        }
        assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, status);
        let view = tide.node("web/app-1").await;
        assert_eq!(view["tunnels"], 0);
        assert_eq!(tide.metric("tidegate_tunnels_total", &WEB).await, Some(0.0));
    }
}

const WEB: [(&str, &str); 2] = [("upstream", "web"), ("node", "app-1")];

#[tokio::test]
async fn on_a_route_with_a_cache_everybody_has_a_websocket_of_their_own() {
    let node = Node::open().await;
    let yaml = file("", "", &node) + "    cache: true\n    compress: true\n";
    let tide = Tidegate::run(yaml).await;
    let mut first = opened(&tide, &node).await;
    let mut second = opened(&tide, &node).await;
    for (n, (client, server)) in [&mut first, &mut second].into_iter().enumerate() {
        let text = format!("for number {n} alone");
        server.says(TEXT, text.as_bytes()).await;
        assert_eq!(client.hears().await.unwrap().payload, text.as_bytes());
    }
    drop((first, second));
    for line in tide.tells(2).await {
        assert_eq!(
            (&line["cache"], &line["status"]),
            (&"bypass".into(), &101.into()),
            "{line}"
        );
    }
}

#[tokio::test]
async fn tunnels_are_counted_as_long_as_they_stand() {
    let open = Open::with("", "").await;
    let active = "tidegate_tunnels_active";
    open.tide.metric_is(active, &WEB, 1.0).await;
    let other = opened(&open.tide, &open.node).await;
    open.tide.metric_is(active, &WEB, 2.0).await;
    let view = open.tide.node("web/app-1").await;
    assert_eq!(view["tunnels"], 2, "{view}");
    assert_eq!(open.tide.status().await["requests"]["tunnels"], 2);
    drop(other);
    open.tide.metric_is(active, &WEB, 1.0).await;
    assert_eq!(
        open.tide.metric("tidegate_tunnels_total", &WEB).await,
        Some(2.0)
    );
    assert_eq!(
        open.tide
            .metric("tidegate_upstream_requests_in_flight", &WEB)
            .await,
        Some(1.0)
    );
}

#[tokio::test]
async fn another_protocol_than_websocket_is_not_offered_to_a_node() {
    let (app, tide) = crate::support::proxy::one_node().await;
    let mut client = Client::connect(tide.addr()).await.unwrap();
    let request = Request::get("/")
        .field("Connection", "Upgrade")
        .field("Upgrade", "irc/6.9");
    assert_eq!(client.ask(&request).await.unwrap().status, 200);
    assert_eq!(app.only().head.get("upgrade"), None);
}
