//! What a reload would change, before it does: what is in use beside what the files say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use crate::live::control::Control;

/// One reads the files at a time.
static READS: Semaphore = Semaphore::const_new(1);

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(diff))
}

/// `GET /api/v1/config/diff`
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigDiff {
    /// Generation in use.
    pub generation: u64,
    /// What would change; empty: nothing, or the files are wrong.
    pub changes: Vec<ChangeView>,
    /// What is wrong with the files, each with file, line and remedy; empty: nothing.
    pub errors: Vec<String>,
}

/// One difference.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// What is different, in words.
    pub text: String,
    /// Whether a reload cannot bring it about.
    pub needs_restart: bool,
}

/// `GET /api/v1/config/diff`: reads the files and changes nothing.
#[utoipa::path(
    get, path = "/api/v1/config/diff", tag = "read",
    responses((status = 200, body = ConfigDiff))
)]
pub async fn diff(State(control): State<Arc<Control>>) -> Result<Json<ConfigDiff>, Problem> {
    let generation = control.hold.load().generation;
    // The disk may be slow: not on the thread that answers everybody else, and one after the other.
    let _turn = READS.acquire().await;
    let pending = tokio::task::spawn_blocking(move || control.pending()).await;
    let pending =
        pending.map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let (changes, errors) = match pending {
        Ok(changes) => (changes, Vec::new()),
        Err(problems) => (Vec::new(), problems),
    };
    let view = |change: crate::config::diff::Change| ChangeView {
        text: change.what,
        needs_restart: change.needs_restart,
    };
    Ok(Json(ConfigDiff {
        generation,
        changes: changes.into_iter().map(view).collect(),
        errors: errors.iter().map(|p| p.told_to_all()).collect(),
    }))
}
