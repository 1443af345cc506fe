//! What is counted for an upstream.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges, histograms};
use crate::base::reason::End;

#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    connect_duration: HistogramVec,
    retries: IntCounterVec,
    reuse: IntCounterVec,
    pub(super) available: IntGaugeVec,
    pub(super) fail_open: IntGaugeVec,
}

/// What is counted for one upstream.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    /// Time to open a connection to a node.
    pub connect_duration: Histogram,
    /// Attempts that found an open connection.
    pub reuse: IntCounter,
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
        }
    }

    pub(super) fn handles(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            connect_duration: self.connect_duration.with_label_values(&[name]),
            reuse: self.reuse.with_label_values(&[name]),
            retries: self.retries.clone(),
            name: name.to_string(),
        }
    }
}
