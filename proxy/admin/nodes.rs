//! Nodes that come, go and change at run time: one by one, and many in one request.
//!
//! A wrong item of many stops none of the others; all that are right come into use in one generation.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::words;
use super::caller::Expected;
use super::deeds::Deeds;
use super::problem::{CannotBe, InTheWay, NotThere, Problem, ProblemView};
use super::reads::{find_in, find_node};
use super::views::{self, NodeView};
use crate::base::node::Intent;
use crate::config;
use crate::config::checked::MAX_WEIGHT;
use crate::live::control::{Asked, Control, Verb, VerbError};

type Shared = State<Arc<Control>>;

/// The most changes of one request.
const MANY: usize = 1_000;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(patch, remove))
        .routes(routes!(add))
        .routes(routes!(many))
}

/// Another state, another weight, or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NodePatch {
    /// `up`, `drain` or `down`.
    state: Option<String>,
    /// From 0 to 65535.
    weight: Option<u32>,
}

/// A node, with the keys of an entry of the file.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "told in the document; read as an entry of the file is read"
)]
struct NewNode {
    /// `10.0.0.12:3000`, or a name and a port.
    addr: String,
    /// What it is called; without one, its address.
    id: Option<String>,
    /// Its share of new requests, from 0 to 65535; without one, 1.
    weight: Option<u32>,
    /// `up`, `drain` or `down`; without one, `up`.
    state: Option<String>,
    /// Whether it is used only when no other can be.
    backup: Option<bool>,
    /// Nodes of the lowest number that can be used are used.
    priority: Option<u8>,
    /// How many requests it may have at a time; 0: any number.
    max_conns: Option<u32>,
}

/// One change of many; the keys of a new node with `add`.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "told in the document; read by hand, so that each wrong one is told alone"
)]
struct Item {
    /// `UPSTREAM/NODE`; with `add`, `UPSTREAM` alone is enough.
    node: String,
    /// `drain`, `undrain`, `up`, `down`, `weight`, `add` or `remove`.
    r#do: String,
    /// With `weight` and `add`.
    weight: Option<u32>,
    /// With `add`.
    addr: Option<String>,
}

/// How each change ended, in the order in which they were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Results {
    results: Vec<ResultView>,
}

/// How one change ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultView {
    /// As it was asked for.
    node: String,
    /// The status that it would have been answered with alone.
    status: u16,
    /// The node from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<NodeView>,
    /// Why it was not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemView>,
}

/// `PATCH /api/v1/upstreams/{upstream}/nodes/{node}` with `{"state": "drain", "weight": 5}`, or one of the two.
#[utoipa::path(
    patch, path = "/api/v1/upstreams/{upstream}/nodes/{node}", tag = "change", request_body = NodePatch,
    params(("upstream" = String, Path), ("node" = String, Path)),
    responses(
        (status = 200, body = NodeView),
        NotThere,
        CannotBe,
    )
)]
pub async fn patch(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    Path((upstream, node)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<NodeView>, Problem> {
    let wrong = |why: String| {
        let detail = format!(
            "{why}; send {{\"state\": \"up|drain|down\", \"weight\": N}}, or one of the two"
        );
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    };
    let asked: NodePatch = serde_json::from_slice(&body).map_err(|e| wrong(e.to_string()))?;
    let intent = asked
        .state
        .as_deref()
        .map(state)
        .transpose()
        .map_err(wrong)?;
    let weight = asked.weight;
    if weight.is_some_and(|w| w > MAX_WEIGHT) {
        return Err(wrong(format!("a weight is at most {MAX_WEIGHT}")));
    }
    if intent.is_none() && weight.is_none() {
        return Err(wrong("there is nothing to change".into()));
    }
    let before = find_node(&control, &upstream, &node)?;
    let verb = Verb::Set { intent, weight };
    control.ask(asked_of(&upstream, &node, verb), expected)?;
    let after = find_node(&control, &upstream, &node)?;
    deeds.done(
        "change",
        format!("{upstream}/{node}"),
        words(&before),
        words(&after),
    );
    Ok(Json(after))
}

/// `POST /api/v1/upstreams/{upstream}/nodes`: a node that the file does not name.
#[utoipa::path(
    post, path = "/api/v1/upstreams/{upstream}/nodes", tag = "change", request_body = NewNode,
    params(("upstream" = String, Path)),
    responses(
        (status = 201, body = NodeView),
        NotThere,
        InTheWay,
        CannotBe,
    )
)]
pub async fn add(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    Path(upstream): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<NodeView>), Problem> {
    let Ok(keys) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        let detail = "send the node as JSON, with the keys of an entry of the file: {\"addr\": \"10.0.0.12:3000\", \"weight\": 2}";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    let new = entry(keys)?;
    let id = new.id.clone();
    control.ask(asked_of(&upstream, &id, Verb::Add(Box::new(new))), expected)?;
    let after = find_node(&control, &upstream, &id)?;
    deeds.done("add", format!("{upstream}/{id}"), "absent", words(&after));
    Ok((StatusCode::CREATED, Json(after)))
}

