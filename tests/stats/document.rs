//! `/api/openapi.json` against real answers: what it says of every path is what that path does.
//!
//! Every operation of the document has a row here; an operation without one fails, so that none is added untested.

use serde_json::{Value, json};

use crate::support::client::{Answer, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::reply::Reply;

/// Asked so: method, path of the document, what is really asked, with this body, and the status that comes back.
type Row = (&'static str, &'static str, &'static str, &'static str, u16);

const READS: &[Row] = &[
    ("get", "/healthz", "/healthz", "", 200),
    ("get", "/readyz", "/readyz", "", 200),
    ("get", "/metrics", "/metrics", "", 200),
    ("get", "/api/v1/status", "/api/v1/status", "", 200),
    ("get", "/api/v1/config", "/api/v1/config", "", 200),
    ("get", "/api/v1/slow", "/api/v1/slow?limit=2", "", 200),
    ("get", "/api/v1/slow", "/api/v1/slow?limit=0", "", 400),
    // An answer without an end is not read here: `following` has its story.
    ("get", "/api/v1/log", "/api/v1/log?status=no", "", 400),
    ("get", "/api/v1/events", "/api/v1/events?limit=2", "", 200),
    ("get", "/api/v1/events", "/api/v1/events?kind=no", "", 400),
    ("get", "/api/v1/audit", "/api/v1/audit", "", 200),
    ("get", "/api/v1/audit", "/api/v1/audit?nonsense=1", "", 400),
    ("get", "/api/v1/history", "/api/v1/history", "", 200),
    (
        "get",
        "/api/v1/history",
        "/api/v1/history?of=node:web/app-1&step=1m",
        "",
        200,
    ),
    ("get", "/api/v1/history", "/api/v1/history?step=2s", "", 400),
    ("get", "/api/v1/history", "/api/v1/history?of=no", "", 404),
    ("get", "/api/v1/routes", "/api/v1/routes", "", 200),
    ("get", "/api/v1/routes", "/api/v1/routes?limit=0", "", 400),
    ("get", "/api/v1/config/diff", "/api/v1/config/diff", "", 200),
    ("get", "/api/v1/upstreams", "/api/v1/upstreams", "", 200),
    (
        "get",
        "/api/v1/upstreams",
        "/api/v1/upstreams?limit=0",
        "",
        400,
    ),
    (
        "get",
        "/api/v1/upstreams/{upstream}",
        "/api/v1/upstreams/web",
        "",
        200,
    ),
    (
        "get",
        "/api/v1/upstreams/{upstream}",
        "/api/v1/upstreams/none",
        "",
        404,
    ),
    (
        "get",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/app-1",
        "",
        200,
    ),
    (
        "get",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/none",
        "",
        404,
    ),
    ("get", "/api/v1/cache", "/api/v1/cache", "", 200),
    (
        "get",
        "/api/v1/certificates",
        "/api/v1/certificates",
        "",
        200,
    ),
    ("get", "/api/v1/cluster", "/api/v1/cluster", "", 200),
    (
        "get",
        "/api/v1/cache/explain",
        "/api/v1/cache/explain?url=http%3A%2F%2Fa%2Fkept",
        "",
        200,
    ),
    (
        "get",
        "/api/v1/cache/explain",
        "/api/v1/cache/explain",
        "",
        400,
    ),
];

/// Answers that have no end; what comes in them is looked at in stories of their own.
const ENDLESS: &[(&str, &str)] = &[("get", "/api/v1/stream")];

const CHANGES: &[Row] = &[
    (
        "patch",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/app-1",
        r#"{"state":"drain","weight":2}"#,
        200,
    ),
    (
        "patch",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/app-1",
        "{}",
        422,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes",
        "/api/v1/upstreams/web/nodes",
        r#"{"addr":"127.0.0.1:9","id":"new","state":"down"}"#,
        201,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes",
        "/api/v1/upstreams/web/nodes",
        r#"{"addr":"127.0.0.1:9"}"#,
        409,
    ),
    ("get", "/api/v1/drift", "/api/v1/drift", "", 200),
    // Without tokens nobody may; `saving` has what it answers.
    ("post", "/api/v1/save", "/api/v1/save", "", 403),
    (
        "post",
        "/api/v1/nodes",
        "/api/v1/nodes",
        r#"[{"node":"web/new","do":"up"},{"node":"web/none","do":"up"}]"#,
        200,
    ),
    ("post", "/api/v1/nodes", "/api/v1/nodes", "{}", 422),
    (
        "delete",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/new",
        "",
        200,
    ),
    (
        "delete",
        "/api/v1/upstreams/{upstream}/nodes/{node}",
        "/api/v1/upstreams/web/nodes/none",
        "",
        404,
    ),
    ("post", "/api/v1/drop", "/api/v1/drop", "", 200),
    (
        "post",
        "/api/v1/drop",
        "/api/v1/drop",
        r#"{"node":"web/none"}"#,
        404,
    ),
    ("post", "/api/v1/reload", "/api/v1/reload", "", 200),
    // Without tokens nobody may; `upgrade` has what it answers.
    ("post", "/api/v1/upgrade", "/api/v1/upgrade", "", 403),
    (
        "post",
        "/api/v1/purge",
        "/api/v1/purge",
        r#"{"all":true}"#,
        200,
    ),
    (
        "post",
        "/api/v1/purge",
        "/api/v1/purge",
        r#"[{"tag":"a"},{"nothing":1}]"#,
        200,
    ),
    ("post", "/api/v1/purge", "/api/v1/purge", "no", 400),
    ("post", "/api/v1/purge", "/api/v1/purge", "{}", 422),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/{verb}",
        "/api/v1/upstreams/web/nodes/app-1/drain",
        "",
        200,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/{verb}",
        "/api/v1/upstreams/web/nodes/app-1/undrain",
        "",
        200,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/{verb}",
        "/api/v1/upstreams/web/nodes/app-1/sing",
        "",
        404,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/weight",
        "/api/v1/upstreams/web/nodes/app-1/weight",
        r#"{"weight":3}"#,
        200,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/weight",
        "/api/v1/upstreams/web/nodes/app-1/weight",
        r#"{"weight":-1}"#,
        422,
    ),
    (
        "post",
        "/api/v1/upstreams/{upstream}/nodes/{node}/weight",
        "/api/v1/upstreams/web/nodes/none/weight",
        r#"{"weight":3}"#,
        404,
    ),
];

