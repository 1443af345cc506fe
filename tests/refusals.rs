//! Who is refused is told why, counted, and found in the log; a flood of refusals costs neither counts nor a disk.

use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, one_node};
use crate::support::{check, eventually, ms};

/// A request and how it is refused.
struct Refused {
    bytes: Vec<u8>,
    status: u16,
    reason: &'static str,
    /// As the log tells them.
    method: &'static str,
    path: String,
    host: &'static str,
    /// Whether the connection is closed: what cannot be read leaves nothing to go on with.
    closes: bool,
}

fn refused(head: &str, status: u16, reason: &'static str) -> Refused {
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default();
    Refused {
        bytes: head.as_bytes().to_vec(),
        status,
        reason,
        method: Box::leak(method.into_boxed_str()),
        path: path.chars().take(256).collect(),
        host: "good.test",
        closes: true,
    }
}

impl Refused {
    fn stays(mut self) -> Self {
        self.closes = false;
        self
    }
}

/// Every refusal that a request can meet; one for each reason.
fn every_one() -> Vec<Refused> {
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: good.test\r\n\r\n",
        "l".repeat(9_000)
    );
    let wide = format!(
        "GET /wide HTTP/1.1\r\nHost: good.test\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let good = "HTTP/1.1\r\nHost: good.test\r\n";
    let method = "M".repeat(40);
    let mut all = vec![
        refused(
            "GET /late HTTP/1.1\r\nHost: good.test\r\nX: ",
            408,
            "header_timeout",
        ),
        refused(&wide, 431, "header_too_large"),
        refused(&format!("GET /bad {good}X : y\r\n\r\n"), 400, "bad_request"),
        refused(&format!("TRACE /method {good}\r\n"), 405, "method"),
        refused(
            "GET /version HTTP/3.0\r\nHost: good.test\r\n\r\n",
            505,
            "version",
        ),
        refused(&long, 414, "uri_too_long"),
        refused(
            &format!("POST /body {good}Content-Length: 99999999999\r\n\r\n"),
            413,
            "body_too_large",
        ),
        refused(&format!("GET /%2e%2e/path {good}\r\n"), 400, "path"),
        refused(
            &format!("POST /coding {good}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            501,
            "transfer_coding",
        ),
        refused(
            &format!("{method} /long {good}\r\n"),
            501,
            "method_too_long",
        ),
        refused(
            &format!("POST /expect {good}Content-Length: 1\r\nExpect: a miracle\r\n\r\n"),
            417,
            "expectation",
        ),
        refused(&format!("GET /deny/ {good}\r\n"), 403, "acl").stays(),
        refused(&format!("GET /often/ {good}\r\n"), 429, "rate_limit").stays(),
    ];
    let mut nowhere = refused(
        "GET /nowhere HTTP/1.1\r\nHost: other.test\r\n\r\n",
        404,
        "no_route",
    );
    nowhere.host = "other.test";
    all.push(nowhere.stays());
    all
}

#[tokio::test]
async fn every_reason_is_answered_counted_and_told() {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "timeouts: {{ header: 400ms }}
upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ host: good.test }}, upstream: web }}
  - {{ match: {{ host: good.test, path: /deny/ }}, upstream: web, deny: 127.0.0.0/8 }}
  - {{ match: {{ host: good.test, path: /often/ }}, upstream: web, rate_limit: {{ rate: 1/h }} }}\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let first = Request::get("/often/first").host("good.test");
    assert_eq!(tide.ask(&first).await.status, 200);
    for refusal in every_one() {
        let reason = refusal.reason;
        let mut client = tide.connect().await;
        client.send_bytes(&refusal.bytes).await.unwrap();
        let answer = client.answer("GET").await.unwrap();
        assert_eq!(answer.status, refusal.status, "{reason}");
        assert_eq!(answer.stays_open, !refusal.closes, "{reason}");
        assert!(answer.head.get("date").is_some(), "{reason}");
        let id = answer.text();
        let id = id.trim_end().rsplit(' ').next().unwrap_or_default();
        if refusal.closes {
            assert!(answer.head.names("connection", "close"), "{reason}");
            assert_eq!(client.until_closed(ms(3_000)).await, Ok(vec![]), "{reason}");
        }
        tide.refused(reason, 1).await;
        let line = tide.told(&refusal.path).await;
        let expected = serde_json::json!({
            "end": format!("refused:{reason}"),
            "status": refusal.status,
            "method": refusal.method,
            "host": refusal.host,
            "client": "127.0.0.1",
            "id": id,
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&line[key], value, "{reason}, {key}: {line}");
        }
    }
    assert_eq!(app.requests(), 1, "no node saw any of them");
    tide.is_empty().await;
}

