//! Events: what happens to the proxy is there to be read a moment later, with its node, its words and its weight.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, one_node, one_node_under, one_node_with, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually};

/// Waits for an event of this kind whose text has all these words.
async fn tells(tide: &Tidegate, kind: &str, words: &[&str]) -> Value {
    let target = format!("/api/v1/events?kind={kind}&limit=1000");
    eventually(&format!("{kind}: {words:?}"), SOON, async || {
        let list = tide.json(&target).await;
        let all = list["events"].as_array().expect("events");
        let fits = |event: &&Value| {
            let text = event["text"].as_str().expect("a text");
            words.iter().all(|word| text.contains(word))
        };
        all.iter().find(fits).cloned().ok_or(list)
    })
    .await
}

#[tokio::test]
async fn the_start_the_drain_and_the_stop_are_told() {
    let (_app, tide) = one_node_under("shutdown: { pre_stop: 2s }\n").await;
    let start = tells(&tide, "process", &["started", env!("CARGO_PKG_VERSION")]).await;
    assert_eq!(
        (start["id"].as_u64(), start["generation"].as_u64()),
        (Some(1), Some(1))
    );
    tide.verb("web/app-1", "drain").await;
    let drain = tells(&tide, "node", &["up healthy -> drain healthy"]).await;
    assert_eq!(
        (&drain["upstream"], &drain["node"]),
        (&"web".into(), &"app-1".into())
    );
    assert_eq!(drain["level"], "info", "as the operator wants it");
    tide.verb("web/app-1", "undrain").await;
    tells(&tide, "node", &["drain healthy -> up healthy"]).await;
    tide.signal(Signal::SIGTERM);
    tells(&tide, "process", &["stopping"]).await;
}

#[tokio::test]
async fn a_node_that_refuses_is_told_as_an_ejection_and_its_return_too() {
    let (app, tide) = one_node_with("retry: off").await;
    app.kill().await;
    let _ = tide.get("/").await;
    let rests = tells(&tide, "ejection", &["up healthy -> up ejected"]).await;
    assert_eq!(
        (&rests["level"], &rests["node"]),
        (&"warning".into(), &"app-1".into())
    );
    app.revive().await;
    let back = tells(&tide, "ejection", &["up ejected -> up healthy"]).await;
    assert_eq!(back["level"], "info");
}

#[tokio::test]
async fn a_breaker_that_opens_is_told() {
    let keys = "outlier: off\nbreaker: { min_requests: 4, open: 60s }";
    let (app, tide) = one_node_with(keys).await;
    app.answers(|_| Reply::sized(503, "no"));
    for _ in 0..8 {
        let _ = tide.get("/").await;
    }
    let opens = tells(&tide, "breaker", &["breaker open"]).await;
    assert_eq!(
        (&opens["level"], &opens["node"]),
        (&"warning".into(), &"app-1".into())
    );
}

#[tokio::test]
async fn too_few_healthy_nodes_are_told_once() {
    let apps = Origin::several(2).await;
    for app in &apps {
        app.set_health(503);
    }
    let keys =
        "fail_open_below: 60%\nhealth: { path: /healthz, interval: 100ms, rise: 1, fall: 1 }";
    let tide = Tidegate::run_unready(web(keys, nodes(&apps))).await;
    let open = tells(&tide, "fail_open", &["health is ignored"]).await;
    assert_eq!(
        (&open["level"], &open["upstream"]),
        (&"warning".into(), &"web".into())
    );
    for app in &apps {
        app.set_health(200);
    }
    tells(&tide, "fail_open", &["health counts"]).await;
}

#[tokio::test]
async fn a_reload_is_told_in_words_and_a_refusal_with_its_line() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps[..1]))).await;
    tide.apply(&web("", nodes(&apps))).await;
    let applied = tells(&tide, "reload", &["generation 2 in use", "app-2"]).await;
    assert_eq!(
        (&applied["level"], applied["generation"].as_u64()),
        (&"info".into(), Some(2))
    );
    tide.write("upstreams:\n  web: { nodess: [] }\n");
    let refused = tells(&tide, "reload", &["refused", "tidegate.yaml:", "nodess"]).await;
    assert_eq!(refused["level"], "error");
    assert!(refused["id"].as_u64() > applied["id"].as_u64());
}

#[tokio::test]
async fn a_purge_is_told_with_its_count() {
    let (app, tide) = {
        let app = Origin::start("app-1").await;
        app.answers(|seen| {
            Reply::usual(seen)
                .field("Cache-Control", "max-age=60")
                .field("Cache-Tag", "shoes")
        });
        let tide = Tidegate::run(web("", nodes([&app])) + "    cache: {}\n").await;
        (app, tide)
    };
    tide.get("/a").await;
    tide.get("/b").await;
    let purge = tide
        .api("POST", "/api/v1/purge", r#"{"tag":"shoes"}"#)
        .await;
    assert_eq!(purge.status, 200, "{}", purge.text());
    tells(
        &tide,
        "purge",
        &["the tag \"shoes\"", "(soft)", "2 answers"],
    )
    .await;
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn addresses_of_a_name_are_told() {
    let app = Origin::start("app-1").await;
    let name = format!("localhost:{}", app.addr().port());
    let tide = Tidegate::run(web("", format!("[\"{name}\"]"))).await;
    tells(&tide, "dns", &[&name, "127.0.0.1"]).await;
}

#[tokio::test]
async fn what_is_new_since_an_event_can_be_asked_for() {
    let (_app, tide) = one_node().await;
    tide.verb("web/app-1", "drain").await;
    let drain = tells(&tide, "node", &["-> drain"]).await["id"]
        .as_u64()
        .expect("an id");
    tide.verb("web/app-1", "undrain").await;
    tells(&tide, "node", &["drain healthy -> up"]).await;
    let list = tide.json(&format!("/api/v1/events?after={drain}")).await;
    let all = list["events"].as_array().expect("events");
    check(!all.is_empty(), &list).expect("the return of the node");
    assert!(
        all.iter().all(|event| event["id"].as_u64() > Some(drain)),
        "{list}"
    );
}
