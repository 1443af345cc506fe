//! A balancer in front says whose connection it passes on, and is believed only where the file says so.
//!
//! What it says counts everywhere: for the node, the log, the rules. Whoever is to say it and does not is nobody.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::{ms, took_about};

/// The address from which preludes are believed here.
const BALANCER: &str = "127.0.1.9";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A node and the proxy that expects preludes; `top` are further sections, `route` further keys.
async fn behind_a_balancer(top: &str, route: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "listen: [{{ addr: \"127.0.0.1:0\", proxy_protocol: {{ from: {BALANCER} }} }}]
{top}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web{route} }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

async fn from(tide: &Tidegate, address: &str) -> Client {
    let address = address.parse().unwrap();
    Client::connect_from(address, tide.addr()).await.unwrap()
}

/// A prelude of version 1.
fn v1(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { 6 } else { 4 };
    let us = if family == 6 { "::1" } else { "127.0.0.1" };
    format!("PROXY TCP{family} {client} {us} 40000 80\r\n").into_bytes()
}

/// A prelude of version 2, with `more` behind the addresses.
fn v2(client: &str, more: &[u8]) -> Vec<u8> {
    let (family, mut addresses) = match client.parse().unwrap() {
        IpAddr::V4(a) => (0x11, [a.octets(), [127, 0, 0, 1]].concat()),
        IpAddr::V6(a) => (0x21, [a.octets(), [0; 16]].concat()),
    };
    addresses.extend([0x9c, 0x40, 0, 80]);
    raw_v2(1, family, &[&addresses, more].concat())
}

fn raw_v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = [SIGNATURE, &[0x20 | command, family]].concat();
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

