//! What is counted of the cache.
//!
//! What belongs to a route is resolved once, with the route; reasons and purges have their handles from the start. What
//! the store counts itself is read from it when somebody asks, so that nothing is counted twice.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, histogram_opts,
};

use super::{counters, gauges, register, sum_where};
use crate::base::cached::{Outcome, Why};
use crate::telemetry::history::Amounts;

/// Upper bounds of the look-up histogram, in seconds: a look-up takes about a microsecond.
const LOOKUP_BUCKETS: [f64; 10] = [
    0.000_000_5,
    0.000_001,
    0.000_002,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.001,
    0.01,
];
/// Of so many look-ups one is measured: reading a clock twice costs as much as the look-up itself.
pub const LOOKUPS_PER_SAMPLE: u32 = 64;
/// The only tier so far.
const MEMORY: &str = "memory";

/// Words of the label `kind` of a purge.
const PURGE_KINDS: [&str; 5] = ["url", "tag", "prefix", "host", "all"];
/// Words of the label `mode` of a purge: soft, hard.
const PURGE_MODES: [&str; 2] = ["soft", "hard"];

/// What the store says of itself when somebody asks.
#[derive(Debug, Clone)]
pub struct CacheGauges {
    /// Entries stored.
    pub entries: u64,
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes that may be.
    pub capacity: u64,
    /// Entries removed since the start, by reason.
    pub evicted: [(&'static str, u64); 4],
}

/// Metrics of the cache that belong to no route.
#[derive(Debug)]
pub struct CacheMetrics {
    requests: IntCounterVec,
    express: IntCounterVec,
    coalesced: IntCounterVec,
    hit_bytes: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
    capacity: IntGauge,
    evictions: IntCounterVec,
    /// Held while the store's own counts are taken over: two who ask at a time must not take them twice.
    taking_over: Mutex<()>,
    uncacheable: Vec<(Why, IntCounter)>,
    purges: IntCounterVec,
    lookup: Histogram,
}

impl CacheMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let gauge = |name, help| gauges(r, name, help, &["tier"]).with_label_values(&[MEMORY]);
        let help = format!(
            "Time to look into the store; one look-up of {LOOKUPS_PER_SAMPLE} is measured."
        );
        let options = histogram_opts!(
            "cache_lookup_duration_seconds",
            help,
            LOOKUP_BUCKETS.to_vec()
        );
        let lookup = register(r, HistogramVec::new(options, &["tier"]));
        let uncacheable = counters(
            r,
            "cache_uncacheable_total",
            "Answers that were fetched for the store and not stored, by reason.",
            &["reason"],
        );
        let purges = counters(
            r,
            "cache_purges_total",
            "Purges that were asked for; each may concern many entries.",
            &["kind", "mode"],
        );
        for kind in PURGE_KINDS {
            for mode in PURGE_MODES {
                let _ = purges.with_label_values(&[kind, mode]);
            }
        }
        CacheMetrics {
            requests: counters(
                r,
                "cache_requests_total",
                "Requests of routes with a cache, by what the cache did with them.",
                &["route", "result"],
            ),
            express: counters(
                r,
                "express_requests_total",
                "Requests answered from the cache right where they came in, in the express lane.",
                &["route"],
            ),
            coalesced: counters(
                r,
                "cache_coalesced_requests_total",
                "Requests that were answered by another request's fetch.",
                &["route"],
            ),
            hit_bytes: counters(
                r,
                "cache_hit_bytes_total",
                "Body bytes sent out of the store: of hits, and of what was stale and used.",
                &["route"],
            ),
            entries: gauge("cache_entries", "Answers stored."),
            bytes: gauge(
                "cache_size_bytes",
                "Memory that the store takes, fetches in flight included.",
            ),
            capacity: gauge("cache_capacity_bytes", "Memory that the store may take."),
            evictions: counters(
                r,
                "cache_evictions_total",
                "Answers that left the store.",
                &["tier", "reason"],
            ),
            taking_over: Mutex::default(),
            uncacheable: (Why::ALL.iter().filter(|why| why.is_about_answer()))
                .map(|why| (*why, uncacheable.with_label_values(&[why.as_str()])))
                .collect(),
            purges,
            lookup: lookup.with_label_values(&[MEMORY]),
        }
    }

    /// The handles of a route with a cache; they exist, at zero, from now on. `duration` is the family of its requests.
    pub(super) fn route(&self, name: &str, duration: &HistogramVec) -> CacheRouteMetrics {
        CacheRouteMetrics {
            results: Outcome::ALL
                .map(|outcome| self.requests.with_label_values(&[name, outcome.as_str()])),
            express: self.express.with_label_values(&[name]),
            coalesced: self.coalesced.with_label_values(&[name]),
            hit_bytes: self.hit_bytes.with_label_values(&[name]),
            durations: ["hit", "stale", "miss", "bypass"]
                .map(|word| duration.with_label_values(&[name, word])),
        }
    }

    /// An answer was fetched for the store and not stored.
    pub fn not_stored(&self, why: Why) {
        if let Some((_, counter)) = self.uncacheable.iter().find(|(w, _)| *w == why) {
            counter.inc();
        }
    }

    /// A purge was asked for; `kind` is `url`, `tag`, `prefix`, `host` or `all`.
    pub fn purged(&self, kind: &str, hard: bool) {
        let mode = PURGE_MODES[usize::from(hard)];
        self.purges.with_label_values(&[kind, mode]).inc();
    }

    /// A look-up that was measured took so long.
    pub fn looked_up(&self, took: Duration) {
        self.lookup.observe(took.as_secs_f64());
    }

