//! What is used although it is stale, and what never is (RFC 9111 §4.2.4, RFC 5861).

use super::{Stage, is_hit, reply, told, yaml};
use crate::support::client::Answer;
use crate::support::origin::nodes;
use crate::support::proxy::SOON;
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// A stage with `/` stored, with these directives, for so many seconds.
async fn stored(rules: &str, lines: &'static str, passed: u64) -> Stage {
    let stage = Stage::open(rules).await;
    stage.says(lines);
    stage.get("/").await;
    stage.passes(passed).await;
    stage
}

/// Waits until `/` was fetched so often.
async fn fetched(stage: &Stage, times: usize) {
    eventually(&format!("{times} fetches"), SOON, async || {
        let seen = (stage.asked("/"), stage.app.in_flight());
        check(seen == (times, 0), format!("{seen:?}"))
    })
    .await;
}

fn is_stale(answer: &Answer, why: &str) -> bool {
    let was_forwarded = told(answer).starts_with("tidegate; fwd=stale");
    was_forwarded == (why == "stale_if_error")
        && told(answer).contains("ttl=-")
        && told(answer).ends_with(why)
}

#[tokio::test]
async fn inside_its_window_a_stale_answer_is_sent_at_once_and_refreshed_behind_it() {
    let lines = "Cache-Control: max-age=100, stale-while-revalidate=100";
    let stage = stored("true", lines, 150).await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage
        .app
        .answers(move |seen| reply(seen, 200, lines).when(&held));
    for _ in 0..5 {
        let stale = stage.get("/").await;
        assert!(
            is_stale(&stale, "stale_while_revalidate"),
            "{}",
            told(&stale)
        );
        let age: u64 = stale.head.get("age").unwrap().parse().unwrap();
        assert_eq!((stale.text(), age >= 150), ("/ 0".into(), true));
    }
    stage.app.holds(1).await;
    assert_eq!(stage.asked("/"), 2, "one refresh for all of them");
    gate.open();
    let fresh = eventually("the new one", SOON, async || {
        let answer = stage.get("/").await;
        check(answer.text() == "/ 1", answer.text()).map(|()| answer)
    })
    .await;
    assert!(told(&fresh).contains("ttl=9"), "{}", told(&fresh));
    assert_eq!(stage.asked("/"), 2);
}

#[tokio::test]
async fn behind_its_window_a_stale_answer_is_not_sent() {
    let lines = "Cache-Control: max-age=100, stale-while-revalidate=100";
    let stage = stored("true", lines, 201).await;
    let answer = stage.get("/").await;
    assert_eq!((is_hit(&answer), answer.text()), (false, "/ 1".into()));
}

#[tokio::test]
async fn a_route_may_give_windows_to_answers_that_say_nothing() {
    let rules = "{ stale_while_revalidate: 100s, stale_if_error: 100s }";
    let stage = stored(rules, "Cache-Control: max-age=100", 150).await;
    assert!(is_stale(&stage.get("/").await, "stale_while_revalidate"));
    let own = "Cache-Control: max-age=100, stale-while-revalidate=0, stale-if-error=0";
    let stage = stored(rules, own, 150).await;
    assert!(
        !is_hit(&stage.get("/").await),
        "an answer's own word counts"
    );
    let stage = stored(rules, "Cache-Control: max-age=100", 150).await;
    stage.app.answers(|seen| reply(seen, 503, ""));
    assert!(is_stale(&stage.get("/").await, "stale_while_revalidate"));
}

