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

/// Words of a label and what was counted of each.
pub type Counted = Vec<(&'static str, u64)>;

/// How the tier is when somebody asks.
#[derive(Debug, Clone)]
pub struct TierGauges<'a> {
    /// It is asked.
    pub up: bool,
    /// What was asked of it, and how that went.
    pub stats: &'a Stats,
    /// What became of answers there.
    pub entries: EntryGauges,
    /// What goes on between proxies.
    pub cluster: ClusterGauges,
}

/// What became of answers in the tier, since the start unless it is said otherwise.
#[derive(Debug, Clone, Default)]
pub struct EntryGauges {
    /// Look-ups, by what came of them.
    pub looked_up: Counted,
    /// Leases, by what came of them.
    pub leases: Counted,
    /// Answers that were written.
    pub written: u64,
    /// Answers that were to be written and were not, by why.
    pub dropped: Counted,
    /// Answers that wait to be written, now.
    pub waiting: u64,
    /// Bytes of those.
    pub waiting_bytes: u64,
}

/// What goes on between proxies.
#[derive(Debug, Clone, Default)]
pub struct ClusterGauges {
    /// Purges since the start, by whether they were told or heard.
    pub purges: Counted,
    /// Purges that wait to be told.
    pub waiting: u64,
    /// How often it had to find out since the start what was missed.
    pub resyncs: u64,
    /// Proxies that are there, this one too.
    pub peers: u64,
    /// Those of them that run another configuration than this one.
    pub drifted: u64,
}

/// Metrics of the tier.
#[derive(Debug)]
pub(super) struct TierMetrics {
    up: Mirror,
    errors: Mirror,
    took: Mirror,
    bytes: Mirror,
    requests: Mirror,
    leases: Mirror,
    written: Mirror,
    dropped: Mirror,
    waiting: Mirror,
    waiting_bytes: Mirror,
    purges: Mirror,
    purges_waiting: Mirror,
    resyncs: Mirror,
    peers: Mirror,
    drifted: Mirror,
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
            requests: Mirror::counter(
                "cache_tier_requests_total",
                "Look-ups of stored answers in the shared tier, by what came of them.",
            ),
            leases: Mirror::counter(
                "cache_tier_leases_total",
                "Fetches that one proxy makes for all, by how it was settled who.",
            ),
            written: Mirror::counter(
                "cache_tier_written_total",
                "Answers written to the shared tier.",
            ),
            dropped: Mirror::counter(
                "cache_tier_dropped_total",
                "Answers that were to be written to the shared tier and were not, by reason.",
            ),
            waiting: Mirror::gauge(
                "cache_tier_queue_length",
                "Answers that wait to be written to the shared tier.",
            ),
            waiting_bytes: Mirror::gauge(
                "cache_tier_queue_bytes",
                "Bytes of answers that wait to be written to the shared tier.",
            ),
            purges: Mirror::counter(
                "cluster_purges_total",
                "Purges told to other proxies, and heard from them.",
            ),
            purges_waiting: Mirror::gauge(
                "cluster_purges_queued",
                "Purges made here that the other proxies were not told of yet.",
            ),
            resyncs: Mirror::counter(
                "cluster_resyncs_total",
                "Times it had to be found out which purges were missed.",
            ),
            peers: Mirror::gauge(
                "cluster_peers",
                "Proxies with the same Redis and prefix, this one too.",
            ),
            drifted: Mirror::gauge(
                "cluster_peers_drifted",
                "Proxies with the same Redis and prefix that run another configuration than this one.",
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
        self.entries(&tier.entries, &name, text);
        self.cluster(&tier.cluster, text);
    }

    fn entries(&self, entries: &EntryGauges, name: &str, text: &mut String) {
        let tier = Some(name);
        by(&self.requests, "result", &entries.looked_up, tier, text);
        by(&self.leases, "result", &entries.leases, None, text);
        by(&self.dropped, "reason", &entries.dropped, tier, text);
        for (family, value) in [
            (&self.written, entries.written),
            (&self.waiting, entries.waiting),
            (&self.waiting_bytes, entries.waiting_bytes),
        ] {
            family.begin(text);
            family.sample(&[name], Sample::Whole(value), text);
        }
    }

    fn cluster(&self, cluster: &ClusterGauges, text: &mut String) {
        by(&self.purges, "direction", &cluster.purges, None, text);
        for (family, value) in [
            (&self.purges_waiting, cluster.waiting),
            (&self.resyncs, cluster.resyncs),
            (&self.peers, cluster.peers),
            (&self.drifted, cluster.drifted),
        ] {
            family.begin(text);
            family.sample(&[], Sample::Whole(value), text);
        }
    }
}

/// A family with a sample for each word of a label.
fn by(family: &Mirror, label_name: &str, all: &Counted, tier: Option<&str>, text: &mut String) {
    family.begin(text);
    for (word, count) in all {
        let word = label(label_name, word);
        let labels: Vec<&str> = [Some(word.as_str()), tier].into_iter().flatten().collect();
        family.sample(&labels, Sample::Whole(*count), text);
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
            entries: EntryGauges {
                looked_up: vec![("hit", 4), ("miss", 5)],
                leases: vec![("won", 6)],
                waiting_bytes: 7,
                ..EntryGauges::default()
            },
            cluster: ClusterGauges {
                purges: vec![("sent", 8)],
                peers: 2,
                ..ClusterGauges::default()
            },
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
            r#"tidegate_cache_tier_requests_total{result="hit",tier="redis"} 4"#,
            r#"tidegate_cache_tier_leases_total{result="won"} 6"#,
            r#"tidegate_cache_tier_queue_bytes{tier="redis"} 7"#,
            r#"tidegate_cache_tier_queue_length{tier="redis"} 0"#,
            r#"tidegate_cluster_purges_total{direction="sent"} 8"#,
            "tidegate_cluster_peers 2",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
