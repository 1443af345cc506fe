//! Figures over time: they move with what happens, for all, by route, by upstream and by node, and agree with the metrics.

use serde_json::{Value, json};

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually};

/// What is kept of a series, in seconds.
async fn points(tide: &Tidegate, of: &str) -> Value {
    let target = format!("/api/v1/history?of={of}&step=1s");
    tide.json(&target).await["points"].take()
}

fn sum(points: &Value, figure: &str) -> u64 {
    let all = points[figure].as_array().expect("a list").iter();
    all.filter_map(Value::as_u64).sum()
}

/// Waits until a figure of a series has come to what was counted. Where a second was looked at late, which a busy machine
/// may bring about, less is all right.
async fn comes_to(tide: &Tidegate, of: &str, figure: &str, counted: u64) {
    eventually(
        &format!("{figure} of {of} are {counted}"),
        SOON,
        async || {
            let points = points(tide, of).await;
            let has_gap = (points[figure].as_array().expect("a list").iter()).any(Value::is_null);
            let sum = sum(&points, figure);
            assert!(sum <= counted, "more than was counted: {points}");
            check(sum == counted || has_gap, points)
        },
    )
    .await;
}

async fn counted(tide: &Tidegate, metric: &str, labels: &[(&str, &str)]) -> u64 {
    tide.metric(metric, labels).await.unwrap_or_default() as u64
}

#[tokio::test]
async fn figures_move_under_load_and_agree_with_the_metrics() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let load = Load::at(200).count(300);
    load.run(tide.addr()).await.nothing_failed_of(300);
    tide.metric_is("tidegate_http_requests_total", &[], 300.0)
        .await;
    let sent = counted(&tide, "tidegate_http_response_bytes_total", &[]).await;
    for of in ["total", "route:default"] {
        comes_to(&tide, of, "requests", 300).await;
        comes_to(&tide, of, "bytes_out", sent).await;
        comes_to(&tide, of, "errors", 0).await;
    }
    comes_to(&tide, "upstream:web", "requests", 300).await;
    for node in ["app-1", "app-2"] {
        let of = format!("node:web/{node}");
        comes_to(&tide, &of, "requests", 150).await;
        let points = points(&tide, &of).await;
        let p99 = points["p99"].as_array().expect("times");
        assert!(p99.iter().any(Value::is_number), "{points}");
        assert_eq!(points["bytes_out"], Value::Null, "not counted by node");
    }
    let status = tide.status().await;
    assert!(status["minute"]["requests"].as_u64() > Some(0), "{status}");
    let history = &status["history"];
    assert_eq!(
        history["series"], 6,
        "total, two routes, an upstream, two nodes: {history}"
    );
    assert_eq!(history["not_kept"], 0, "{history}");
    assert!(history["bytes"].as_u64() < history["capacity_bytes"].as_u64());
    let gauge = counted(&tide, "tidegate_history_size_bytes", &[]).await;
    assert!(gauge > 0, "it is in the metrics");
}

#[tokio::test]
async fn a_node_that_fails_has_errors_and_who_carries_it_has_retries() {
    let app = Origin::start("app-1").await;
    let dead = Origin::refusing("app-2");
    let yaml = web(
        "balance: round_robin\noutlier: off\nretry: { budget: 100% }",
        nodes([&app, &dead]),
    );
    let tide = Tidegate::run(yaml).await;
    for _ in 0..20 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    let retries = counted(&tide, "tidegate_upstream_retries_total", &[]).await;
    assert!(retries > 0, "somebody was sent to the other one");
    comes_to(&tide, "node:web/app-2", "errors", retries).await;
    comes_to(&tide, "node:web/app-1", "retries", retries).await;
    comes_to(&tide, "upstream:web", "retries", retries).await;
    comes_to(&tide, "upstream:web", "errors", retries).await;
    comes_to(&tide, "total", "errors", 0).await;
}

#[tokio::test]
async fn hits_and_their_bytes_are_told_apart() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| match seen.target() {
        "/bad" => Reply::sized(500, "no"),
        _ => Reply::sized(200, "0123456789").field("Cache-Control", "max-age=60"),
    });
    let yaml = web("", nodes([&app])) + "    cache: {}\n";
    let tide = Tidegate::run(yaml).await;
    for target in ["/a", "/a", "/a", "/bad"] {
        tide.get(target).await;
    }
    tide.metric_is(
        "tidegate_cache_hit_bytes_total",
        &[("route", "default")],
        20.0,
    )
    .await;
    for of in ["total", "route:default"] {
        comes_to(&tide, of, "cache_lookups", 4).await;
        comes_to(&tide, of, "cache_hits", 2).await;
        comes_to(&tide, of, "cache_hit_bytes", 20).await;
        comes_to(&tide, of, "errors", 1).await;
    }
}