#[tokio::test]
async fn a_connection_that_is_not_served_is_counted_and_told() {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "limits: {{ connections: 2, connections_per_ip: 1 }}
listen: [{{ addr: \"127.0.0.1:0\", proxy_protocol: {{ from: 127.0.1.9 }} }}]
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let from = async |address: &str| {
        let address = address.parse().unwrap();
        Client::connect_from(address, tide.addr()).await.unwrap()
    };
    let mut nobody = from("127.0.1.9").await;
    nobody.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(nobody.until_closed(ms(2_000)).await, Ok(vec![]));
    let _one = from("127.0.1.1").await;
    tide.stands_at(1).await;
    assert_eq!(
        from("127.0.1.1").await.answer("GET").await.unwrap().status,
        429
    );
    tide.stands_at(1).await;
    let _two = from("127.0.1.2").await;
    tide.stands_at(2).await;
    assert_eq!(
        from("127.0.1.3").await.answer("GET").await.unwrap().status,
        503
    );
    let lines = tide.tells(3).await;
    for (line, (reason, client, status)) in lines.iter().zip([
        ("proxy_protocol", "127.0.1.9", 0),
        ("connections_per_ip", "127.0.1.1", 429),
        ("connections", "127.0.1.3", 503),
    ]) {
        assert_eq!(line["end"], format!("refused:{reason}"), "{line}");
        assert_eq!(
            (&line["client"], &line["status"]),
            (&client.into(), &status.into())
        );
        tide.refused(reason, 1).await;
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_exactly_and_told_briefly() {
    const CLIENTS: usize = 20;
    const EACH: usize = 125;
    let app = Origin::start("app-1").await;
    let routes = "routes: [{ match: { host: good.test }, upstream: web }]";
    let yaml = format!(
        "upstreams: {{ web: {{ nodes: {} }} }}\n{routes}\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let to = tide.addr();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        // Half of them at the door, a connection each; half within, on one connection.
        tasks.spawn(async move {
            for _ in 0..EACH {
                let mut client = Client::connect(to).await.unwrap();
                client.send_bytes(b"GET /bad\r\n\r\n").await.unwrap();
                assert_eq!(client.answer("GET").await.unwrap().status, 400);
            }
        });
        tasks.spawn(async move {
            let mut client = Client::connect(to).await.unwrap();
            for _ in 0..EACH {
                let answer = client.ask(&Request::get("/nowhere")).await.unwrap();
                assert_eq!((answer.status, answer.stays_open), (404, true));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    tide.refused("bad_request", CLIENTS * EACH).await;
    tide.refused("no_route", CLIENTS * EACH).await;
    // What the log does not tell one by one it tells as a number, each second that there is one.
    let (mut warnings, mut lines) = (0, 0);
    eventually("the log adds up", SOON, async || {
        let log = tide.log();
        let withheld = log
            .lines()
            .filter_map(|l| {
                l.split_once(" more requests were refused")?
                    .0
                    .rsplit(' ')
                    .next()
            })
            .map(|n| {
                n.trim_start_matches(|c: char| !c.is_ascii_digit())
                    .parse::<usize>()
                    .unwrap()
            });
        let withheld: Vec<_> = withheld.collect();
        (warnings, lines) = (withheld.len(), tide.access_log().len());
        let all = lines + withheld.iter().sum::<usize>();
        check(
            all == 2 * CLIENTS * EACH,
            format!("{lines} lines and {withheld:?}"),
        )
    })
    .await;
    println!("{lines} lines, {warnings} warnings");
    assert!(
        lines <= 100 * (warnings + 2),
        "{lines} lines, {warnings} warnings"
    );
    assert!((1..=8).contains(&warnings), "{warnings} warnings");
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace_on_the_next_client() {
    let (app, tide) = one_node().await;
    for n in 0..30 {
        let mut client = tide.connect().await;
        let smuggled = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send_bytes(smuggled.as_bytes()).await.unwrap();
        assert_eq!(client.answer("POST").await.unwrap().status, 400);
        assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
        let answer = tide.get("/good").await;
        assert_eq!((answer.status, app.requests()), (200, n + 1));
    }
    assert!(app.seen().iter().all(|s| s.target() == "/good"));
}
