//! What is counted of spans: which arrived where traces are collected, and which were lost on the way.
//!
//! There from the start, at zero, whether spans are made or not: a query for what was lost finds something.

use prometheus::IntCounter;

use super::family::{Families, counter, counters};

/// Metrics of spans.
#[derive(Debug)]
pub struct SpanMetrics {
    exported: IntCounter,
    no_room: IntCounter,
    undelivered: IntCounter,
    rejected: IntCounter,
}

impl SpanMetrics {
    pub(super) fn new(f: &Families) -> Self {
        let exported = counter(f, "spans_exported_total", "Spans that a collector took.");
        let dropped = counters(
            f,
            "spans_dropped_total",
            "Spans that no collector has.",
            &["reason"],
        );
        let lost = |reason: &str| dropped.with_label_values(&[reason]);
        SpanMetrics {
            exported,
            no_room: lost("queue_full"),
            undelivered: lost("undelivered"),
            rejected: lost("rejected"),
        }
    }

    /// So many were taken.
    pub fn exported(&self, spans: u64) {
        self.exported.inc_by(spans);
    }

    /// One found the line full.
    pub fn no_room(&self) {
        self.no_room.inc();
    }

    /// So many could not be delivered.
    pub fn undelivered(&self, spans: u64) {
        self.undelivered.inc_by(spans);
    }

    /// So many were not wanted.
    pub fn rejected(&self, spans: u64) {
        self.rejected.inc_by(spans);
    }
}
