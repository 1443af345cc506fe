//! What was changed at run time: shown, written into the file, or forgotten.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, RawQuery, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Caller, Expected};
use super::deeds::Deeds;
use super::paging::ByName;
use super::problem::{CannotBe, InTheWay, NotThere, Problem, Wrong};
use crate::live::control::{Control, Unsaved};
use crate::live::overlay::Drift;

type Shared = State<Arc<Control>>;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(drift))
        .routes(routes!(save))
        .routes(routes!(forget))
}

/// `GET /api/v1/drift`
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftList {
    /// Generation in use.
    generation: u64,
    /// Every difference from the file, by upstream and node.
    entries: Vec<DriftView>,
    /// The `cursor` of what comes after these; none: that was all.
    next_cursor: Option<String>,
}

/// A difference between what the file says and what runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftView {
    /// The upstream.
    upstream: String,
    /// The node.
    node: String,
    /// `state`, `weight`, `added` or `removed`.
    what: &'static str,
    /// As the file says; `absent` where it does not name the node.
    file: String,
    /// As it runs; `absent` where it does not.
    now: String,
    /// The same as a sentence.
    text: String,
    /// What the list is sorted by where it comes in pieces.
    #[serde(skip)]
    key: String,
}

impl From<Drift> for DriftView {
    fn from(drift: Drift) -> Self {
        DriftView {
            text: drift.to_string(),
            key: format!("{}/{} {}", drift.upstream, drift.node, drift.what.as_str()),
            upstream: drift.upstream,
            node: drift.node,
            what: drift.what.as_str(),
            file: drift.file,
            now: drift.now,
        }
    }
}

/// What was written, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaveView {
    /// Whether the file now says what runs; not with `dry_run`.
    saved: bool,
    /// What changed in the file, as `diff -u` shows it; empty: there was nothing to save.
    patch: String,
    /// Generation in use.
    generation: u64,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// Only show the patch.
    dry_run: bool,
}

/// What to forget.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DropBody {
    /// `UPSTREAM/NODE`; without it, everything.
    node: Option<String>,
}

/// What was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct DropView {
    /// A sentence each.
    dropped: Vec<String>,
    /// Generation in use.
    generation: u64,
}

/// `GET /api/v1/drift`: what differs from the file.
#[utoipa::path(
    get, path = "/api/v1/drift", tag = "read", params(ByName),
    responses((status = 200, body = DriftList), Wrong)
)]
pub async fn drift(
    State(control): Shared,
    asked: Result<Query<ByName>, QueryRejection>,
) -> Result<Json<DriftList>, Problem> {
    let (generation, entries) = control.drifted();
    let entries: Vec<DriftView> = entries.into_iter().map(Into::into).collect();
    let (entries, next_cursor) = ByName::asked(asked)?.of(entries, |one| &one.key)?;
    Ok(Json(DriftList {
        generation,
        entries,
        next_cursor,
    }))
}

/// `POST /api/v1/save`: the file says what runs, from now on.
#[utoipa::path(
    post, path = "/api/v1/save", tag = "change", params(How),
    responses(
        (status = 200, body = SaveView),
        Wrong,
        InTheWay,
        CannotBe,
    )
)]
pub async fn save(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    how: Result<Query<How>, QueryRejection>,
) -> Result<Json<SaveView>, Problem> {
    let Query(how) = how.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let dry = how.dry_run;
    let who = caller.to_string();
    // The disk may be slow, and others read the stats port meanwhile. It is told where it is done: the caller may be
    // gone before it is.
    let writing = move || {
        let saved = control.save(&who, dry, expected);
        if saved.is_ok() && !dry {
            deeds.done("save", "", "", "the file says what runs");
        } else if dry {
            deeds.looked();
        }
        saved
    };
    let ended = tokio::task::spawn_blocking(writing).await;
    let saved = ended
        .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?
        .map_err(|unsaved| match unsaved {
            Unsaved::Changed(why) => Problem::new(StatusCode::CONFLICT, why),
            Unsaved::Other(other) => other.into(),
            Unsaved::Written(why) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why),
            Unsaved::Cannot { why, patch } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why).with_patch(patch)
            }
        })?;
    Ok(Json(SaveView {
        saved: !dry,
        patch: saved.patch,
        generation: saved.generation,
    }))
}

/// `POST /api/v1/drop`: what runs is what the file says, from now on; of one node, or of all.
#[utoipa::path(
    post, path = "/api/v1/drop", tag = "change", request_body = Option<DropBody>,
    responses(
        (status = 200, body = DropView),
        Wrong,
        NotThere,
        InTheWay,
        CannotBe,
    )
)]
pub async fn forget(
    State(control): Shared,
    Extension(deeds): Extension<Deeds>,
    Extension(Expected(expected)): Extension<Expected>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<DropView>, Problem> {
    if query.is_some() {
        let detail =
            "what to drop stands in the body, not in the query: {\"node\": \"UPSTREAM/NODE\"}";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let wrong = || {
        let detail = "send {\"node\": \"UPSTREAM/NODE\"}, or nothing to drop everything";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    };
    let asked: DropBody = match body.is_empty() {
        true => DropBody::default(),
        false => serde_json::from_slice(&body).map_err(|_| wrong())?,
    };
    let node = match &asked.node {
        None => None,
        Some(name) => Some(name.split_once('/').ok_or_else(wrong)?),
    };
    let (dropped, generation) = control.forget(node, expected)?;
    let target = asked.node.as_deref().unwrap_or_default();
    deeds.done("drop", target, dropped.join("; "), "as the file says");
    Ok(Json(DropView {
        dropped,
        generation,
    }))
}
