//! One table of requests, told over HTTP/1.1 and over HTTP/2, each in the clear and over TLS: the answers, what nodes see
//! and the log say the same.
//!
//! Each way has a proxy and a node of its own, so that all are always in the same state. A difference that is right by
//! the standards has its place in [`is_of_the_language`], and a reason there.

use serde_json::Value;
use tempfile::TempDir;

use super::H2C;
use crate::support::check;
use crate::support::client::{Client, Request};
use crate::support::eventually;
use crate::support::h2::{H2, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, complete};
use crate::support::reply::{Reply, Seen};
use crate::support::tls::{Authority, Bridge};

/// The section of a port that speaks both over TLS.
const TLS: &str =
    "listen: [{ addr: \"127.0.0.1:0\", tls: { certs: [{ cert: site.pem, key: site.key }] } }]\n";

/// The `x-id` of all of them.
const ID: &str = "both";

/// A request: method, target, fields, body.
type Asked = (&'static str, String, Vec<(&'static str, String)>, Vec<u8>);

/// A way to a proxy of its own.
struct Way {
    name: &'static str,
    scheme: &'static str,
    app: Origin,
    tide: Tidegate,
    /// The way over TLS.
    bridge: Option<Bridge>,
    /// The connection of HTTP/2; HTTP/1.1 has a new one for each request.
    h2: Option<H2>,
}

impl Way {
    async fn open(name: &'static str, protocol: &str, is_secure: bool) -> Self {
        let app = Origin::start("app-1").await;
        app.answers(self::app);
        let authority = Authority::new();
        let dir = TempDir::new().unwrap();
        authority.issue(&["tide.test"]).write(dir.path(), "site");
        let listen = if is_secure { TLS } else { H2C };
        let yaml = complete(&yaml(listen, &app));
        std::fs::write(dir.path().join("tidegate.yaml"), yaml).unwrap();
        let tide = Tidegate::run_in(dir).await;
        let (client, to) = (authority.client(&[protocol]), tide.addr());
        let bridge = match is_secure {
            true => Some(Bridge::open(to, "tide.test", client).await),
            false => None,
        };
        let mut way = Way {
            name,
            scheme: if is_secure { "https" } else { "http" },
            app,
            tide,
            bridge,
            h2: None,
        };
        if protocol == "h2" {
            way.h2 = Some(H2::connect(way.addr()).await);
        }
        way
    }

    /// Where its clients go.
    fn addr(&self) -> std::net::SocketAddr {
        let bridge = self.bridge.as_ref().map(Bridge::addr);
        bridge.unwrap_or(self.tide.addr())
    }

    async fn ask(&mut self, asked: &Asked) -> Got {
        let to = self.addr();
        match &mut self.h2 {
            Some(client) => by_h2(client, self.scheme, asked).await,
            None => by_h1(to, asked).await,
        }
    }

    /// What its node has seen, but what no two requests have in common.
    fn seen(&self) -> Vec<(String, Vec<String>, Vec<u8>)> {
        const OWN: [&str; 4] = ["x-id", "x-request-id", "cookie", "x-forwarded-proto"];
        let head = |seen: &Seen| {
            let fields = seen.head.fields.iter();
            let mut fields: Vec<_> = fields
                .filter(|(name, _)| !OWN.contains(&&*name.to_lowercase()))
                .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
                .collect();
            fields.sort();
            (seen.head.line.clone(), fields, seen.body.clone())
        };
        self.app.seen().iter().map(head).collect()
    }
}

/// What came of one.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    status: u16,
    fields: Vec<String>,
    body: Vec<u8>,
}

/// What a node answers, by the path.
fn app(seen: &Seen) -> Reply {
    let path = seen.target().split('?').next().unwrap_or_default();
    let page = "<p>some words that are worth compressing</p>\n".repeat(100);
    match path {
        "/cached" => Reply::text(page)
            .field("Cache-Control", "max-age=600")
            .field("ETag", "\"v1\"")
            .field("Last-Modified", "Sun, 01 Mar 2026 00:00:00 GMT"),
        "/varies" => Reply::text(format!("{:?}", seen.head.get("accept-language")))
            .field("Cache-Control", "max-age=600")
            .field("Vary", "Accept-Language"),
        "/stale" => Reply::text(format!("serial {}", seen.serial))
            .field("Cache-Control", "max-age=0, stale-while-revalidate=600"),
        "/private" => Reply::text("mine").field("Cache-Control", "private"),
        "/zip" => Reply::text(page).field("Content-Type", "text/html"),
        "/pieces" => Reply::chunked(["in ", "pieces"]),
        "/empty" => Reply::sized(204, ""),
        "/fails" => Reply::sized(500, "failed"),
        "/broken" => Reply::raw("no http\r\n\r\n"),
        "/mirror" => Reply::mirror(),
        _ => Reply::text(format!("{} {}", seen.method(), seen.target())),
    }
}

