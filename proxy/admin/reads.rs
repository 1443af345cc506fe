//! Reading the stats port.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::paging::ByName;
use super::problem::{NotThere, Problem, Wrong};
use super::status::{self, Status};
use super::views::{self, ConfigView, NodeView, UpstreamView, Upstreams};
use crate::live::control::{Control, VerbError};

type Shared = State<Arc<Control>>;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(status))
        .routes(routes!(config))
        .routes(routes!(upstreams))
        .routes(routes!(upstream))
        .routes(routes!(node))
}

/// `GET /healthz`: the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can serve. Names of nodes and upstreams are for callers that the door knows.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, body = String), (status = 503, description = "`not ready`, or to callers who may read why, a line each", body = String))
)]
pub async fn readyz(State(control): Shared, caller: Option<Extension<Caller>>) -> Response {
    let why = status::not_ready(&control, &control.hold.load(), Instant::now());
    if why.is_empty() {
        return "ready\n".into_response();
    }
    let told = match caller {
        Some(_) => why.join("\n"),
        None => "not ready".into(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, told + "\n").into_response()
}

/// `GET /metrics`
#[utoipa::path(
    get, path = "/metrics", tag = "read",
    responses((status = 200, description = "Prometheus text", body = String))
)]
pub async fn metrics(State(control): Shared) -> Response {
    /// However many ask: one text at a time is written, and the others wait.
    static WRITING: Semaphore = Semaphore::const_new(1);
    let turn = WRITING.acquire().await;
    // Off the thread that answers: a thousand nodes are megabytes, and whoever asks for the health must not wait.
    let text = spawn_blocking(move || control.exposition(Instant::now())).await;
    drop(turn);
    match text {
        Ok(text) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(e) => {
            tracing::error!("the metrics could not be written: {e}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `GET /api/v1/status`
#[utoipa::path(
    get, path = "/api/v1/status", tag = "read",
    responses((status = 200, body = Status))
)]
pub async fn status(State(control): Shared) -> Json<Status> {
    Json(Status::of(&control, Instant::now()))
}

/// `GET /api/v1/upstreams`
#[utoipa::path(
    get, path = "/api/v1/upstreams", tag = "read",
    params(ByName),
    responses((status = 200, body = Upstreams), Wrong)
)]
pub async fn upstreams(
    State(control): Shared,
    asked: Result<Query<ByName>, QueryRejection>,
) -> Result<Json<Upstreams>, Problem> {
    let asked = ByName::asked(asked)?;
    let mut all = views::upstreams(&control, Instant::now());
    (all.upstreams, all.next_cursor) = asked.of(all.upstreams, |u| &u.name)?;
    Ok(Json(all))
}

/// `GET /api/v1/upstreams/{upstream}`
#[utoipa::path(
    get, path = "/api/v1/upstreams/{upstream}", tag = "read",
    params(("upstream" = String, Path)),
    responses((status = 200, body = UpstreamView), NotThere)
)]
pub async fn upstream(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<UpstreamView>, Problem> {
    Ok(Json(find_upstream(&control, &name)?))
}

/// `GET /api/v1/upstreams/{upstream}/nodes/{node}`
#[utoipa::path(
    get, path = "/api/v1/upstreams/{upstream}/nodes/{node}", tag = "read",
    params(("upstream" = String, Path), ("node" = String, Path)),
    responses((status = 200, body = NodeView), NotThere)
)]
pub async fn node(
    State(control): Shared,
    Path((upstream, node)): Path<(String, String)>,
) -> Result<Json<NodeView>, Problem> {
    find_node(&control, &upstream, &node).map(Json)
}

/// `GET /api/v1/config`
#[utoipa::path(
    get, path = "/api/v1/config", tag = "read",
    responses((status = 200, body = ConfigView))
)]
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
    let all = views::upstreams(control, Instant::now());
    Ok(find_in(control, &all, upstream, id)?)
}

/// The same among what was read before; an entry without an address is shown as it will be.
pub fn find_in(
    control: &Control,
    all: &Upstreams,
    upstream: &str,
    id: &str,
) -> Result<NodeView, VerbError> {
    let view = all.upstreams.iter().find(|u| u.name == upstream);
    let view = view.ok_or_else(|| VerbError::UnknownUpstream(upstream.into()))?;
    let of_entry = |n: &&NodeView| {
        n.id.strip_prefix(id)
            .is_some_and(|rest| rest.starts_with('@'))
    };
    let exact = view.nodes.iter().find(|n| n.id == id);
    match exact.or_else(|| view.nodes.iter().find(of_entry)) {
        Some(node) => Ok(node.clone()),
        None => views::unresolved(control, upstream, id)
            .ok_or_else(|| VerbError::UnknownNode(format!("{upstream}/{id}"))),
    }
}
