//! How a WebSocket ends that nobody in it ended: both are told, between two frames, and have a moment to answer.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Open, file, opened};
use crate::support::client::Request;
use crate::support::proxy::Tidegate;
use crate::support::websocket::{CLOSE, End, Frame, Node, TEXT, frame};
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms, took_about};

#[tokio::test]
async fn one_that_is_silent_for_too_long_is_ended_and_both_are_told() {
    let mut open = Open::with("", "timeouts: { tunnel: 1s }").await;
    open.carries(b"hello").await;
    let began = Instant::now();
    tokio::join!(open.client.is_sent_away(), open.server.is_sent_away());
    took_about(began, ms(1_000));
    tokio::join!(open.client.is_closed(), open.server.is_closed());
    assert!(began.elapsed() < ms(2_000), "nobody is waited for any more");
    let line = open.tide.told("/chat").await;
    assert_eq!(line["end"], "tunnel_idle", "{line}");
    assert_eq!(line["status"], 101, "{line}");
    assert_eq!(line["bytes_out"], 7, "a frame of the node: {line}");
    assert_eq!(line["bytes_in"], 11, "a frame of the client: {line}");
}

#[tokio::test]
async fn it_stays_while_anything_passes_either_way() {
    let mut open = Open::with("", "timeouts: { tunnel: 1s }").await;
    for n in 0..8 {
        tokio::time::sleep(ms(400)).await; // the time that passes is what this is about
        match n % 4 {
            0 | 1 => open.client.says(TEXT, b"tick").await,
            _ => open.server.says(TEXT, b"tock").await,
        }
    }
    for _ in 0..4 {
        assert_eq!(open.server.hears().await.unwrap().payload, b"tick");
        assert_eq!(open.client.hears().await.unwrap().payload, b"tock");
    }
    open.client.is_sent_away().await;
}

#[tokio::test]
async fn no_limit_of_a_request_ends_a_quiet_one() {
    let top = "timeouts: { request: 600ms, body: 300ms, write: 300ms, idle: 300ms, header: 300ms }";
    let mut open = Open::with(top, "timeouts: { read: 300ms, write: 300ms, tunnel: 0s }").await;
    for _ in 0..2 {
        tokio::time::sleep(ms(1_500)).await; // the time that passes is what this is about
        open.carries(b"still here").await;
    }
    open.server.says(CLOSE, &[3, 232]).await;
    assert_eq!(open.client.hears().await.unwrap().code(), Some(1000));
    open.client.says(CLOSE, &[3, 232]).await;
    assert_eq!(open.server.hears().await.unwrap().code(), Some(1000));
    drop(open.server);
    open.client.is_closed().await;
    assert_eq!(open.tide.told("/chat").await["end"], "ok");
}

#[tokio::test]
async fn a_node_that_does_not_answer_the_offer_is_not_waited_for_any_longer_than_another() {
    let node = Node::open().await;
    let keys = "timeouts: { read: 500ms, tunnel: 0s }\nretry: { tries: 1 }";
    let tide = Tidegate::run(file("", keys, &node)).await;
    let began = Instant::now();
    let (answer, _held) = tokio::join!(
        async { tide.ask(&Request::websocket("/chat")).await.status },
        node.is_asked()
    );
    assert_eq!(answer, 504);
    took_about(began, ms(500));
    assert_eq!(tide.told("/chat").await["end"], "upstream_timeout");
}

