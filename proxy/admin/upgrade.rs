//! The upgrade: another process takes over from this one, and whoever asked is told how it went.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::deeds::Deeds;
use super::problem::{CannotBe, InTheWay, Problem};
use crate::base::units;
use crate::live::control::Control;
use crate::live::handover::{LONGEST, NotNow, PATIENCE};

type Shared = State<Arc<Control>>;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(upgrade))
}

/// How to upgrade.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct UpgradeBody {
    /// How long the next process may take until it serves, as `60s` (the default); at most `10m`.
    wait: Option<String>,
}

/// An upgrade that was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpgradeView {
    /// The process that serves from now on.
    pid: u32,
    /// Its version.
    version: String,
    /// The process that served until now; it finishes what it has.
    was: u32,
}

/// `POST /api/v1/upgrade`
#[utoipa::path(
    post, path = "/api/v1/upgrade", tag = "change",
    request_body(content = UpgradeBody, description = "may be left out"),
    responses(
        (status = 200, body = UpgradeView),
        InTheWay,
        CannotBe,
    )
)]
pub async fn upgrade(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    Extension(deeds): Extension<Deeds>,
    body: Bytes,
) -> Result<Json<UpgradeView>, Problem> {
    let patience = patience(&body)?;
    let asked = control
        .handover
        .ask(format!("upgrade asked for by {caller}"), patience);
    let outcome = asked.map_err(|why| {
        let detail = match why {
            NotNow::UnderWay => "the next process is being started already; one at a time",
            NotNow::Unheard => {
                "this process stops, or has handed over already; ask the one that serves"
            }
        };
        Problem::new(StatusCode::CONFLICT, detail)
    })?;
    match outcome.await {
        Ok(Ok(next)) => {
            let was = std::process::id();
            let after = format!("process {} (version {})", next.pid, next.version);
            deeds.done("upgrade", "", format!("process {was}"), after);
            Ok(Json(UpgradeView {
                pid: next.pid,
                version: next.version,
                was,
            }))
        }
        Ok(Err(why)) => Err(cannot(format!(
            "the upgrade failed, and this process serves on: {why}"
        ))),
        Err(_) => Err(cannot("this process was told to stop meanwhile".into())),
    }
}

fn cannot(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

fn patience(body: &Bytes) -> Result<Duration, Problem> {
    if body.is_empty() {
        return Ok(PATIENCE);
    }
    let body: UpgradeBody = serde_json::from_slice(body).map_err(|e| {
        cannot(format!(
            "the body says how long to wait, as {{\"wait\": \"60s\"}}: {e}"
        ))
    })?;
    let Some(wait) = body.wait else {
        return Ok(PATIENCE);
    };
    match units::duration(&wait) {
        Ok(wait) if !wait.is_zero() && wait <= LONGEST => Ok(wait),
        Ok(_) => Err(cannot(format!(
            "`wait` is {wait}; it can be more than 0s and at most 10m"
        ))),
        Err(why) => Err(cannot(format!("`wait` is {wait:?}: {why}"))),
    }
}
