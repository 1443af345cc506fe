//! The stats port: what it shows is true, what it does is what was asked, and it is not the data port.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

async fn two_nodes() -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    (apps, tide)
}

/// RFC 9457 with this status.
#[track_caller]
fn is_problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.head.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{kind}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(
        problem["title"].as_str().is_some_and(|t| !t.is_empty()),
        "{problem}"
    );
    problem
}

/// The object has exactly these keys (and perhaps more, but none is missing).
#[track_caller]
fn has_keys(object: &Value, keys: &str) {
    for key in keys.split(' ') {
        assert!(object.get(key).is_some(), "{key} is missing in {object}");
    }
}

#[tokio::test]
async fn alive_and_ready_are_two_questions() {
    let (_apps, tide) = two_nodes().await;
    let alive = tide.api("GET", "/healthz", "").await;
    assert_eq!((alive.status, alive.text().as_str()), (200, "ok\n"));
    let ready = tide.api("GET", "/readyz", "").await;
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    tide.verb("web/app-1", "down").await;
    tide.verb("web/app-2", "down").await;
    let ready = tide.api("GET", "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("upstream web: no usable node"),
        "{}",
        ready.text()
    );
    assert_eq!(tide.api("GET", "/healthz", "").await.status, 200);
    let status = tide.status().await;
    assert_eq!(status["ready"], false, "{status}");
    assert!(
        status["not_ready"][0].as_str().unwrap().contains("web"),
        "{status}"
    );
}

#[tokio::test]
async fn the_status_tells_what_runs() {
    let (_apps, tide) = two_nodes().await;
    Load::at(500)
        .count(20)
        .run(tide.addr())
        .await
        .nothing_failed_of(20);
    tide.tells(20).await;
    let status = tide.status().await;
    has_keys(
        &status,
        "version pid uptime_seconds state ready not_ready generation drift",
    );
    has_keys(&status["config"], "path loaded_at last_reload");
    has_keys(&status["config"]["last_reload"], "ok at errors");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], tide.process().pid());
    assert_eq!(
        (&status["state"], &status["ready"]),
        (&json!("running"), &json!(true))
    );
    assert_eq!(
        (&status["generation"], &status["drift"]),
        (&json!(1), &json!(0))
    );
    assert!(
        status["config"]["path"]
            .as_str()
            .unwrap()
            .ends_with("tidegate.yaml")
    );
    assert_eq!(
        status["requests"],
        json!({ "total": 20, "in_flight": 0, "tunnels": 0 }),
        "{status}"
    );
    assert!(
        status["connections"]["total"].as_u64() >= Some(1),
        "{status}"
    );
    assert_eq!(
        status["upstreams"],
        json!([{ "name": "web", "nodes": 2, "available": 2 }])
    );
}