/// `DELETE /api/v1/upstreams/{upstream}/nodes/{node}`: it drains, and is gone. An upstream may be left without any.
#[utoipa::path(
    delete, path = "/api/v1/upstreams/{upstream}/nodes/{node}", tag = "change",
    params(("upstream" = String, Path), ("node" = String, Path)),
    responses(
        (status = 200, body = NodeView),
        NotThere,
        CannotBe,
    )
)]
pub async fn remove(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    Path((upstream, node)): Path<(String, String)>,
) -> Result<Json<NodeView>, Problem> {
    let before = find_node(&control, &upstream, &node)?;
    if before.removed {
        return Ok(Json(before)); // it is on its way already
    }
    control.ask(asked_of(&upstream, &node, Verb::Remove), expected)?;
    deeds.done(
        "remove",
        format!("{upstream}/{node}"),
        words(&before),
        "removed",
    );
    let after = find_node(&control, &upstream, &node);
    Ok(Json(after.unwrap_or_else(|_| before.gone())))
}

/// `POST /api/v1/nodes`: up to a thousand changes, each with a result of its own.
#[utoipa::path(
    post, path = "/api/v1/nodes", tag = "change", request_body = Vec<Item>,
    responses(
        (status = 200, body = Results),
        CannotBe,
    )
)]
pub async fn many(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    body: Bytes,
) -> Result<Json<Results>, Problem> {
    let items = serde_json::from_slice::<Vec<Value>>(&body).unwrap_or_default();
    if items.is_empty() || items.len() > MANY {
        let detail = format!(
            "send 1 to {MANY} changes as JSON: [{{\"node\": \"web/app-1\", \"do\": \"drain\"}}]"
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    // A thousand nodes take a while: not on the thread that answers everybody else.
    let doing = move || each(&control, &deeds, expected, items);
    let done = tokio::task::spawn_blocking(doing).await;
    done.unwrap_or_else(|e| {
        let detail = format!("the changes failed: {e}; the audit says how far they came");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })
}

/// Carries out many changes, and says how each ended.
fn each(
    control: &Control,
    deeds: &Deeds,
    expected: Option<u64>,
    items: Vec<Value>,
) -> Result<Json<Results>, Problem> {
    let asked: Vec<_> = items.into_iter().map(item).collect();
    let right: Vec<Asked> = asked.iter().flat_map(|(_, one)| one.clone()).collect();
    let before = views::upstreams(control, Instant::now());
    let mut ended = control.ask_all(&right, expected)?.into_iter();
    let after = views::upstreams(control, Instant::now());
    let results = asked.into_iter().map(|(name, one)| {
        let one = one.map_err(|(status, why)| Problem::new(status, why));
        let done = one.and_then(|one| {
            let ended = ended
                .next()
                .unwrap_or_else(|| Err(VerbError::Failed("lost".into())));
            ended?;
            let find = |all| find_in(control, all, &one.upstream, &one.node).ok();
            let (was, is) = (find(&before), find(&after));
            let shown = |view: &Option<NodeView>| view.as_ref().map_or("absent".into(), words);
            let target = format!("{}/{}", one.upstream, one.node);
            deeds.done(one.verb.as_str(), target, shown(&was), shown(&is));
            Ok((one.verb, is.or(was.map(NodeView::gone))))
        });
        match done {
            Ok((verb, result)) => ResultView {
                node: name,
                status: match verb {
                    Verb::Add(_) => 201,
                    _ => 200,
                },
                result,
                problem: None,
            },
            Err(problem) => {
                deeds.refused("change", &name, problem.status(), problem.detail());
                ResultView {
                    node: name,
                    status: problem.status().as_u16(),
                    result: None,
                    problem: Some(problem.told()),
                }
            }
        }
    });
    Ok(Json(Results {
        results: results.collect(),
    }))
}

fn asked_of(upstream: &str, node: &str, verb: Verb) -> Asked {
    Asked {
        upstream: upstream.into(),
        node: node.into(),
        verb,
    }
}

/// A state by its word.
fn state(word: &str) -> Result<Intent, String> {
    match word {
        "up" => Ok(Intent::Up),
        "drain" => Ok(Intent::Drain),
        "down" => Ok(Intent::Down),
        _ => Err(format!("there is no state \"{word}\"")),
    }
}

/// A node as the file would have it, or what is wrong with it.
fn entry(mut keys: Map<String, Value>) -> Result<config::checked::Node, Problem> {
    keys.retain(|_, value| !value.is_null());
    config::entry(&Value::Object(keys).to_string(), "the request").map_err(|problems| {
        let errors = problems.iter().map(|problem| {
            let mut error = json!(problem);
            error["text"] = problem.to_string().into();
            error
        });
        let said: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        let detail = format!("this cannot be a node: {}", said.join("; "));
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors.collect())
    })
}

type Wrong = (StatusCode, String);

/// One item of many: what it names, and what it asks for.
fn item(value: Value) -> (String, Result<Asked, Wrong>) {
    let name = value["node"].as_str().unwrap_or_default().to_string();
    let no = |why: String| Err((StatusCode::UNPROCESSABLE_ENTITY, why));
    let Value::Object(mut keys) = value else {
        return (
            name,
            no("a change is an object: {\"node\": \"web/app-1\", \"do\": \"drain\"}".into()),
        );
    };
    keys.remove("node");
    let verb = keys.remove("do");
    let verb = verb.as_ref().and_then(Value::as_str).unwrap_or_default();
    let (upstream, id) = name.split_once('/').unwrap_or((&name, ""));
    let set = |intent| Verb::Set {
        intent: Some(intent),
        weight: None,
    };
    let verb = match verb {
        "drain" => Ok(set(Intent::Drain)),
        "undrain" | "up" => Ok(set(Intent::Up)),
        "down" => Ok(set(Intent::Down)),
        "remove" => Ok(Verb::Remove),
        "weight" => match keys.get("weight").and_then(Value::as_u64) {
            Some(weight) if weight <= u64::from(MAX_WEIGHT) => Ok(Verb::Set {
                intent: None,
                weight: u32::try_from(weight).ok(),
            }),
            _ => Err(format!(
                "`weight` wants \"weight\": N, from 0 to {MAX_WEIGHT}"
            )),
        },
        "add" => {
            if !id.is_empty() {
                keys.insert("id".into(), id.into());
            }
            entry(keys)
                .map(|node| Verb::Add(Box::new(node)))
                .map_err(|p| p.detail().to_string())
        }
        _ => Err(format!(
            "there is no \"do\": \"{verb}\"; one of drain, undrain, down, weight, add, remove"
        )),
    };
    let asked = match verb {
        Ok(Verb::Add(new)) => Ok(asked_of(upstream, &new.id.clone(), Verb::Add(new))),
        Ok(_) if id.is_empty() => no("name the node as UPSTREAM/NODE".into()),
        Ok(verb) => Ok(asked_of(upstream, id, verb)),
        Err(why) => no(why),
    };
    (name, asked)
}