#[tokio::test]
async fn a_node_that_is_removed_keeps_its_past_and_a_new_one_begins() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps[..2]))).await;
    for _ in 0..10 {
        tide.get("/").await;
    }
    comes_to(&tide, "node:web/app-2", "requests", 5).await;
    let unknown = tide
        .api("GET", "/api/v1/history?of=node:web/app-3", "")
        .await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    tide.apply(&web("balance: round_robin", nodes([&apps[0], &apps[2]])))
        .await;
    for _ in 0..10 {
        tide.get("/").await;
    }
    comes_to(&tide, "node:web/app-3", "requests", 5).await;
    comes_to(&tide, "node:web/app-2", "requests", 5).await;
    comes_to(&tide, "upstream:web", "requests", 20).await;
}

#[tokio::test]
async fn what_cannot_be_asked_of_the_past_is_refused() {
    let (_app, tide) = crate::support::proxy::one_node().await;
    for query in [
        "step=2s",
        "points=0",
        "points=901",
        "step=1m&points=1441",
        "points=x",
        "nonsense=1",
    ] {
        let answer = tide
            .api("GET", &format!("/api/v1/history?{query}"), "")
            .await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    let minutes = tide.json("/api/v1/history?step=1m&points=1440").await;
    assert_eq!(minutes["step_seconds"], 60);
    assert_eq!(minutes["points"]["requests"], json!([]), "none is over");
}

#[tokio::test]
async fn routes_say_what_they_match_and_how_they_fare() {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "upstreams:\n  web:\n    nodes: {}\nroutes:\n  - match: {{ host: old.example.com, path: /x/ }}\n    redirect: {{ to: \"https://new.example.com/\", status: 301 }}\n  - name: all\n    upstream: web\n    cache: {{}}\n    slow: 2s\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    app.answers(|_| Reply::sized(500, "no"));
    tide.get("/").await;
    tide.ask(&Request::get("/x/").host("old.example.com")).await;
    tide.metric_is("tidegate_http_requests_total", &[], 2.0)
        .await;
    let all = tide.json("/api/v1/routes").await;
    let [old, new] = &all["routes"].as_array().expect("routes")[..] else {
        panic!("{all}");
    };
    assert_eq!(old["match"], "host old.example.com, path /x/");
    assert_eq!(old["goes_to"], "redirect 301 to https://new.example.com/");
    assert_eq!(
        (&old["upstream"], &old["express"]),
        (&Value::Null, &json!("redirect"))
    );
    assert_eq!(
        (&old["requests_total"], &old["errors_total"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&new["name"], &new["match"]),
        (&json!("all"), &json!("everything"))
    );
    assert_eq!(
        (&new["goes_to"], &new["upstream"]),
        (&json!("upstream web"), &json!("web"))
    );
    assert_eq!(
        (&new["cache"], &new["slow_seconds"]),
        (&json!(true), &json!(2.0))
    );
    assert_eq!(
        (&new["requests_total"], &new["errors_total"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn lists_of_names_come_in_pieces_when_asked_so() {
    let app = Origin::start("app-1").await;
    let mut yaml = "upstreams:\n".to_string();
    for name in ["web", "api", "shop"] {
        yaml += &format!("  {name}:\n    nodes: {}\n", nodes([&app]));
    }
    yaml += "routes:\n";
    for name in ["web", "api", "shop"] {
        yaml +=
            &format!("  - match: {{ path: /{name} }}\n    name: {name}\n    upstream: {name}\n");
    }
    let tide = Tidegate::run(yaml).await;
    for list in ["upstreams", "routes"] {
        let names = |answer: &Value| -> Vec<String> {
            let all = answer[list].as_array().expect("a list").iter();
            all.map(|one| one["name"].as_str().expect("a name").into())
                .collect()
        };
        let all = tide.json(&format!("/api/v1/{list}")).await;
        assert_eq!((names(&all).len(), &all["next_cursor"]), (3, &Value::Null));
        let first = tide.json(&format!("/api/v1/{list}?limit=2")).await;
        assert_eq!(names(&first), ["api", "shop"]);
        let cursor = first["next_cursor"].as_str().expect("there are more");
        let rest = tide
            .json(&format!("/api/v1/{list}?limit=2&cursor={cursor}"))
            .await;
        assert_eq!(
            (names(&rest), &rest["next_cursor"]),
            (vec!["web".into()], &Value::Null)
        );
        let wrong = tide
            .api("GET", &format!("/api/v1/{list}?limit=0"), "")
            .await;
        assert_eq!(wrong.status, 400);
    }
}

#[tokio::test]
async fn what_a_reload_would_change_is_told_before_with_what_is_wrong() {
    let (_app, tide) = crate::support::proxy::one_node().await;
    let same = tide.json("/api/v1/config/diff").await;
    assert_eq!(
        same,
        json!({ "generation": 1, "changes": [], "errors": [] })
    );
    tide.write("upstreams:\n  web: { nodess: [] }\n");
    let wrong = tide.json("/api/v1/config/diff").await;
    assert_eq!(wrong["changes"], json!([]));
    let first = wrong["errors"][0].as_str().expect("an error");
    assert!(
        first.contains("nodess") && first.contains("tidegate.yaml:"),
        "{first}"
    );
    assert_eq!(tide.generation().await, 1, "reading changes nothing");
}