    /// Requests since the start that the cache did this with, over all routes.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        sum_where(&self.requests, ("result", outcome.as_str())) as u64
    }

    /// Sets what mirrors the store.
    pub fn mirror(&self, store: &CacheGauges) {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.entries.set(signed(store.entries));
        self.bytes.set(signed(store.bytes));
        self.capacity.set(signed(store.capacity));
        let _one_at_a_time = self.taking_over.lock();
        for (reason, total) in store.evicted {
            let counter = self.evictions.with_label_values(&[MEMORY, reason]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

/// What is counted of the cache for one route.
#[derive(Debug)]
pub struct CacheRouteMetrics {
    /// By [`Outcome`], in its order.
    results: [IntCounter; Outcome::ALL.len()],
    pub(super) express: IntCounter,
    coalesced: IntCounter,
    hit_bytes: IntCounter,
    durations: [Histogram; 4],
}

impl CacheRouteMetrics {
    /// Counts a finished request; `collapsed`: it was answered by another one's fetch. `bytes` of body were sent.
    pub(super) fn finished(&self, outcome: Outcome, collapsed: bool, took: Duration, bytes: u64) {
        self.results[outcome as usize].inc();
        if collapsed {
            self.coalesced.inc();
        }
        let at = match outcome {
            Outcome::Hit => 0,
            Outcome::Stale => 1,
            // A node was asked, and waited for.
            Outcome::Revalidated | Outcome::Miss | Outcome::Error => 2,
            Outcome::Bypass => 3,
        };
        if at < 2 {
            self.hit_bytes.inc_by(bytes);
        }
        self.durations[at].observe(took.as_secs_f64());
    }

    /// Reads what was counted into `amounts`; gives the histograms of the time that requests took.
    pub(super) fn read(&self, amounts: &mut Amounts) -> &[Histogram; 4] {
        let count = |outcome: Outcome| self.results[outcome as usize].get();
        let lookups = |outcome: &Outcome| *outcome != Outcome::Bypass;
        amounts.cache_hits = count(Outcome::Hit) + count(Outcome::Stale);
        amounts.cache_lookups = Outcome::ALL.into_iter().filter(lookups).map(count).sum();
        amounts.cache_hit_bytes = self.hit_bytes.get();
        &self.durations
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;
    use crate::base::reason::End;
    use http::Method;

    fn finished(m: &Metrics, outcome: Outcome, collapsed: bool) {
        let took = Duration::from_millis(3);
        let cached = Some((outcome, collapsed));
        m.cached_route("shop")
            .finished(&Method::GET, (200, End::Ok), took, (0, 1), cached);
    }

    #[test]
    fn a_request_is_counted_by_what_the_cache_did() {
        let m = Metrics::new("1");
        finished(&m, Outcome::Hit, false);
        finished(&m, Outcome::Revalidated, false);
        finished(&m, Outcome::Miss, true);
        let text = m.text();
        for line in [
            r#"tidegate_cache_requests_total{result="hit",route="shop"} 1"#,
            r#"tidegate_cache_requests_total{result="revalidated",route="shop"} 1"#,
            r#"tidegate_cache_requests_total{result="error",route="shop"} 0"#,
            r#"tidegate_cache_coalesced_requests_total{route="shop"} 1"#,
            r#"tidegate_http_request_duration_seconds_count{cache="hit",route="shop"} 1"#,
            r#"tidegate_http_request_duration_seconds_count{cache="miss",route="shop"} 2"#,
            r#"tidegate_http_request_duration_seconds_count{cache="bypass",route="shop"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(m.cache.requests(Outcome::Hit), 1);
        assert_eq!(m.cache.requests(Outcome::Bypass), 0);
    }

    #[test]
    fn a_route_without_a_cache_has_no_series_of_one() {
        let m = Metrics::new("1");
        m.route("plain");
        let text = m.text();
        assert!(!text.contains(r#"cache_requests_total{"#), "{text}");
        assert!(!text.contains(r#"cache="hit""#), "{text}");
    }

    #[test]
    fn what_the_store_counts_is_taken_over_once_however_often_it_is_asked() {
        let m = Metrics::new("1");
        let gauges = CacheGauges {
            entries: 3,
            bytes: 300,
            capacity: 1_000,
            evicted: [
                ("capacity", 5),
                ("replaced", 0),
                ("purged", 1),
                ("variants", 0),
            ],
        };
        m.cache.mirror(&gauges);
        m.cache.mirror(&gauges);
        let text = m.text();
        for line in [
            r#"tidegate_cache_entries{tier="memory"} 3"#,
            r#"tidegate_cache_size_bytes{tier="memory"} 300"#,
            r#"tidegate_cache_capacity_bytes{tier="memory"} 1000"#,
            r#"tidegate_cache_evictions_total{reason="capacity",tier="memory"} 5"#,
            r#"tidegate_cache_evictions_total{reason="replaced",tier="memory"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn reasons_and_purges_are_there_before_they_happen() {
        let m = Metrics::new("1");
        m.cache.not_stored(Why::SetCookie);
        m.cache.not_stored(Why::Fresh); // no reason of an answer: counted nowhere
        m.cache.purged("tag", true);
        let text = m.text();
        for line in [
            r#"tidegate_cache_uncacheable_total{reason="set_cookie"} 1"#,
            r#"tidegate_cache_uncacheable_total{reason="private"} 0"#,
            r#"tidegate_cache_purges_total{kind="tag",mode="hard"} 1"#,
            r#"tidegate_cache_purges_total{kind="all",mode="soft"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains(r#"reason="fresh""#), "{text}");
    }
}
