//! What is counted for an upstream.

use std::sync::Arc;

use prometheus::{Histogram, IntCounter};

use super::BUCKETS;
use super::codes::WordCounters;
use super::family::{Counters, Families, Histograms, Mirror, Sample, counters, histograms, label};
use crate::base::reason::End;

#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    connect_duration: Histograms,
    retries: Counters,
    reuse: Counters,
    available: Mirror,
    fail_open: Mirror,
    queue_length: Mirror,
    queue_duration: Histograms,
    budget: Counters,
    hedges: Counters,
}

/// State of an upstream, read when metrics are asked for.
#[derive(Debug, Clone)]
pub struct UpstreamGauges<'a> {
    /// What is counted for it.
    pub metrics: &'a UpstreamMetrics,
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
    retries: Arc<WordCounters>,
    /// How its series name it, as text.
    label: Arc<str>,
}

impl UpstreamMetrics {
    /// Counts a retry.
    pub fn retried(&self, why: End) {
        self.retries.inc(why.as_str());
    }
}

impl UpstreamFamilies {
    pub(super) fn new(f: &Families) -> Self {
        UpstreamFamilies {
            connect_duration: histograms(
                f,
                (
                    "upstream_connect_duration_seconds",
                    "Time to open a connection to a node.",
                ),
                &BUCKETS,
                &["upstream"],
            ),
            retries: counters(
                f,
                "upstream_retries_total",
                "Attempts that followed a failed one.",
                &["upstream", "reason"],
            ),
            reuse: counters(
                f,
                "upstream_connection_reuse_total",
                "Attempts that found an open connection.",
                &["upstream"],
            ),
            available: Mirror::gauge(
                "upstream_nodes_available",
                "Nodes that take new requests without reserve.",
            ),
            fail_open: Mirror::gauge(
                "upstream_fail_open",
                "1 while so few nodes are healthy that health is ignored.",
            ),
            queue_length: Mirror::gauge(
                "upstream_queue_length",
                "Requests that wait for a place on a node.",
            ),
            queue_duration: histograms(
                f,
                (
                    "upstream_queue_duration_seconds",
                    "Time that requests waited for a place on a node.",
                ),
                &BUCKETS,
                &["upstream"],
            ),
            budget: counters(
                f,
                "upstream_retry_budget_exhausted_total",
                "Requests that were not sent again because the retry budget was used up.",
                &["upstream"],
            ),
            hedges: counters(
                f,
                "upstream_hedges_total",
                "Second nodes asked beside the first: all of them, and those that were first to answer.",
                &["upstream", "result"],
            ),
        }
    }

    /// Adds the state of these upstreams.
    pub(super) fn write_state(&self, upstreams: &[UpstreamGauges<'_>], text: &mut String) {
        type Told = fn(&UpstreamGauges<'_>) -> u64;
        let families: [(&Mirror, Told); 3] = [
            (&self.available, |g| g.available as u64),
            (&self.fail_open, |g| u64::from(g.fails_open)),
            (&self.queue_length, |g| g.waiting as u64),
        ];
        for (family, value) in families {
            family.begin(text);
            for g in upstreams {
                family.sample(&[&g.metrics.label], Sample::Whole(value(g)), text);
            }
        }
    }

    pub(super) fn forget(&self, name: &str) {
        for family in [&self.retries, &self.reuse, &self.budget, &self.hedges] {
            family.remove_under(&[name]);
        }
        self.connect_duration.remove_under(&[name]);
        self.queue_duration.remove_under(&[name]);
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
            retries: Arc::new(WordCounters::new(&self.retries, &[name])),
            label: label("upstream", name).into(),
        }
    }
}
