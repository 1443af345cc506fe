//! What a client hears when something is wrong: the right status, a request id, and nothing from inside.

use std::time::Instant;

use crate::support::client::{Answer, Request};
use crate::support::origin::{BlackHole, Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, one_node_with, web};
use crate::support::reply::{Reply, Step};
use crate::support::wire::Broken;
use crate::support::{ms, pattern, took_about};

/// The shape of every answer the proxy makes itself: the status in words, the request's id, nothing from inside.
#[track_caller]
fn is_refusal(answer: &Answer, status: u16) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(text.starts_with(&format!("{status} ")), "{text}");
    assert!(text.contains("request "), "{text}");
    let kind = answer.head.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{kind}");
    let raw = String::from_utf8_lossy(&answer.head.raw).to_lowercase();
    let all = raw + &text.to_lowercase();
    for inside in [
        "pingora",
        "127.0.0.1",
        "app-1",
        "errno",
        "os error",
        "upstream",
        "refused by",
    ] {
        assert!(
            !all.contains(inside),
            "{inside:?} is told to a client: {all}"
        );
    }
    assert!(answer.head.all("server").is_empty());
    assert_eq!(answer.head.get("retry-after").is_some(), status == 503);
}

#[tokio::test]
async fn a_refusing_node_and_no_node_at_all_are_a_503_with_retry_after() {
    let app = Origin::refusing("app-1");
    let tide = Tidegate::run_unready(web("", nodes([&app]))).await;
    is_refusal(&tide.get("/").await, 503);
    let down = app.with("state: down");
    tide.apply(&web("", format!("[{down}]"))).await;
    is_refusal(&tide.get("/").await, 503);
    is_refusal(
        &tide.ask(&Request::post("/", "x".repeat(100_000))).await,
        503,
    );
}

#[tokio::test]
async fn a_node_that_breaks_off_is_a_502() {
    let (app, tide) = one_node().await;
    for broken in [
        Reply::reset(),
        Reply::close(),
        Reply::steps([Step::Bytes(b"nonsense\r\n\r\n".into()), Step::Close]),
        Reply::steps([Step::Bytes(b"HTTP/1.1 200 OK\r\nhalf".into()), Step::Reset]),
    ] {
        app.answers(move |_| broken.clone());
        is_refusal(&tide.ask(&Request::post("/", "once")).await, 502);
    }
}

#[tokio::test]
async fn a_node_that_is_too_slow_is_a_504() {
    let hole = BlackHole::open().await;
    let (app, tide) = one_node_with("timeouts: { connect: 300ms, read: 300ms }").await;
    app.answers(|seen| Reply::usual(seen).after(ms(30_000)));
    let began = Instant::now();
    is_refusal(&tide.ask(&Request::post("/read", "x")).await, 504);
    took_about(began, ms(300));

    tide.apply(&web("timeouts: { connect: 300ms }", format!("[{hole}]")))
        .await;
    let began = Instant::now();
    is_refusal(&tide.get("/connect").await, 504);
    took_about(began, ms(300));
}

#[tokio::test]
async fn nobody_hears_what_the_proxy_is_made_of() {
    let (_app, tide) = one_node().await;
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/7.7\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "\x16\x03\x01 hello\r\n\r\n",
    ] {
        let mut client = tide.connect().await;
        client.send_bytes(bad.as_bytes()).await.unwrap();
        let told = client.until_closed(ms(5_000)).await;
        let told = told.unwrap_or_else(|e| panic!("{bad:?}: {e}, and it stays open"));
        let told = String::from_utf8_lossy(&told).to_lowercase();
        assert!(!told.contains("pingora"), "{bad:?}: {told}");
        assert!(
            told.is_empty() || told.starts_with("http/1.1 4") || told.starts_with("http/1.1 505")
        );
    }
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete() {
    let (app, tide) = one_node().await;
    let cut_chunks = |end: Step| {
        let part = [Reply::chunked_head(), Step::Chunk(pattern(3_000)), end];
        Reply::steps(part)
    };
    let half_chunk = Step::Bytes(b"ff\r\nonly this".into());
    for cut in [
        Reply::short_of(1_000, "half"),
        Reply::short_of(200_000, &"h".repeat(100_000)),
        cut_chunks(Step::Close),
        cut_chunks(Step::Reset),
        cut_chunks(half_chunk).then(Step::Close),
    ] {
        app.answers(move |_| cut.clone());
        let broken = tide
            .try_ask(&Request::get("/cut"))
            .await
            .map(|a| (a.status, a.body.len()));
        assert!(
            matches!(broken, Err(Broken::Cut | Broken::Reset)),
            "{broken:?}"
        );
    }
}