#[tokio::test]
async fn a_node_is_shown_as_it_is() {
    let (apps, tide) = two_nodes().await;
    Load::at(500)
        .count(20)
        .run(tide.addr())
        .await
        .nothing_failed_of(20);
    let node = tide.node("web/app-1").await;
    has_keys(
        &node,
        "id addr state health reason since_seconds weight effective_weight backup",
    );
    has_keys(
        &node,
        "in_flight requests_total errors_total last_check drift removed drain",
    );
    assert_eq!(node["addr"], apps[0].addr().to_string());
    assert_eq!(
        (&node["state"], &node["health"]),
        (&json!("up"), &json!("healthy"))
    );
    assert_eq!(
        (&node["weight"], &node["backup"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        (&node["requests_total"], &node["errors_total"]),
        (&json!(10), &json!(0))
    );
    assert_eq!(
        (&node["last_check"], &node["drain"]),
        (&Value::Null, &Value::Null)
    );
    let web = tide.json("/api/v1/upstreams/web").await;
    has_keys(&web, "name balance available nodes unresolved names");
    assert_eq!(web["balance"], "round_robin");
    let all = tide.json("/api/v1/upstreams").await;
    assert_eq!(all["generation"], 1);
    assert_eq!(all["upstreams"][0]["nodes"][1]["id"], "app-2");
}

#[tokio::test]
async fn requests_in_flight_are_counted_while_they_are() {
    let (apps, tide) = two_nodes().await;
    let gate = Gate::closed();
    for app in &apps {
        let held = gate.clone();
        app.answers(move |seen| Reply::usual(seen).when(&held));
    }
    let load = Load::at(500).count(8).start(tide.addr());
    apps[0].holds(4).await;
    apps[1].holds(4).await;
    let status = tide.status().await;
    assert_eq!(status["requests"]["in_flight"], 8, "{status}");
    assert_eq!(status["connections"]["active"], 8, "{status}");
    assert_eq!(tide.node("web/app-2").await["in_flight"], 4);
    tide.metric_is("tidegate_http_requests_in_flight", &[], 8.0)
        .await;
    let node = [("upstream", "web"), ("node", "app-1")];
    tide.metric_is("tidegate_upstream_requests_in_flight", &node, 4.0)
        .await;
    gate.open();
    load.done().await.nothing_failed_of(8);
    tide.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
    tide.metric_is("tidegate_upstream_requests_in_flight", &node, 0.0)
        .await;
    tide.metric_is("tidegate_connections_active", &[], 0.0)
        .await;
}

#[tokio::test]
async fn clients_that_leave_are_counted_and_leave_nothing_behind() {
    let (apps, tide) = two_nodes().await;
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(20_000)));
    }
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = tide.connect().await;
        client.send(&Request::get("/left")).await.unwrap();
        clients.push(client);
    }
    apps[0].holds(5).await;
    apps[1].holds(5).await;
    for (n, client) in clients.into_iter().enumerate() {
        if n % 2 == 0 {
            client.reset();
        }
    }
    tide.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
    tide.metric_is("tidegate_client_aborts_total", &[], 10.0)
        .await;
    tide.metric_is("tidegate_upstream_requests_in_flight", &[], 0.0)
        .await;
    assert_eq!(tide.told("/left").await["end"], "client_abort");
    let node = tide.node("web/app-1").await;
    assert_eq!(
        node["health"], "healthy",
        "a client's leaving is not the node's fault"
    );
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_404_each_as_a_problem() {
    let (_apps, tide) = two_nodes().await;
    let node = "/api/v1/upstreams/web/nodes/app-1";
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/api/v1/status",
        "/api/v1/config",
    ] {
        is_problem(&tide.api("DELETE", path, "").await, 405);
        is_problem(&tide.api("POST", path, "{}").await, 405);
    }
    is_problem(&tide.api("POST", node, "{}").await, 405);
    for verb in ["drain", "undrain", "down", "weight"] {
        is_problem(&tide.api("GET", &format!("{node}/{verb}"), "").await, 405);
    }
    is_problem(&tide.api("GET", "/api/v1/reload", "").await, 405);
    assert_eq!(
        tide.node("web/app-1").await["state"],
        "up",
        "no GET has changed anything"
    );
    for path in [
        "/nothing",
        "/api/v1/upstreams/other",
        "/api/v1/upstreams/web/nodes/app-9",
    ] {
        is_problem(&tide.api("GET", path, "").await, 404);
    }
    for path in ["web/nodes/app-9", "other/nodes/app-1"] {
        let drain = format!("/api/v1/upstreams/{path}/drain");
        let problem = is_problem(&tide.api("POST", &drain, "").await, 404);
        assert!(problem["detail"].as_str().is_some(), "{problem}");
    }
}

