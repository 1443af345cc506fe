//! Clients that read slowly, not at all, or leave: what a hit costs then, and what is told of it.

use std::time::{Duration, Instant};

use super::{LANES, MIB, Stage, is_hit};
use crate::support::client::{Client, Request};
use crate::support::proxy::SOON;
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms, pattern, took_about};

const LARGE: &str = "/sized/20971520";
const ROOM: &str = "cache: { memory: 128MiB, max_object: 24MiB }\n";

/// Bytes that the store takes, what is being sent included.
async fn taken(stage: &Stage) -> usize {
    let cache = stage.tide.json("/api/v1/cache").await;
    cache["bytes"].as_u64().unwrap() as usize
}

#[tokio::test]
async fn who_does_not_read_a_hit_is_cut_and_holds_nothing_up() {
    let mut told = Vec::new();
    for (lane, in_lane) in LANES.into_iter().zip([false, true]) {
        let top = format!("{ROOM}timeouts: {{ write: 700ms }}\n");
        let stage = Stage::with(lane, &top, "cache: true").await;
        stage.stores(&[LARGE, "/small"]).await;
        let mut deaf = Client::connect_narrow(stage.tide.addr()).await.unwrap();
        let began = Instant::now();
        deaf.send(&Request::get(LARGE)).await.unwrap();
        // It has what is stored in hand: purged, that goes when the last who sends it does.
        deaf.head().await.unwrap();
        let purge = format!("{{\"url\": \"http://tide.test{LARGE}\", \"hard\": true}}");
        stage.tide.api("POST", "/api/v1/purge", &purge).await;
        assert!(taken(&stage).await > 20 * MIB, "it is still being sent");
        let mut others = 0;
        let mut client = stage.tide.connect().await;
        while began.elapsed() < ms(400) {
            let asked = Instant::now();
            let answer = client.ask(&Request::get("/small")).await.unwrap();
            assert!(is_hit(&answer) && asked.elapsed() < ms(350), "held up");
            others += 1;
        }
        let line = eventually("it is cut", SOON, async || {
            let lines = stage.tide.access_log();
            let mut its = lines.into_iter().filter(|line| line["path"] == LARGE);
            its.nth(1).ok_or("no line of it")
        })
        .await;
        took_about(began, ms(700));
        let rest = deaf.until_closed(SOON).await.unwrap();
        assert!(rest.len() < 20 * MIB, "it got all of it");
        let sent = line["bytes_out"].as_u64().unwrap() as usize;
        assert!(sent < 20 * MIB, "{line}");
        eventually("its memory is free", SOON, async || {
            let taken = taken(&stage).await;
            check(taken < 2 * MIB, taken)
        })
        .await;
        stage.express(if in_lane { others + 1 } else { 0 }).await;
        told.push([&line["end"], &line["status"], &line["cache"]].map(Clone::clone));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1][0], "client_timeout");
}

