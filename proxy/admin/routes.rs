//! Where requests go: every route, what it matches, what it does and how it fares.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::figures::PointView;
use super::paging::ByName;
use super::problem::{Problem, Wrong};
use crate::config::diff::target;
use crate::config::told;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::history::{self, History};

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// `GET /api/v1/routes`
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteList {
    /// Generation in use.
    pub generation: u64,
    /// Each route, in the order of the file.
    pub routes: Vec<RouteView>,
    /// The `cursor` of what comes after these; none: that was all.
    pub next_cursor: Option<String>,
}

/// A route.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RouteOfList)]
pub struct RouteView {
    /// Its name: the label of its metrics.
    pub name: String,
    /// What it matches, in words.
    #[serde(rename = "match")]
    pub matches: String,
    /// What it does with a request, in words: `upstream web`, `redirect 301 to https://{host}{uri}`.
    pub goes_to: String,
    /// The upstream of its requests; none: it redirects. Where it parts reads from writes, that of the writes.
    pub upstream: Option<String>,
    /// The upstream of its reads, where it parts them from writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
    /// Whether it has a cache.
    pub cache: bool,
    /// `open`, or why the express lane does not serve it: `no_cache`, `redirect`, `cluster_limit`, `off`.
    pub express: &'static str,
    /// Whether it compresses.
    pub compress: bool,
    /// Requests that take longer are kept at hand; none: none are.
    pub slow_seconds: Option<f64>,
    /// Requests since the start.
    pub requests_total: u64,
    /// Of those: answered with 5xx, or not at all though the client stayed.
    pub errors_total: u64,
    /// The last second; none: it was not looked at in time.
    pub second: Option<PointView>,
    /// The last sixty seconds together; none: nothing is known of them yet.
    pub minute: Option<PointView>,
}

/// `GET /api/v1/routes`
#[utoipa::path(
    get, path = "/api/v1/routes", tag = "read", params(ByName),
    responses((status = 200, body = RouteList), Wrong)
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    asked: Result<Query<ByName>, QueryRejection>,
) -> Result<Json<RouteList>, Problem> {
    let asked = ByName::asked(asked)?;
    let snapshot = control.hold.load();
    let history = control.history.lock();
    let all = (0..snapshot.config.routes.len()).map(|at| view(&snapshot, &history, at));
    let all = all.collect();
    drop(history);
    let (routes, next_cursor) = asked.of(all, |route| &route.name)?;
    Ok(Json(RouteList {
        generation: snapshot.generation,
        routes,
        next_cursor,
    }))
}

fn view(snapshot: &Snapshot, history: &History, at: usize) -> RouteView {
    let route = &snapshot.config.routes[at];
    let (requests_total, errors_total) = snapshot.route_metrics[at].totals();
    let name_of = |upstream: usize| snapshot.config.upstreams[upstream].name.clone();
    let mut upstreams = route.upstreams().map(name_of);
    let series = history::route(&route.name);
    RouteView {
        name: route.name.clone(),
        matches: told::matcher(&route.matcher),
        goes_to: target(route, &snapshot.config),
        upstream: upstreams.next(),
        reads: upstreams.next(),
        cache: route.cache.is_some(),
        express: snapshot.express[at].as_str(),
        compress: route.compress.is_some(),
        slow_seconds: route.slow.map(|limit| limit.as_secs_f64()),
        requests_total,
        errors_total,
        second: history.last_second(&series).map(PointView::of_route),
        minute: history.last_minute(&series).map(PointView::of_route),
    }
}
