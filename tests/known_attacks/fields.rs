//! Attacks that live in fields: names, values and claims that a client sends in the hope that somebody believes them.
//!
//! Part of the index by name in `tests/known_attacks.rs`.

use super::said_to;
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, web};
use crate::support::reply::{Reply, Step};
use crate::support::{check, eventually, ms};

#[tokio::test]
async fn no_answer_is_split() {
    let app = Origin::start("app-1").await;
    let routes = "routes:\n  - { match: { path: /old/ }, redirect: { to: \"http://{host}/new/?{query}\" } }\n  - { upstream: web }\n";
    let yaml = format!(
        "upstreams:\n  web: {{ nodes: {} }}\n{routes}",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    for target in [
        "/old/?a=%0d%0aX-Evil:%201",
        "/old/?%0D%0A%0D%0AHTTP/1.1%20200%20OK",
        "/old/%250d%250aX-Evil:1",
        "/old/?%0aX-Evil:1",
        "/old/?%E5%98%8A%E5%98%8DX-Evil:1",
        "/old/%0d%0aX-Evil:1",
        "/old/%0aX-Evil:1",
        "/x%0d%0aX-Evil:1",
    ] {
        let answer = tide.ask(&Request::get(target)).await;
        assert!(answer.head.all("x-evil").is_empty(), "{target}");
        let lines = String::from_utf8_lossy(&answer.head.raw).into_owned();
        assert!(
            !lines.to_lowercase().contains("\nx-evil"),
            "{target}: {lines}"
        );
    }
    // A node whose own answer has such bytes is not passed on as if it had not.
    for value in [
        "a\rX-Evil: 1",
        "a\nX-Evil: 1",
        "a\0b",
        "a\r\r\nX-Evil: 1",
        "a\r\n X-Evil: 1",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nX-Value: {value}\r\nContent-Length: 0\r\n\r\n");
        app.answers(move |_| Reply::steps([Step::Bytes(head.clone().into_bytes()), Step::Close]));
        let answer = tide.ask(&Request::get("/split")).await;
        assert!(answer.head.all("x-evil").is_empty(), "{value:?}");
        assert!(
            answer.status == 502 || !answer.head.raw.contains(&0),
            "{value:?}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn no_request_writes_a_line_into_the_log() {
    let (_app, tide) = one_node().await;
    let evil = [
        ("/log?1=%0d%0a{\"path\":\"/forged\"}", "a"),
        ("/log?2=%1b[2J", "quote\" and \\ backslash"),
        ("/log?3", "\u{85}\u{2028}\u{9b}31m"),
        ("/log?4=%22,%22path%22:%22/forged", "{\"path\":\"/forged\"}"),
        ("/log?5", "a\tb"),
    ];
    for (target, agent) in evil {
        let target = target.replace('"', "%22").replace(['{', '}'], "");
        let request = Request::get(&target)
            .field("User-Agent", agent)
            .field("Referer", agent);
        tide.ask(&request).await;
    }
    // Neither do those that are refused: what they sent is not to be trusted with a line.
    for head in [
        "GET /log\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /log HTTP/1.1\r\nHost: a\"},{\"path\":\"/forged\r\n\r\n",
        "G\"{ET /log HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        said_to(&tide, head.as_bytes()).await;
    }
    let lines = eventually("eight lines", ms(5_000), async || {
        // Panics when a line is no JSON.
        let lines = tide.access_log();
        check(lines.len() >= 8, lines.len()).map(|()| lines)
    })
    .await;
    assert_eq!(lines.len(), 8, "a line for each, none forged: {lines:?}");
    assert!(lines.iter().all(|l| l["path"] != "/forged"), "{lines:?}");
    let raw = tide.process().output().out.concat();
    assert!(
        !raw.contains(['\x1b', '\x07', '\r', '\u{9b}']),
        "no byte that moves a terminal's cursor"
    );
}

/// Fields a node may decide by; none of them may be named away by a client.
const DECISIVE: [&str; 30] = [
    "Authorization",
    "Cookie",
    "X-Auth",
    "X-Auth-User",
    "X-User",
    "X-Api-Key",
    "X-Csrf-Token",
    "X-Requested-With",
    "Origin",
    "Referer",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Pragma",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "Range",
    "Content-Type",
    "Content-Encoding",
    "X-Tenant",
    "X-Internal",
    "Traceparent",
    "X-Correlation-Id",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "X-Amz-Date",
    "Priority",
];

#[tokio::test]
async fn cve_2026_105299_a_field_named_away_by_connection() {
    let (app, tide) = one_node().await;
    for name in DECISIVE {
        for named in [
            name.to_owned(),
            format!("keep-alive, {}", name.to_lowercase()),
        ] {
            let request = Request::get("/")
                .field("Connection", &named)
                .field(name, "decisive");
            let before = app.requests();
            let status = tide.ask(&request).await.status;
            let seen = app.seen().split_off(before);
            let kept = seen.iter().all(|s| s.head.all(name) == ["decisive"]);
            assert!(
                status == 400 || (status == 200 && kept),
                "{named}: {status}"
            );
        }
    }
    for ours in [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "via",
        "host",
        "x-request-id",
    ] {
        let before = app.requests();
        let status = tide
            .ask(&Request::get("/").field("Connection", ours))
            .await
            .status;
        let seen = app.seen().split_off(before);
        let kept = seen.iter().all(|s| !s.head.all(ours).is_empty());
        assert!(status == 400 || (status == 200 && kept), "{ours}: {status}");
    }
}

/// What a client may claim about itself in the name of a proxy.
const CLAIMS: [&str; 17] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-By",
    "X-Forwarded-User",
    "Forwarded",
    "X-Real-IP",
    "x-forwarded-FOR",
    "X_Forwarded_For",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
];

#[tokio::test]
async fn claims_of_a_stranger_reach_no_node_and_those_of_a_friend_go_on() {
    let app = Origin::start("app-1").await;
    let trusting = "trusted_proxies: [127.0.0.2/32]\n".to_owned();
    let tide = Tidegate::run(trusting + &web("forwarded: true", nodes([&app]))).await;
    for name in CLAIMS {
        let claim = |value: &str| Request::get("/").field(name, value).field(name, value);
        tide.ask(&claim("claimed-6.6.6.6")).await;
        let head = app.seen().pop().unwrap().head.raw;
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(!head.contains("6.6.6.6"), "{name}: {head}");
    }
    let chain = Request::get("/").field("X-Forwarded-For", "203.0.113.9, 127.0.0.2");
    let from = "127.0.0.2".parse().unwrap();
    let mut friend = Client::connect_from(from, tide.addr()).await.unwrap();
    friend.ask(&chain).await.unwrap();
    let head = app.seen().pop().unwrap().head;
    assert_eq!(
        head.get("x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.2, 127.0.0.2")
    );
    assert_eq!(head.get("x-real-ip"), Some("203.0.113.9"));
}
