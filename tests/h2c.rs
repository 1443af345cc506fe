//! HTTP/2 without TLS, where a port offers it: the same requests, rules and limits in another language.
//!
//! Nothing may be possible over HTTP/2 that HTTP/1.1 is refused.

mod both;
mod checks;
mod downgrade;
mod floods;
mod lane;
mod limits;
mod uploads;

use nix::sys::signal::Signal;

use crate::support::client::Request;
use crate::support::h2::{Ending, Frames, H2, PREFACE, headers, opening, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node};
use crate::support::reply::Reply;
use crate::support::{Gate, ms, pattern};

/// The section of a port that speaks both.
const H2C: &str = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";

/// A node and a port that speaks both; `top` are further sections, `route` further keys.
async fn speaking_both(top: &str, route: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "{H2C}{top}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web{route} }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

#[tokio::test]
async fn requests_of_every_kind_go_through() {
    let (app, tide) = speaking_both("", "").await;
    let mut client = H2::connect(tide.addr()).await;
    let got = client.ask(request("GET", "/get?x=1"), b"").await.unwrap();
    assert_eq!((got.status, got.text()), (200, "app-1 0 -\n".into()));
    app.answers(|_| Reply::mirror());
    let body = pattern(300_000);
    let posted = client.ask(request("POST", "/post"), &body).await.unwrap();
    assert_eq!(posted.status, 200);
    assert!(posted.body == body, "{} bytes came back", posted.body.len());
    app.answers(|_| Reply::text("twelve bytes"));
    let head = client.ask(request("HEAD", "/head"), b"").await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.fields["content-length"], "12");
    app.answers(|_| Reply::chunked(["in ", "pieces"]));
    let pieces = client.ask(request("GET", "/pieces"), b"").await.unwrap();
    assert_eq!(pieces.text(), "in pieces");
    let seen = app.seen();
    assert_eq!(seen[0].head.line, "GET /get?x=1 HTTP/1.1");
    assert_eq!(seen[0].head.get("host"), Some("tide.test"));
    assert!(seen[1].complete && seen[1].body == body);
    assert!(
        seen.iter()
            .all(|s| s.head.all("transfer-encoding").len() <= 1)
    );
    let line = tide.told("/post").await;
    assert_eq!(
        (&line["end"], &line["status"], &line["bytes_in"]),
        (&"ok".into(), &200.into(), &300_000.into()),
        "{line}"
    );
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn an_empty_last_piece_of_a_body_is_nothing_to_the_node() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|_| Reply::mirror());
    let mut client = H2::connect(tide.addr()).await;
    for pieces in [
        &["", "abc", ""][..],
        &["abc", "", "def", ""],
        &[""],
        &["", ""],
    ] {
        for _ in 0..5 {
            let mut stream = client.send(request("POST", "/"), false).await.unwrap();
            for (n, piece) in pieces.iter().enumerate() {
                let last = n == pieces.len() - 1;
                stream.body.send_data((*piece).into(), last).unwrap();
            }
            let answer = stream.answer().await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, pieces.concat()));
        }
    }
    // A second last chunk would stand before the next request, and the connection be lost.
    assert_eq!((app.requests(), app.connections()), (20, 1));
}

