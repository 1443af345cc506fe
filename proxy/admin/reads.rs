//! Reading the stats port.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::problem::Problem;
use super::slow::SlowRequests;
use super::views::{self, ConfigView, NodeView, Status, UpstreamView, Upstreams};
use crate::live::control::{Control, VerbError};

/// Slow requests in one answer, unless it is asked for another number.
const SLOW_AT_ONCE: usize = 100;

type Shared = State<Arc<Control>>;

/// `GET /healthz`: the process lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can serve.
pub async fn readyz(State(control): Shared) -> Response {
    let why = views::not_ready(&control, &control.hold.load(), Instant::now());
    if why.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, why.join("\n") + "\n").into_response()
}

/// `GET /metrics`
pub async fn metrics(State(control): Shared) -> impl IntoResponse {
    control.mirror(Instant::now());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], control.metrics.text())
}

/// `GET /api/v1/status`
pub async fn status(State(control): Shared) -> Json<Status> {
    Json(Status::of(&control, Instant::now()))
}

/// `GET /api/v1/upstreams`
pub async fn upstreams(State(control): Shared) -> Json<Upstreams> {
    Json(views::upstreams(&control, Instant::now()))
}

/// `GET /api/v1/upstreams/{upstream}`
pub async fn upstream(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<UpstreamView>, Problem> {
    Ok(Json(find_upstream(&control, &name)?))
}

/// `GET /api/v1/upstreams/{upstream}/nodes/{node}`
pub async fn node(
    State(control): Shared,
    Path((upstream, node)): Path<(String, String)>,
) -> Result<Json<NodeView>, Problem> {
    find_node(&control, &upstream, &node).map(Json)
}

/// What is asked of the slow requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowAsk {
    /// At most so many.
    limit: Option<String>,
    /// Of this route only.
    route: Option<String>,
}

/// `GET /api/v1/slow`: the latest first.
pub async fn slow(
    State(control): Shared,
    ask: Result<Query<SlowAsk>, QueryRejection>,
) -> Result<Json<SlowRequests>, Problem> {
    let Query(ask) = ask.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let limit = match ask.limit.as_deref().map(str::parse) {
        None => SLOW_AT_ONCE,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "`limit` is a number from 0 to 500",
            ));
        }
    };
    let latest = control.slow.latest(limit, ask.route.as_deref());
    Ok(Json(latest.into()))
}

/// `GET /api/v1/config`
pub async fn config(State(control): Shared) -> Json<ConfigView> {
    let snapshot = control.hold.load();
    Json(ConfigView {
        generation: snapshot.generation,
        path: control.source().name(),
        loaded_at: views::stamp(snapshot.loaded_at),
        files: control
            .files()
            .iter()
            .map(|f| f.display().to_string())
            .collect(),
        waits_for_restart: control.waits_for_restart(),
        effective: control.effective(),
    })
}

fn find_upstream(control: &Control, name: &str) -> Result<UpstreamView, VerbError> {
    views::upstreams(control, Instant::now())
        .upstreams
        .into_iter()
        .find(|u| u.name == name)
        .ok_or_else(|| VerbError::UnknownUpstream(name.into()))
}

/// The node of this id, or the first address of the entry of this id.
pub fn find_node(control: &Control, upstream: &str, id: &str) -> Result<NodeView, Problem> {
    let mut nodes = find_upstream(control, upstream)?.nodes;
    let exact = nodes.iter().position(|n| n.id == id);
    let of_entry = || {
        nodes.iter().position(|n| {
            n.id.strip_prefix(id)
                .is_some_and(|rest| rest.starts_with('@'))
        })
    };
    match exact.or_else(of_entry) {
        Some(at) => Ok(nodes.swap_remove(at)),
        None => Err(VerbError::UnknownNode(format!("{upstream}/{id}")).into()),
    }
}
