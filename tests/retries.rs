//! What costs a request nothing: nodes that answer 503, hang, break off; and what does not become a storm.
//!
//! Origins count what reached them. A request that ran twice must have been one that may.

use std::time::Instant;

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

fn ran(apps: &[Origin]) -> usize {
    apps.iter().map(Origin::requests).sum()
}

#[tokio::test]
async fn an_answer_that_says_not_now_is_not_passed_on_while_another_node_can_say_better() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::sized(503, "not now"));
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    for n in 0..4 {
        let answer = tide.get(&format!("/{n}")).await;
        assert_eq!((answer.status, answer.node()), (200, "app-2"));
    }
    let line = tide.told("/0").await;
    assert_eq!(
        line["nodes"],
        serde_json::json!(["app-1", "app-2"]),
        "{line}"
    );
    let again = [("upstream", "web"), ("reason", "upstream_status")];
    let retries = tide.metric("tidegate_upstream_retries_total", &again).await;
    assert_eq!(retries, Some(apps[0].requests() as f64));
}

#[tokio::test]
async fn an_answer_of_the_last_node_is_passed_on_as_it_is() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|_| Reply::sized(503, "not now").field("Retry-After", "7"));
    }
    let keys = "balance: round_robin\noutlier: off";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let answer = tide.get("/").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "not now"));
    assert_eq!(answer.head.get("retry-after"), Some("7"));
    assert_eq!(ran(&apps), 2);
}

#[tokio::test]
async fn a_post_meets_one_node_unless_it_carries_a_key_and_the_file_believes_it() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|_| Reply::sized(503, "not now"));
    }
    let yaml = |more: &str| {
        web(
            &format!("balance: round_robin\noutlier: off\n{more}"),
            nodes(&apps),
        )
    };
    let tide = Tidegate::run(yaml("")).await;
    let keyed = || Request::post("/", "order").field("Idempotency-Key", "\"k1\"");
    for (request, times) in [(Request::post("/", "order"), 1), (keyed(), 1)] {
        let before = ran(&apps);
        assert_eq!(tide.ask(&request).await.status, 503);
        assert_eq!(ran(&apps) - before, times);
    }
    tide.apply(&yaml("retry: { idempotency_key: true }")).await;
    for (request, times) in [(Request::post("/", "order"), 1), (keyed(), 2)] {
        let before = ran(&apps);
        assert_eq!(tide.ask(&request).await.status, 503);
        assert_eq!(ran(&apps) - before, times);
    }
    let bodies: Vec<_> = apps.iter().flat_map(Origin::seen).collect();
    assert!(bodies.iter().all(|seen| seen.body == b"order"));
}

#[tokio::test]
async fn with_every_node_saying_503_the_attempts_stay_within_the_budget() {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|_| Reply::sized(503, "not now"));
    }
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    let tally = Load::at(200).count(600).run(tide.addr()).await;
    assert_eq!(tally.failures(), 600, "all of them were told so");
    let attempts = ran(&apps);
    println!("600 requests, {attempts} attempts");
    assert!((601..=750).contains(&attempts), "{attempts}");
    let spent = tide
        .metric(
            "tidegate_upstream_retry_budget_exhausted_total",
            &[("upstream", "web")],
        )
        .await;
    assert!(spent > Some(300.0), "{spent:?}");
}

#[tokio::test]
async fn with_every_node_breaking_off_the_attempts_stay_within_the_budget_too() {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|_| Reply::reset());
    }
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    let tally = Load::at(200).count(600).run(tide.addr()).await;
    assert_eq!(tally.failures(), 600);
    let attempts = ran(&apps);
    println!("600 requests, {attempts} attempts");
    assert!((601..=750).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn with_every_node_refusing_the_connections_stay_within_the_budget() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    for app in &apps {
        app.kill().await;
    }
    let mut client = tide.connect().await;
    let mut waits = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        let answer = client.ask(&Request::get("/")).await.unwrap();
        waits.push(began.elapsed());
        assert_eq!(answer.status, 503);
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        if !answer.stays_open {
            client = tide.connect().await;
        }
    }
    waits.sort();
    assert!(
        waits[150] < ms(5),
        "half of them took longer than {:?}",
        waits[150]
    );
    let mut attempts = 0.0;
    for node in ["app-1", "app-2", "app-3"] {
        let labels = [("node", node), ("reason", "upstream_connect")];
        let failed = tide.metric("tidegate_upstream_errors_total", &labels).await;
        attempts += failed.unwrap_or(0.0);
    }
    println!("300 requests, {attempts} attempts, median {:?}", waits[150]);
    assert!(attempts <= 375.0, "{attempts}");
}

#[tokio::test]
async fn a_hanging_node_costs_a_request_no_more_than_a_try_and_is_left_alone() {
    let apps = Origin::several(3).await;
    apps[0].answers(|_| Reply::hangs());
    let keys = "balance: round_robin\nretry: { try_timeout: 300ms, backoff: 0s }\n\
                outlier: { consecutive_failures: 3, eject: 30s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let tally = Load::at(50).count(150).run(tide.addr()).await;
    tally.nothing_failed_of(150);
    assert!(tally.slowest < ms(1_000), "{tally}");
    let slow = tally.waits.iter().filter(|wait| **wait >= ms(290)).count();
    assert!(slow >= 3, "{tally}");
    assert_eq!(apps[0].requests(), slow, "each was sent there once");
    assert!(slow < 30, "in 300 ms at 50 a second few more come: {slow}");
    let node = tide.node("web/app-1").await;
    assert_eq!(node["health"], "ejected", "{node}");
    assert!(
        node["reason"].as_str().unwrap().contains("in a row"),
        "{node}"
    );
}