fn yaml(listen: &str, app: &Origin) -> String {
    let nodes = nodes([app]);
    format!(
        "{listen}limits: {{ body: 64KiB, uri_bytes: 2KiB, headers: 50 }}
upstreams:
  web: {{ nodes: {nodes}, health: off, retry: off }}
  own: {{ nodes: {nodes}, health: off, sticky: {{ cookie: session }} }}
routes:
  - {{ name: old, match: {{ path: /old }}, redirect: {{ to: \"/new{{path}}\" }} }}
  - {{ name: shut, match: {{ path: /shut }}, upstream: web, deny: 127.0.0.1 }}
  - {{ name: seldom, match: {{ path: /seldom }}, upstream: web, rate_limit: {{ rate: 1/h }} }}
  - {{ name: own, match: {{ path: /own }}, upstream: own }}
  - {{ name: zip, match: {{ path: /zip }}, upstream: web, compress: true }}
  - {{ name: host, match: {{ host: other.test }}, redirect: {{ to: /elsewhere }} }}
  - {{ name: shop, upstream: web, cache: true, compress: true }}\n"
    )
}

fn get(target: &str) -> Asked {
    ("GET", target.into(), vec![], vec![])
}

fn with(method: &'static str, target: &str, name: &'static str, value: &str) -> Asked {
    (method, target.into(), vec![(name, value.into())], vec![])
}

/// The table. Each of them sees what those before it have left in the store.
fn table() -> Vec<Asked> {
    let many = (0..60).map(|_| ("x-many", "x".to_owned())).collect();
    vec![
        // routing
        get("/plain?x=1&y=%20"),
        get("/a//b/../c"),
        get("/own"),
        get("/old?next=1"),
        ("HEAD", "/plain".into(), vec![], vec![]),
        ("OPTIONS", "/plain".into(), vec![], vec![]),
        ("DELETE", "/plain".into(), vec![], vec![]),
        ("POST", "/mirror".into(), vec![], vec![b'x'; 30_000]),
        ("PUT", "/mirror".into(), vec![], b"abc".to_vec()),
        get("/pieces"),
        get("/empty"),
        // cache
        get("/cached"),
        get("/cached"),
        ("HEAD", "/cached".into(), vec![], vec![]),
        with("GET", "/cached", "if-none-match", "\"v1\""),
        with(
            "GET",
            "/cached",
            "if-modified-since",
            "Sun, 01 Mar 2026 00:00:00 GMT",
        ),
        with("GET", "/cached", "range", "bytes=0-9"),
        with("GET", "/cached", "range", "bytes=-5"),
        with("GET", "/cached", "range", "bytes=99999-"),
        with("GET", "/cached", "cache-control", "no-cache"),
        with("GET", "/cached", "cache-control", "no-store"),
        with("GET", "/never", "cache-control", "only-if-cached"),
        with("GET", "/varies", "accept-language", "de"),
        with("GET", "/varies", "accept-language", "fr"),
        with("GET", "/varies", "accept-language", "de"),
        get("/stale"),
        get("/stale"),
        get("/private"),
        get("/private"),
        ("POST", "/cached".into(), vec![], b"x".to_vec()),
        get("/cached"),
        // compression
        with("GET", "/zip", "accept-encoding", "gzip"),
        with("GET", "/zip", "accept-encoding", "identity"),
        with("GET", "/cached", "accept-encoding", "gzip"),
        with("GET", "/cached", "accept-encoding", "gzip"),
        // refusals and limits
        get("/shut"),
        get("/seldom"),
        get("/seldom"),
        get("/a/%2e%2e/b"),
        get(&format!("/{}", "x".repeat(3_000))),
        ("TRACE", "/".into(), vec![], vec![]),
        ("POST", "/mirror".into(), vec![], vec![b'x'; 100_000]),
        ("GET", "/".into(), many, vec![]),
        with("GET", "/", "expect", "a miracle"),
        // failures
        get("/fails"),
        get("/broken"),
    ]
}

/// Fields that one of the languages has no word for, or that tell of a moment.
fn is_of_the_language(name: &str) -> bool {
    // RFC 9113 §8.2.2: a connection of HTTP/2 is not spoken of in its answers; both date what they send themselves.
    const ALL: [&str; 6] = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "date",
        "x-request-id",
        "retry-after",
    ];
    ALL.contains(&name)
}

/// A field as it can be compared: what changes by the second, or is drawn, is left out.
fn field(name: &str, value: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if is_of_the_language(&name) {
        return None;
    }
    let value = match &*name {
        "cache-status" => value.split("ttl=").next().unwrap_or_default(),
        "set-cookie" => value.split('=').next().unwrap_or_default(),
        "age" => "",
        _ => value,
    };
    Some(format!("{name}: {value}"))
}

/// Bodies of refusals name the request.
fn body(status: u16, body: Vec<u8>) -> Vec<u8> {
    match status {
        400.. => body.into_iter().take(3).collect(),
        _ => body,
    }
}

async fn by_h1(to: std::net::SocketAddr, (method, target, fields, sent): &Asked) -> Got {
    let mut asked = Request::post(target, sent.clone()).method(method);
    if sent.is_empty() {
        asked = Request::new(method, target);
    }
    asked = asked.id(ID);
    for (name, value) in fields {
        asked = asked.field(name, value);
    }
    let asked = Client::connect(to).await.unwrap().ask(&asked).await;
    let answer = asked.unwrap_or_else(|e| panic!("{method} {target}: {e}"));
    let fields = answer.head.fields.iter();
    let mut fields: Vec<_> = fields.filter_map(|(n, v)| field(n, v)).collect();
    fields.sort();
    Got {
        status: answer.status,
        fields,
        body: body(answer.status, answer.body),
    }
}

async fn by_h2(client: &mut H2, scheme: &str, (method, target, fields, sent): &Asked) -> Got {
    let uri = format!("{scheme}://tide.test{target}");
    let mut asked = request(method, target).uri(uri).header("x-id", ID);
    for (name, value) in fields {
        asked = asked.header(*name, value);
    }
    if !sent.is_empty() {
        asked = asked.header("content-length", sent.len());
    }
    let answer = client.ask(asked, sent).await.unwrap();
    let fields = answer.fields.iter();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut fields: Vec<_> = fields
        .filter_map(|(n, v)| field(n.as_str(), &text(v)))
        .collect();
    fields.sort();
    Got {
        status: answer.status,
        fields,
        body: body(answer.status, answer.body),
    }
}

/// A line of the access log without what no two requests have in common.
fn alike(line: &Value) -> Value {
    let mut line = line.clone();
    let fields = line.as_object_mut().expect("a line is an object");
    for name in ["ts", "id", "listener", "t", "proto", "tls", "sni"] {
        fields.remove(name);
    }
    // What the front door of HTTP/1 says to a head that it refuses is nobody's body.
    if fields["end"]
        .as_str()
        .is_some_and(|end| end.starts_with("refused:"))
    {
        fields.remove("bytes_out");
        // Of one that is too long, it remembers the beginning.
        let path = fields["path"].as_str().unwrap_or_default();
        let path: String = path.chars().take(100).collect();
        fields.insert("path".into(), path.into());
    }
    line
}

/// What is under way behind the answers is over.
async fn is_settled(tide: &Tidegate) {
    eventually("nothing is being fetched", SOON, async || {
        let cache = tide.json("/api/v1/cache").await;
        check(cache["fills"] == 0, cache)
    })
    .await;
}

#[tokio::test]
async fn the_same_requests_get_the_same_answers_four_ways() {
    let mut ways = [
        Way::open("H1", "http/1.1", false).await,
        Way::open("H2", "h2", false).await,
        Way::open("H1 over TLS", "http/1.1", true).await,
        Way::open("H2 over TLS", "h2", true).await,
    ];
    let mut wrong = Vec::new();
    for (n, asked) in table().iter().enumerate() {
        let shown = format!(
            "{n}: {} {:.60} {:.200}",
            asked.0,
            asked.1,
            format!("{:?}", asked.2)
        );
        let mut first = None;
        for way in &mut ways {
            let got = way.ask(asked).await;
            is_settled(&way.tide).await;
            let line = alike(&way.tide.tells(n + 1).await[n]);
            let (got_first, line_first) = first.get_or_insert_with(|| (got.clone(), line.clone()));
            if got != *got_first {
                wrong.push(format!(
                    "{shown}\n  H1 {got_first:?}\n  {} {got:?}",
                    way.name
                ));
            }
            if line != *line_first {
                wrong.push(format!("{shown}\n  H1 {line_first}\n  {} {line}", way.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The nodes saw the same, field by field, but the scheme; and both lanes answered as many.
    let express = "tidegate_express_requests_total";
    let (first, fast) = (ways[0].seen(), ways[0].tide.metric(express, &[]).await);
    assert!(fast > Some(3.0), "{fast:?}");
    for way in &ways {
        let name = way.name;
        let seen = way.seen();
        for (first, seen) in first.iter().zip(&seen) {
            assert_eq!(first, seen, "{name}");
        }
        assert_eq!(first.len(), seen.len(), "{name}");
        for seen in way.app.seen() {
            assert_eq!(seen.head.all("x-forwarded-proto"), [way.scheme], "{name}");
        }
        assert_eq!(fast, way.tide.metric(express, &[]).await, "{name}");
    }
    // What was meant to be spoken was.
    for way in &ways[2..] {
        let shook = way.bridge.as_ref().unwrap().stood();
        let spoken = if way.h2.is_some() { "h2" } else { "http/1.1" };
        assert!(shook.iter().all(|s| s.protocol.as_deref() == Some(spoken)));
        assert!(!shook.is_empty());
    }
}
