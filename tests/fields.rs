//! What the proxy adds to a message, what it takes away, and whom it believes.

use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, one_node_with, web};
use crate::support::reply::Reply;

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
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(head.all(gone).is_empty(), "{gone} reached the node");
    }
    // Naming a field does not remove it: the name may be `authorization`.
    assert_eq!(head.get("x-mine"), Some("1"));
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