#[tokio::test]
async fn a_post_on_a_slow_node_is_not_cut_short_by_the_limit_of_a_try() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(600)));
    }
    let tide = Tidegate::run(web("retry: { try_timeout: 200ms }", nodes(&apps))).await;
    let post = Request::post("/", "once");
    assert_eq!(tide.ask(&post).await.status, 200);
    assert_eq!(ran(&apps), 1);
    // The second node of a GET has as long as `timeouts.read` says.
    assert_eq!(tide.get("/").await.status, 200);
    assert_eq!(ran(&apps), 3);
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_when_no_other_try_can_be_paid() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(500)));
    }
    let keys = "retry: { try_timeout: 200ms, budget: 10% }\noutlier: off";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let tally = Load::at(100).count(200).run(tide.addr()).await;
    tally.nothing_failed_of(200);
    assert!(ran(&apps) < 200 + 20 + 10 + 10, "{}", ran(&apps));
}

#[tokio::test]
async fn a_long_upload_is_not_taken_for_a_slow_node() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("retry: { try_timeout: 300ms }", nodes(&apps))).await;
    let mut client = tide.connect().await;
    let head = "PUT /upload HTTP/1.1\r\nHost: a\r\nX-Id: up\r\nContent-Length: 8\r\n\r\n";
    client.send_bytes(head.as_bytes()).await.unwrap();
    for byte in b"01234567" {
        tokio::time::sleep(ms(100)).await; // slower in all than a try may take
        client.send_bytes(&[*byte]).await.unwrap();
    }
    assert_eq!(client.answer("PUT").await.unwrap().status, 200);
    assert_eq!(ran(&apps), 1);
}

#[tokio::test]
async fn the_file_says_what_is_tried_again_and_how_often() {
    let apps = Origin::several(4).await;
    for app in &apps {
        app.answers(|seen| match seen.target() {
            "/reset" => Reply::reset(),
            target => Reply::sized(target[1..].parse().unwrap(), "no"),
        });
    }
    for (retry, target, times) in [
        ("{}", "/502", 2),
        ("{}", "/500", 1),
        ("{}", "/404", 1),
        ("{ tries: 3, budget: 100% }", "/504", 3),
        ("{ on: [500] }", "/500", 2),
        ("{ on: [500] }", "/reset", 1),
        ("{ on: [connect] }", "/503", 1),
        ("{ budget: 0% }", "/503", 1),
        ("{ tries: 1 }", "/reset", 1),
        ("off", "/503", 1),
    ] {
        let keys = format!("balance: round_robin\noutlier: off\nretry: {retry}");
        let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
        let before = ran(&apps);
        tide.get(target).await;
        assert_eq!(ran(&apps) - before, times, "{retry} {target}");
    }
}

#[tokio::test]
async fn without_retries_a_refused_connection_ends_a_request() {
    let apps = [Origin::refusing("app-1"), Origin::start("app-2").await];
    let keys = "balance: round_robin\nretry: off";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let mut seen: Vec<u16> = Vec::new();
    for _ in 0..3 {
        seen.push(tide.get("/").await.status);
    }
    assert_eq!(seen, [503, 200, 200], "then the node rests");
}

#[tokio::test]
async fn a_body_too_long_to_keep_is_not_sent_again() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::sized(503, "not now"));
    let keys = "balance: round_robin\noutlier: off";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let put = |n: usize| Request::post("/", vec![b'p'; n]).method("PUT");
    for (length, status) in [(60 * 1024, 200), (300 * 1024, 503)] {
        // Both nodes get their turn.
        let mut worst = 0;
        for _ in 0..2 {
            worst = worst.max(tide.ask(&put(length)).await.status);
        }
        assert_eq!(worst, status, "{length}");
    }
    let whole = apps[1].seen();
    assert!(whole.iter().all(|seen| seen.complete), "nothing was cut");
}

#[tokio::test]
async fn a_node_that_asks_for_a_pause_is_not_asked_again_by_those_who_come_from_another() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|_| Reply::sized(503, "busy").field("Retry-After", "2"));
    }
    let keys = "balance: round_robin\noutlier: off\nretry: { budget: 100%, backoff: 0s }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let first = tide.get("/first").await;
    assert_eq!(
        (first.status, first.head.get("retry-after")),
        (503, Some("2"))
    );
    assert_eq!(ran(&apps), 2, "the second had not asked for one yet");
    for n in 3..8 {
        let answer = tide.get("/").await;
        assert_eq!((answer.status, answer.text().as_str()), (503, "busy"));
        assert_eq!(
            ran(&apps),
            n,
            "both want to be left alone: what one said is passed on"
        );
    }
    apps[0].answers(Reply::usual);
    assert_eq!(
        tide.get("/").await.status,
        200,
        "new requests go there all the same"
    );
    eventually("its time is over", ms(6_000), async || {
        let before = apps[1].requests();
        let answer = tide.get("/").await;
        let again = answer.status == 200 && apps[1].requests() > before;
        check(again, answer.status)
    })
    .await;
}
