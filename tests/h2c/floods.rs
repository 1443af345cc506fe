//! Frames that cost their sender nothing: whoever sends them without end is sent away, and nobody else notices.

use super::{H2C, speaking_both};
use crate::support::h2::{Frames, H2, frame, headers, request};
use crate::support::load::Load;
use crate::support::reply::Reply;
use crate::support::{Gate, ms, pattern};

/// Frames of a flood.
const MANY: usize = 100_000;
/// Bytes that the process may grow by meanwhile.
const ROOM: usize = 20 << 20;
/// `ENHANCE_YOUR_CALM` (RFC 9113 §7).
const CALM: u32 = 11;
/// `POST /` that brings its body later.
const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "tide.test"),
];

/// The head of a request whose body follows.
fn begins() -> Vec<u8> {
    let mut bytes = headers(&POST);
    bytes[4] &= !1; // without END_STREAM
    bytes
}

/// Every flood of frames that ask for nothing: the word it is counted by, what comes before, and the frame.
fn floods() -> [(&'static str, Vec<u8>, Vec<u8>); 11] {
    [
        ("settings", vec![], frame(4, 0, 0, b"")),
        ("settings", vec![], frame(4, 0, 0, &[0, 4, 0, 0, 0, 1])),
        ("ping", vec![], frame(6, 0, 0, b"12345678")),
        ("ping", vec![], frame(6, 1, 0, b"12345678")),
        ("priority", vec![], frame(2, 0, 5, &[0, 0, 0, 0, 9])),
        ("window_update", vec![], frame(8, 0, 0, &[0, 0, 0, 1])),
        ("window_update", begins(), frame(8, 0, 1, &[0, 0, 0, 1])),
        ("rst_stream", begins(), frame(3, 0, 1, &[0, 0, 0, 8])),
        ("other", vec![], frame(0xbb, 0xff, 0, b"whatever")),
        ("data", begins(), frame(0, 0, 1, b"")),
        ("data", begins(), frame(0, 8, 1, &[3, 0, 0, 0])),
    ]
}

#[tokio::test]
async fn whoever_sends_frames_that_ask_for_nothing_without_end_is_sent_away() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|_| Reply::text("ok").without_reading());
    let mut other = tide.connect().await;
    let asked = crate::support::client::Request::get("/other");
    other.ask(&asked).await.unwrap();
    let before = tide.process().memory();
    for (kind, first, flood) in floods() {
        let labels = [("kind", kind)];
        let name = "tidegate_h2_floods_total";
        let so_far = tide.metric(name, &labels).await.unwrap();
        let mut frames = Frames::connect(tide.addr()).await;
        frames.bytes(&first).await;
        frames.bytes(&flood.repeat(MANY)).await;
        assert_eq!(frames.goodbye().await, Some(CALM), "{kind}");
        tide.metric_is(name, &labels, so_far + 1.0).await;
        let answer = other.ask(&asked).await.unwrap();
        assert_eq!(answer.status, 200, "others are served: {kind}");
    }
    let grown = tide.process().memory().saturating_sub(before);
    assert!(grown < ROOM, "{grown} bytes more");
    let lines = tide.log().lines().count();
    assert!(lines < 100, "{lines} lines of the log");
    assert!(tide.log().contains("raise limits.h2.frames"), "the remedy");
    drop(other);
    tide.is_empty().await;
}

/// Requests of others beside each kind of flood, within a second.
const OTHERS: usize = 250;
/// What others may wait longer than twice what they wait alone: the machine runs other stories, and those who flood, at
/// the same time.
const BUSY: std::time::Duration = std::time::Duration::from_millis(150);

