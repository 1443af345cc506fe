//! The stats port under those who mean harm, and under those who change their locks.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::guarded::{ADMIN, Guarded, OPS, PURGE, READ, WRONG};
use crate::support::client::{Client, Request};
use crate::support::proxy::SOON;
use crate::support::{check, eventually, ms, took_about};

const DRAIN: &str = "/api/v1/upstreams/web/nodes/app-1/drain";
/// What the port gives a head, and a body.
const TEN: Duration = Duration::from_secs(10);

/// Sends as many wrong tokens over one connection; how many were looked at, and how many were not.
async fn guess(here: &Guarded, times: usize) -> (usize, usize) {
    let mut client = Client::connect(here.tide.admin()).await.unwrap();
    let (mut looked_at, mut not) = (0, 0);
    for n in 0..times {
        let path = format!("/api/v1/status?{n}");
        let request = here.request(Some(&format!("{WRONG}{n}")), "GET", &path, "");
        let answer = client.ask(&request).await.unwrap();
        match answer.status {
            401 => looked_at += 1,
            429 => {
                let wait = answer
                    .head
                    .get("retry-after")
                    .and_then(|s| s.parse::<u64>().ok());
                assert!(wait.is_some_and(|s| (1..=60).contains(&s)), "{wait:?}");
                not += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    (looked_at, not)
}

#[tokio::test]
async fn ten_thousand_wrong_tokens_open_nothing_and_keep_nobody_out_elsewhere() {
    let here = Guarded::run().await;
    assert_eq!(here.ask(OPS, "POST", DRAIN, "").await.status, 200);
    let (memory, began) = (here.tide.process().memory(), Instant::now());
    let (a, b, c, d) = tokio::join!(
        guess(&here, 2_500),
        guess(&here, 2_500),
        guess(&here, 2_500),
        async {
            let (mut looked_at, mut not) = (0, 0);
            for _ in 0..25 {
                let some = guess(&here, 100).await;
                (looked_at, not) = (looked_at + some.0, not + some.1);
                // Elsewhere nobody notices.
                assert_eq!(here.state().await, "drain");
            }
            (looked_at, not)
        }
    );
    let all = [a, b, c, d];
    let looked_at: usize = all.iter().map(|x| x.0).sum();
    let most = 10 + began.elapsed().as_secs() as usize / 6 + 1;
    assert!(
        (10..=most).contains(&looked_at),
        "{looked_at} of at most {most}"
    );
    assert_eq!(all.iter().map(|x| x.0 + x.1).sum::<usize>(), 10_000);
    // The right one opens from there, too: nobody locks the operator out.
    eventually("the flood is over", SOON, async || {
        let right = here.ask(OPS, "POST", DRAIN, "").await;
        check(right.status == 200, right.text())
    })
    .await;

    let audit = here.json("/api/v1/audit?limit=1000").await;
    let deeds = audit["audit"].as_array().unwrap();
    let of = |action: &str| {
        deeds
            .iter()
            .filter(|d| d["action"] == action)
            .collect::<Vec<_>>()
    };
    let minutes = 1 + began.elapsed().as_secs() as usize / 60;
    let wrong = of("wrong token");
    assert!(wrong.len() <= minutes, "{audit}");
    if minutes == 1 {
        let told = wrong[0]["after"].as_str().unwrap();
        assert!(told.ends_with(" times within a minute"), "{told}");
    }
    let drained = of("drain");
    let done = drained.iter().filter(|deed| deed["outcome"] == "ok");
    assert_eq!(done.count(), 2, "what was done is still there: {audit}");
    assert!(deeds.len() < 20, "and no flood beside it: {}", deeds.len());
    let lines = here
        .tide
        .log()
        .lines()
        .filter(|l| l.contains("wrong token"))
        .count();
    assert!(lines <= 2 * minutes, "{lines} lines");
    let more = here.tide.process().memory().saturating_sub(memory);
    assert!(more < 30 << 20, "{more} bytes more");
    assert!(!here.tide.log().contains(WRONG) && !audit.to_string().contains(WRONG));
}

#[tokio::test]
async fn a_script_that_runs_away_is_slowed_down_and_others_are_not() {
    let here = Guarded::run().await;
    let mut client = Client::connect(here.tide.admin()).await.unwrap();
    let began = Instant::now();
    let (mut answered, mut slowed) = (0, 0);
    while slowed == 0 && began.elapsed() < SOON {
        let request = here.request(Some(READ), "GET", "/api/v1/status", "");
        match client.ask(&request).await.unwrap().status {
            200 => answered += 1,
            429 => slowed += 1,
            other => panic!("{other}"),
        }
    }
    assert!(slowed == 1 && answered >= 200, "{answered} {slowed}");
    // Whether it lives is told all the same.
    let alive = here.request(None, "GET", "/healthz", "");
    assert_eq!(client.ask(&alive).await.unwrap().status, 200);
    assert_eq!(here.state().await, "up");
    let audit = here.json("/api/v1/audit").await;
    let deeds = audit["audit"].as_array().unwrap();
    assert_eq!(
        deeds.len(),
        1,
        "reading is no deed, being refused is told: {audit}"
    );
    assert_eq!(deeds[0]["status"], 429, "{audit}");
}

#[tokio::test]
async fn a_token_is_another_one_when_its_file_says_so() {
    let here = Guarded::run().await;
    let next = "operating-the-next-one";
    here.tide.write_file("ops.token", &format!("{next}\n"));
    here.lets_in(next, true).await;
    assert_eq!(here.ask(OPS, "POST", DRAIN, "").await.status, 401);
    assert_eq!(here.ask(next, "POST", DRAIN, "").await.status, 200);
    let status = here.json("/api/v1/status").await;
    assert_eq!(
        status["waits_for_restart"],
        Value::Array(vec![]),
        "{status}"
    );

    // One that cannot be used leaves the last good ones in use.
    here.tide.write_file("ops.token", "short\n");
    eventually("the reload was refused", SOON, async || {
        let status = here.json("/api/v1/status").await;
        check(status["config"]["last_reload"]["ok"] == false, status)
    })
    .await;
    let error = here.json("/api/v1/status").await["config"]["last_reload"]["errors"].to_string();
    assert!(error.contains("ops.token has 5 characters"), "{error}");
    assert_eq!(here.ask(next, "POST", DRAIN, "").await.status, 200);
    assert_eq!(here.ask("short", "POST", DRAIN, "").await.status, 401);
}

#[tokio::test]
async fn no_secret_is_in_any_answer_or_in_the_log() {
    let here = Guarded::run_with("cache: { purge_token_file: purge.token }\n").await;
    let reloaded = here.ask(OPS, "POST", "/api/v1/reload", "").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    here.ask(WRONG, "POST", DRAIN, "").await;
    let weight = "/api/v1/upstreams/web/nodes/app-1/weight";
    here.ask(OPS, "POST", weight, "{\"weight\": 2}").await;
    here.tide
        .write_file("ops.token", "operating-the-next-one\n");
    here.lets_in("operating-the-next-one", true).await;
    let mut told = vec![here.tide.log()];
    for operation in here.operations().await {
        if operation.changes() || operation.streams() {
            continue;
        }
        let explained = "?url=http://tide.test/";
        let query = if operation.path.ends_with("/explain") {
            explained
        } else {
            ""
        };
        let path = format!("{}{query}", operation.path);
        let answer = here.ask(ADMIN, "GET", &path, "").await;
        assert!(answer.status < 500, "{path}: {}", answer.text());
        told.push(format!("{path}\n{}", answer.text()));
    }
    for secret in [READ, OPS, ADMIN, WRONG, PURGE, "operating-the-next-one"] {
        for text in &told {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    let all = told.concat();
    assert!(
        all.contains("ops.token") && all.contains("deploy"),
        "the file and the name are told"
    );
}

#[tokio::test]
async fn nothing_of_the_stats_port_is_on_the_data_port() {
    let here = Guarded::run().await;
    for operation in here.operations().await {
        let request = Request::post(&operation.path, "")
            .method(&operation.method)
            .field("Authorization", &format!("Bearer {ADMIN}"));
        let answer = here.tide.ask(&request).await;
        let by = (answer.status, answer.node());
        let node = match operation.path.as_str() {
            "/healthz" => "nobody", // the node answers it without its name
            _ => "app-1",
        };
        let (method, path) = (&operation.method, &operation.path);
        assert_eq!(by, (200, node), "{method} {path}");
        let ours = answer.head.get("cross-origin-opener-policy");
        assert_eq!(ours, None, "{method} {path}");
    }
    assert_eq!(here.state().await, "up");
    assert_eq!(
        here.json("/api/v1/audit").await["audit"],
        Value::Array(vec![])
    );
}

#[tokio::test]
async fn what_comes_slowly_ends() {
    let here = Guarded::run().await;
    let began = Instant::now();
    let admin = here.tide.admin();
    let silent = async {
        let mut client = Client::connect(admin).await.unwrap();
        client.until_closed(TEN * 2).await.unwrap()
    };
    let half_a_head = async {
        let mut client = Client::connect(admin).await.unwrap();
        client
            .send_bytes(b"GET /healthz HTTP/1.1\r\nHost: local")
            .await
            .unwrap();
        client.until_closed(TEN * 2).await.unwrap()
    };
    let half_a_body = async {
        let mut client = Client::connect(admin).await.unwrap();
        let whole = here.request(Some(OPS), "POST", "/api/v1/purge", "{\"all\":true}");
        client.send_bytes(&whole.head_bytes()).await.unwrap();
        client.send_bytes(b"{\"all\"").await.unwrap();
        tokio::time::timeout(TEN * 2, client.answer("POST"))
            .await
            .unwrap()
            .unwrap()
    };
    let (silent, half, answer) = tokio::join!(silent, half_a_head, half_a_body);
    took_about(began, TEN);
    assert!(silent.is_empty(), "{:?}", String::from_utf8_lossy(&silent));
    let half = String::from_utf8_lossy(&half);
    assert!(
        half.is_empty() || half.starts_with("HTTP/1.1 408"),
        "{half}"
    );
    assert_eq!(answer.status, 408, "{}", answer.text());
}

#[tokio::test]
async fn a_body_has_a_bound_whether_it_says_how_long_it_is_or_not() {
    let here = Guarded::run().await;
    let purge = |body: &str| here.request(Some(OPS), "POST", "/api/v1/purge", body);
    let mut client = Client::connect(here.tide.admin()).await.unwrap();
    let head = purge("")
        .field("Content-Type", "application/json")
        .head_bytes();
    let head = String::from_utf8(head)
        .unwrap()
        .replace("Content-Length: 0", "Content-Length: 99999999999");
    client.send_bytes(head.as_bytes()).await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().status, 413);
    let long = " ".repeat((1 << 20) + 1);
    let mut client = Client::connect(here.tide.admin()).await.unwrap();
    client.send(&purge(&long).chunked(1 << 20)).await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().status, 413);
    let fits = format!("{{\"all\":true}}{}", " ".repeat((1 << 20) - 12));
    assert_eq!(here.send(&purge(&fits)).await.status, 200);
}

#[tokio::test]
async fn one_caller_does_not_take_all_places() {
    let here = Guarded::run().await;
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(Client::connect(here.tide.admin()).await.unwrap());
    }
    let mut late = Client::connect(here.tide.admin()).await.unwrap();
    assert!(late.until_closed(ms(3_000)).await.unwrap().is_empty());
    let open = idle
        .iter_mut()
        .filter_map(|c| (!c.is_closed()).then_some(()))
        .count();
    assert!((120..=128).contains(&open), "{open}");
    // They are those of one address: another one finds room.
    let request = here.request(None, "GET", "/healthz", "");
    assert_eq!(here.send_from("127.0.0.2", &request).await.status, 200);
    drop(idle);
    eventually("there is room again", SOON, async || {
        let mut client = Client::connect(here.tide.admin())
            .await
            .map_err(|e| e.to_string())?;
        let request = here.request(None, "GET", "/healthz", "");
        let answer = client.ask(&request).await.map_err(|e| e.to_string())?;
        check(answer.status == 200, answer.status)
    })
    .await;
    // The data port never noticed.
    assert_eq!(here.tide.get("/").await.status, 200);
    assert!(here.app.requests() >= 1);
}
