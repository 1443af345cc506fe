//! Nodes that come and go at run time: no request is lost, the drift is shown, and a wrong change changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// Three apps, of which the file names the first two.
async fn two_of_three() -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(3).await;
    let keys = "balance: round_robin\ndrain: { timeout: 5s }";
    let tide = Tidegate::run(web(keys, nodes(&apps[..2]))).await;
    (apps, tide)
}

/// The body that adds an app to `web`.
fn body(app: &Origin) -> String {
    json!({ "addr": app.addr().to_string(), "id": app.name() }).to_string()
}

async fn adds(tide: &Tidegate, app: &Origin) -> Value {
    let answer = tide
        .api("POST", "/api/v1/upstreams/web/nodes", &body(app))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The sentences of the drift.
async fn drift(tide: &Tidegate) -> Vec<String> {
    let drift = tide.json("/api/v1/drift").await;
    let entries = drift["entries"].as_array().expect("entries");
    let text = |one: &Value| one["text"].as_str().expect("a text").to_string();
    entries.iter().map(text).collect()
}

#[tokio::test]
async fn a_node_added_under_load_gets_its_share_and_nothing_fails() {
    let (apps, tide) = two_of_three().await;
    let load = Load::at(400).count(1_200).start(tide.addr());
    apps[0].holds(0).await;
    let added = adds(&tide, &apps[2]).await;
    assert_eq!(
        (&added["id"], &added["added"], &added["drift"]),
        (&json!("app-3"), &json!(true), &json!(true)),
        "{added}"
    );
    let tally = load.done().await;
    tally.nothing_failed_of(1_200);
    assert!(tally.of("app-3") > 100, "{tally}");
    let told = drift(&tide).await;
    assert!(
        told[0].starts_with("web/app-3: added at run time ("),
        "{told:?}"
    );
    assert_eq!(tide.status().await["drift"], 1);
    assert_eq!(tide.metric("tidegate_config_drift", &[]).await, Some(1.0));
    // Taken back, it leaves no trace.
    let gone = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/app-3", "")
        .await;
    assert_eq!((gone.status, &gone.json()["removed"]), (200, &json!(true)));
    assert_eq!(drift(&tide).await, [""; 0]);
    Load::at(400)
        .count(40)
        .run(tide.addr())
        .await
        .nothing_failed_of(40);
    assert_eq!(apps[2].requests(), tally.of("app-3"));
}

#[tokio::test]
async fn a_node_removed_under_load_finishes_what_it_has_and_is_gone() {
    let (apps, tide) = two_of_three().await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let load = Load::at(200).count(200).start(tide.addr());
    apps[0].holds(5).await;
    let said = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/app-1", "")
        .await;
    let view = said.json();
    assert_eq!(
        (&view["removed"], &view["state"], &view["reason"]),
        (&json!(true), &json!("drain"), &json!("removed at run time")),
        "{view}"
    );
    assert!(view["drain"]["remaining"].as_u64() >= Some(5), "{view}");
    // Another one of it is the same answer, and a request that began is not cut.
    let again = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/app-1", "")
        .await;
    assert_eq!(again.status, 200, "{}", again.text());
    gate.open();
    load.done().await.nothing_failed_of(200);
    eventually("it is gone", ms(4_000), async || {
        let node = tide
            .api("GET", "/api/v1/upstreams/web/nodes/app-1", "")
            .await;
        check(node.status == 404, node.text())
    })
    .await;
    let told = drift(&tide).await;
    assert!(
        told[0].starts_with("web/app-1: removed at run time; the file names it"),
        "{told:?}"
    );
    // A reload of a file in which its entry is the same does not bring it back; one that changes it does.
    tide.apply(&web("balance: least_conn", nodes(&apps[..2])))
        .await;
    assert_eq!(drift(&tide).await, told);
    let list = format!("[{}, {}]", apps[0].with("weight: 2"), apps[1]);
    tide.write(&web("balance: least_conn", list));
    let reloaded = tide.api("POST", "/api/v1/reload", "").await.json();
    let notes = reloaded["notes"].to_string();
    assert!(
        notes.contains("web/app-1: its entry changed in the file, so it is no longer removed"),
        "{notes}"
    );
    assert_eq!(tide.node("web/app-1").await["weight"], 2);
    assert_eq!(tide.status().await["drift"], 0);
}

#[tokio::test]
async fn an_upstream_may_lose_its_last_node_and_get_another() {
    let (apps, tide) = two_of_three().await;
    for node in ["web/app-1", "web/app-2"] {
        let done = tide.command(&["remove", node, "--wait", "5s"]).await;
        assert_eq!(done.code, 0, "{}", done.all());
    }
    assert_eq!(tide.get("/").await.status, 503);
    assert_eq!(tide.api("GET", "/readyz", "").await.status, 503);
    eventually("it is told", ms(5_000), async || {
        let log = tide.log();
        check(log.contains("upstream web: its last node was removed"), log)
    })
    .await;
    let addr = apps[2].addr().to_string();
    let done = tide
        .command(&["add", "web", &addr, "--id", "app-3", "--weight", "2"])
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(
        done.all().contains("web/app-3: up healthy, weight 2"),
        "{}",
        done.all()
    );
    assert_eq!(tide.get("/").await.node(), "app-3");
    let drift = tide.command(&["drift"]).await;
    assert_eq!(drift.all().lines().count(), 3, "{}", drift.all());
    let dropped = tide.command(&["drop"]).await;
    assert_eq!(
        (dropped.code, dropped.all().lines().count()),
        (0, 3),
        "{}",
        dropped.all()
    );
    let said = tide.command(&["drift"]).await.all();
    assert!(said.contains("everything runs as the file says"), "{said}");
    tide.node_has("web/app-1", "drift", false).await;
    assert_ne!(tide.get("/").await.node(), "app-3");
}

#[tokio::test]
async fn what_cannot_be_changes_nothing_and_says_why() {
    let (apps, tide) = two_of_three().await;
    let generation = tide.generation().await;
    let add = "/api/v1/upstreams/web/nodes";
    let named = |id: &str, more: &str| format!("{{\"addr\":\"10.0.0.1:1\",\"id\":\"{id}\"{more}}}");
    for (method, target, body, status, why) in [
        (
            "POST",
            add,
            body(&apps[0]),
            409,
            "has the node \"app-1\" already",
        ),
        (
            "POST",
            add,
            named("app-1", ""),
            409,
            "has the node \"app-1\" already",
        ),
        (
            "POST",
            "/api/v1/upstreams/none/nodes",
            named("x", ""),
            404,
            "no upstream",
        ),
        ("POST", add, named("x", ",\"weight\":70000"), 422, "70000"),
        ("POST", add, named("x", ",\"wait\":1"), 422, "wait"),
        (
            "POST",
            add,
            named("x", ",\"state\":\"asleep\""),
            422,
            "asleep",
        ),
        (
            "POST",
            add,
            "{\"addr\":\"10.0.0.1\"}".into(),
            422,
            "has no port",
        ),
        ("POST", add, "{}".into(), 422, "has no `addr`"),
        ("POST", add, "[]".into(), 422, "send the node as JSON"),
        (
            "DELETE",
            "/api/v1/upstreams/web/nodes/none",
            String::new(),
            404,
            "no node",
        ),
        (
            "PATCH",
            "/api/v1/upstreams/web/nodes/app-1",
            "{\"state\":\"asleep\"}".into(),
            422,
            "asleep",
        ),
        (
            "PATCH",
            "/api/v1/upstreams/web/nodes/app-1",
            "{\"weight\":-1}".into(),
            422,
            "weight",
        ),
        (
            "PATCH",
            "/api/v1/upstreams/web/nodes/app-1",
            "{}".into(),
            422,
            "nothing to change",
        ),
        (
            "POST",
            "/api/v1/drop",
            "{\"node\":\"web/app-1\"}".into(),
            404,
            "nothing of \"web/app-1\"",
        ),
        ("POST", "/api/v1/nodes", "[]".into(), 422, "1 to 1000"),
    ] {
        let answer = tide.api(method, target, &body).await;
        assert_eq!(
            answer.status,
            status,
            "{method} {target} {body}: {}",
            answer.text()
        );
        let detail = answer.json()["detail"].to_string().replace("\\\"", "\"");
        assert!(detail.contains(why), "{method} {target} {body}: {detail}");
    }
    assert_eq!(tide.generation().await, generation, "nothing was changed");
    assert_eq!(tide.status().await["drift"], 0);
}

#[tokio::test]
async fn of_many_changes_the_wrong_one_stops_none_of_the_others() {
    let (apps, tide) = two_of_three().await;
    let generation = tide.generation().await;
    let asked = json!([
        { "node": "web/app-1", "do": "drain" },
        { "node": "web/none", "do": "drain" },
        { "node": "web/app-1", "do": "weight", "weight": 7 },
        { "node": "web/app-3", "do": "add", "addr": apps[2].addr().to_string(), "max_conns": 9 },
        { "node": "web/app-2", "do": "sing" },
        { "node": "web/app-2", "do": "remove" },
        7,
    ]);
    let answer = tide.api("POST", "/api/v1/nodes", &asked.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let results = told["results"].as_array().expect("results");
    let statuses: Vec<u64> = results
        .iter()
        .filter_map(|r| r["status"].as_u64())
        .collect();
    assert_eq!(statuses, [200, 404, 200, 201, 422, 200, 422], "{told}");
    assert_eq!(results[1]["problem"]["status"], 404, "{told}");
    assert_eq!(
        (
            &results[0]["result"]["state"],
            &results[2]["result"]["weight"]
        ),
        (&json!("drain"), &json!(7)),
        "{told}"
    );
    assert_eq!(results[3]["result"]["max_conns"], 9, "{told}");
    assert_eq!(results[5]["result"]["removed"], true, "{told}");
    assert_eq!(tide.generation().await, generation + 1, "all in one");
    assert_eq!(tide.get("/").await.node(), "app-3");
    let said = tide.command(&["undrain", "web/app-1", "web/none"]).await;
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(
        said.all().contains("web/app-1: up healthy"),
        "{}",
        said.all()
    );
    assert!(
        said.all().contains("web/none: there is no node"),
        "{}",
        said.all()
    );
    let done = tide
        .command(&["drain", "web/app-1", "web/app-3", "--wait", "5s"])
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
}

#[tokio::test]
async fn both_state_and_weight_change_at_once_and_only_of_that_node() {
    let (_apps, tide) = two_of_three().await;
    let generation = tide.generation().await;
    let target = "/api/v1/upstreams/web/nodes/app-1";
    let answer = tide
        .api("PATCH", target, r#"{"state":"down","weight":9}"#)
        .await
        .json();
    assert_eq!(
        (&answer["state"], &answer["weight"]),
        (&json!("down"), &json!(9)),
        "{answer}"
    );
    assert_eq!(tide.generation().await, generation + 1);
    assert_eq!(tide.node("web/app-2").await["drift"], false);
    let told = drift(&tide).await;
    assert_eq!(
        told,
        [
            "web/app-1: the file says state up, it runs with down",
            "web/app-1: the file says weight 1, it runs with 9",
        ]
    );
    let drop = tide
        .api("POST", "/api/v1/drop", r#"{"node":"web/app-1"}"#)
        .await
        .json();
    assert_eq!(drop["dropped"], json!(told), "{drop}");
    let node = tide.node("web/app-1").await;
    assert_eq!(
        (&node["state"], &node["weight"]),
        (&json!("up"), &json!(1)),
        "{node}"
    );
}

#[tokio::test]
async fn an_added_name_is_resolved_as_one_of_the_file_is() {
    let (apps, tide) = two_of_three().await;
    let port = apps[2].addr().port();
    let addr = format!("localhost:{port}");
    let answer = tide
        .api(
            "POST",
            "/api/v1/upstreams/web/nodes",
            &json!({ "addr": addr, "id": "named" }).to_string(),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["added"], true, "{}", answer.text());
    eventually("it has an address", Duration::from_secs(8), async || {
        let node = tide
            .api("GET", "/api/v1/upstreams/web/nodes/named@127.0.0.1", "")
            .await;
        check(node.status == 200, node.text())
    })
    .await;
    let load = Load::at(400).count(60).run(tide.addr()).await;
    assert!(load.of("app-3") > 10, "{load}");
    let one = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/named@127.0.0.1", "")
        .await;
    assert_eq!(one.status, 422, "{}", one.text());
    let all = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/named", "")
        .await;
    assert_eq!(all.status, 200, "{}", all.text());
    assert_eq!(tide.status().await["drift"], 0);
}
