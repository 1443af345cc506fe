//! One fetch for a whole cluster, and nobody waits for who is gone.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::task::JoinSet;

use super::cluster::{Cluster, reply};
use crate::support::client::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::{Gate, ms, raise_open_files};

const FRESH: &str = "Cache-Control: max-age=600";

/// So many clients of each of these proxies ask for the same thing at the same moment; their answers.
async fn all_at_once(
    cluster: &Cluster,
    proxies: &[usize],
    each: usize,
    target: &str,
) -> JoinSet<Answer> {
    let mut clients = Vec::new();
    for _ in 0..each {
        for proxy in proxies {
            clients.push(cluster.tides[*proxy].connect().await);
        }
    }
    let mut asking = JoinSet::new();
    for mut client in clients {
        let request = Request::get(target);
        asking.spawn(async move { client.ask(&request).await.unwrap() });
    }
    asking
}

#[tokio::test]
async fn a_thousand_cold_requests_over_three_proxies_are_one_fetch() {
    raise_open_files();
    let cluster = Cluster::open(3, "", "true").await;
    cluster
        .app
        .answers(|seen| reply(seen, FRESH).after(ms(300)));
    for round in 0..3 {
        let path = format!("/{round}");
        let began = Instant::now();
        let answers = all_at_once(&cluster, &[0, 1, 2], 334, &path).await;
        let answers = answers.join_all().await;
        let fetches = cluster.asked(&path);
        println!(
            "{} requests, {fetches} fetches, {:?}",
            answers.len(),
            began.elapsed()
        );
        assert!(
            answers
                .iter()
                .all(|a| a.status == 200 && a.body == answers[0].body)
        );
        assert_eq!(fetches, 1);
    }
}

#[tokio::test]
async fn a_holder_that_dies_is_missed_for_a_second_and_no_longer() {
    let cluster = Cluster::open(2, "", "true").await;
    let never = Gate::closed();
    let held = never.clone();
    cluster.app.answers(move |seen| match seen.serial {
        0 => reply(seen, FRESH).when(&held),
        _ => reply(seen, FRESH),
    });
    let mut dies = cluster.tides[0].connect().await;
    dies.send(&Request::get("/a")).await.unwrap();
    cluster.app.holds(1).await;
    let began = Instant::now();
    let waits = all_at_once(&cluster, &[1], 20, "/a").await;
    cluster.tides[0].signal(Signal::SIGKILL);
    let answers = waits.join_all().await;
    let took = began.elapsed();
    println!("answered after {took:?}");
    assert!(
        answers
            .iter()
            .all(|a| a.status == 200 && a.text() == answers[0].text())
    );
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(cluster.asked("/a"), 2);
}

#[tokio::test]
async fn who_waits_for_a_slow_fetch_of_another_proxy_waits_half_as_long_as_the_route_says() {
    let cluster = Cluster::open(2, "", "{ wait: 2s }").await;
    let never = Gate::closed();
    let held = never.clone();
    cluster.app.answers(move |seen| match seen.serial {
        0 => reply(seen, FRESH).when(&held),
        _ => reply(seen, FRESH),
    });
    let mut slow = cluster.tides[0].connect().await;
    slow.send(&Request::get("/a")).await.unwrap();
    cluster.app.holds(1).await;
    let began = Instant::now();
    let answers = all_at_once(&cluster, &[1], 20, "/a").await.join_all().await;
    let took = began.elapsed();
    assert!(took > ms(900) && took < ms(1_900), "{took:?}");
    // They waited for each other all the same.
    assert!(answers.iter().all(|a| a.text() == "/a 1"));
    assert_eq!(cluster.asked("/a"), 2);
}

#[tokio::test]
async fn what_one_learns_to_be_for_nobody_else_the_others_know_at_once() {
    let cluster = Cluster::open(2, "", "true").await;
    let (gate, later) = (Gate::closed(), Gate::closed());
    let (held, others) = (gate.clone(), later.clone());
    cluster.app.answers(move |seen| {
        let gate = if seen.serial == 0 { &held } else { &others };
        reply(seen, "Cache-Control: private").when(gate)
    });
    let mut holder = cluster.tides[0].connect().await;
    holder.send(&Request::get("/a")).await.unwrap();
    cluster.app.holds(1).await;
    let waits = all_at_once(&cluster, &[1], 5, "/a").await;
    gate.open();
    // Had they to find out for themselves, one of them would be there and the others wait for it.
    cluster.app.holds(5).await;
    later.open();
    let answers = waits.join_all().await;
    let mut bodies: Vec<String> = answers.iter().map(Answer::text).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 5, "each has its own");
}

#[tokio::test]
async fn variants_do_not_wait_for_each_other_once_it_is_known_what_answers_vary_by() {
    let cluster = Cluster::open(2, "", "true").await;
    let gate = Gate::closed();
    let held = gate.clone();
    cluster.app.answers(move |seen| {
        let kind = seen.head.get("x-kind").unwrap_or_default().to_owned();
        let reply = |text: String| {
            Reply::text(text)
                .field("Vary", "X-Kind")
                .field("Cache-Control", "max-age=600")
        };
        match &kind[..] {
            "slow" => reply(kind).when(&held),
            _ => reply(kind),
        }
    });
    cluster.get_with(0, "/a", ("X-Kind", "first")).await;
    cluster.keeps(2).await;
    let mut slow = cluster.tides[0].connect().await;
    slow.send(&Request::get("/a").field("X-Kind", "slow"))
        .await
        .unwrap();
    cluster.app.holds(1).await;
    let began = Instant::now();
    let other = cluster.get_with(1, "/a", ("X-Kind", "other")).await;
    assert_eq!(other.text(), "other");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    gate.open();
}