#[tokio::test]
async fn twenty_requests_share_one_connection() {
    let (app, tide) = speaking_both("", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let mut client = H2::connect(tide.addr()).await;
    let mut streams = Vec::new();
    for n in 0..20 {
        let asked = request("GET", "/").header("x-id", format!("stream-{n}"));
        streams.push(client.send(asked, true).await.unwrap());
    }
    app.holds(20).await;
    tide.stands_at(1).await;
    gate.open();
    for (n, stream) in streams.into_iter().enumerate() {
        let answer = stream.answer().await.unwrap();
        assert_eq!(answer.fields["x-id"], format!("stream-{n}").as_str());
    }
    assert_eq!(app.requests(), 20);
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_requests() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|seen| Reply::usual(seen).when(&Gate::closed()));
    let mut client = H2::connect(tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(client.send(request("GET", "/left"), true).await.unwrap());
    }
    app.holds(3).await;
    // One stream is given up, then the connection.
    drop(streams.pop());
    let line = tide.told("/left").await;
    assert_eq!(line["end"], "client_abort", "{line}");
    drop((streams, client));
    for line in tide.tells(3).await {
        assert_eq!(line["end"], "client_abort", "{line}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn http_1_is_still_spoken_on_the_same_port() {
    let (app, tide) = speaking_both("", "").await;
    let mut h2 = H2::connect(tide.addr()).await;
    let mut client = tide.connect().await;
    for request in [
        Request::get("/1"),
        Request::post("/2", "body").chunked(2),
        Request::new("PRI", "/3"),
        Request::new("P", "/4"),
    ] {
        assert_eq!(client.ask(&request).await.unwrap().status, 200);
    }
    assert_eq!(h2.status(request("GET", "/"), b"").await, Some(200));
    // The beginning that both share is not taken for either.
    let mut slow = tide.connect().await;
    for byte in Request::post("/slow", "x").head_bytes() {
        slow.send_bytes(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    slow.send_bytes(b"x").await.unwrap();
    assert_eq!(slow.answer("POST").await.unwrap().status, 200);
    assert_eq!(app.requests(), 6);
}

#[tokio::test]
async fn the_preface_may_come_byte_by_byte() {
    let (app, tide) = speaking_both("", "").await;
    let mut frames = Frames::silent(tide.addr()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "tide.test"),
    ];
    for byte in [opening(), headers(&fields)].concat() {
        frames.bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(frames.ending().await, Ending::Status(200));
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn where_it_is_not_offered_the_preface_is_a_bad_request() {
    let (app, tide) = one_node().await;
    let mut client = tide.connect().await;
    client.send_bytes(&opening()).await.unwrap();
    let answer = client.answer("GET").await.unwrap();
    assert!(matches!(answer.status, 400 | 505), "{}", answer.status);
    assert!(!answer.stays_open);
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    assert_eq!(app.connections(), 0);
    // Nor does HTTP/1.1 lead to it.
    let upgrade = Request::get("/")
        .field("Connection", "Upgrade, HTTP2-Settings")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAAQAAP__");
    assert_ne!(tide.ask(&upgrade).await.status, 101);
}

#[tokio::test]
async fn half_a_preface_has_the_time_of_a_head() {
    let top = "timeouts: { header: 500ms, idle: 20s }";
    let (_app, tide) = speaking_both(top, "").await;
    for part in [1, 10, PREFACE.len() - 1] {
        let mut client = tide.connect().await;
        client.send_bytes(&PREFACE[..part]).await.unwrap();
        client.until_closed(ms(3_000)).await.unwrap();
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn requests_in_flight_are_finished_when_the_process_stops() {
    let (app, tide) = speaking_both("", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |_| Reply::text(pattern(200_000)).when(&held));
    let mut client = H2::connect(tide.addr()).await;
    let mut idle = H2::connect(tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(client.send(request("GET", "/held"), true).await.unwrap());
    }
    app.holds(5).await;
    tide.signal(Signal::SIGTERM);
    idle.closed(ms(5_000)).await.unwrap();
    assert!(tide.process().runs(), "it waits for those in flight");
    gate.open();
    // All at once: what one does not take keeps the others waiting.
    let reading: Vec<_> = streams
        .into_iter()
        .map(|s| tokio::spawn(s.answer()))
        .collect();
    for answer in reading {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 200_000));
    }
    assert_eq!(tide.ended(ms(5_000)).await, 0);
    let told = tide.tells(5).await;
    assert!(told.iter().all(|line| line["end"] == "ok"), "{told:?}");
}

#[tokio::test]
async fn a_client_is_told_that_the_process_stops_and_has_its_answer_first() {
    let (app, tide) = speaking_both("", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "tide.test"),
    ];
    let mut frames = Frames::connect(tide.addr()).await;
    frames.bytes(&headers(&fields)).await;
    app.holds(1).await;
    tide.signal(Signal::SIGTERM);
    // First a GOAWAY, then, whatever it takes, the answer.
    assert_eq!(frames.ending().await, Ending::Gone);
    gate.open();
    assert_eq!(frames.ending().await, Ending::Status(200));
    assert_eq!(tide.told("/").await["end"], "ok");
}