// On threads of their own, or who floods would hold up the story's other clients itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_wait_no_longer_while_floods_of_every_kind_come_again_and_again() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|seen| Reply::usual(seen).without_reading());
    let load = || Load::at(250).count(OTHERS);
    load().run(tide.addr()).await; // connections are open, pages are in memory
    let alone = load().run(tide.addr()).await;
    alone.nothing_failed_of(OTHERS);
    for (at, (kind, first, flood)) in floods().into_iter().enumerate() {
        let labels = [("kind", kind)];
        let name = "tidegate_h2_floods_total";
        let so_far = tide.metric(name, &labels).await.unwrap();
        let others = load().start(tide.addr());
        let to = tide.addr();
        let flooding = tokio::spawn(async move {
            let flood = flood.repeat(MANY);
            let mut sent_away = 0;
            while !others.is_over() {
                let mut frames = Frames::connect(to).await;
                frames.bytes(&first).await;
                frames.bytes(&flood).await;
                assert_eq!(frames.goodbye().await, Some(CALM), "{kind}");
                sent_away += 1;
            }
            (sent_away, others.done().await)
        });
        let (sent_away, beside) = flooding.await.unwrap();
        beside.nothing_failed_of(OTHERS);
        assert!(sent_away > 0, "{kind}");
        tide.metric_is(name, &labels, so_far + f64::from(sent_away))
            .await;
        let (alone, beside) = (alone.p99(), beside.p99());
        println!("{at} {kind}: {sent_away} floods; p99 {alone:?} alone, {beside:?} beside");
        assert!(beside < 2 * alone + BUSY, "{kind}: {alone:?}, {beside:?}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn a_flood_ends_what_is_under_way_on_its_connection() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|_| Reply::text("late").when(&Gate::closed()));
    let mut frames = Frames::connect(tide.addr()).await;
    let get: Vec<_> = [(":method", "GET"), (":path", "/held")]
        .into_iter()
        .chain([POST[1], POST[3]])
        .collect();
    frames.bytes(&headers(&get)).await;
    app.holds(1).await;
    frames
        .bytes(&frame(6, 0, 0, b"12345678").repeat(MANY))
        .await;
    assert_eq!(frames.goodbye().await, Some(CALM));
    let line = tide.told("/held").await;
    assert_eq!(line["end"], "bad_request", "{line}");
    tide.is_empty().await;
    tide.node_has("web/app-1", "in_flight", 0).await;
}

#[tokio::test]
async fn so_many_frames_may_ask_for_nothing() {
    let (_app, tide) = speaking_both("limits: { h2: { frames: 50/1h } }", "").await;
    let ping = frame(6, 0, 0, b"12345678");
    for (pings, end) in [(50, None), (51, Some(CALM))] {
        let mut frames = Frames::connect(tide.addr()).await;
        frames.bytes(&ping.repeat(pings)).await;
        if end.is_none() {
            // The connection serves on.
            frames.bytes(&begins()).await;
            frames.bytes(&frame(0, 1, 1, b"x")).await;
            let ending = frames.ending().await;
            assert_eq!(ending, crate::support::h2::Ending::Status(200));
        } else {
            assert_eq!(frames.goodbye().await, end);
        }
    }
}

#[tokio::test]
async fn frames_that_go_with_an_answer_are_not_counted() {
    let (app, tide) = speaking_both("limits: { h2: { frames: 20/1h } }", "").await;
    app.answers(|_| Reply::text(pattern(8 << 20)));
    let mut client = H2::connect(tide.addr()).await;
    for _ in 0..3 {
        // Its windows are small: it says hundreds of times how far it is.
        let answer = client.ask(request("GET", "/"), b"").await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 8 << 20));
    }
}

#[tokio::test]
async fn so_many_requests_may_be_reset() {
    let (app, tide) = speaking_both("limits: { h2: { resets: 10/1h } }", "").await;
    app.answers(|_| Reply::text("late").when(&Gate::closed()));
    let mut client = H2::connect(tide.addr()).await;
    for n in 1..=11 {
        let stream = client.send(request("GET", "/reset"), true).await.unwrap();
        app.holds(1).await;
        drop(stream);
        if n <= 10 {
            // Each of them is told before the next one comes.
            tide.tells(n).await;
        }
    }
    client.closed(ms(4_000)).await.unwrap();
    let labels = [("kind", "rst_stream")];
    tide.metric_is("tidegate_h2_floods_total", &labels, 1.0)
        .await;
}

#[tokio::test]
async fn so_many_requests_may_be_sent_at_the_same_time() {
    let (app, tide) = speaking_both("limits: { h2: { streams: 3 } }", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    // Nobody may send a fourth before it has read that three are all: then it is refused.
    let mut frames = Frames::connect(tide.addr()).await;
    assert_eq!(frames.setting(3).await, Some(3), "it is said at once");
    let mut client = H2::connect(tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(client.send(request("GET", "/"), true).await.unwrap());
    }
    app.holds(3).await;
    gate.open();
    for stream in streams {
        assert_eq!(stream.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_limit_that_is_changed_is_for_the_next_connection() {
    let (app, tide) = speaking_both("", "").await;
    let ping = frame(6, 0, 0, b"12345678");
    let mut old = Frames::connect(tide.addr()).await;
    assert_eq!(old.setting(3).await, Some(100));
    let nodes = crate::support::origin::nodes([&app]);
    tide.apply(&format!(
        "{H2C}limits: {{ h2: {{ streams: 7, frames: 5/1h }} }}
upstreams: {{ web: {{ nodes: {nodes} }} }}
routes: [{{ upstream: web }}]\n"
    ))
    .await;
    let mut new = Frames::connect(tide.addr()).await;
    assert_eq!(new.setting(3).await, Some(7));
    for (frames, end) in [(&mut new, Some(CALM)), (&mut old, None)] {
        frames.bytes(&ping.repeat(6)).await;
        if end.is_some() {
            assert_eq!(frames.goodbye().await, end);
        } else {
            frames.bytes(&begins()).await;
            frames.bytes(&frame(0, 1, 1, b"x")).await;
            let ending = frames.ending().await;
            assert_eq!(ending, crate::support::h2::Ending::Status(200));
        }
    }
}

#[tokio::test]
async fn small_pieces_that_come_at_once_are_no_flood() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|_| Reply::mirror());
    let mut frames = Frames::connect(tide.addr()).await;
    // As a gRPC client writes its small messages. All of them fit into the window of a stream.
    let message = frame(0, 0, 1, &[b'x'; 25]);
    let all = [begins(), message.repeat(2_500), frame(0, 1, 1, b"")].concat();
    frames.bytes(&all).await;
    let ending = frames.ending().await;
    assert_eq!(ending, crate::support::h2::Ending::Status(200));
    let line = tide.told("/").await;
    assert_eq!(line["end"], "ok", "{line}");
}