#[tokio::test]
async fn the_rest_of_a_refusal_comes_as_quickly_as_any_answer() {
    let node = Node::open().await;
    let keys = "timeouts: { read: 500ms, tunnel: 0s }\nretry: { tries: 1 }";
    let tide = Tidegate::run(file("", keys, &node)).await;
    let request = Request::websocket("/chat");
    let (client, server) = tokio::join!(End::opens(tide.addr(), &request), async {
        let (mut server, _) = node.is_asked().await;
        server
            .sends(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot")
            .await;
        server
    });
    let (mut client, head) = client;
    assert_eq!(head.line, "HTTP/1.1 403 Forbidden");
    let began = Instant::now();
    assert_eq!(client.exactly(9).await, Err(Broken::Cut));
    assert!(began.elapsed() < ms(3_000));
    drop(server);
}

#[tokio::test]
async fn at_the_end_of_a_drain_both_are_told_and_what_is_new_goes_elsewhere() {
    let mut open = Open::with("", "drain: { timeout: 1s }").await;
    let mut second = opened(&open.tide, &open.node).await;
    open.carries(b"hello").await;
    let view = open.tide.node("web/app-1").await;
    assert_eq!(
        (&view["tunnels"], &view["in_flight"]),
        (&2.into(), &2.into())
    );
    let began = Instant::now();
    let draining = open.tide.verb("web/app-1", "drain").await;
    assert_eq!(draining["drain"]["remaining"], 2, "{draining}");
    open.carries(b"until then as before").await;
    tokio::join!(open.client.is_sent_away(), open.server.is_sent_away());
    took_about(began, ms(1_000));
    tokio::join!(second.0.is_sent_away(), second.1.is_sent_away());
    tokio::join!(open.client.is_closed(), open.server.is_closed());
    open.tide.node_has("web/app-1", "tunnels", 0).await;
    for line in open.tide.tells(2).await {
        assert_eq!(line["end"], "drain_timeout", "{line}");
    }
}

#[tokio::test]
async fn a_frame_that_has_begun_is_carried_to_its_end_first() {
    let mut open = Open::with("", "drain: { timeout: 200ms }").await;
    let (long, asked) = (vec![b'n'; 300], vec![b'c'; 70_000]);
    let (of_node, of_client) = (frame(TEXT, &long, false), frame(TEXT, &asked, true));
    open.server.sends(&of_node[..3]).await; // not even its length is there
    open.client.sends(&of_client[..40_000]).await;
    assert_eq!(open.client.exactly(3).await.unwrap(), of_node[..3]);
    assert_eq!(open.server.exactly(40_000).await.unwrap().len(), 40_000);
    open.tide.verb("web/app-1", "drain").await;
    eventually("its drain is over", ms(3_000), async || {
        let log = open.tide.log();
        check(log.contains("its drain is over"), log)
    })
    .await;
    // What comes behind a frame is for nobody any more.
    open.server
        .sends(&[&of_node[3..], b"\x81\x05stray"].concat())
        .await;
    open.client
        .sends(&[&of_client[40_000..], &frame(TEXT, b"stray", true)[..]].concat())
        .await;
    assert_eq!(
        open.client.exactly(of_node.len() - 3).await.unwrap(),
        of_node[3..]
    );
    let rest = open.server.exactly(of_client.len() - 40_000).await.unwrap();
    assert!(rest == of_client[40_000..]);
    tokio::join!(open.client.is_sent_away(), open.server.is_sent_away());
    tokio::join!(open.client.is_closed(), open.server.is_closed());
}

#[tokio::test]
async fn who_does_not_answer_a_good_bye_is_left_after_a_second() {
    let mut open = Open::with("", "drain: { timeout: 100ms }").await;
    open.tide.verb("web/app-1", "drain").await;
    let (at_client, at_node) = tokio::join!(open.client.hears(), open.server.hears());
    let began = Instant::now();
    assert_eq!(at_client.unwrap().code(), Some(1001));
    assert_eq!(at_node.unwrap().code(), Some(1001));
    open.client.is_closed().await;
    took_about(began, ms(1_000));
    open.server.is_closed().await;
    open.tide.node_has("web/app-1", "tunnels", 0).await;
}

#[tokio::test]
async fn nobody_is_told_good_bye_twice() {
    let mut open = Open::with("", "drain: { timeout: 700ms }").await;
    open.server.says(CLOSE, &[3, 232]).await;
    let first = open.client.hears().await.unwrap();
    assert_eq!(first.code(), Some(1000));
    open.tide.verb("web/app-1", "drain").await;
    // The client has not answered the node: now it is the proxy that takes its leave there.
    let at_node = open.server.hears().await.unwrap();
    assert_eq!(at_node.code(), Some(1001));
    open.client.is_closed().await;
}

#[tokio::test]
async fn what_is_no_websocket_is_only_closed() {
    let mut open = Open::with("", "timeouts: { tunnel: 700ms }").await;
    open.server.sends(b"220 not a frame\r\n").await;
    assert_eq!(
        open.client.exactly(17).await.unwrap(),
        b"220 not a frame\r\n"
    );
    open.client.sends(b"HELO\r\n").await;
    assert_eq!(open.server.exactly(6).await.unwrap(), b"HELO\r\n");
    tokio::join!(open.client.is_closed(), open.server.is_closed());
    assert_eq!(open.tide.told("/chat").await["end"], "tunnel_idle");
}

#[tokio::test]
async fn one_end_that_takes_nothing_holds_nobody_up() {
    let keys = "drain: { timeout: 100ms }\ntimeouts: { write: 0s }";
    let mut open = Open::with("timeouts: { write: 0s }", keys).await;
    // The client reads nothing: bytes wait everywhere, and no frame ends.
    let mut server = open.server;
    let flood = tokio::spawn(async move {
        let head = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        server.sends(&head).await;
        loop {
            server.sends(&[0; 65_536]).await;
        }
    });
    open.tide
        .metric_is(
            "tidegate_tunnels_active",
            &[("upstream", "web"), ("node", "app-1")],
            1.0,
        )
        .await;
    tokio::time::sleep(ms(300)).await; // until every buffer on the way is full
    let began = Instant::now();
    open.tide.verb("web/app-1", "drain").await;
    open.tide.node_has("web/app-1", "tunnels", 0).await;
    assert!(began.elapsed() < ms(4_000));
    flood.await.unwrap_err(); // its connection is gone
    open.client.sends(b"").await;
}

#[tokio::test]
async fn when_the_patience_of_a_stop_is_over_both_are_told() {
    let mut open = Open::with("shutdown: { grace: 1s }", "").await;
    let began = Instant::now();
    open.tide.signal(Signal::SIGTERM);
    open.carries(b"as long as it may").await;
    tokio::join!(open.client.is_sent_away(), open.server.is_sent_away());
    took_about(began, ms(1_000));
    tokio::join!(open.client.is_closed(), open.server.is_closed());
    assert_eq!(open.tide.ended(ms(3_000)).await, 0);
    let line = open.tide.told("/chat").await;
    assert_eq!(line["end"], "stopped", "{line}");
}

#[tokio::test]
async fn a_stop_that_finds_only_silent_ones_takes_a_second_longer_at_most() {
    let mut open = Open::with("shutdown: { grace: 500ms }", "").await;
    let began = Instant::now();
    open.tide.signal(Signal::SIGTERM);
    let last = open.client.hears().await;
    assert_eq!(last.as_ref().map(Frame::code), Ok(Some(1001)));
    assert_eq!(open.tide.ended(ms(5_000)).await, 0);
    took_about(began, ms(1_500));
}
