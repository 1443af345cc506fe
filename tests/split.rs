//! Reads go to the replicas and writes to the primary, and who wrote reads what it wrote.

use std::time::Instant;

use crate::support::client::{Answer, Request};
use crate::support::cookies::{get_with, set, set_field};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

const PIN: &str = "tg_pin";
const PROBED: &str = "health: { path: /healthz, interval: 100ms, rise: 1, fall: 1 }";

/// A primary and two replicas.
struct Split {
    primary: Origin,
    replicas: Vec<Origin>,
}

impl Split {
    async fn start() -> Self {
        Split {
            primary: Origin::start("primary").await,
            replicas: Origin::several(2).await,
        }
    }

    /// A configuration with these keys of `split` and of the upstreams.
    fn yaml(&self, split: &str, keys: &str) -> String {
        let (primary, replicas) = (nodes([&self.primary]), nodes(&self.replicas));
        format!(
            "upstreams:
  main: {{ nodes: {primary}, {keys} }}
  replicas: {{ nodes: {replicas}, {keys} }}
routes:
  - {{ name: shop, upstream: main, split: {{ reads: replicas, {split} }} }}
"
        )
    }

    async fn run(&self, split: &str, keys: &str) -> Tidegate {
        Tidegate::run(self.yaml(split, keys)).await
    }
}

async fn asks(tide: &Tidegate, method: &str) -> Answer {
    let answer = tide.ask(&Request::new(method, "/")).await;
    assert_eq!(answer.status, 200, "{method}: {}", answer.text());
    answer
}

#[tokio::test]
async fn safe_methods_go_to_the_replicas_and_the_rest_to_the_primary() {
    let split = Split::start().await;
    let tide = split.run("pin_after_write: 0s", "health: off").await;
    for n in 0..4 {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_ne!(asks(&tide, method).await.node(), "primary", "{method} {n}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "LOCK"] {
            let answer = asks(&tide, method).await;
            assert_eq!(answer.node(), "primary", "{method}");
            assert!(
                answer.head.all("set-cookie").is_empty(),
                "nothing to remember"
            );
        }
    }
    assert!(
        split.replicas.iter().all(|app| app.requests() == 6),
        "by turns"
    );
    tide.get("/told").await;
    let line = tide.told("/told").await;
    assert_eq!(
        (&line["upstream"], &line["route"]),
        (&"replicas".into(), &"shop".into()),
        "{line}"
    );
    for (upstream, n) in [("main", 20.0), ("replicas", 13.0)] {
        let labels = [("upstream", upstream)];
        tide.metric_is("tidegate_upstream_requests_total", &labels, n)
            .await;
    }
}

#[tokio::test]
async fn a_websocket_goes_to_the_primary() {
    let split = Split::start().await;
    split.primary.answers(|_| Reply::websocket());
    let tide = split.run("fallback: false", "health: off").await;
    let mut client = tide.connect().await;
    let answer = client.ask(&Request::websocket("/chat")).await.unwrap();
    assert_eq!((answer.status, answer.node()), (101, "primary"));
}

#[tokio::test]
async fn who_wrote_reads_from_the_primary_for_a_while_and_others_do_not() {
    let split = Split::start().await;
    let tide = split.run("pin_after_write: 2s", "health: off").await;
    let began = Instant::now();
    let wrote = asks(&tide, "POST").await;
    let field = set_field(&wrote, PIN).unwrap();
    assert!(
        field.ends_with("; Path=/; Max-Age=2; SameSite=Lax; HttpOnly"),
        "{field}"
    );
    let pinned = || get_with(&format!("a=1; {PIN}={}", set(&wrote, PIN).unwrap()));
    for _ in 0..5 {
        let reads = tide.ask(&pinned()).await;
        assert_eq!(reads.node(), "primary");
        assert!(
            reads.head.all("set-cookie").is_empty(),
            "reading is not writing"
        );
        assert_ne!(asks(&tide, "GET").await.node(), "primary", "another client");
    }
    assert_eq!(
        split.primary.seen()[1].head.all("cookie"),
        ["a=1"],
        "no node sees it"
    );
    eventually("the replicas again", SOON, async || {
        let answer = tide.ask(&pinned()).await;
        check(answer.node() != "primary", "still pinned")
    })
    .await;
    let took = began.elapsed();
    assert!(took > ms(1_900), "after {took:?}");
}

#[tokio::test]
async fn a_write_that_failed_pins_nobody_and_odd_pins_are_none() {
    let split = Split::start().await;
    split.primary.answers(|seen| match seen.target() {
        "/fails" => Reply::sized(503, "no"),
        "/wrong" => Reply::sized(409, "no"),
        _ => Reply::usual(seen),
    });
    let tide = split
        .run("pin_after_write: 2s, cookie: wrote", "health: off")
        .await;
    let pin = async |path| set(&tide.ask(&Request::post(path, "x")).await, "wrote");
    assert_eq!(pin("/fails").await, None);
    assert!(
        pin("/wrong").await.is_some(),
        "perhaps some of it was written"
    );
    for odd in ["x", "", "1", "99999999999999999999", "9999999999999", "-1"] {
        let answer = tide.ask(&get_with(&format!("wrote={odd}"))).await;
        assert_ne!(answer.node(), "primary", "{odd}");
    }
}

