//! How a shared fetch may end: cut, too large, over HTTP/2. Nobody ever takes half a body for a whole one.

use tokio::task::JoinSet;

use super::{all_at_once, all_have, in_halves, leader};
use crate::cache::{Stage, is_hit, reply, told, validated, yaml};
use crate::support::client::Request;
use crate::support::h2::{Answer, H2, Stream, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::{Reply, Step};
use crate::support::wire::Broken;
use crate::support::{Gate, ms, pattern};

#[tokio::test]
async fn a_body_cut_at_its_half_looks_cut_to_everybody_and_the_next_request_begins_anew() {
    for sized in [true, false] {
        let stage = Stage::open("true").await;
        let (body, gate) = (pattern(100_000), Gate::closed());
        let (sent, held) = (body.clone(), gate.clone());
        stage.app.answers(move |seen| match seen.serial {
            0 => in_halves(&sent, sized, &[Step::Gate(held.clone()), Step::Reset]),
            _ => in_halves(&sent, sized, &[]),
        });
        let mut first = leader(&stage).await;
        let following = all_at_once(&stage, 20, Request::get("/"));
        let old = all_at_once(&stage, 5, Request::get("/").http10());
        let cutting = async {
            stage
                .tide
                .metric_is("tidegate_http_requests_in_flight", &[], 26.0)
                .await;
            gate.open();
        };
        let (all, old, ()) = tokio::join!(following, old, cutting);
        for (answer, _) in all.iter().chain(&old) {
            match answer {
                Ok(answer) => assert!(
                    answer.status >= 500 || answer.body == body,
                    "{} bytes",
                    answer.body.len()
                ),
                Err(broken) => assert!(matches!(broken, Broken::Cut | Broken::Reset), "{broken}"),
            }
        }
        let left = first.until_closed(ms(5_000)).await.unwrap();
        assert!(
            left.len() < body.len() && !left.ends_with(b"0\r\n\r\n"),
            "{} bytes",
            left.len()
        );
        assert!(stage.get("/").await.body == body);
        assert!(is_hit(&stage.get("/").await));
    }
}

#[tokio::test]
async fn a_fetch_that_fails_before_its_head_is_no_more_than_a_few_more_fetches() {
    let stage = Stage::open("true").await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage.app.answers(move |seen| match seen.serial {
        0 => Reply::reset().when(&held),
        _ => reply(seen, 200, "Cache-Control: max-age=600").after(ms(100)),
    });
    let asking = all_at_once(&stage, 20, Request::get("/"));
    let failing = async {
        stage
            .tide
            .metric_is("tidegate_http_requests_in_flight", &[], 20.0)
            .await;
        gate.open();
    };
    let (all, ()) = tokio::join!(asking, failing);
    let good = all
        .iter()
        .filter(|(answer, _)| answer.as_ref().is_ok_and(|a| a.status == 200))
        .count();
    assert!(
        good >= 19,
        "{good} of 20 had an answer: the first alone may fail"
    );
    assert!(
        stage.app.requests() <= 3,
        "{} fetches",
        stage.app.requests()
    );
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_reaches_everybody_who_reads_it() {
    let top = "cache: { memory: 4MiB, max_object: 64KiB }\n";
    let stage = Stage::under(top, "true").await;
    let (body, gate) = (pattern(3 << 20), Gate::closed());
    let (sent, held) = (body.clone(), gate.clone());
    stage.app.answers(move |seen| {
        let head = [Reply::chunked_head(), Step::Chunk(sent[..1_000].to_vec())];
        let gate = (seen.serial == 0).then(|| Step::Gate(held.clone()));
        let rest = sent[1_000..]
            .chunks(50_000)
            .map(|chunk| Step::Chunk(chunk.to_vec()));
        let last = [Step::Chunk(Vec::new())];
        let steps = head.into_iter().chain(gate).chain(rest).chain(last);
        Reply::steps(steps).field("Cache-Control", "max-age=600")
    });
    let reading = all_at_once(&stage, 10, Request::get("/"));
    let opening = async {
        stage
            .tide
            .metric_is("tidegate_http_requests_in_flight", &[], 10.0)
            .await;
        gate.open();
    };
    let (all, ()) = tokio::join!(reading, opening);
    all_have(&all, &body);
    assert_eq!(stage.asked("/"), 1);
    assert!(!is_hit(&stage.get("/").await), "it is not stored");
}

/// A stage whose port speaks HTTP/2 too.
async fn over_h2() -> Stage {
    let app = Origin::start("app-1").await;
    let top = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";
    let tide = Tidegate::run_with_faults(yaml(top, "true", &nodes([&app]))).await;
    Stage { app, tide }
}

fn said(answer: &Answer) -> &str {
    let said = answer.fields.get("cache-status");
    said.map_or("", |said| said.to_str().unwrap())
}

#[tokio::test]
async fn over_http2_what_is_stored_is_used_in_all_its_forms() {
    let stage = over_h2().await;
    let lines = "Cache-Control: max-age=100";
    stage
        .app
        .answers(move |seen| validated(seen, "\"v1\"", lines));
    let mut client = H2::connect(stage.tide.addr()).await;
    let miss = client.ask(request("GET", "/"), b"").await.unwrap();
    assert_eq!((miss.status, miss.text()), (200, "/ 0".into()));
    assert!(
        said(&miss).starts_with("tidegate; fwd=uri-miss; stored"),
        "{}",
        said(&miss)
    );
    let hit = client.ask(request("GET", "/"), b"").await.unwrap();
    assert_eq!(
        (hit.text(), &hit.fields["content-length"]),
        ("/ 0".into(), &"3".parse().unwrap())
    );
    assert!(said(&hit).starts_with("tidegate; hit") && hit.fields.contains_key("age"));
    let head = client.ask(request("HEAD", "/"), b"").await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.fields["content-length"], "3");
    let held = request("GET", "/").header("if-none-match", "\"v1\"");
    let held = client.ask(held, b"").await.unwrap();
    assert_eq!((held.status, held.body.len()), (304, 0));
    let part = request("GET", "/").header("range", "bytes=2-");
    let part = client.ask(part, b"").await.unwrap();
    assert_eq!((part.status, part.text()), (206, "0".into()));
    assert_eq!(stage.asked("/"), 1);
    stage.passes(150).await;
    let confirmed = client.ask(request("GET", "/"), b"").await.unwrap();
    assert_eq!((confirmed.status, confirmed.text()), (200, "/ 0".into()));
    assert_eq!(stage.last().head.get("if-none-match"), Some("\"v1\""));
    // What one language stored the other one uses.
    let over_http1 = stage.get("/").await;
    assert!(is_hit(&over_http1), "{}", told(&over_http1));
    let body = client
        .ask(request("GET", "/").header("x-a", "b"), b"a body")
        .await
        .unwrap();
    assert!(
        said(&body).starts_with("tidegate; fwd=bypass"),
        "{}",
        said(&body)
    );
}

/// All of them, read at the same time: they share the window of their connection.
async fn answers(streams: Vec<Stream>) -> Vec<Result<Answer, h2::Error>> {
    let reading: JoinSet<_> = streams.into_iter().map(Stream::answer).collect();
    reading.join_all().await
}

#[tokio::test]
async fn over_http2_many_streams_share_one_fetch() {
    let stage = over_h2().await;
    let (body, gate) = (pattern(200_000), Gate::closed());
    let (sent, held) = (body.clone(), gate.clone());
    stage
        .app
        .answers(move |_| in_halves(&sent, false, &[Step::Gate(held.clone())]));
    let mut clients = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut client = H2::connect(stage.tide.addr()).await;
        for _ in 0..20 {
            streams.push(client.send(request("GET", "/"), true).await.unwrap());
        }
        clients.push(client);
    }
    stage
        .tide
        .metric_is("tidegate_http_requests_in_flight", &[], 80.0)
        .await;
    // Who resets its stream is nobody's loss.
    drop(streams.swap_remove(0));
    gate.open();
    for answer in answers(streams).await {
        let answer = answer.unwrap();
        assert!(
            answer.status == 200 && answer.body == body,
            "{} bytes",
            answer.body.len()
        );
    }
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn over_http2_a_cut_body_is_a_reset_stream() {
    let stage = over_h2().await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage.app.answers(move |_| {
        in_halves(
            &pattern(100_000),
            false,
            &[Step::Gate(held.clone()), Step::Reset],
        )
    });
    let mut client = H2::connect(stage.tide.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(client.send(request("GET", "/"), true).await.unwrap());
    }
    stage
        .tide
        .metric_is("tidegate_http_requests_in_flight", &[], 5.0)
        .await;
    gate.open();
    for answer in answers(streams).await {
        let looks_whole = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        assert!(!looks_whole, "{:?}", answer.map(|answer| answer.body.len()));
    }
}
