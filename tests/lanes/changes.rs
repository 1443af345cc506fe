//! What changes while clients are served in the lane: files, what is stored, and the end of the process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{EXPRESS, MIB, SWITCH, Stage, is_hit, yaml};
use crate::support::client::{Client, Request};
use crate::support::origin::Origin;
use crate::support::process::finish;
use crate::support::proxy::{BINARY, SOON, complete};
use crate::support::reply::Reply;
use crate::support::{check, eventually, pattern};

#[tokio::test]
async fn the_next_request_of_a_connection_sees_the_next_generation() {
    let stage = Stage::open().await;
    stage.stores(&["/page"]).await;
    let mut client = stage.tide.connect().await;
    let asked = Request::get("/page");
    assert!(is_hit(&client.ask(&asked).await.unwrap()));
    stage.express(1).await;

    stage.reloads("", "slow: 1s").await;
    let plain = client.ask(&asked).await.unwrap();
    assert_eq!((plain.status, plain.head.get("cache-status")), (200, None));

    stage.reloads("", "cache: true, deny: 127.0.0.1").await;
    let denied = client.ask(&asked).await.unwrap();
    assert_eq!((denied.status, denied.stays_open), (403, true));

    stage.reloads("", "cache: { show_key: true }").await;
    let hit = client.ask(&asked).await.unwrap();
    let said = hit.head.get("cache-status").unwrap();
    assert!(is_hit(&hit) && said.contains("key="), "{said}");
    stage.express(2).await;
    assert_eq!(stage.app.requests(), 2);
}

/// Asks for the same thing again and again until it is told to close; how often it was answered.
async fn asks_until_closed(mut client: Client, whole: Arc<Vec<u8>>) -> Result<usize, String> {
    let asked = Request::get(&format!("/sized/{}", whole.len()));
    let mut answered = 0;
    loop {
        let answer = client
            .ask(&asked)
            .await
            .map_err(|why| format!("{answered}: {why}"))?;
        if answer.status != 200 || answer.body != *whole {
            return Err(format!(
                "{answered}: {}, {} bytes",
                answer.status,
                answer.body.len()
            ));
        }
        answered += 1;
        if !answer.stays_open {
            return match client.until_closed(SOON).await {
                Ok(rest) if rest.is_empty() => Ok(answered),
                other => Err(format!("behind the last: {other:?}")),
            };
        }
    }
}

#[tokio::test]
async fn on_the_way_out_every_hit_is_answered_whole_and_the_last_says_so() {
    let top = "shutdown: { pre_stop: 2s, grace: 20s }\n\
               cache: { memory: 128MiB, max_object: 24MiB }\n";
    let stage = Stage::with("on", top, "cache: true").await;
    let (small, large) = (Arc::new(pattern(30_000)), 20 * MIB);
    stage.stores(&["/sized/30000", "/sized/20971520"]).await;
    // One takes its time: it has begun before, and ends behind everything else.
    let mut slow = Client::connect_narrow(stage.tide.addr()).await.unwrap();
    slow.send(&Request::get("/sized/20971520")).await.unwrap();
    slow.exactly(1_000).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(asks_until_closed(stage.tide.connect().await, small.clone()));
    }
    eventually("they are being served", SOON, async || {
        let hits = stage
            .tide
            .metric("tidegate_cache_requests_total", &[("result", "hit")]);
        let hits = hits.await;
        check(hits > Some(200.0), format!("{hits:?}"))
    })
    .await;
    let express = stage.so_far().await;
    stage.tide.signal(Signal::SIGTERM);
    let mut answered = 0;
    while let Some(done) = clients.join_next().await {
        answered += done.unwrap().expect("nothing is lost");
    }
    assert!(express >= 200.0 && answered > 200, "{express}, {answered}");
    let rest = slow.until_closed(SOON).await.unwrap();
    assert!(rest.len() > large - 1_000 && rest.ends_with(&pattern(large)[large - MIB..]));
    assert_eq!(stage.tide.ended(SOON).await, 0);
    let lines = stage.tide.access_log();
    let well = lines.iter().filter(|line| line["end"] == "ok").count();
    assert_eq!((well, lines.len()), (answered + 3, answered + 3));
}

