//! The verbs of the stats port. Each says what it did: before and after.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Caller, Expected};
use super::deeds::Deeds;
use super::problem::{CannotBe, NotThere, Problem};
use super::reads::find_node;
use super::views::NodeView;
use crate::base::node::Intent;
use crate::config::checked::MAX_WEIGHT;
use crate::config::problem::Problem as Mistake;
use crate::live::control::{Control, Reloaded};
use crate::live::overlay::Change;

type Shared = State<Arc<Control>>;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(reload))
        .routes(routes!(weight))
        .routes(routes!(state))
}

/// A reload that was not refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReloadView {
    /// `applied`, or `unchanged`: the files say what is in use already.
    result: &'static str,
    /// Generation in use now.
    generation: u64,
    /// What changed, in words.
    notes: Vec<String>,
    /// What to look at.
    warnings: Vec<String>,
}

/// Another weight.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "told in the document; read by hand, so that what is wrong is said in our words"
)]
struct WeightBody {
    /// The share of new requests it is given beside the other nodes.
    weight: u32,
}

/// `POST /api/v1/reload`
#[utoipa::path(
    post, path = "/api/v1/reload", tag = "change",
    responses(
        (status = 200, body = ReloadView),
        CannotBe,
    )
)]
pub async fn reload(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    Extension(deeds): Extension<Deeds>,
) -> Result<Json<ReloadView>, Problem> {
    // The disk may be slow: not on the thread that answers everybody else.
    let reloading = move || read_again(&control, &caller, &deeds);
    let reloaded = tokio::task::spawn_blocking(reloading).await;
    reloaded.unwrap_or_else(|e| {
        let detail = format!("the reload failed: {e}");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })
}

/// Reads the files again and tells what came of it.
fn read_again(
    control: &Control,
    caller: &Caller,
    deeds: &Deeds,
) -> Result<Json<ReloadView>, Problem> {
    let before = control.hold.load().generation;
    match control.reload(&format!("reload asked for by {caller}"), false) {
        Reloaded::Applied {
            generation,
            notes,
            warnings,
        } => {
            let after = format!("generation {generation}");
            deeds.done("reload", "", format!("generation {before}"), after);
            Ok(Json(ReloadView {
                result: "applied",
                generation,
                notes,
                warnings: warnings.iter().map(Mistake::told_to_all).collect(),
            }))
        }
        Reloaded::Unchanged => {
            let unchanged = format!("generation {before}");
            deeds.done("reload", "", unchanged.clone(), unchanged);
            Ok(Json(ReloadView {
                result: "unchanged",
                generation: control.hold.load().generation,
                notes: Vec::new(),
                warnings: Vec::new(),
            }))
        }
        Reloaded::NotNow(why) => Err(why.into()),
        Reloaded::Refused(problems) => {
            let detail = "the configuration was refused; the one in use stays";
            let errors = problems.iter().map(|problem| {
                let mut error = json!(problem);
                error["text"] = problem.told_to_all().into();
                error
            });
            let errors = errors.collect();
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors))
        }
    }
}

/// `POST /api/v1/upstreams/{upstream}/nodes/{node}/{verb}`: `drain`, `undrain` (`up`), `down`.
#[utoipa::path(
    post, path = "/api/v1/upstreams/{upstream}/nodes/{node}/{verb}", tag = "change",
    params(("upstream" = String, Path), ("node" = String, Path), ("verb" = String, Path, description = "drain, undrain, up or down")),
    responses(
        (status = 200, body = NodeView),
        NotThere,
    )
)]
pub async fn state(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    Path((upstream, node, verb)): Path<(String, String, String)>,
) -> Result<Json<NodeView>, Problem> {
    let (verb, intent) = match verb.as_str() {
        "drain" => ("drain", Intent::Drain),
        "undrain" | "up" => ("undrain", Intent::Up),
        "down" => ("down", Intent::Down),
        _ => {
            let detail =
                format!("there is no verb \"{verb}\"; one of drain, undrain, down, weight");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    change(
        &control,
        (&deeds, verb, expected),
        &upstream,
        &node,
        Change::Intent(intent),
    )
}

/// `POST /api/v1/upstreams/{upstream}/nodes/{node}/weight` with `{"weight": 5}`
#[utoipa::path(
    post, path = "/api/v1/upstreams/{upstream}/nodes/{node}/weight", tag = "change", request_body = WeightBody,
    params(("upstream" = String, Path), ("node" = String, Path)),
    responses(
        (status = 200, body = NodeView),
        NotThere,
        CannotBe,
    )
)]
pub async fn weight(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
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
    change(
        &control,
        (&deeds, "weight", expected),
        &upstream,
        &node,
        Change::Weight(weight),
    )
}

fn change(
    control: &Control,
    (deeds, verb, expected): (&Deeds, &'static str, Option<u64>),
    upstream: &str,
    node: &str,
    change: Change,
) -> Result<Json<NodeView>, Problem> {
    let before = find_node(control, upstream, node)?;
    if before.removed && change == Change::Intent(Intent::Drain) {
        return Ok(Json(before)); // it is draining already, and that is all it can do
    }
    control.change(upstream, node, change, expected)?;
    let after = find_node(control, upstream, node)?;
    let target = format!("{upstream}/{node}");
    deeds.done(verb, target, words(&before), words(&after));
    Ok(Json(after))
}

/// A node in a few words, for before and after.
pub fn words(node: &NodeView) -> String {
    match node.removed {
        true => "removed".into(),
        false => format!("{} weight {}", node.state, node.weight),
    }
}
