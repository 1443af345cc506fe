//! What is counted for an upstream.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges, histograms};
use crate::base::reason::End;

#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    connect_duration: HistogramVec,
    retries: IntCounterVec,
    reuse: IntCounterVec,
    available: IntGaugeVec,
    fail_open: IntGaugeVec,
    queue_length: IntGaugeVec,
    queue_duration: HistogramVec,
    budget: IntCounterVec,
    hedges: IntCounterVec,
}

/// State of an upstream, read when metrics are asked for.
#[derive(Debug, Clone, Default)]
pub struct UpstreamGauges<'a> {
    /// Its name.
    pub upstream: &'a str,
    /// Nodes that take new requests without reserve.
    pub available: usize,
    /// Whether health is ignored.
    pub fails_open: bool,
    /// Requests that wait for a place on a node.
    pub waiting: usize,
}

/// What is counted for one upstream.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    /// Time to open a connection to a node.
    pub connect_duration: Histogram,
    /// Attempts that found an open connection.
    pub reuse: IntCounter,
    /// Time that requests waited for a place on a node.
    pub queue_duration: Histogram,
    /// Requests that were not sent again because too many were.
    pub budget_exhausted: IntCounter,
    /// Second nodes that were asked beside the first, and those of them that were first to answer.
    pub hedges: (IntCounter, IntCounter),
    retries: IntCounterVec,
    name: String,
}

impl UpstreamMetrics {
    /// Counts a retry.
    pub fn retried(&self, why: End) {
        self.retries
            .with_label_values(&[self.name.as_str(), why.as_str()])
            .inc();
    }
}

impl UpstreamFamilies {
    pub(super) fn new(r: &Registry) -> Self {
        UpstreamFamilies {
            connect_duration: histograms(
                r,
                "upstream_connect_duration_seconds",
                "Time to open a connection to a node.",
                &["upstream"],
            ),
            retries: counters(
                r,
                "upstream_retries_total",
                "Attempts that followed a failed one.",
                &["upstream", "reason"],
            ),
            reuse: counters(
                r,
                "upstream_connection_reuse_total",
                "Attempts that found an open connection.",
                &["upstream"],
            ),
            available: gauges(
                r,
                "upstream_nodes_available",
                "Nodes that take new requests without reserve.",
                &["upstream"],
            ),
            fail_open: gauges(
                r,
                "upstream_fail_open",
                "1 while so few nodes are healthy that health is ignored.",
                &["upstream"],
            ),
            queue_length: gauges(
                r,
                "upstream_queue_length",
                "Requests that wait for a place on a node.",
                &["upstream"],
            ),
            queue_duration: histograms(
                r,
                "upstream_queue_duration_seconds",
                "Time that requests waited for a place on a node.",
                &["upstream"],
            ),
            budget: counters(
                r,
                "upstream_retry_budget_exhausted_total",
                "Requests that were not sent again because the retry budget was used up.",
                &["upstream"],
            ),
            hedges: counters(
                r,
                "upstream_hedges_total",
                "Second nodes asked beside the first: all of them, and those that were first to answer.",
                &["upstream", "result"],
            ),
        }
    }

    pub(super) fn set(&self, g: &UpstreamGauges<'_>) {
        for (family, value) in [
            (&self.available, g.available as i64),
            (&self.fail_open, i64::from(g.fails_open)),
            (&self.queue_length, g.waiting as i64),
        ] {
            family.with_label_values(&[g.upstream]).set(value);
        }
    }

    /// The state of an upstream that is gone is no state.
    pub(super) fn forget(&self, name: &str) {
        for family in [&self.available, &self.fail_open, &self.queue_length] {
            let _ = family.remove_label_values(&[name]);
        }
    }

    pub(super) fn handles(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            connect_duration: self.connect_duration.with_label_values(&[name]),
            reuse: self.reuse.with_label_values(&[name]),
            queue_duration: self.queue_duration.with_label_values(&[name]),
            budget_exhausted: self.budget.with_label_values(&[name]),
            hedges: (
                self.hedges.with_label_values(&[name, "asked"]),
                self.hedges.with_label_values(&[name, "first"]),
            ),
            retries: self.retries.clone(),
            name: name.to_string(),
        }
    }
}