#[tokio::test]
async fn nothing_that_was_purged_is_answered_again() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 1_000;
    let stage = Stage::open().await;
    let version = Arc::new(AtomicU64::new(1));
    let its = version.clone();
    stage.app.answers(move |_| {
        Reply::text(its.load(SeqCst).to_string()).field("Cache-Control", "max-age=600")
    });
    stage.stores(&["/"]).await;
    // What every answer to a request from now on must have at least.
    let least = Arc::new(AtomicU64::new(1));
    let (left, over) = (
        Arc::new(AtomicUsize::new(REQUESTS)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = stage.tide.connect().await;
        let (least, left, over) = (least.clone(), left.clone(), over.clone());
        clients.spawn(async move {
            let mut asked = 0;
            while !over.load(SeqCst) || left.load(SeqCst) > 0 {
                let due = least.load(SeqCst);
                let answer = client.ask(&Request::get("/")).await.unwrap();
                let got: u64 = answer.text().parse().unwrap();
                assert!(
                    got >= due,
                    "version {got}, {due} was due: {:?}",
                    answer.head.fields
                );
                asked += 1;
                let _ = left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1));
            }
            asked
        });
    }
    for n in 2..=25 {
        let before = left.load(SeqCst);
        eventually("they go on", SOON, async || {
            let now = left.load(SeqCst);
            check(now == 0 || before - now >= 20, now)
        })
        .await;
        version.store(n, SeqCst);
        let what = match n % 3 {
            0 => r#"{ "url": "http://tide.test/", "hard": true }"#,
            1 => r#"{ "prefix": "/", "hard": true }"#,
            _ => r#"{ "all": true, "hard": true }"#,
        };
        let done = stage.tide.api("POST", "/api/v1/purge", what).await;
        assert_eq!(done.status, 200, "{}", done.text());
        least.store(n, SeqCst);
    }
    over.store(true, SeqCst);
    let mut asked = 0;
    while let Some(done) = clients.join_next().await {
        asked += done.unwrap();
    }
    assert!(asked >= REQUESTS, "{asked}");
    let express = stage.so_far().await;
    assert!(
        express > asked as f64 / 2.0,
        "{express} of {asked} in the lane"
    );
}

#[tokio::test]
async fn what_is_purged_softly_is_no_hit_of_the_lane() {
    let stage = Stage::open().await;
    stage.stores(&["/page"]).await;
    let mut client = stage.tide.connect().await;
    let asked = Request::get("/page");
    assert!(is_hit(&client.ask(&asked).await.unwrap()));
    let what = r#"{ "url": "http://tide.test/page" }"#;
    stage.tide.api("POST", "/api/v1/purge", what).await;
    assert!(!is_hit(&client.ask(&asked).await.unwrap()));
    stage.express(1).await;
    assert!(is_hit(&client.ask(&asked).await.unwrap()));
    stage.express(2).await;
}

#[tokio::test]
async fn the_lane_can_be_turned_off_and_is_there_at_nought() {
    for (lane, express) in [("off", 0), ("on", 3)] {
        let stage = Stage::with(lane, "", "cache: true").await;
        stage.stores(&["/page"]).await;
        stage
            .tide
            .metric_is(EXPRESS, &[("route", "shop")], 0.0)
            .await;
        for _ in 0..3 {
            assert!(is_hit(&stage.tide.get("/page").await));
        }
        stage.express(express).await;
    }
}

#[tokio::test]
async fn nonsense_in_the_switch_of_the_lane_is_an_error_at_the_start() {
    let app = Origin::refusing("app-1");
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tidegate.yaml");
    std::fs::write(&path, complete(&yaml(&app, "", "cache: true"))).unwrap();
    for nonsense in ["of", "OFF ", "0", "false", ""] {
        let mut command = Command::new(BINARY);
        let command = command.args(["run", "-c"]).arg(&path).env(SWITCH, nonsense);
        let done = finish(command).await;
        assert_ne!(done.code, 0, "{nonsense:?}: {}", done.all());
        // What, where, and what to do about it.
        for word in [SWITCH, &format!("{nonsense:?}"), "on", "off"] {
            assert!(
                done.err.contains(word),
                "{nonsense:?} without {word}: {}",
                done.err
            );
        }
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
}