/// A proxy that has done a bit of everything, so that hardly anything in its answers is missing.
async fn busy() -> (Vec<Origin>, Redis, Tidegate) {
    let (apps, redis) = (Origin::several(2).await, Redis::run().await);
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).field("Cache-Control", "max-age=60"));
    }
    let yaml = format!(
        "cache: {{ redis: {{ url: \"{}\" }} }}\nupstreams:\n  web:\n    nodes: {}\nroutes:\n  - match: {{ path: /kept }}\n    upstream: web\n    cache: {{}}\n    slow: 1ms\n  - upstream: web\n    slow: 1ms\n",
        redis.url(),
        nodes(&apps)
    );
    let tide = Tidegate::run(complete(&yaml)).await;
    for target in ["/kept", "/kept", "/other"] {
        assert_eq!(tide.ask(&Request::get(target).host("a")).await.status, 200);
    }
    (apps, redis, tide)
}

/// The document, as strict as it can be read.
pub async fn document(tide: &Tidegate) -> Value {
    sealed(tide.json("/api/openapi.json").await)
}

/// The document, in which no object may have a member that it does not name: what is answered is what is told.
fn sealed(mut document: Value) -> Value {
    fn seal(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                if members.contains_key("properties")
                    && !members.contains_key("additionalProperties")
                {
                    members.insert("additionalProperties".into(), json!(false));
                }
                members.values_mut().for_each(seal);
            }
            Value::Array(items) => items.iter_mut().for_each(seal),
            _ => {}
        }
    }
    seal(&mut document["components"]["schemas"]);
    document
}

/// What is wrong with an answer, given what the document says of it.
fn differs(document: &Value, (method, path, ..): &Row, answer: &Answer) -> Option<String> {
    let status = answer.status.to_string();
    let said = &document["paths"][*path][*method]["responses"][&status]["content"];
    let Some((kind, told)) = said.as_object().and_then(|kinds| kinds.iter().next()) else {
        return Some(format!("{status} is not in the document: {said}"));
    };
    let is = answer.head.get("content-type").unwrap_or_default();
    if is.split(';').next() != Some(kind.as_str()) {
        return Some(format!("it is {is}, not {kind}"));
    }
    if !kind.ends_with("json") {
        return None;
    }
    breaks(document, told["schema"].clone(), &answer.json())
}

/// What is wrong with a value, given what the document says of all that have this name.
pub fn misfit(document: &Value, name: &str, value: &Value) -> Option<String> {
    breaks(
        document,
        document["components"]["schemas"][name].clone(),
        value,
    )
}

fn breaks(document: &Value, mut schema: Value, value: &Value) -> Option<String> {
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong = validator.iter_errors(value).next()?;
    Some(format!("{wrong} at {}", wrong.instance_path()))
}

#[tokio::test]
async fn every_path_answers_as_the_document_says() {
    let (_apps, _redis, tide) = busy().await;
    let document = document(&tide).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut untold = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let is_row = |row: &&Row| row.0 == method && row.1 == path;
            let ends = !ENDLESS.contains(&(method.as_str(), path.as_str()));
            if ends && !READS.iter().chain(CHANGES).any(|row| is_row(&row)) {
                untold.push(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(untold, [""; 0], "operations that no row asks");
    // What can be read is read once more when everything has changed.
    let mut wrong = Vec::new();
    for row in READS.iter().chain(CHANGES).chain(READS) {
        let (method, _, target, body, status) = row;
        let answer = tide.api(&method.to_uppercase(), target, body).await;
        let what = match differs(&document, row, &answer) {
            _ if answer.status != *status => format!("{}, not {status}", answer.status),
            Some(what) => what,
            None => continue,
        };
        wrong.push(format!("{method} {target}: {what}\n  {}", answer.text()));
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn a_member_that_the_document_does_not_name_would_be_found() {
    let (_apps, _redis, tide) = busy().await;
    let mut document = document(&tide).await;
    let row = READS
        .iter()
        .find(|row| row.1 == "/api/v1/status")
        .expect("a row");
    let answer = tide.api("GET", row.2, "").await;
    assert_eq!(differs(&document, row, &answer), None);
    let schema = &mut document["components"]["schemas"]["Status"];
    schema["properties"]
        .as_object_mut()
        .expect("properties")
        .remove("pid");
    assert!(differs(&document, row, &answer).is_some_and(|what| what.contains("pid")));
}
