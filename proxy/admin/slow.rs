//! The slow requests as the stats port shows them.
//!
//! A view only: what is slow is decided where a request ends.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::Page;
use super::problem::{Problem, Wrong};
use super::views::stamp;
use crate::live::control::Control;
use crate::telemetry::slow::Slow;

/// `GET /api/v1/slow`
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowRequests {
    /// The latest first.
    pub slow: Vec<SlowView>,
    /// The `cursor` of what comes after these; none: that was all.
    pub next_cursor: Option<String>,
}

/// What is asked of the slow requests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SlowAsk {
    /// At most so many, 1 to 1000; 100 unless said.
    #[param(value_type = Option<u64>)]
    limit: Option<String>,
    /// Go on after the piece that had this as its `next_cursor`.
    cursor: Option<String>,
    /// Of this route only.
    route: Option<String>,
}

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(slow))
}

/// `GET /api/v1/slow`: the latest first.
#[utoipa::path(
    get, path = "/api/v1/slow", tag = "read",
    params(SlowAsk),
    responses((status = 200, body = SlowRequests), Wrong)
)]
pub async fn slow(
    State(control): State<Arc<Control>>,
    asked: Result<Query<SlowAsk>, QueryRejection>,
) -> Result<Json<SlowRequests>, Problem> {
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let page = Page {
        limit: asked.limit,
        cursor: asked.cursor,
        ..Page::default()
    };
    let of = |slow: &Slow| {
        asked
            .route
            .as_ref()
            .is_none_or(|route| *route == slow.route)
    };
    let piece = page.of(&control.slow, of)?;
    Ok(Json(SlowRequests {
        slow: piece
            .ones
            .into_iter()
            .map(|(_, slow)| slow.into())
            .collect(),
        next_cursor: piece.next,
    }))
}

/// A slow request.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowView {
    /// When its head had arrived.
    pub at: String,
    /// Its id, the one in the log and in `X-Request-Id`.
    pub id: String,
    /// The client's real address.
    pub client: String,
    /// Its route.
    pub route: String,
    /// Its method.
    pub method: String,
    /// Its `Host`.
    pub host: String,
    /// Its path and query.
    pub target: String,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Where its time went.
    pub t: Phases,
    /// Its upstream.
    pub upstream: String,
    /// The nodes tried, in order.
    pub nodes: Vec<String>,
    /// What the cache did with it; missing where its route has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_reason: Option<&'static str>,
    /// How it ended.
    pub end: &'static str,
}

/// Seconds; what did not happen is missing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Phases {
    /// Waiting for a place on a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<f64>,
    /// Connecting to the node that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// From its arrival to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfb: Option<f64>,
    /// From its arrival to its end.
    pub total: f64,
}

impl From<Slow> for SlowView {
    fn from(s: Slow) -> Self {
        SlowView {
            at: stamp(s.at),
            id: s.id,
            client: s.client.to_string(),
            route: s.route,
            method: s.method,
            host: s.host,
            target: s.target,
            status: s.status,
            bytes_out: s.bytes_out,
            t: Phases {
                queue: s.queue.map(|d| d.as_secs_f64()),
                connect: s.connect.map(|d| d.as_secs_f64()),
                ttfb: s.ttfb.map(|d| d.as_secs_f64()),
                total: s.total.as_secs_f64(),
            },
            upstream: s.upstream,
            nodes: s.nodes,
            cache: s.cache,
            cache_reason: s.cache_reason,
            end: s.end,
        }
    }
}