#[tokio::test]
async fn a_weight_can_be_changed_and_nonsense_cannot() {
    let (apps, tide) = two_nodes().await;
    let weight = "/api/v1/upstreams/web/nodes/app-1/weight";
    let said = tide.api("POST", weight, "{\"weight\": 3}").await;
    assert_eq!(said.status, 200, "{}", said.text());
    let node = said.json();
    let seen = (&node["weight"], &node["effective_weight"], &node["drift"]);
    assert_eq!(seen, (&json!(3), &json!(3), &json!(true)));
    let tally = Load::at(800).count(80).run(tide.addr()).await;
    assert_eq!((tally.of("app-1"), tally.of("app-2")), (60, 20), "{tally}");
    for bad in [
        "{\"weight\": -1}",
        "{\"weight\": 70000}",
        "{\"weight\": \"much\"}",
        "{}",
        "no",
    ] {
        is_problem(&tide.api("POST", weight, bad).await, 422);
    }
    assert_eq!(tide.node("web/app-1").await["weight"], 3);
    tide.api("POST", weight, "{\"weight\": 0}").await;
    let before = apps[0].requests();
    Load::at(800)
        .count(30)
        .run(tide.addr())
        .await
        .nothing_failed_of(30);
    assert_eq!(apps[0].requests(), before, "weight 0 takes nothing");
}

#[tokio::test]
async fn the_metrics_have_their_names_labels_and_true_values() {
    let (apps, tide) = two_nodes().await;
    apps[0].answers(|seen| match seen.target() {
        "/teapot" => Reply::sized(418, "short and stout"),
        _ => Reply::usual(seen),
    });
    apps[1].answers(|seen| match seen.target() {
        "/teapot" => Reply::sized(418, "short and stout"),
        _ => Reply::usual(seen),
    });
    Load::at(500)
        .count(30)
        .run(tide.addr())
        .await
        .nothing_failed_of(30);
    Load::at(500)
        .count(10)
        .posts(100)
        .run(tide.addr())
        .await
        .nothing_failed_of(10);
    assert_eq!(tide.get("/teapot").await.status, 418);

    let total = "tidegate_http_requests_total";
    let get = [("route", "default"), ("method", "GET"), ("code", "200")];
    tide.metric_is(total, &get, 30.0).await;
    tide.metric_is(total, &[("method", "POST"), ("code", "200")], 10.0)
        .await;
    tide.metric_is(total, &[("method", "GET"), ("code", "418")], 1.0)
        .await;
    tide.metric_is(total, &[], 41.0).await;
    tide.metric_is(
        "tidegate_http_request_bytes_total",
        &[("route", "default")],
        1_000.0,
    )
    .await;
    let out = tide
        .metric(
            "tidegate_http_response_bytes_total",
            &[("route", "default")],
        )
        .await;
    assert!(out > Some(600.0) && out < Some(40_000.0), "{out:?}");
    let node = [("upstream", "web"), ("node", "app-1")];
    let answered = tide
        .metric("tidegate_upstream_requests_total", &node)
        .await
        .unwrap();
    assert!((20.0..=21.0).contains(&answered), "{answered}");
    let counts = [
        "tidegate_http_request_duration_seconds_count",
        "tidegate_upstream_request_duration_seconds_count",
        "tidegate_upstream_time_to_first_byte_seconds_count",
    ];
    for count in counts {
        tide.metric_is(count, &[], 41.0).await;
    }
    let buckets = [("cache", "none"), ("le", "10")];
    tide.metric_is(
        "tidegate_http_request_duration_seconds_bucket",
        &buckets,
        41.0,
    )
    .await;
    let connects = tide
        .metric("tidegate_upstream_connect_duration_seconds_count", &[])
        .await;
    let reuses = tide
        .metric("tidegate_upstream_connection_reuse_total", &[])
        .await;
    assert_eq!(
        connects.unwrap() + reuses.unwrap(),
        41.0,
        "{connects:?} {reuses:?}"
    );
    let opened = apps[0].connections() + apps[1].connections();
    assert_eq!(connects, Some(opened as f64));
}