#[tokio::test]
async fn reads_fall_back_to_the_primary_when_no_replica_is_left() {
    let split = Split::start().await;
    let tide = split.run("pin_after_write: 0s", "health: off").await;
    asks(&tide, "GET").await;
    for app in &split.replicas {
        app.kill().await;
    }
    for n in 0..6 {
        let answer = tide.get(&format!("/read/{n}")).await;
        assert_eq!(
            (answer.status, answer.node()),
            (200, "primary"),
            "{}",
            answer.text()
        );
    }
    let line = tide.told("/read/0").await;
    assert_eq!(line["upstream"], "main", "where it was answered: {line}");
    let tried: Vec<_> = line["nodes"].as_array().unwrap().iter().collect();
    assert_eq!(tried.len(), 3, "{line}");
    assert_eq!(tried[2], "primary", "{line}");
    split.primary.kill().await;
    let nobody = tide.get("/nobody").await;
    assert_eq!(nobody.status, 503);
    let line = tide.told("/nobody").await;
    assert_eq!(
        line["nodes"][0], "primary",
        "replicas that rest are not tried first: {line}"
    );
    split.primary.revive().await;
    split.replicas[0].revive().await;
    eventually("a replica is used again", SOON, async || {
        let answer = tide.get("/").await;
        check(answer.node() == "app-1", answer.node())
    })
    .await;
}

#[tokio::test]
async fn replicas_that_take_reads_and_fail_them_cost_none_and_rest_all_together() {
    for (fault, keys) in [
        (Reply::sized(503, "no"), "retry: { backoff: 0s }"),
        (Reply::reset(), "retry: { backoff: 0s }"),
        (Reply::hangs(), "retry: { try_timeout: 100ms, backoff: 0s }"),
    ] {
        let split = Split::start().await;
        for replica in &split.replicas {
            let fault = fault.clone();
            replica.answers(move |_| fault.clone());
        }
        let tide = split.run("fallback: true", keys).await;
        for _ in 0..30 {
            assert_eq!(asks(&tide, "GET").await.node(), "primary");
        }
        let met: usize = split.replicas.iter().map(Origin::requests).sum();
        assert!(met <= 12, "{met}: after five failures each they rest");
        assert_eq!(asks(&tide, "POST").await.node(), "primary");
    }
}

#[tokio::test]
async fn without_a_healthy_replica_reads_go_to_the_primary_at_once_or_are_refused() {
    let split = Split::start().await;
    let tide = split.run("fallback: true", PROBED).await;
    for app in &split.replicas {
        tide.node_has(&format!("replicas/{}", app.name()), "health", "healthy")
            .await;
        app.set_health(503);
        tide.node_has(&format!("replicas/{}", app.name()), "health", "unhealthy")
            .await;
    }
    let before: usize = split.replicas.iter().map(Origin::requests).sum();
    for _ in 0..5 {
        assert_eq!(asks(&tide, "GET").await.node(), "primary");
    }
    let after: usize = split.replicas.iter().map(Origin::requests).sum();
    assert_eq!(before, after, "the replicas are left alone");
    assert_eq!(
        tide.api("GET", "/readyz", "").await.status,
        200,
        "the primary serves"
    );

    tide.apply(&split.yaml("fallback: false", PROBED)).await;
    assert_eq!(tide.get("/").await.status, 503);
    assert_eq!(asks(&tide, "POST").await.node(), "primary");
    split.replicas[1].set_health(200);
    tide.node_has("replicas/app-2", "health", "healthy").await;
    assert_eq!(asks(&tide, "GET").await.node(), "app-2");
}

#[tokio::test]
async fn readiness_is_that_of_the_primary() {
    let split = Split::start().await;
    let tide = split.run("fallback: true", PROBED).await;
    split.primary.set_health(503);
    tide.node_has("main/primary", "health", "unhealthy").await;
    let ready = tide.api("GET", "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("main"), "{}", ready.text());
    assert_ne!(asks(&tide, "GET").await.node(), "primary", "reads go on");
}

#[tokio::test]
async fn sessions_of_both_sides_live_side_by_side() {
    let split = Split::start().await;
    let yaml = split
        .yaml("pin_after_write: 1h", "health: off")
        .replace("main: {", "main: { sticky: at_main,")
        .replace("replicas: {", "replicas: { sticky: at_replicas,");
    let tide = Tidegate::run(yaml).await;
    let read = asks(&tide, "GET").await;
    let wrote = asks(&tide, "POST").await;
    assert!(set(&wrote, PIN).is_some(), "a pin beside the session");
    let reads = format!("at_replicas={}", set(&read, "at_replicas").unwrap());
    let writes = format!("at_main={}", set(&wrote, "at_main").unwrap());
    for _ in 0..4 {
        let answer = tide
            .ask(&get_with(&format!("{reads}; a=1; {writes}")))
            .await;
        assert_eq!(answer.node(), read.node());
        assert!(answer.head.all("set-cookie").is_empty());
    }
    for app in [&split.replicas[0], &split.replicas[1], &split.primary] {
        for seen in app.seen() {
            let cookies = seen.head.all("cookie");
            assert!(cookies.is_empty() || cookies == ["a=1"], "{cookies:?}");
        }
    }
}
