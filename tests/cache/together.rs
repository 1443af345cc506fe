//! One fetch for all who want the same thing at the same time, and nobody waits for somebody else's trouble.

mod ends;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Stage, is_hit, reply, told};
use crate::support::client::{Answer, Client, Request};
use crate::support::proxy::SOON;
use crate::support::reply::{Reply, Step};
use crate::support::wire::{Broken, Framing};
use crate::support::{Gate, check, eventually, ms, pattern, raise_open_files};

/// What an origin takes for an answer.
const WORK: Duration = ms_of(200);

const fn ms_of(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// So many clients ask for the same thing at the same moment; their answers, and how long each took.
async fn all_at_once(
    stage: &Stage,
    n: usize,
    request: Request,
) -> Vec<(Result<Answer, Broken>, Duration)> {
    let mut clients = Vec::new();
    for _ in 0..n {
        clients.push(stage.tide.connect().await);
    }
    let mut asking = JoinSet::new();
    let began = Instant::now();
    for mut client in clients {
        let request = request.clone();
        asking.spawn(async move { (client.ask(&request).await, began.elapsed()) });
    }
    asking.join_all().await
}

/// The time that 99 of 100 did not exceed.
fn p99(all: &[(Result<Answer, Broken>, Duration)]) -> Duration {
    let mut waits: Vec<Duration> = all.iter().map(|(_, took)| *took).collect();
    waits.sort_unstable();
    waits[(waits.len() * 99).div_ceil(100) - 1]
}

/// Every one has this body.
#[track_caller]
fn all_have(all: &[(Result<Answer, Broken>, Duration)], body: &[u8]) {
    for (answer, _) in all {
        let answer = answer.as_ref().unwrap_or_else(|e| panic!("{e}"));
        assert!(
            answer.status == 200 && answer.body == body,
            "{}",
            told(answer)
        );
    }
}

/// A large answer with its length, or in chunks: half of it, then what is done at half time, then the rest.
fn in_halves(body: &[u8], sized: bool, between: &[Step]) -> Reply {
    let (one, two) = body.split_at(body.len() / 2);
    let piece = |bytes: &[u8]| match sized {
        true => Step::Bytes(bytes.to_vec()),
        false => Step::Chunk(bytes.to_vec()),
    };
    let head = match sized {
        true => Step::Head(200, vec![("content-length".into(), body.len().to_string())]),
        false => Reply::chunked_head(),
    };
    let mut steps = vec![head, piece(one)];
    steps.extend_from_slice(between);
    steps.push(piece(two));
    if !sized {
        steps.push(Step::Chunk(Vec::new()));
    }
    Reply::steps(steps).field("Cache-Control", "max-age=600")
}

#[tokio::test]
async fn a_thousand_requests_for_one_cold_key_are_one_fetch_and_nobody_waits_longer_than_for_that()
{
    raise_open_files();
    let stage = Stage::open("true").await;
    let body = pattern(50_000);
    for sized in [true, false] {
        let sent = body.clone();
        stage
            .app
            .answers(move |_| in_halves(&sent, sized, &[]).after(WORK));
        let target = if sized { "/sized" } else { "/chunked" };
        let all = all_at_once(&stage, 1_000, Request::get(target)).await;
        println!("{target}: p99 {:?} beside an origin of {WORK:?}", p99(&all));
        all_have(&all, &body);
        assert_eq!(stage.asked(target), 1);
        assert!(p99(&all) < ms(5_000), "{:?}", p99(&all));
        let collapsed = |answer: &&(Result<Answer, Broken>, Duration)| {
            answer
                .0
                .as_ref()
                .is_ok_and(|answer| told(answer).contains("; collapsed"))
        };
        assert!(all.iter().filter(collapsed).count() > 500, "they say so");
    }
}

#[tokio::test]
async fn followers_read_along_while_the_first_half_is_all_there_is() {
    let stage = Stage::open("true").await;
    let (body, gate) = (pattern(100_000), Gate::closed());
    let (sent, held) = (body.clone(), gate.clone());
    stage
        .app
        .answers(move |_| in_halves(&sent, true, &[Step::Gate(held.clone())]));
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = stage.tide.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        client.head().await.unwrap();
        assert!(client.exactly(50_000).await.unwrap() == body[..50_000]);
        clients.push(client);
    }
    gate.open();
    for mut client in clients {
        assert!(client.exactly(50_000).await.unwrap() == body[50_000..]);
    }
    assert_eq!(stage.asked("/"), 1);
}

