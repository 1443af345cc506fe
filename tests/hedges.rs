//! A second node beside a slow first one: the client gets the first answer, and nothing runs twice that must not.

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Step};
use crate::support::{Gate, ms};

fn hangs() -> Reply {
    Reply::steps([Step::Gate(Gate::closed())])
}

async fn hedges(tide: &Tidegate, result: &str) -> f64 {
    let labels = [("upstream", "web"), ("result", result)];
    tide.metric("tidegate_upstream_hedges_total", &labels)
        .await
        .unwrap()
}

const AFTER: &str = "balance: round_robin\nretry: { hedge: { after: 100ms }, budget: 100% }";

#[tokio::test]
async fn the_second_node_answers_for_a_slow_first_one() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| hangs());
    let tide = Tidegate::run(web(AFTER, nodes(&apps))).await;
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
    let slow = apps[0].requests() as f64;
    assert_eq!(
        (hedges(&tide, "asked").await, hedges(&tide, "first").await),
        (slow, slow)
    );
    // Who lost is let go.
    let gauge = "tidegate_upstream_requests_in_flight";
    tide.metric_is(gauge, &[("upstream", "web")], 0.0).await;
}

#[tokio::test]
async fn the_first_node_may_still_be_first() {
    let apps = Origin::several(2).await;
    apps[0].answers(|seen| Reply::usual(seen).after(ms(250)));
    apps[1].answers(|seen| Reply::usual(seen).after(ms(400)));
    let tide = Tidegate::run(web(AFTER, nodes(&apps))).await;
    let answer = tide.get("/").await;
    assert_eq!((answer.status, answer.node()), (200, "app-1"));
    assert_eq!(
        (hedges(&tide, "asked").await, hedges(&tide, "first").await),
        (1.0, 0.0)
    );
    let again = tide.get("/").await;
    assert_eq!(
        (again.status, again.node()),
        (200, "app-1"),
        "app-2 was asked first, app-1 quicker"
    );
}

#[tokio::test]
async fn when_one_of_the_two_breaks_off_the_other_answers() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web(AFTER, nodes(&apps))).await;
    apps[0].answers(|_| Reply::reset().after(ms(200)));
    apps[1].answers(|seen| Reply::usual(seen).after(ms(300)));
    let answer = tide.get("/first-breaks").await;
    assert_eq!((answer.status, answer.node()), (200, "app-2"));
    assert_eq!(apps[1].requests(), 1, "no further try was needed");
    apps[0].answers(|seen| Reply::usual(seen).after(ms(300)));
    apps[1].answers(|_| Reply::reset());
    tide.get("/").await;
    let answer = tide.get("/second-breaks").await;
    assert_eq!((answer.status, answer.node()), (200, "app-1"));
}

#[tokio::test]
async fn only_get_and_head_without_a_body_are_asked_twice() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(300)));
    }
    let tide = Tidegate::run(web(AFTER, nodes(&apps))).await;
    let body = Request::post("/", "body").method("GET");
    for request in [
        Request::post("/", "once"),
        Request::new("DELETE", "/"),
        body,
    ] {
        assert_eq!(tide.ask(&request).await.status, 200);
    }
    assert_eq!(hedges(&tide, "asked").await, 0.0);
    assert_eq!(tide.ask(&Request::new("HEAD", "/")).await.status, 200);
    assert_eq!(hedges(&tide, "asked").await, 1.0);
}

#[tokio::test]
async fn a_second_node_is_asked_within_the_budget() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(60)));
    }
    let keys = "retry: { hedge: { after: 10ms }, budget: 10% }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    Load::at(100)
        .count(300)
        .run(tide.addr())
        .await
        .nothing_failed_of(300);
    let asked = hedges(&tide, "asked").await;
    assert!((20.0..=45.0).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_percentile_learns_what_is_slow() {
    let apps = Origin::several(2).await;
    for app in &apps {
        // Every twentieth answer takes its time.
        app.answers(|seen| match seen.serial % 20 {
            19 => Reply::usual(seen).after(ms(1_000)),
            _ => Reply::usual(seen).after(ms(20)),
        });
    }
    let keys = "retry: { hedge: { after: p90 } }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let tally = Load::at(100).count(400).run(tide.addr()).await;
    tally.nothing_failed_of(400);
    let slow = tally.waits.iter().filter(|wait| **wait >= ms(900)).count();
    let asked = hedges(&tide, "asked").await;
    println!("{slow} slow of 400, {asked} asked");
    assert!(slow <= 4, "twenty would be slow: {tally}");
    assert!(asked >= 10.0, "{asked}");
}
