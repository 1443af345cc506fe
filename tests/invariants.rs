//! Whatever happens to requests, what is counted is right in the end, and a reload forgets nothing.
//!
//! Twenty thousand requests, most of which end badly: clients leave before, while and after they ask, nodes reset, hang
//! up in the middle, say 503, hooks panic, and all the while the file changes. Then nothing is left in flight anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fastrand::Rng;

use crate::support::client::{Client, Request};
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Seen, Step};
use crate::support::{check, eventually, ms, pattern};

const REQUESTS: usize = 20_000;
const AT_A_TIME: usize = 24;
const SEED: u64 = 20_261_121;

/// What a node does with a target.
fn script(seen: &Seen) -> Reply {
    match seen.target() {
        "/reset" => Reply::reset(),
        "/close" => Reply::close(),
        "/busy" if seen.serial.is_multiple_of(2) => Reply::sized(503, "busy"),
        "/short" => Reply::short_of(50_000, "half").then(Step::Close),
        "/slow" => Reply::usual(seen).after(ms(30)),
        "/large" => Reply::text(pattern(200_000)),
        _ => Reply::usual(seen),
    }
}

/// One request of a client that may do anything. Whether it came to an answer does not matter here.
async fn one(tide: std::net::SocketAddr, random: &mut Rng, kept: &mut Option<Client>) {
    let targets = [
        "/", "/", "/reset", "/close", "/busy", "/short", "/slow", "/large",
    ];
    let target = targets[random.usize(..targets.len())];
    let mut request = match random.u8(..4) {
        0 => Request::post(target, pattern(random.usize(..100_000))),
        _ => Request::get(target),
    };
    if random.u8(..40) == 0 {
        let hook = ["arrives", "connected", "answered"][random.usize(..3)];
        request = request.field("X-Fault", hook);
    }
    let mut client = match kept.take().filter(|_| random.u8(..4) > 0) {
        Some(client) => client,
        None => match Client::connect(tide).await {
            Ok(client) => client,
            Err(_) => return,
        },
    };
    match random.u8(..10) {
        // Half a head, half a body.
        0 => {
            let mut bytes = request.head_bytes();
            bytes.extend(request.body_bytes());
            bytes.truncate(random.usize(1..=bytes.len()));
            let _ = client.send_bytes(&bytes).await;
            client.reset();
        }
        // All of it, and then it is gone.
        1 => {
            let _ = client.send(&request).await;
            tokio::time::sleep(ms(random.u64(..40))).await;
            drop(client);
        }
        // It hears a little.
        2 => {
            let _ = client.send(&request).await;
            let _ = client.some(ms(1_000)).await;
            client.reset();
        }
        _ => {
            let answer = client.ask(&request).await;
            *kept = answer.is_ok_and(|a| a.stays_open).then_some(client);
        }
    }
}

#[tokio::test]
async fn after_twenty_thousand_bad_endings_nothing_is_left_in_flight() {
    println!("seed {SEED}");
    let apps = Origin::several(4).await;
    for app in &apps[..3] {
        app.answers(script);
    }
    apps[3].answers(|_| Reply::sized(500, "broken"));
    let yaml = |weight: usize| {
        let list: Vec<String> = apps
            .iter()
            .map(|app| app.with(&format!("weight: {weight}, max_conns: 16")))
            .collect();
        let keys = "balance: least_conn\nqueue: { size: 50, timeout: 200ms }\n\
                    breaker: { failure_rate: 90%, open: 300ms }\nslow_start: 500ms\n\
                    retry: { tries: 3, budget: 50%, try_timeout: 100ms }\n\
                    outlier: { consecutive_failures: 20, failure_rate: 0%, max_ejected: 25%, eject: 30m, max_eject: 1h }";
        format!(
            "timeouts: {{ body: 1s, header: 1s, idle: 2s }}\n{}",
            web(keys, format!("[{}]", list.join(", ")))
        )
    };
    let tide = Tidegate::run_with_faults(yaml(1)).await;
    for _ in 0..200 {
        tide.get("/").await;
    }
    tide.node_has("web/app-4", "health", "ejected").await;
    let (done, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let to = tide.addr();
    let workers: Vec<_> = (0..AT_A_TIME)
        .map(|n| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut random = Rng::with_seed(SEED + n as u64);
                let mut kept = None;
                while done.fetch_add(1, SeqCst) < REQUESTS {
                    one(to, &mut random, &mut kept).await;
                }
            })
        })
        .collect();
    let reloads = async {
        let mut n = 0;
        while !over.load(SeqCst) {
            n += 1;
            tide.apply(&yaml(1 + n % 2)).await;
        }
        n
    };
    let finish = async {
        for worker in workers {
            worker.await.unwrap();
        }
        over.store(true, SeqCst);
    };
    let (reloads, ()) = tokio::join!(reloads, finish);
    println!(
        "{reloads} reloads, {} panics",
        tide.log().matches("a fault on demand").count()
    );
    assert!(reloads >= 10, "{reloads}");
    assert!(tide.log().contains("a fault on demand"));
    eventually("nothing is in flight", ms(10_000), async || {
        let mut left = Vec::new();
        for gauge in [
            "tidegate_upstream_requests_in_flight",
            "tidegate_http_requests_in_flight",
            "tidegate_upstream_queue_length",
            "tidegate_connections_active",
        ] {
            let value = tide.metric(gauge, &[]).await;
            left.extend(value.filter(|n| *n != 0.0).map(|n| (gauge, n)));
        }
        check(left.is_empty(), format!("{left:?}"))
    })
    .await;
    // The node that failed first has failed ever since; every other generation gave it another weight.
    let now = tide.node("web/app-4").await;
    assert_eq!(now["health"], "ejected", "{now}");
    let ejections = tide
        .metric("tidegate_node_ejections_total", &[("node", "app-4")])
        .await;
    assert_eq!(ejections, Some(1.0));
    // And it works.
    eventually("it serves", ms(5_000), async || {
        let answer = tide.get("/").await;
        check(answer.status == 200, answer.status)
    })
    .await;
}