#[tokio::test]
async fn every_promised_family_is_there() {
    let (_apps, tide) = two_nodes().await;
    tide.get("/").await;
    tide.told("/").await;
    let text = tide.api("GET", "/metrics", "").await.text();
    let types = text.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    let families: BTreeSet<&str> = types.filter_map(|l| l.split(' ').next()).collect();
    for family in "build_info http_requests_total http_request_duration_seconds \
        http_requests_in_flight http_request_bytes_total http_response_bytes_total \
        connections_active connections_total requests_refused_total client_aborts_total \
        upstream_requests_total upstream_request_duration_seconds \
        upstream_time_to_first_byte_seconds upstream_connect_duration_seconds \
        upstream_requests_in_flight upstream_connection_reuse_total node_state node_health \
        node_effective_weight upstream_nodes_available config_reloads_total \
        config_last_reload_successful config_last_reload_success_timestamp_seconds \
        config_generation config_drift compression_bytes_in_total compression_bytes_out_total \
        compression_duration_seconds compression_stored_total compression_skipped_total \
        compression_decode_failed_total compression_reduced_total recompress_queue_entries recompress_dropped_total"
        .split_whitespace()
    {
        let name = format!("tidegate_{family}");
        assert!(
            families.contains(name.as_str()),
            "{name} is missing of {families:?}"
        );
    }
    assert!(
        families.iter().any(|f| f.starts_with("process_")),
        "{families:?}"
    );
    let up = [("upstream", "web"), ("node", "app-2"), ("state", "up")];
    assert_eq!(tide.metric("tidegate_node_state", &up).await, Some(1.0));
    let drain = [("upstream", "web"), ("node", "app-2"), ("state", "drain")];
    assert_eq!(tide.metric("tidegate_node_state", &drain).await, Some(0.0));
    let healthy = [("node", "app-2"), ("health", "healthy")];
    assert_eq!(
        tide.metric("tidegate_node_health", &healthy).await,
        Some(1.0)
    );
    assert_eq!(
        tide.metric("tidegate_upstream_nodes_available", &[]).await,
        Some(2.0)
    );
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(
        tide.metric("tidegate_build_info", &version).await,
        Some(1.0)
    );
}

#[tokio::test]
async fn no_client_can_grow_the_metrics() {
    let (_apps, tide) = two_nodes().await;
    let mut client = tide.connect().await;
    for n in 0..50 {
        let method = format!("M{n}");
        let request = Request::new(&method, &format!("/path-{n}")).host(&format!("h{n}.test"));
        if client.ask(&request).await.is_ok_and(|a| a.stays_open) {
            continue;
        }
        client = tide.connect().await;
    }
    let text = tide.api("GET", "/metrics", "").await.text();
    for chosen in ["M17", "path-17", "h17"] {
        assert!(!text.contains(chosen), "{chosen} became a label");
    }
}