#[tokio::test]
async fn who_reads_slowly_but_steadily_gets_every_byte() {
    let top = "timeouts: { write: 400ms }\n";
    let stage = Stage::with("on", top, "cache: true").await;
    let size = 6 * MIB;
    let target = format!("/sized/{size}");
    stage.stores(&[&target]).await;
    let mut client = Client::connect_narrow(stage.tide.addr()).await.unwrap();
    let began = Instant::now();
    client.send(&Request::get(&target)).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(head.get("content-length"), Some(&*size.to_string()));
    let mut body = Vec::new();
    while body.len() < size {
        body.extend(
            client
                .exactly((128 << 10).min(size - body.len()))
                .await
                .unwrap(),
        );
        tokio::time::sleep(ms(30)).await; // this is how slow it is
    }
    assert!(began.elapsed() > ms(3 * 400), "no slow client");
    assert!(body == pattern(size), "other bytes");
    let again = client.ask(&Request::get("/after")).await.unwrap();
    assert_eq!(again.status, 200, "the connection goes on");
    stage.express(1).await;
    let lines = stage.tide.tells(3).await;
    assert_eq!(
        (&lines[1]["end"], &lines[1]["bytes_out"]),
        (&"ok".into(), &size.into())
    );
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_hit_is_told_as_in_the_other_lane() {
    let mut told = Vec::new();
    for (lane, express) in LANES.into_iter().zip([0, 2]) {
        let stage = Stage::with(lane, ROOM, "cache: true").await;
        stage.stores(&[LARGE]).await;
        for resets in [true, false] {
            let mut client = Client::connect_narrow(stage.tide.addr()).await.unwrap();
            client.send(&Request::get(LARGE)).await.unwrap();
            client.exactly(100_000).await.unwrap();
            match resets {
                true => client.reset(),
                false => drop(client), // with bytes it has not read: that is a reset too
            }
            stage.tide.stands_at(0).await;
        }
        for line in &stage.tide.tells(3).await[1..] {
            let sent = line["bytes_out"].as_u64().unwrap() as usize;
            assert!((100_000..20 * MIB).contains(&sent), "{line}");
            told.push([&line["end"], &line["status"], &line["cache"]].map(Clone::clone));
        }
        stage.express(express).await;
        stage.tide.is_empty().await;
    }
    assert_eq!(told[..2], told[2..]);
    assert!(
        told.iter().all(|line| line[0] == "client_abort"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_hit_that_took_long_is_among_the_slow_requests() {
    let stage = Stage::with("on", ROOM, "cache: true, slow: 300ms").await;
    stage.stores(&[LARGE, "/quick"]).await;
    let before = stage.tide.json("/api/v1/slow").await["slow"]
        .as_array()
        .unwrap()
        .len();
    let mut client = Client::connect_narrow(stage.tide.addr()).await.unwrap();
    client.send(&Request::get(LARGE)).await.unwrap();
    tokio::time::sleep(ms(350)).await; // this is how slow it is
    let answer: Result<_, Broken> = client.answer("GET").await;
    assert!(answer.unwrap().body == pattern(20 * MIB));
    stage.tide.get("/quick").await;
    let slow = eventually("it is among them", Duration::from_secs(5), async || {
        let slow = stage.tide.json("/api/v1/slow").await["slow"].clone();
        let all = slow.as_array().unwrap().len();
        check(all > before, &slow).map(|()| slow)
    })
    .await;
    let its = &slow[0];
    assert_eq!(
        (&its["target"], &its["route"]),
        (&LARGE.into(), &"shop".into()),
        "{slow}"
    );
    assert_eq!(
        (&its["cache"], &its["status"]),
        (&"hit".into(), &200.into()),
        "{slow}"
    );
    assert!(its["t"]["total"].as_f64() > Some(0.3), "{slow}");
    stage.express(2).await;
}

#[tokio::test]
async fn who_is_deaf_when_an_answer_begins_is_cut_too() {
    let top = "timeouts: { write: 500ms }\nlimits: { pipeline: 0 }\n";
    let stage = Stage::with("on", top, "cache: true").await;
    let targets: Vec<_> = (200..320).map(|size| format!("/sized/{size}")).collect();
    let stored: Vec<_> = targets.iter().map(String::as_str).collect();
    stage.stores(&stored).await;
    let mut all_deaf = Vec::new();
    for target in &targets {
        let mut deaf = Client::connect_narrow(stage.tide.addr()).await.unwrap();
        let asked = Request::get(target);
        // One by one, so that some answer begins just when the connection is full.
        for _ in 0..700 {
            if deaf.send(&asked).await.is_err() {
                break;
            }
        }
        all_deaf.push(deaf);
    }
    let waiting = "tidegate_http_requests_in_flight";
    eventually("all of them are cut", SOON, async || {
        let left = stage.tide.metric(waiting, &[]).await;
        check(left == Some(0.0), format!("{left:?}"))
    })
    .await;
    eventually("it is told that they were deaf", SOON, async || {
        let log = stage.tide.access_log();
        let cut = log.iter().filter(|line| line["end"] == "client_timeout");
        let cut = cut.count();
        check(cut >= all_deaf.len(), cut)
    })
    .await;
}

#[tokio::test]
async fn who_has_an_answer_is_told_though_the_one_behind_it_takes_long() {
    let stage = Stage::with("on", ROOM, "cache: true").await;
    stage.stores(&[LARGE, "/small"]).await;
    let before = stage.tide.tells(2).await.len();
    let mut slow = Client::connect_narrow(stage.tide.addr()).await.unwrap();
    // All at once, so that they are answered together.
    let asked = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: tide.test\r\n\r\n");
    let together = asked("/small").repeat(3) + &asked(LARGE);
    slow.send_bytes(together.as_bytes()).await.unwrap();
    let told = stage.tide.tells(before + 3).await;
    let ends = told[before..]
        .iter()
        .map(|line| (&line["path"], &line["end"]));
    let due = (&"/small".into(), &"ok".into());
    assert!(ends.eq([due; 3]), "{told:?}");
    for _ in 0..3 {
        assert!(is_hit(&slow.answer("GET").await.unwrap()));
    }
    drop(slow);
    let told = stage.tide.tells(before + 4).await.pop().unwrap();
    assert_eq!(
        (&told["path"], &told["end"]),
        (&LARGE.into(), &"client_abort".into())
    );
}
