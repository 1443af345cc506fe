//! What is counted of resolving names.
//!
//! The labels are names of the file and words of ours; both leave when the file no longer has the name.

use prometheus::{GaugeVec, IntCounterVec, Registry, opts};

use super::{counters, register};

/// Metrics of names.
#[derive(Debug)]
pub struct NameMetrics {
    resolutions: IntCounterVec,
    last_success_at: GaugeVec,
}

impl NameMetrics {
    /// The result of a look-up that found something.
    pub const OK: &str = "ok";

    /// Every result of a look-up.
    pub const RESULTS: [&str; 7] = [
        NameMetrics::OK,
        "empty",
        "nxdomain",
        "servfail",
        "refused",
        "timeout",
        "error",
    ];

    pub(super) fn new(r: &Registry) -> Self {
        let last = GaugeVec::new(
            opts!(
                "dns_last_success_timestamp_seconds",
                "When a name of a node was last resolved."
            ),
            &["name"],
        );
        NameMetrics {
            resolutions: counters(
                r,
                "dns_resolutions_total",
                "Look-ups of names of nodes.",
                &["name", "result"],
            ),
            last_success_at: register(r, last),
        }
    }

    /// A look-up ended so; `result` is one of [`NameMetrics::RESULTS`].
    pub fn ended(&self, name: &str, result: &str) {
        self.resolutions.with_label_values(&[name, result]).inc();
    }

    /// A name was resolved at this time.
    pub fn resolved(&self, name: &str, unix_seconds: f64) {
        self.last_success_at
            .with_label_values(&[name])
            .set(unix_seconds);
    }

    /// The file no longer has this name.
    pub fn left(&self, name: &str) {
        for result in NameMetrics::RESULTS {
            let _ = self.resolutions.remove_label_values(&[name, result]);
        }
        let _ = self.last_success_at.remove_label_values(&[name]);
    }
}