#[tokio::test]
async fn the_page_is_files_without_data_that_a_browser_keeps_and_trusts_nobody_else_with() {
    let (_apps, tide) = two_nodes().await;
    for (path, kind, word) in [
        ("/", "text/html", "<html"),
        ("/assets/app.js", "text/javascript", "import"),
        ("/assets/app.css", "text/css", ":root"),
        ("/assets/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let file = tide.api("GET", path, "").await;
        let said = |name| file.head.get(name).unwrap_or_default();
        assert_eq!(file.status, 200, "{path}");
        assert!(said("content-type").starts_with(kind), "{path}");
        assert!(file.text().contains(word) && !file.text().contains("app-1"));
        let policy = said("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(said("cache-control"), "no-cache", "{path}");
        let again = Request::get(path)
            .host(&tide.admin().to_string())
            .field("If-None-Match", said("etag"));
        let mut client = Client::connect(tide.admin()).await.unwrap();
        assert_eq!(client.ask(&again).await.unwrap().status, 304, "{path}");
    }
    is_problem(&tide.api("GET", "/assets/other.js", "").await, 404);
}

#[tokio::test]
async fn the_running_configuration_can_be_read() {
    let (apps, tide) = two_nodes().await;
    let config = tide.json("/api/v1/config").await;
    has_keys(&config, "generation path loaded_at files effective");
    assert_eq!(config["generation"], 1);
    assert_eq!(config["files"].as_array().unwrap().len(), 1, "{config}");
    let effective = config["effective"].as_str().unwrap();
    assert!(
        effective.contains(&apps[0].addr().to_string()),
        "{effective}"
    );
    assert!(effective.contains("round_robin"), "{effective}");
    assert!(
        effective.contains("grace"),
        "defaults are shown: {effective}"
    );
}

#[tokio::test]
async fn the_data_port_shows_nothing_of_it() {
    let (apps, tide) = two_nodes().await;
    for path in ["/metrics", "/api/v1/status", "/readyz"] {
        let answer = tide.get(path).await;
        assert!(
            answer.node().starts_with("app-"),
            "{path} is the app's: {}",
            answer.text()
        );
    }
    let drain = Request::post("/api/v1/upstreams/web/nodes/app-1/drain", "");
    assert!(tide.ask(&drain).await.node().starts_with("app-"));
    assert_eq!(tide.node("web/app-1").await["state"], "up");
    assert_eq!(apps[0].requests() + apps[1].requests(), 4);
}

#[tokio::test]
async fn the_stats_port_answers_while_the_data_port_is_busy() {
    let (apps, tide) = two_nodes().await;
    let gate = Gate::closed();
    for app in &apps {
        let held = gate.clone();
        app.answers(move |seen| Reply::usual(seen).when(&held));
    }
    let load = Load::at(2_000).count(400).start(tide.addr());
    eventually("all are in flight", ms(5_000), async || {
        let held = apps[0].in_flight() + apps[1].in_flight();
        check(held == 400, held)
    })
    .await;
    let began = std::time::Instant::now();
    assert_eq!(tide.status().await["requests"]["in_flight"], 400);
    assert!(began.elapsed() < ms(500), "{:?}", began.elapsed());
    gate.open();
    load.done().await.nothing_failed_of(400);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered() {
    let (_app, tide) = one_node().await;
    let mut client = Client::connect(tide.admin()).await.unwrap();
    for (host, status) in [
        ("evil.test:9900", 421),
        ("localhost:9900", 200),
        ("127.0.0.1", 200),
    ] {
        let request = Request::get("/api/v1/status").host(host);
        assert_eq!(client.ask(&request).await.unwrap().status, status, "{host}");
    }
    let rebound = Request::post("/api/v1/upstreams/web/nodes/app-1/down", "")
        .host("evil.test")
        .field("Origin", "http://evil.test");
    assert_eq!(client.ask(&rebound).await.unwrap().status, 421);
    assert_eq!(tide.node("web/app-1").await["state"], "up");
}

#[tokio::test]
async fn what_only_a_restart_changes_is_told_until_then() {
    let (app, tide) = one_node().await;
    assert_eq!(tide.status().await["waits_for_restart"], json!([]));
    let threads = format!("threads: 7\n{}", web("", nodes([&app])));
    tide.apply(&threads).await;
    let waits = tide.status().await["waits_for_restart"].to_string();
    assert!(waits.contains("threads"), "{waits}");
    let path = tide.path().display().to_string();
    let diff = tide.command(&["diff", "-c", &path]).await;
    assert!(diff.out.contains("restart"), "{}", diff.all());
    tide.apply(&web("", nodes([&app]))).await;
    assert_eq!(tide.status().await["waits_for_restart"], json!([]));
}

#[tokio::test]
async fn one_address_of_a_name_is_drained_alone() {
    let app = Origin::start("app-1").await;
    let port = app.addr().port();
    let list = format!("[{{ addr: \"localhost:{port}\", id: app }}]");
    let tide = Tidegate::run(web("", list)).await;
    let ids = async || -> Vec<String> {
        let web = tide.json("/api/v1/upstreams/web").await;
        let nodes = web["nodes"].as_array().unwrap().clone();
        nodes
            .iter()
            .map(|n| n["id"].as_str().unwrap().into())
            .collect()
    };
    let known = ids().await;
    assert!(known.contains(&"app@127.0.0.1".to_string()), "{known:?}");
    tide.verb("web/app@127.0.0.1", "drain").await;
    for id in ids().await {
        let state = if id == "app@127.0.0.1" { "drain" } else { "up" };
        assert_eq!(
            tide.node(&format!("web/{id}")).await["state"],
            state,
            "{id}"
        );
    }
    tide.verb("web/app", "undrain").await;
    assert_eq!(tide.node("web/app@127.0.0.1").await["state"], "up");
}