#[tokio::test]
async fn a_refresh_that_may_not_be_stored_ends_what_was() {
    for (name, status, lines) in [
        ("no-store", 200, "Cache-Control: no-store"),
        ("private", 200, "Cache-Control: private"),
        ("no-cache", 200, "Cache-Control: no-cache\nETag: \"v2\""),
        ("gone", 410, ""),
        (
            "confirmed as no-cache",
            304,
            "Cache-Control: no-cache\nETag: \"v1\"",
        ),
    ] {
        let window = "Cache-Control: max-age=100, stale-while-revalidate=1000\nETag: \"v1\"";
        let stage = stored("true", window, 150).await;
        stage.app.answers(move |seen| {
            let conditional = seen.head.get("if-none-match").is_some();
            reply(
                seen,
                if status == 304 && !conditional {
                    200
                } else {
                    status
                },
                lines,
            )
        });
        assert!(is_hit(&stage.get("/").await), "{name}");
        fetched(&stage, 2).await;
        eventually(name, SOON, async || {
            let answer = stage.get("/").await;
            check(!is_hit(&answer), told(&answer))
        })
        .await;
    }
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_what_is_stored_until_its_window_ends() {
    let lines = "Cache-Control: max-age=100, stale-while-revalidate=1000";
    let stage = stored("true", lines, 150).await;
    stage.app.answers(|seen| reply(seen, 503, ""));
    for n in 2..5 {
        // The fetch before may not be over yet: then there is no other.
        eventually("another fetch", SOON, async || {
            assert!(is_stale(&stage.get("/").await, "stale_while_revalidate"));
            let fetches = stage.asked("/");
            check(fetches >= n, fetches)
        })
        .await;
    }
    stage.passes(1_000).await;
    assert_eq!(stage.get("/").await.status, 503);
}

#[tokio::test]
async fn stale_if_error_stands_in_for_a_node_in_trouble_until_its_window_ends() {
    for status in [500, 502, 503, 504] {
        let lines = "Cache-Control: max-age=100, stale-if-error=100";
        let stage = stored("true", lines, 150).await;
        stage.app.answers(move |seen| reply(seen, status, ""));
        let stale = stage.get("/").await;
        assert_eq!(
            (stale.status, stale.text()),
            (200, "/ 0".into()),
            "{status}"
        );
        assert!(
            is_stale(&stale, "stale_if_error"),
            "{status}: {}",
            told(&stale)
        );
        stage.passes(51).await;
        assert_eq!(stage.get("/").await.status, status, "the window is over");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_trouble_is_the_answer() {
    for status in [200, 301, 400, 404, 410, 429, 501] {
        let lines = "Cache-Control: max-age=100, stale-if-error=100";
        let stage = stored("true", lines, 150).await;
        stage.app.answers(move |seen| reply(seen, status, ""));
        assert_eq!(stage.get("/").await.status, status);
    }
    let without = stored("true", "Cache-Control: max-age=100", 150).await;
    without.app.answers(|seen| reply(seen, 503, ""));
    assert_eq!(without.get("/").await.status, 503, "nobody allowed it");
    let asked = without
        .get_with("/", "Cache-Control: stale-if-error=100")
        .await;
    assert_eq!(asked.status, 200, "the client does");
}

/// Ways in which no answer comes.
async fn breaks(stage: &Stage, how: &str) {
    match how {
        "is killed" => stage.app.kill().await,
        "resets" => stage.app.answers(|_| Reply::reset()),
        "closes" => stage.app.answers(|_| Reply::close()),
        "sends garbage" => stage
            .app
            .answers(|_| Reply::raw("no answer at all\r\n\r\n")),
        "is drained" => drop(stage.tide.verb("web/app-1", "drain").await),
        "is down" => drop(stage.tide.verb("web/app-1", "down").await),
        other => panic!("{other}"),
    }
}

const NO_ANSWER: [&str; 6] = [
    "is killed",
    "resets",
    "closes",
    "sends garbage",
    "is drained",
    "is down",
];

#[tokio::test]
async fn when_no_answer_comes_a_stale_one_is_sent_without_being_allowed_for_a_day() {
    for how in NO_ANSWER {
        let stage = stored("true", "Cache-Control: max-age=100", 150).await;
        breaks(&stage, how).await;
        for _ in 0..3 {
            let stale = stage.get("/").await;
            assert_eq!(
                (stale.status, stale.text()),
                (200, "/ 0".into()),
                "it {how}"
            );
            assert!(
                is_stale(&stale, "stale_if_error"),
                "it {how}: {}",
                told(&stale)
            );
        }
        stage.passes(2 * 86_400).await;
        let late = stage.get("/").await;
        assert!(
            matches!(late.status, 502 | 503),
            "it {how}: {}",
            late.status
        );
    }
}

#[tokio::test]
async fn what_must_be_validated_is_never_sent_stale() {
    for lines in [
        "Cache-Control: max-age=100, must-revalidate, stale-if-error=1000, stale-while-revalidate=1000",
        "Cache-Control: max-age=100, proxy-revalidate, stale-if-error=1000, stale-while-revalidate=1000",
        "Cache-Control: s-maxage=100, stale-if-error=1000, stale-while-revalidate=1000",
        "Cache-Control: no-cache, max-age=100, stale-if-error=1000, stale-while-revalidate=1000\nETag: \"v1\"",
    ] {
        for how in ["answers 503", "is killed", "is drained"] {
            let stage = stored("{ stale_if_error: 1000s }", lines, 150).await;
            match how {
                "answers 503" => stage.app.answers(|seen| reply(seen, 503, "")),
                other => breaks(&stage, other).await,
            }
            let answer = stage.get_with("/", "Cache-Control: max-stale").await;
            assert!(
                matches!(answer.status, 502 | 503),
                "it {how}: {lines}: {}",
                told(&answer)
            );
        }
    }
}

#[tokio::test]
async fn when_nodes_hang_a_stale_answer_comes_in_the_time_that_is_theirs() {
    let app = crate::support::origin::Origin::start("app-1").await;
    let file = yaml("timeouts: { request: 400ms }\n", "true", &nodes([&app]));
    let tide = crate::support::proxy::Tidegate::run_with_faults(file).await;
    let stage = Stage { app, tide };
    stage.says("Cache-Control: max-age=100");
    stage.get("/").await;
    stage.passes(150).await;
    stage.app.answers(|_| Reply::hangs());
    let began = std::time::Instant::now();
    let stale = stage.get("/").await;
    assert_eq!(
        (stale.status, is_stale(&stale, "stale_if_error")),
        (200, true),
        "{}",
        told(&stale)
    );
    crate::support::took_about(began, ms(400));
}

#[tokio::test]
async fn an_open_breaker_is_no_reason_to_have_no_answer() {
    let app = crate::support::origin::Origin::start("app-1").await;
    let with = nodes([&app]) + ", breaker: { min_requests: 2, open: 60s }";
    let tide = crate::support::proxy::Tidegate::run_with_faults(yaml("", "true", &with)).await;
    let stage = Stage { app, tide };
    stage.says("Cache-Control: max-age=100");
    stage.get("/").await;
    stage.passes(150).await;
    stage.app.answers(|_| Reply::reset());
    for n in 0..6 {
        let stale = stage.get("/").await;
        assert_eq!(
            (stale.status, is_stale(&stale, "stale_if_error")),
            (200, true),
            "{n}: {}",
            told(&stale)
        );
    }
    assert!(stage.asked("/") < 6, "the breaker opened");
}