/// A client that has begun a fetch and has read the head of its answer.
async fn leader(stage: &Stage) -> Client {
    let mut leader = Client::connect_narrow(stage.tide.addr()).await.unwrap();
    leader.send(&Request::get("/")).await.unwrap();
    leader.head().await.unwrap();
    leader
}

#[tokio::test]
async fn a_first_client_that_leaves_cuts_nobody_off() {
    for sized in [true, false] {
        let stage = Stage::open("true").await;
        let (body, gate) = (pattern(400_000), Gate::closed());
        let (sent, held) = (body.clone(), gate.clone());
        stage
            .app
            .answers(move |_| in_halves(&sent, sized, &[Step::Gate(held.clone())]));
        let mut first = leader(&stage).await;
        first.exactly(40_000).await.unwrap();
        let following = all_at_once(&stage, 20, Request::get("/"));
        let leaving = async {
            stage
                .tide
                .metric_is("tidegate_http_requests_in_flight", &[], 21.0)
                .await;
            first.reset();
            stage
                .tide
                .metric_is("tidegate_http_requests_in_flight", &[], 20.0)
                .await;
            gate.open();
        };
        let (all, ()) = tokio::join!(following, leaving);
        all_have(&all, &body);
        assert_eq!(stage.asked("/"), 1);
        assert!(is_hit(&stage.get("/").await), "and it is stored");
    }
}

#[tokio::test]
async fn a_first_client_that_leaves_before_the_answer_has_begun_leaves_the_fetch_behind() {
    let stage = Stage::open("true").await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage
        .app
        .answers(move |seen| reply(seen, 200, "Cache-Control: max-age=600").when(&held));
    let mut first = stage.tide.connect().await;
    first.send(&Request::get("/")).await.unwrap();
    stage.app.holds(1).await;
    first.reset();
    stage
        .tide
        .metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
    gate.open();
    assert_eq!(stage.get("/").await.text(), "/ 0");
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn a_first_client_that_reads_slowly_holds_nobody_up() {
    let stage = Stage::open("true").await;
    let body = pattern(8 << 20);
    let sent = body.clone();
    stage
        .app
        .answers(move |_| in_halves(&sent, true, &[Step::Wait(WORK)]));
    let mut slow = leader(&stage).await;
    let reading = tokio::spawn(async move {
        let mut read = 0;
        while let Ok(bytes) = slow.exactly(1_024).await {
            read += bytes.len();
            tokio::time::sleep(ms(1_000)).await; // it is the slow client of this story
        }
        read
    });
    let all = all_at_once(&stage, 10, Request::get("/")).await;
    println!("p99 {:?} beside a client that reads 1 KB/s", p99(&all));
    all_have(&all, &body);
    assert!(p99(&all) < ms(5_000), "{:?}", p99(&all));
    assert_eq!(stage.asked("/"), 1);
    assert!(!reading.is_finished(), "it is still reading");
    reading.abort();
}

#[tokio::test]
async fn what_may_not_be_stored_is_not_waited_for_one_after_the_other() {
    let stage = Stage::open("true").await;
    stage
        .app
        .answers(|seen| reply(seen, 200, "Cache-Control: no-store").after(WORK));
    let cold = all_at_once(&stage, 50, Request::get("/")).await;
    let known = all_at_once(&stage, 50, Request::get("/")).await;
    println!(
        "p99 {:?}, then {:?} beside an origin of {WORK:?}",
        p99(&cold),
        p99(&known)
    );
    assert_eq!(stage.asked("/"), 100, "each has an answer of its own");
    let mut bodies: Vec<_> = cold
        .iter()
        .chain(&known)
        .map(|(a, _)| a.as_ref().unwrap().text())
        .collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 100, "and nobody has another's");
    // One after the other it would be ten seconds.
    assert!(p99(&cold) < 10 * WORK, "{:?}", p99(&cold));
    assert!(p99(&known) < 5 * WORK, "{:?}", p99(&known));
}

#[tokio::test]
async fn what_turned_out_not_to_be_storable_is_waited_for_again_when_it_is() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: no-store");
    stage.get("/").await;
    stage.says("Cache-Control: max-age=600");
    let mut asked = 1;
    eventually("a hit", SOON, async || {
        let answer = stage.get("/").await;
        asked += 1;
        check(is_hit(&answer), told(&answer))
    })
    .await;
    assert!(asked <= 4, "{asked} requests until it was stored");
    // Nor is it remembered for ever.
    stage.says("Cache-Control: no-store");
    stage.get("/later").await;
    stage.passes(120).await;
    let again = stage.get("/later").await;
    assert!(
        told(&again).ends_with("; detail=no_store"),
        "{}",
        told(&again)
    );
}

