//! The slow requests as the stats port shows them.
//!
//! A view only: what is slow is decided where a request ends.

use serde::Serialize;

use super::views::stamp;
use crate::telemetry::slow::Slow;

/// `GET /api/v1/slow`
#[derive(Debug, Serialize)]
pub struct SlowRequests {
    /// The latest first.
    pub slow: Vec<SlowView>,
}

/// A slow request.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
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

impl From<Vec<Slow>> for SlowRequests {
    fn from(slow: Vec<Slow>) -> Self {
        SlowRequests {
            slow: slow.into_iter().map(SlowView::from).collect(),
        }
    }
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