#[tokio::test]
async fn the_client_it_tells_of_reaches_the_node_and_the_log() {
    let (app, tide) = behind_a_balancer("", "").await;
    let told_beside = [0x20, 0, 5, 1, 0, 0, 0, 0, 0x04, 0, 2, 7, 7]; // TLS facts, and padding
    for (at, (prelude, client)) in [
        (v1("198.51.100.7"), "198.51.100.7"),
        (v1("2001:db8::7"), "2001:db8::7"),
        (v2("198.51.100.8", b""), "198.51.100.8"),
        (v2("2001:db8::8", b""), "2001:db8::8"),
        (v2("198.51.100.9", &told_beside), "198.51.100.9"),
        (
            v2("198.51.100.10", &[&[4, 0x20, 0], &[0; 0x2000][..]].concat()),
            "198.51.100.10",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{at}");
        let mut connection = from(&tide, BALANCER).await;
        // Prelude and request in one segment, then another request.
        let spoof = Request::get(&path).field("X-Forwarded-For", "203.0.113.1");
        let piece = [prelude, spoof.head_bytes()].concat();
        connection.send_bytes(&piece).await.unwrap();
        assert_eq!(
            connection.answer("GET").await.unwrap().status,
            200,
            "{client}"
        );
        let again = connection.ask(&Request::get("/again")).await.unwrap();
        assert_eq!(again.status, 200, "{client}");
        for seen in &app.seen()[2 * at..] {
            assert_eq!(seen.head.get("x-forwarded-for"), Some(client));
            assert_eq!(seen.head.get("x-real-ip"), Some(client));
        }
        let line = tide.told(&path).await;
        assert_eq!(line["client"], client, "{line}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn a_prelude_may_come_byte_by_byte() {
    let (app, tide) = behind_a_balancer("", "").await;
    for prelude in [v1("198.51.100.7"), v2("198.51.100.7", b"\x04\0\x02xx")] {
        let mut connection = from(&tide, BALANCER).await;
        let request = Request::get("/");
        for byte in [prelude, request.head_bytes()].concat() {
            connection.send_bytes(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(connection.answer("GET").await.unwrap().status, 200);
    }
    for seen in app.seen() {
        assert_eq!(seen.head.get("x-forwarded-for"), Some("198.51.100.7"));
    }
}

#[tokio::test]
async fn a_balancer_may_speak_for_itself() {
    let (app, tide) = behind_a_balancer("", "").await;
    for prelude in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n".to_vec(),
        raw_v2(0, 0, b""),
        raw_v2(0, 0x11, &[198, 51, 100, 7, 127, 0, 0, 1, 1, 1, 0, 80]),
    ] {
        let mut connection = from(&tide, BALANCER).await;
        connection.send_bytes(&prelude).await.unwrap();
        let answer = connection.ask(&Request::get("/check")).await.unwrap();
        assert_eq!(answer.status, 200);
        let seen = app.seen().pop().unwrap();
        assert_eq!(seen.head.get("x-forwarded-for"), Some(BALANCER));
    }
}

#[tokio::test]
async fn rules_are_about_the_client_it_tells_of() {
    let route = ", deny: [198.51.100.13, 127.0.1.9], rate_limit: { rate: 2/h }";
    let (app, tide) = behind_a_balancer("", route).await;
    let get = async |client: &str| {
        let mut connection = from(&tide, BALANCER).await;
        connection.send_bytes(&v2(client, b"")).await.unwrap();
        connection.ask(&Request::get("/")).await.unwrap().status
    };
    assert_eq!(get("198.51.100.13").await, 403);
    for (client, status) in [("7", 200), ("7", 200), ("7", 429), ("8", 200), ("7", 429)] {
        let client = format!("198.51.100.{client}");
        assert_eq!(get(&client).await, status, "{client}");
    }
    assert_eq!(app.requests(), 3);
}

#[tokio::test]
async fn a_client_that_is_itself_a_trusted_proxy_is_believed_further() {
    let (app, tide) = behind_a_balancer("trusted_proxies: [198.51.100.0/24]", "").await;
    let request = Request::get("/").field("X-Forwarded-For", "203.0.113.1");
    for (client, real) in [("198.51.100.7", "203.0.113.1"), ("192.0.2.1", "192.0.2.1")] {
        let mut connection = from(&tide, BALANCER).await;
        connection.send_bytes(&v1(client)).await.unwrap();
        assert_eq!(connection.ask(&request).await.unwrap().status, 200);
        let seen = app.seen().pop().unwrap();
        assert_eq!(seen.head.get("x-real-ip"), Some(real), "{client}");
    }
}

#[tokio::test]
async fn whoever_is_to_send_a_prelude_and_does_not_is_closed_without_a_word() {
    let (app, tide) = behind_a_balancer("", "").await;
    let beginnings: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 1.2.3 10.0.0.1 1 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY UDP4 1.2.3.4 10.0.0.1 1 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
        &[
            raw_v2(2, 0x11, &[0; 12]),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ]
        .concat(),
        &[
            raw_v2(1, 0x11, &[0; 4]),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ]
        .concat(),
    ];
    for beginning in beginnings {
        let shown = String::from_utf8_lossy(beginning);
        let mut connection = from(&tide, BALANCER).await;
        connection.send_bytes(beginning).await.unwrap();
        let said = connection.until_closed(ms(2_000)).await;
        assert_eq!(said, Ok(vec![]), "{shown}");
    }
    // One that leaves in the middle.
    let mut connection = from(&tide, BALANCER).await;
    connection.send_bytes(b"PROXY TCP4 1.2").await.unwrap();
    drop(connection);
    // One that only looks whether somebody is there, as balancers do.
    drop(from(&tide, BALANCER).await);
    tide.is_empty().await;
    tide.refused("proxy_protocol", 8).await;
    assert_eq!(app.connections(), 0, "no node was asked");
    let lines = tide.tells(8).await;
    assert_eq!(lines.len(), 8);
    for line in lines {
        assert_eq!(line["end"], "refused:proxy_protocol", "{line}");
        assert_eq!(line["client"], BALANCER, "{line}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn a_prelude_from_anybody_else_is_a_bad_request() {
    let (app, tide) = behind_a_balancer("", "").await;
    for prelude in [v1("198.51.100.7"), v2("198.51.100.7", b"")] {
        let mut connection = from(&tide, "127.0.1.1").await;
        let piece = [prelude, Request::get("/").head_bytes()].concat();
        connection.send_bytes(&piece).await.unwrap();
        let answer = connection.answer("GET").await.unwrap();
        assert_eq!((answer.status, answer.stays_open), (400, false));
    }
    tide.refused("bad_request", 2).await;
    assert_eq!(app.connections(), 0);
    // Without a prelude it is served like everybody.
    let mut connection = from(&tide, "127.0.1.1").await;
    let answer = connection.ask(&Request::get("/")).await.unwrap();
    assert_eq!(answer.status, 200);
    let seen = app.only();
    assert_eq!(seen.head.get("x-forwarded-for"), Some("127.0.1.1"));
}

#[tokio::test]
async fn a_second_prelude_is_no_request() {
    let (app, tide) = behind_a_balancer("", "").await;
    let mut connection = from(&tide, BALANCER).await;
    let twice = [
        v1("198.51.100.7"),
        v1("198.51.100.8"),
        Request::get("/").head_bytes(),
    ];
    connection.send_bytes(&twice.concat()).await.unwrap();
    assert_eq!(connection.answer("GET").await.unwrap().status, 400);
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_prelude_has_the_time_of_a_head() {
    let (app, tide) = behind_a_balancer("timeouts: { header: 500ms }", "").await;
    let mut silent = from(&tide, BALANCER).await;
    let mut slow = from(&tide, BALANCER).await;
    let began = Instant::now();
    let dripping = async {
        for byte in v1("198.51.100.7").into_iter().cycle() {
            if slow.send_bytes(&[byte]).await.is_err() || slow.is_closed() {
                return;
            }
            tokio::time::sleep(ms(20)).await;
        }
    };
    // 40 bytes at this pace take longer.
    let (silence, ()) = tokio::join!(silent.until_closed(ms(5_000)), dripping);
    assert_eq!(silence, Ok(vec![]));
    took_about(began, ms(500));
    tide.refused("proxy_protocol", 2).await;
    assert_eq!(app.connections(), 0);
    tide.is_empty().await;
}

#[tokio::test]
async fn preludes_that_nobody_finishes_take_only_their_own_places() {
    let top = "timeouts: { header: 5s }\nlimits: { connections: 20 }";
    let (_app, tide) = behind_a_balancer(top, "").await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let mut connection = from(&tide, BALANCER).await;
        connection.send_bytes(b"PROXY ").await.unwrap();
        waiting.push(connection);
    }
    tide.stands_at(10).await;
    let to: SocketAddr = tide.addr();
    let mut other = Client::connect(to).await.unwrap();
    assert_eq!(other.ask(&Request::get("/")).await.unwrap().status, 200);
    drop((waiting, other));
    tide.is_empty().await;
}

#[tokio::test]
async fn a_port_that_left_the_file_keeps_its_rule_until_the_restart() {
    let app = Origin::start("app-1").await;
    let yaml = |second: &str| {
        format!(
            "listen:
  - {{ addr: \"127.0.0.1:0\" }}
{second}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web }}]\n",
            nodes([&app])
        )
    };
    let announced = |addr: &str| {
        format!("  - {{ addr: \"{addr}:0\", proxy_protocol: {{ from: {BALANCER} }} }}")
    };
    let tide = Tidegate::run(yaml(&announced("127.0.0.2"))).await;
    let port = tide.addrs()[1];
    let from_balancer = async || Client::connect_from(BALANCER.parse().unwrap(), port).await;
    let other_rule = "  - { addr: \"127.0.0.3:0\" }";
    let files = ["", other_rule, &announced("127.0.0.3"), ""].map(yaml);
    for (n, file) in files.iter().enumerate() {
        tide.apply(file).await;
        let mut connection = from_balancer().await.unwrap();
        connection.send_bytes(&v1("198.51.100.7")).await.unwrap();
        let answer = connection.ask(&Request::get("/")).await.unwrap();
        assert_eq!(answer.status, 200, "file {n}");
        let seen = app.seen().pop().unwrap();
        assert_eq!(seen.head.get("x-real-ip"), Some("198.51.100.7"), "file {n}");
        // Whoever is to say it still has to.
        let mut connection = from_balancer().await.unwrap();
        connection.send(&Request::get("/")).await.unwrap();
        let said = connection.until_closed(ms(2_000)).await;
        assert_eq!(said, Ok(vec![]), "file {n}");
    }
    assert_eq!(app.requests(), files.len());
    // The other port never expected one.
    let answer = tide.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        app.seen().pop().unwrap().head.get("x-real-ip"),
        Some("127.0.0.1")
    );
}