#[tokio::test]
async fn nobody_waits_longer_than_the_route_says() {
    let stage = Stage::open("{ wait: 200ms }").await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage.app.answers(move |seen| match seen.serial {
        0 => reply(seen, 200, "Cache-Control: max-age=600").when(&held),
        _ => reply(seen, 200, "Cache-Control: max-age=600"),
    });
    let mut first = stage.tide.connect().await;
    first.send(&Request::get("/")).await.unwrap();
    stage.app.holds(1).await;
    let began = Instant::now();
    let second = stage.get("/").await;
    crate::support::took_about(began, ms(200));
    assert_eq!(second.text(), "/ 1");
    assert!(
        told(&second).ends_with("; detail=wait_timeout"),
        "{}",
        told(&second)
    );
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().text(), "/ 0");
    // `0s`: nobody waits at all.
    let stage = Stage::open("{ wait: 0s }").await;
    stage
        .app
        .answers(|seen| reply(seen, 200, "Cache-Control: max-age=600").after(WORK));
    all_at_once(&stage, 5, Request::get("/")).await;
    assert_eq!(stage.asked("/"), 5);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_noticed() {
    let stage = Stage::open("true").await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage
        .app
        .answers(move |seen| reply(seen, 200, "Cache-Control: max-age=600").when(&held));
    let mut waiting = Vec::new();
    for n in 1..=5 {
        let mut client = stage.tide.connect().await;
        client.send(&Request::get("/")).await.unwrap();
        stage
            .tide
            .metric_is("tidegate_http_requests_in_flight", &[], f64::from(n))
            .await;
        waiting.push(client);
    }
    let mut last = waiting.pop().unwrap();
    for client in waiting {
        client.reset();
    }
    stage
        .tide
        .metric_is("tidegate_http_requests_in_flight", &[], 1.0)
        .await;
    gate.open();
    assert_eq!(last.answer("GET").await.unwrap().text(), "/ 0");
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn each_expiry_is_one_refresh_however_many_ask_and_nobody_waits_for_it() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=100, stale-while-revalidate=1000";
    stage.says(lines);
    stage.get("/").await;
    for expiry in 1..4 {
        let gate = Gate::closed();
        let held = gate.clone();
        stage
            .app
            .answers(move |seen| reply(seen, 200, lines).when(&held));
        stage.passes(200).await;
        let all = all_at_once(&stage, 100, Request::get("/")).await;
        all_have(&all, format!("/ {}", expiry - 1).as_bytes());
        stage.app.holds(1).await;
        assert_eq!(stage.asked("/"), expiry + 1, "one fetch an expiry");
        gate.open();
        eventually("the new one", SOON, async || {
            let answer = stage.get("/").await;
            check(answer.text() == format!("/ {expiry}"), answer.text())
        })
        .await;
    }
    assert_eq!(stage.asked("/"), 4);
}

#[tokio::test]
async fn requests_for_different_variants_do_not_get_each_others_answer() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let kind = seen.head.get("x-kind").unwrap_or("none").to_owned();
        let reply = Reply::text(kind).field("Vary", "X-Kind");
        reply.field("Cache-Control", "max-age=600").after(ms(50))
    });
    for _ in 0..3 {
        let mut asking = JoinSet::new();
        for n in 0..40 {
            let kind = format!("kind-{}", n % 4);
            let mut client = stage.tide.connect().await;
            asking.spawn(async move {
                let request = Request::get("/").field("X-Kind", &kind);
                (client.ask(&request).await.unwrap().text(), kind)
            });
        }
        for (got, kind) in asking.join_all().await {
            assert_eq!(got, kind);
        }
        stage.passes(1_000).await;
    }
}

#[tokio::test]
async fn a_hit_while_another_is_fetched_waits_for_nothing() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| match seen.target() {
        "/slow" => Reply::hangs(),
        _ => reply(seen, 200, "Cache-Control: max-age=600"),
    });
    stage.get("/").await;
    let mut hanging = stage.tide.connect().await;
    hanging.send(&Request::get("/slow")).await.unwrap();
    stage.app.holds(1).await;
    let hit = stage.get("/").await;
    assert_eq!((is_hit(&hit), hit.framing), (true, Framing::Sized(3)));
}
