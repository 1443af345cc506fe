//! What is told of the tier that proxies share.
//!
//! All of it is counted where it happens, in plain numbers, and read when somebody asks: the floor below knows no
//! metrics. Without `cache.redis` there is no series of it; with it, all of them are there from the start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::family::{Mirror, Sample, label};
use crate::kv::stats::{BUCKETS, FAULTS, Op, Stats};

/// The name of the tier.
pub(super) const REDIS: &str = "redis";
const MICROS: f64 = 1e6;

/// How the tier is when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct TierGauges<'a> {
    /// It is asked.
    pub up: bool,
    /// What was asked of it, and how that went.
    pub stats: &'a Stats,
}

/// Metrics of the tier.
#[derive(Debug)]
pub(super) struct TierMetrics {
    up: Mirror,
    errors: Mirror,
    took: Mirror,
    bytes: Mirror,
}

impl TierMetrics {
    pub(super) fn new() -> Self {
        TierMetrics {
            up: Mirror::gauge(
                "cache_tier_up",
                "Whether the shared tier is used; 0: it is not asked, and requests are served without it.",
            ),
            errors: Mirror::counter(
                "cache_tier_errors_total",
                "Operations of the shared tier without an answer, by what for and why.",
            ),
            took: Mirror::histogram(
                "cache_tier_operation_duration_seconds",
                "Time of round trips to the shared tier that were answered.",
                BUCKETS.iter().map(|micros| *micros as f64 / MICROS),
            ),
            bytes: Mirror::counter(
                "cache_tier_bytes_total",
                "Bytes of keys and values sent to the shared tier, and of what came back.",
            ),
        }
    }

    /// Adds how the tier is.
    pub(super) fn write(&self, tier: &TierGauges<'_>, text: &mut String) {
        let name = label("tier", REDIS);
        let op = |op: Op| label("op", op.as_str());
        self.up.begin(text);
        self.up
            .sample(&[&name], Sample::Whole(tier.up.into()), text);
        self.errors.begin(text);
        for of in Op::ALL {
            for (reason, count) in FAULTS.iter().zip(&tier.stats.of(of).faults) {
                let labels = [&op(of), &label("reason", reason), &name];
                self.errors
                    .sample(&labels.map(String::as_str), read(count), text);
            }
        }
        self.took.begin(text);
        for of in Op::ALL {
            let counted = tier.stats.of(of);
            let counts = counted.buckets.iter().map(|n| n.load(Relaxed));
            let sum = counted.micros.load(Relaxed) as f64 / MICROS;
            self.took.buckets(&[&op(of), &name], counts, sum, text);
        }
        self.bytes.begin(text);
        let all = |bytes: fn(&Stats, Op) -> &AtomicU64| -> u64 {
            let of = |op| bytes(tier.stats, op).load(Relaxed);
            Op::ALL.into_iter().map(of).sum()
        };
        for (direction, bytes) in [
            ("received", all(|stats, op| &stats.of(op).came)),
            ("sent", all(|stats, op| &stats.of(op).sent)),
        ] {
            let labels = [label("direction", direction), name.clone()];
            let labels = [labels[0].as_str(), &labels[1]];
            self.bytes.sample(&labels, Sample::Whole(bytes), text);
        }
    }
}

fn read(count: &AtomicU64) -> Sample {
    Sample::Whole(count.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, State};
    use super::*;

    #[test]
    fn all_of_it_is_there_from_the_start_and_nothing_without_a_tier() {
        let m = Metrics::new("1");
        assert!(!m.text().contains("cache_tier"), "{}", m.text());
        let stats = Stats::default();
        stats.of(Op::Read).faults[2].fetch_add(3, Relaxed);
        stats.of(Op::Read).buckets[1].fetch_add(2, Relaxed);
        stats.of(Op::Read).buckets[BUCKETS.len()].fetch_add(1, Relaxed);
        stats.of(Op::Read).micros.fetch_add(2_500_400, Relaxed);
        stats.of(Op::Write).sent.fetch_add(10, Relaxed);
        stats.of(Op::Read).came.fetch_add(30, Relaxed);
        let tier = TierGauges {
            up: true,
            stats: &stats,
        };
        let text = m.exposition(&State {
            tier: Some(tier),
            ..State::default()
        });
        for line in [
            r#"tidegate_cache_tier_up{tier="redis"} 1"#,
            r#"tidegate_cache_tier_errors_total{op="read",reason="timeout",tier="redis"} 3"#,
            r#"tidegate_cache_tier_errors_total{op="lease",reason="breaker_open",tier="redis"} 0"#,
            r#"tidegate_cache_tier_operation_duration_seconds_bucket{op="read",tier="redis",le="0.0001"} 0"#,
            r#"tidegate_cache_tier_operation_duration_seconds_bucket{op="read",tier="redis",le="0.00025"} 2"#,
            r#"tidegate_cache_tier_operation_duration_seconds_bucket{op="read",tier="redis",le="1"} 2"#,
            r#"tidegate_cache_tier_operation_duration_seconds_bucket{op="read",tier="redis",le="+Inf"} 3"#,
            r#"tidegate_cache_tier_operation_duration_seconds_sum{op="read",tier="redis"} 2.5004"#,
            r#"tidegate_cache_tier_operation_duration_seconds_count{op="read",tier="redis"} 3"#,
            r#"tidegate_cache_tier_operation_duration_seconds_count{op="probe",tier="redis"} 0"#,
            r#"tidegate_cache_tier_bytes_total{direction="sent",tier="redis"} 10"#,
            r#"tidegate_cache_tier_bytes_total{direction="received",tier="redis"} 30"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
