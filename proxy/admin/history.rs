//! Figures over time as the stats port tells them: one series, a list a figure, the oldest first.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{NotThere, Problem, Wrong};
use super::views::stamp;
use crate::live::control::Control;
use crate::telemetry::history::{Point, Shape, Step, TOTAL};

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(history))
}

/// What is asked of the past.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryAsk {
    /// `total`, `upstream:U`, `node:U/N` or `route:R`; `total` unless said.
    of: Option<String>,
    /// `1s` (15 minutes of them) or `1m` (24 hours of them); `1s` unless said.
    step: Option<String>,
    /// At most so many points, the last; all that there are unless said.
    #[param(value_type = Option<u64>)]
    points: Option<String>,
}

/// `GET /api/v1/history`
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryView {
    /// What it is of.
    of: String,
    /// How far apart points are.
    step_seconds: u64,
    /// When the last one ended; none: there is none yet.
    end: Option<String>,
    /// The figures.
    points: Lists,
}

/// A list a figure, as long as each other, the oldest first; null: nothing is known of that step, or there was no request
/// to take a time of. What a series has not is missing.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Lists {
    /// Requests that ended; of nodes: answers.
    requests: Vec<Option<u64>>,
    /// Of those 5xx, or ended without an answer; of nodes: attempts that failed.
    errors: Vec<Option<u64>>,
    /// Seconds within which half were answered.
    p50: Vec<Option<f64>>,
    /// The same for 95 of 100.
    p95: Vec<Option<f64>>,
    /// The same for 99 of 100.
    p99: Vec<Option<f64>>,
    /// In flight at its end; not of routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<Vec<Option<u64>>>,
    /// Attempts that followed a failed one; of upstreams and nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<Vec<Option<u64>>>,
    /// Body bytes from clients; this and what follows not of upstreams and nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in: Option<Vec<Option<u64>>>,
    /// Body bytes to clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out: Option<Vec<Option<u64>>>,
    /// Requests answered from the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_hits: Option<Vec<Option<u64>>>,
    /// Requests that the store was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_lookups: Option<Vec<Option<u64>>>,
    /// Body bytes out of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_hit_bytes: Option<Vec<Option<u64>>>,
}

impl Lists {
    fn of(points: &[Option<Point>], shape: Shape, has_in_flight: bool) -> Self {
        let list = |figure: fn(&Point) -> u64| -> Vec<Option<u64>> {
            points.iter().map(|p| p.as_ref().map(figure)).collect()
        };
        let times = |time: fn(&Point) -> Option<f64>| -> Vec<Option<f64>> {
            points.iter().map(|p| p.as_ref().and_then(time)).collect()
        };
        let of = |wanted: Shape, figure| (shape == wanted).then(|| list(figure));
        Lists {
            requests: list(|p| p.requests),
            errors: list(|p| p.errors),
            p50: times(|p| p.p50),
            p95: times(|p| p.p95),
            p99: times(|p| p.p99),
            in_flight: has_in_flight.then(|| list(|p| p.in_flight)),
            retries: of(Shape::Nodes, |p| p.retries),
            bytes_in: of(Shape::Whole, |p| p.bytes_in),
            bytes_out: of(Shape::Whole, |p| p.bytes_out),
            cache_hits: of(Shape::Whole, |p| p.cache_hits),
            cache_lookups: of(Shape::Whole, |p| p.cache_lookups),
            cache_hit_bytes: of(Shape::Whole, |p| p.cache_hit_bytes),
        }
    }
}

/// `GET /api/v1/history?of=node:web/app-1&step=1s&points=60`
#[utoipa::path(
    get, path = "/api/v1/history", tag = "read", params(HistoryAsk),
    responses((status = 200, body = HistoryView), Wrong, NotThere)
)]
pub async fn history(
    State(control): State<Arc<Control>>,
    asked: Result<Query<HistoryAsk>, QueryRejection>,
) -> Result<Json<HistoryView>, Problem> {
    let Query(asked) = asked.map_err(|e| wrong(e.body_text()))?;
    let step = match asked.step.as_deref() {
        None | Some("1s") => Step::Second,
        Some("1m") => Step::Minute,
        Some(other) => return Err(wrong(format!("`step` is 1s or 1m, not {other:?}"))),
    };
    let most = step.kept();
    let points = match &asked.points {
        None => most,
        Some(text) => (text.parse().ok().filter(|n| (1..=most).contains(n)))
            .ok_or_else(|| wrong(format!("`points` is a number from 1 to {most}")))?,
    };
    let of = asked.of.unwrap_or_else(|| TOTAL.into());
    let history = control.history.lock();
    let found = history.shape(&of).zip(history.points(&of, step, points));
    let end = history.ended(step).map(stamp);
    drop(history);
    let Some((shape, points)) = found else {
        let detail = format!(
            "there is no series {of:?}; one of total, upstream:U, node:U/N, route:R, as the file names them (and \
             `history.not_kept` of the status says how many there was no memory for)"
        );
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let has_in_flight = !of.starts_with("route:");
    Ok(Json(HistoryView {
        step_seconds: step.seconds(),
        end,
        points: Lists::of(&points, shape, has_in_flight),
        of,
    }))
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
