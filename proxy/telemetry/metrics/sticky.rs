//! What is counted of sessions.
//!
//! A request is counted once, when a node has answered it: what became of its session is known then and not before.

use prometheus::IntCounter;

use super::family::{Counters, Families, counters};

#[derive(Debug)]
pub(super) struct StickyFamilies {
    requests: Counters,
}

/// What is counted of the sessions of one upstream.
#[derive(Debug, Clone)]
pub struct StickyMetrics {
    /// Answered by the node that has the session.
    pub kept: IntCounter,
    /// Of no session yet.
    pub new: IntCounter,
    /// Of a session whose node could not be used.
    pub lost: IntCounter,
    /// With a cookie that is forged, expired or not ours.
    pub invalid: IntCounter,
}

impl StickyFamilies {
    pub(super) fn new(f: &Families) -> Self {
        StickyFamilies {
            requests: counters(
                f,
                "sticky_requests_total",
                "Requests that a node answered, by what became of their session.",
                &["upstream", "result"],
            ),
        }
    }

    pub(super) fn forget(&self, upstream: &str) {
        self.requests.remove_under(&[upstream]);
    }

    pub(super) fn handles(&self, upstream: &str) -> StickyMetrics {
        let counter = |result| self.requests.with_label_values(&[upstream, result]);
        StickyMetrics {
            kept: counter("kept"),
            new: counter("new"),
            lost: counter("lost"),
            invalid: counter("invalid"),
        }
    }
}
