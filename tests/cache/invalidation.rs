//! A write makes what is stored of its targets wrong (RFC 9111 §4.4).

use super::{Stage, is_hit, reply, told};
use crate::support::Gate;
use crate::support::client::Request;

/// A stage that stores every GET and answers all else with this status and these lines.
async fn writing(status: u16, lines: &'static str) -> Stage {
    let stage = Stage::open("true").await;
    stage.app.answers(move |seen| match seen.method() {
        "GET" => reply(seen, 200, "Cache-Control: max-age=600"),
        _ => reply(seen, status, lines),
    });
    stage
}

#[tokio::test]
async fn a_write_that_went_well_removes_what_is_stored_of_its_url() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROBNICATE"] {
        for status in [200, 201, 204, 299, 302, 303] {
            let stage = writing(status, "").await;
            stage.get("/a").await;
            stage.get("/a?x=1").await;
            stage.ask(&Request::new(method, "/a")).await;
            let (own, other) = (stage.get("/a").await, stage.get("/a?x=1").await);
            assert!(!is_hit(&own), "{method} {status}: {}", told(&own));
            assert!(is_hit(&other), "{method} {status}: another URL");
        }
    }
}

#[tokio::test]
async fn a_write_that_failed_and_a_method_that_only_reads_remove_nothing() {
    for status in [400, 403, 404, 409, 412, 500, 502, 503] {
        let stage = writing(status, "Location: /a").await;
        stage.get("/a").await;
        stage.ask(&Request::post("/a", "x")).await;
        assert!(is_hit(&stage.get("/a").await), "POST {status}");
    }
    let stage = writing(200, "").await;
    stage.get("/a").await;
    for method in ["HEAD", "OPTIONS"] {
        stage
            .ask(&Request::new(method, "/a").field("Cache-Control", "no-cache"))
            .await;
        assert!(is_hit(&stage.get("/a").await), "{method}");
    }
    // Nor does one that never came to an answer.
    stage.app.answers(|seen| match seen.method() {
        "GET" => reply(seen, 200, "Cache-Control: max-age=600"),
        _ => crate::support::reply::Reply::reset(),
    });
    stage.ask(&Request::post("/a", "x")).await;
    assert!(is_hit(&stage.get("/a").await), "a reset");
}

#[tokio::test]
async fn a_write_removes_all_variants() {
    let stage = Stage::open("true").await;
    stage
        .app
        .answers(|seen| reply(seen, 200, "Cache-Control: max-age=600\nVary: X-Kind"));
    let kinds = ["X-Kind: a", "X-Kind: b", ""];
    for kind in kinds {
        stage.get_with("/", kind).await;
    }
    stage.ask(&Request::post("/", "x")).await;
    for kind in kinds {
        assert!(!is_hit(&stage.get_with("/", kind).await), "{kind:?}");
    }
}

#[tokio::test]
async fn a_write_removes_what_its_answer_names_on_the_same_origin() {
    for (lines, removed) in [
        ("Location: /b", true),
        ("Content-Location: /b", true),
        ("Location: b", true),
        ("Location: http://tide.test/b", true),
        ("Location: http://TIDE.test:80/b", true),
        ("Location: //tide.test/b", true),
        ("Location: /other\nContent-Location: /b", true),
        ("Location: http://other.test/b", false),
        ("Location: https://tide.test/b", false),
        ("Location: http://tide.test:8080/b", false),
        ("Location: /b?x=1", false),
        ("Link: </b>", false),
    ] {
        let stage = writing(201, lines).await;
        stage.get("/b").await;
        stage.ask(&Request::get("/b").host("other.test")).await;
        stage.ask(&Request::post("/a", "x")).await;
        let got = stage.get("/b").await;
        assert_eq!(!is_hit(&got), removed, "{lines}: {}", told(&got));
        let other = stage.ask(&Request::get("/b").host("other.test")).await;
        assert!(is_hit(&other), "{lines}: a neighbour's");
    }
}

#[tokio::test]
async fn a_write_names_its_url_as_the_key_has_it() {
    let rules = "{ key: { drop_query: [\"utm_*\"], sort_query: true } }";
    let stage = Stage::open(rules).await;
    stage.says("Cache-Control: max-age=600");
    stage.get("/?b=2&a=1").await;
    stage.ask(&Request::post("/?utm_x=1&a=1&b=2", "x")).await;
    assert!(!is_hit(&stage.get("/?a=1&b=2").await));
}

#[tokio::test]
async fn an_answer_that_was_on_its_way_during_a_write_is_not_stored() {
    let stage = writing(200, "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage
        .app
        .answers(move |seen| match (seen.method(), seen.serial) {
            ("GET", 0) => reply(seen, 200, "Cache-Control: max-age=600").when(&held),
            ("GET", _) => reply(seen, 200, "Cache-Control: max-age=600"),
            _ => reply(seen, 200, ""),
        });
    let mut reading = stage.tide.connect().await;
    reading.send(&Request::get("/")).await.unwrap();
    stage.app.holds(1).await;
    stage.ask(&Request::post("/", "x")).await;
    gate.open();
    let before = reading.answer("GET").await.unwrap();
    assert_eq!(before.text(), "/ 0", "who asked before gets what was then");
    let after = stage.get("/").await;
    assert_eq!((is_hit(&after), after.text()), (false, "/ 2".into()));
}
