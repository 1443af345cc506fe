//! What is counted of resolving names.
//!
//! The labels are names of the file and words of ours; both leave ten minutes after the file no longer has the name.

use std::time::Instant;

use super::family::{Counters, Families, FloatGauges, counters, float_gauges};
use super::lives::Lives;

/// Metrics of names.
#[derive(Debug)]
pub struct NameMetrics {
    resolutions: Counters,
    last_success_at: FloatGauges,
    lives: Lives<String, ()>,
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

    pub(super) fn new(f: &Families) -> Self {
        NameMetrics {
            resolutions: counters(
                f,
                "dns_resolutions_total",
                "Look-ups of names of nodes.",
                &["name", "result"],
            ),
            last_success_at: float_gauges(
                f,
                "dns_last_success_timestamp_seconds",
                "When a name of a node was last resolved.",
                &["name"],
            ),
            lives: Lives::default(),
        }
    }

    /// A look-up ended so; `result` is one of [`NameMetrics::RESULTS`].
    pub fn ended(&self, name: &str, result: &str) {
        self.lives.of(name.to_string(), || ());
        self.resolutions.with_label_values(&[name, result]).inc();
    }

    /// A name was resolved at this time.
    pub fn resolved(&self, name: &str, unix_seconds: f64) {
        self.last_success_at
            .with_label_values(&[name])
            .set(unix_seconds);
    }

    /// The file no longer has this name: its state leaves at once, its counts ten minutes later.
    pub fn left(&self, name: &str, now: Instant) {
        self.last_success_at.remove_under(&[name]);
        self.lives.left(name, now);
    }

    pub(super) fn forget_gone(&self, now: Instant) {
        self.lives.forget_gone(now, |name| {
            self.resolutions.remove_under(&[name]);
            self.last_success_at.remove_under(&[name]); // told by a look-up that was on its way
        });
    }
}
