//! What is counted of reloads, and which configuration is in use.

use prometheus::{Gauge, IntGauge};

use super::family::{Counters, Families, counters, float_gauges, gauge};

/// Words of the label `result`.
const RESULTS: [&str; 3] = ["applied", "unchanged", "refused"];

/// Metrics of reloads and of the configuration in use.
#[derive(Debug)]
pub struct ReloadMetrics {
    total: Counters,
    last_successful: IntGauge,
    last_success_at: Gauge,
    generation: IntGauge,
    drift: IntGauge,
}

impl ReloadMetrics {
    /// A reload applied (or found nothing to change): `result` is `applied` or `unchanged`.
    pub fn succeeded(&self, result: &str, unix_seconds: f64) {
        self.total.with_label_values(&[result]).inc();
        self.last_successful.set(1);
        self.last_success_at.set(unix_seconds);
    }

    /// A reload was refused.
    pub fn refused(&self) {
        self.total.with_label_values(&["refused"]).inc();
        self.last_successful.set(0);
    }

    /// What is in use now.
    pub fn in_use(&self, generation: u64, drift: usize) {
        self.generation.set(generation as i64);
        self.drift.set(drift as i64);
    }
}

impl ReloadMetrics {
    pub(super) fn new(f: &Families) -> Self {
        let total = counters(
            f,
            "config_reloads_total",
            "Reloads, by what became of them.",
            &["result"],
        );
        for result in RESULTS {
            let _ = total.with_label_values(&[result]);
        }
        ReloadMetrics {
            total,
            last_successful: gauge(
                f,
                "config_last_reload_successful",
                "Whether the last reload was accepted.",
            ),
            last_success_at: float_gauges(
                f,
                "config_last_reload_success_timestamp_seconds",
                "When a reload was last accepted.",
                &[],
            )
            .with_label_values(&[]),
            generation: gauge(
                f,
                "config_generation",
                "Generation of the configuration in use.",
            ),
            drift: gauge(
                f,
                "config_drift",
                "Nodes changed at run time, not in the file.",
            ),
        }
    }
}
