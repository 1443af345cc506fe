//! Nodes are told whose connection it is: byte by byte, and as nginx reads it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{at, run, web};
use crate::support::client::{Client, Request};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::secure::{Papers, SecureDoor};
use crate::support::strangers::Stranger;
use crate::support::tls::Authority;
use crate::support::{check, eventually, ms};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A node that remembers what each connection begins with, up to the end of a head.
struct Listener {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Listener {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Listener {
            addr: listener.local_addr().unwrap(),
            heard: Arc::default(),
        };
        let heard = node.heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let (mut bytes, at) = (Vec::new(), {
                        let mut heard = heard.lock().unwrap();
                        heard.push(Vec::new());
                        heard.len() - 1
                    });
                    while let Ok(1..) = stream.read_buf(&mut bytes).await {
                        heard.lock().unwrap()[at] = bytes.clone();
                        if bytes.ends_with(b"\r\n\r\n") {
                            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                            stream.write_all(answer).await.unwrap();
                        }
                    }
                });
            }
        });
        node
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }

    fn node(&self) -> String {
        format!("[{{ addr: \"{}\", id: app-1 }}]", self.addr)
    }
}

/// The client's own address, its answer's status, and what the node heard first.
async fn told(tide: &Tidegate, node: &Listener, from: &str) -> (SocketAddr, Vec<u8>) {
    let before = node.heard().len();
    let mut client = Client::connect_from(from.parse().unwrap(), tide.addr())
        .await
        .unwrap();
    let answer = client.ask(&Request::get("/")).await.unwrap();
    assert_eq!(answer.status, 200);
    let heard = node.heard();
    assert_eq!(heard.len(), before + 1, "a connection of its own");
    (client.local_addr(), heard[before].clone())
}

#[tokio::test]
async fn version_1_tells_both_ends_of_the_clients_connection() {
    let node = Listener::start().await;
    let tide = Tidegate::run(web("proxy_protocol: v1", node.node())).await;
    for from in ["127.0.0.1", "127.0.0.9"] {
        let (client, heard) = told(&tide, &node, from).await;
        let (port, ours) = (client.port(), tide.addr().port());
        let line = format!("PROXY TCP4 {from} 127.0.0.1 {port} {ours}\r\nGET / HTTP/1.1\r\n");
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.starts_with(&line), "{heard}");
    }
}

#[tokio::test]
async fn version_2_tells_them_in_bytes() {
    let node = Listener::start().await;
    let tide = Tidegate::run(web("proxy_protocol: v2", node.node())).await;
    let (client, heard) = told(&tide, &node, "127.0.0.9").await;
    let mut wanted = [SIGNATURE, b"\x21\x11\0\x0c\x7f\0\0\x09\x7f\0\0\x01"].concat();
    wanted.extend(client.port().to_be_bytes());
    wanted.extend(tide.addr().port().to_be_bytes());
    wanted.extend(b"GET / HTTP/1.1\r\n");
    assert!(heard.starts_with(&wanted), "{}", heard.escape_ascii());
}

#[tokio::test]
async fn clients_of_ipv6_are_told_as_such() {
    let node = Listener::start().await;
    for (version, line) in [("v1", true), ("v2", false)] {
        let up = web(&format!("proxy_protocol: {version}"), node.node());
        let tide = Tidegate::run(format!("listen: [{{ addr: \"[::1]:0\" }}]\n{up}")).await;
        let (client, heard) = told(&tide, &node, "::1").await;
        let (port, ours) = (client.port(), tide.addr().port());
        let wanted = match line {
            true => format!("PROXY TCP6 ::1 ::1 {port} {ours}\r\nGET").into_bytes(),
            false => {
                let one = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
                let ports = [port.to_be_bytes(), ours.to_be_bytes()].concat();
                [SIGNATURE, b"\x21\x21\0\x24", &one, &one, &ports, b"GET"].concat()
            }
        };
        assert!(heard.starts_with(&wanted), "{}", heard.escape_ascii());
    }
}

#[tokio::test]
async fn who_is_told_is_the_real_client_behind_a_trusted_proxy() {
    let node = Listener::start().await;
    let up = web("proxy_protocol: v1", node.node());
    let tide = Tidegate::run(format!("trusted_proxies: [127.0.0.1]\n{up}")).await;
    let request = Request::get("/").field("X-Forwarded-For", "192.0.2.7");
    assert_eq!(tide.ask(&request).await.status, 200);
    let heard = String::from_utf8(node.heard().remove(0)).unwrap();
    // Its port is not known: the proxy's would be another's.
    assert!(
        heard.starts_with("PROXY TCP4 192.0.2.7 127.0.0.1 0 "),
        "{heard}"
    );
}

#[tokio::test]
async fn a_connection_that_was_told_of_one_client_is_not_kept_for_another() {
    let node = Listener::start().await;
    let tide = Tidegate::run(web("proxy_protocol: v2", node.node())).await;
    let mut client = tide.connect().await;
    for n in 1..=3 {
        assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
        assert_eq!(node.heard().len(), n);
    }
    // Without it they are kept again.
    tide.apply(&web("forwarded: true", node.node())).await;
    for _ in 0..3 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(node.heard().len(), 4);
}

#[tokio::test]
async fn it_is_told_before_tls_begins() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let door = SecureDoor::open_behind(28, app.addr(), papers.server(None)).await;
    let keys = "tls: { ca: ca.pem }\nproxy_protocol: v2";
    let tide = run(&authority, &web(keys, at(&[&door]))).await;
    assert_eq!(tide.get("/").await.status, 200);
    let told = door.preludes().remove(0);
    assert!(told.starts_with(SIGNATURE), "{}", told.escape_ascii());
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn a_health_check_says_that_it_is_nobodys() {
    for (version, wanted) in [
        ("v1", b"PROXY UNKNOWN\r\nGET /healthz ".to_vec()),
        ("v2", [SIGNATURE, b"\x20\0\0\0GET /healthz "].concat()),
    ] {
        let node = Listener::start().await;
        let keys =
            format!("proxy_protocol: {version}\nhealth: {{ path: /healthz, interval: 100ms }}");
        let tide = Tidegate::run(web(&keys, node.node())).await;
        tide.node_has("web/app-1", "health", "healthy").await;
        let heard = node.heard().remove(0);
        assert!(heard.starts_with(&wanted), "{}", heard.escape_ascii());
    }
}

#[tokio::test]
async fn nginx_believes_what_it_is_told() {
    for version in ["v1", "v2"] {
        let nginx = Stranger::nginx_with(
            |_| {},
            " proxy_protocol",
            "location / { return 200 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port\"; }",
        )
        .await;
        let keys = format!("proxy_protocol: {version}\nhealth: {{ path: /, interval: 100ms }}");
        let nodes = format!("[{{ addr: \"{}\", id: app-1 }}]", nginx.addr());
        let tide = Tidegate::run(web(&keys, nodes)).await;
        tide.node_has("web/app-1", "health", "healthy").await;
        let from = "127.0.0.77".parse().unwrap();
        let mut client = Client::connect_from(from, tide.addr()).await.unwrap();
        for _ in 0..3 {
            let answer = client.ask(&Request::get("/")).await.unwrap();
            let wanted = format!(
                "127.0.0.77 {} {}",
                client.local_addr().port(),
                tide.addr().port()
            );
            assert_eq!((answer.status, answer.text()), (200, wanted));
        }
        eventually("all is over", ms(2_000), async || {
            let status = tide.json("/api/v1/upstreams/web").await;
            let left = status["nodes"][0]["in_flight"].as_u64();
            check(left == Some(0), status)
        })
        .await;
    }
}
