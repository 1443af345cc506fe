//! Figures of one step as they are told: the same names in the status, the lists and the stream.
//!
//! The names are a contract with tools outside; fields are added, never renamed. Seconds are told to the microsecond.

use serde::Serialize;
use utoipa::ToSchema;

use crate::live::control::Control;
use crate::telemetry::history::{History, Point, TOTAL};

/// What came in one step, at the front.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PointView {
    /// Requests that ended.
    pub requests: u64,
    /// Of those: answered with 5xx, or not at all though the client stayed.
    pub errors: u64,
    /// Seconds within which half of them were answered; none: there were none. 10 stands for 10 and more.
    pub p50: Option<f64>,
    /// The same for 95 of 100.
    pub p95: Option<f64>,
    /// The same for 99 of 100.
    pub p99: Option<f64>,
    /// Requests being worked on at its end; missing where they are not counted (of a route).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Requests answered from the store.
    pub cache_hits: u64,
    /// Requests that the store was asked for.
    pub cache_lookups: u64,
    /// Body bytes out of the store.
    pub cache_hit_bytes: u64,
}

impl PointView {
    /// Of all requests.
    pub fn of_all(point: Point) -> Self {
        PointView {
            in_flight: Some(point.in_flight),
            ..PointView::of_route(point)
        }
    }

    /// Of a route, whose requests in flight are not counted.
    pub fn of_route(point: Point) -> Self {
        PointView {
            requests: point.requests,
            errors: point.errors,
            p50: point.p50,
            p95: point.p95,
            p99: point.p99,
            in_flight: None,
            bytes_in: point.bytes_in,
            bytes_out: point.bytes_out,
            cache_hits: point.cache_hits,
            cache_lookups: point.cache_lookups,
            cache_hit_bytes: point.cache_hit_bytes,
        }
    }
}

/// What came in one step on a node, or on all nodes of an upstream.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodePointView {
    /// Answers.
    pub requests: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Attempts that followed a failed one on another node.
    pub retries: u64,
    /// Seconds within which half of the attempts were over; none: there were none. 10 stands for 10 and more.
    pub p50: Option<f64>,
    /// The same for 95 of 100.
    pub p95: Option<f64>,
    /// The same for 99 of 100.
    pub p99: Option<f64>,
    /// Requests in flight at its end.
    pub in_flight: u64,
}

impl From<Point> for NodePointView {
    fn from(point: Point) -> Self {
        NodePointView {
            requests: point.requests,
            errors: point.errors,
            retries: point.retries,
            p50: point.p50,
            p95: point.p95,
            p99: point.p99,
            in_flight: point.in_flight,
        }
    }
}

/// The last second of all requests, and their last sixty together.
pub fn total(control: &Control) -> (Option<PointView>, Option<PointView>) {
    let history = control.history.lock();
    let told = |point: Option<Point>| point.map(PointView::of_all);
    (
        told(history.last_second(TOTAL)),
        told(history.last_minute(TOTAL)),
    )
}

/// The last second of the nodes that a series is of.
pub fn nodes(history: &History, series: &str) -> Option<NodePointView> {
    history.last_second(series).map(Into::into)
}
