//! A second node beside a slow first one: the client gets the first answer, and nothing runs twice that must not.

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;

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
    apps[0].answers(|_| Reply::hangs());
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
async fn a_failure_does_not_win_while_the_other_may_still_answer() {
    let apps = Origin::several(2).await;
    let keys = format!("{AFTER}\noutlier: off");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    for (first, second) in [(0, 1), (1, 0)] {
        apps[first].answers(|seen| Reply::usual(seen).after(ms(400)));
        apps[second].answers(|_| Reply::sized(503, "no").after(ms(200)));
        for _ in 0..2 {
            let answer = tide.get("/").await;
            assert_eq!((answer.status, answer.node()), (200, apps[first].name()));
        }
    }
    // With nobody better, a failure is an answer.
    for app in &apps {
        app.answers(|_| Reply::sized(500, "no").after(ms(200)));
    }
    let answer = tide.get("/").await;
    assert_eq!((answer.status, answer.text().as_str()), (500, "no"));
}

#[tokio::test]
async fn a_second_node_has_its_own_time_when_that_of_the_first_is_over() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(700)));
    }
    let keys = "balance: round_robin\nretry: { try_timeout: 400ms, hedge: { after: 200ms }, budget: 100% }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    assert_eq!(tide.get("/warm").await.status, 200);
    assert_eq!(tide.get("/").await.status, 200);
}

#[tokio::test]
async fn a_backup_is_no_second_node_and_nobody_overtakes_a_line() {
    let apps = Origin::several(2).await;
    apps[0].answers(|seen| Reply::usual(seen).after(ms(300)));
    let list = format!("[{}, {}]", apps[0], apps[1].with("backup: true"));
    let tide = Tidegate::run(web(AFTER, list)).await;
    assert_eq!(tide.get("/").await.node(), "app-1");
    assert_eq!(apps[1].requests(), 0);
    assert_eq!(hedges(&tide, "asked").await, 0.0);
}

#[tokio::test]
async fn a_node_that_loses_every_race_hangs_and_rests() {
    let apps = Origin::several(3).await;
    apps[0].answers(|_| Reply::hangs());
    let keys = format!("{AFTER}\noutlier: {{ consecutive_failures: 5, eject: 60s }}");
    let tide = Tidegate::run(web(&keys, nodes(&apps))).await;
    for _ in 0..20 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(apps[0].requests(), 5);
    assert_eq!(tide.node("web/app-1").await["health"], "ejected");
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
    assert!((15.0..=35.0).contains(&asked), "{asked}");
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
