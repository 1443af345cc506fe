//! The verbs of the stats port. Each leaves a line in the log: who, what, before, after.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::problem::Problem;
use super::reads::find_node;
use super::views::NodeView;
use crate::base::node::Intent;
use crate::config::checked::MAX_WEIGHT;
use crate::live::control::{Control, Reloaded};
use crate::live::overlay::Change;

type Shared = State<Arc<Control>>;
type Caller = ConnectInfo<SocketAddr>;

/// `POST /api/v1/reload`
pub async fn reload(
    State(control): Shared,
    ConnectInfo(caller): Caller,
) -> Result<Json<Value>, Problem> {
    let texts = |problems: &[crate::config::problem::Problem]| -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    };
    match control.reload(&format!("reload asked for by {caller}"), false) {
        Reloaded::Applied {
            generation,
            notes,
            warnings,
        } => Ok(Json(json!({
            "result": "applied",
            "generation": generation,
            "notes": notes,
            "warnings": texts(&warnings),
        }))),
        Reloaded::Unchanged => Ok(Json(json!({
            "result": "unchanged",
            "generation": control.hold.load().generation,
            "notes": [],
            "warnings": [],
        }))),
        Reloaded::Refused(problems) => {
            let detail = "the configuration was refused; the one in use stays";
            let errors = problems.iter().map(|problem| {
                let mut error = json!(problem);
                error["text"] = problem.to_string().into();
                error
            });
            let errors = errors.collect();
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors))
        }
    }
}

/// `POST /api/v1/upstreams/{upstream}/nodes/{node}/{verb}`: `drain`, `undrain` (`up`), `down`.
pub async fn state(
    State(control): Shared,
    ConnectInfo(caller): Caller,
    Path((upstream, node, verb)): Path<(String, String, String)>,
) -> Result<Json<NodeView>, Problem> {
    let intent = match verb.as_str() {
        "drain" => Intent::Drain,
        "undrain" | "up" => Intent::Up,
        "down" => Intent::Down,
        _ => {
            let detail =
                format!("there is no verb \"{verb}\"; one of drain, undrain, down, weight");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    change(&control, caller, &upstream, &node, Change::Intent(intent))
}

/// `POST /api/v1/upstreams/{upstream}/nodes/{node}/weight` with `{"weight": 5}`
pub async fn weight(
    State(control): Shared,
    ConnectInfo(caller): Caller,
    Path((upstream, node)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<NodeView>, Problem> {
    let weight = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|v| v.get("weight")?.as_u64())
        .and_then(|w| u32::try_from(w).ok())
        .filter(|w| *w <= MAX_WEIGHT);
    let Some(weight) = weight else {
        let detail = format!("send {{\"weight\": N}} with a whole number N from 0 to {MAX_WEIGHT}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    change(&control, caller, &upstream, &node, Change::Weight(weight))
}

fn change(
    control: &Control,
    caller: SocketAddr,
    upstream: &str,
    node: &str,
    change: Change,
) -> Result<Json<NodeView>, Problem> {
    let before = find_node(control, upstream, node)?;
    if before.removed && change == Change::Intent(Intent::Drain) {
        return Ok(Json(before)); // it is draining already, and that is all it can do
    }
    control.change(upstream, node, change)?;
    let after = find_node(control, upstream, node)?;
    tracing::info!(
        "{caller} changed {upstream}/{node}: {} weight {} -> {} weight {}",
        before.state,
        before.weight,
        after.state,
        after.weight
    );
    Ok(Json(after))
}
