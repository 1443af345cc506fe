//! What is counted of sessions.
//!
//! A request is counted once, when a node has answered it: what became of its session is known then and not before.

use prometheus::IntCounter;

use super::family::{Counters, Families, counters};

#[derive(Debug)]
pub(super) struct StickyFamilies {
    requests: Counters,
    lookups: Counters,
    dropped: Counters,
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

/// What is counted of the sessions of one upstream that all proxies know of.
#[derive(Debug, Clone)]
pub struct SharedStickyMetrics {
    /// Redis knew where the session is.
    pub found: IntCounter,
    /// Redis did not know it.
    pub unknown: IntCounter,
    /// Redis did not answer.
    pub fault: IntCounter,
    /// Sessions it was not told of: too many were waiting.
    pub dropped: IntCounter,
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
            lookups: counters(
                f,
                "sticky_shared_lookups_total",
                "Sessions that Redis was asked for, by what it said.",
                &["upstream", "result"],
            ),
            dropped: counters(
                f,
                "sticky_shared_dropped_total",
                "Sessions that Redis was not told of, because too many were waiting.",
                &["upstream"],
            ),
        }
    }

    pub(super) fn forget(&self, upstream: &str) {
        for family in [&self.requests, &self.lookups, &self.dropped] {
            family.remove_under(&[upstream]);
        }
    }

    pub(super) fn shared(&self, upstream: &str) -> SharedStickyMetrics {
        let lookup = |result| self.lookups.with_label_values(&[upstream, result]);
        SharedStickyMetrics {
            found: lookup("found"),
            unknown: lookup("unknown"),
            fault: lookup("fault"),
            dropped: self.dropped.with_label_values(&[upstream]),
        }
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
