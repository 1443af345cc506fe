//! What is counted of the cache.
//!
//! What belongs to a route is resolved once, with the route; reasons and purges have their handles from the start. What
//! the store counts itself is read from it when somebody asks, so that nothing is counted twice.

use std::time::Duration;

use parking_lot::RwLock;
use prometheus::{Histogram, IntCounter};

use super::family::{
    Counters, Families, Histograms, Mirror, Sample, counters, histograms, label, sum,
};
use super::tier::REDIS;
use crate::base::cached::{Outcome, Why};
use crate::telemetry::history::Amounts;

/// Upper bounds of the look-up histogram, in seconds: a look-up in memory takes about a microsecond, one in Redis a
/// thousand times that.
const LOOKUP_BUCKETS: [f64; 12] = [
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
    0.1,
    1.0,
];
/// Of so many look-ups one is measured: reading a clock twice costs as much as the look-up itself.
pub const LOOKUPS_PER_SAMPLE: u32 = 64;
const _: () = assert!(LOOKUPS_PER_SAMPLE == 64, "HELP says so");
/// The tier in front.
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
    requests: Counters,
    express: Counters,
    coalesced: Counters,
    hit_bytes: Counters,
    entries: Mirror,
    bytes: Mirror,
    capacity: Mirror,
    evictions: Mirror,
    uncacheable: Vec<(Why, IntCounter)>,
    purges: Counters,
    lookup: Histogram,
    /// All look-ups, by the tier.
    lookups: Histograms,
    /// Those in Redis, once there is one.
    shared: RwLock<Option<Histogram>>,
}

impl CacheMetrics {
    pub(super) fn new(f: &Families) -> Self {
        let lookup = histograms(
            f,
            (
                "cache_lookup_duration_seconds",
                "Time to look for a stored answer; in memory one look-up of 64 is measured, in Redis each that was answered.",
            ),
            &LOOKUP_BUCKETS,
            &["tier"],
        );
        let express = counters(
            f,
            "express_requests_total",
            "Requests answered from the cache right where they came in, in the express lane.",
            &["route"],
        );
        sum(
            f,
            "express_hits_total",
            "The same over all routes, of routes that are gone too.",
            &express,
        );
        let uncacheable = counters(
            f,
            "cache_uncacheable_total",
            "Answers that were fetched for the store and not stored, by reason.",
            &["reason"],
        );
        let purges = counters(
            f,
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
                f,
                "cache_requests_total",
                "Requests of routes with a cache, by what the cache did with them.",
                &["route", "result"],
            ),
            express,
            coalesced: counters(
                f,
                "cache_coalesced_requests_total",
                "Requests that were answered by another request's fetch.",
                &["route"],
            ),
            hit_bytes: counters(
                f,
                "cache_hit_bytes_total",
                "Body bytes sent out of the store: of hits, and of what was stale and used.",
                &["route"],
            ),
            entries: Mirror::gauge("cache_entries", "Answers stored."),
            bytes: Mirror::gauge(
                "cache_size_bytes",
                "Memory that the store takes, fetches in flight included.",
            ),
            capacity: Mirror::gauge("cache_capacity_bytes", "Memory that the store may take."),
            evictions: Mirror::counter("cache_evictions_total", "Answers that left the store."),
            uncacheable: (Why::ALL.iter().filter(|why| why.is_about_answer()))
                .map(|why| (*why, uncacheable.with_label_values(&[why.as_str()])))
                .collect(),
            purges,
            lookup: lookup.with_label_values(&[MEMORY]),
            lookups: lookup,
            shared: RwLock::default(),
        }
    }

    /// The handles of a route with a cache; they exist, at zero, from now on. `duration` is the family of its requests.
    pub(super) fn route(&self, name: &str, duration: &Histograms) -> CacheRouteMetrics {
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

    /// Answers that were not stored, by reason, without those that nothing happened for.
    pub fn uncacheable(&self) -> Vec<(&'static str, u64)> {
        let all = self.uncacheable.iter();
        let counted = all.map(|(why, counter)| (why.as_str(), counter.get()));
        counted.filter(|(_, n)| *n > 0).collect()
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

    /// There is a tier that proxies share: its look-ups have a series, at zero, from now on.
    pub fn is_shared(&self) {
        *self.shared.write() = Some(self.lookups.with_label_values(&[REDIS]));
    }

    /// There is none any more.
    pub(super) fn is_alone(&self) {
        *self.shared.write() = None;
        self.lookups.remove_under(&[REDIS]);
    }

    /// A look-up in the tier that proxies share took so long.
    pub fn looked_up_there(&self, took: Duration) {
        if let Some(shared) = &*self.shared.read() {
            shared.observe(took.as_secs_f64());
        }
    }

    /// Requests since the start that the cache did this with, over all routes.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests.total_of(outcome.as_str())
    }

    pub(super) fn forget(&self, route: &str) {
        for family in [
            &self.requests,
            &self.express,
            &self.coalesced,
            &self.hit_bytes,
        ] {
            family.remove_under(&[route]);
        }
    }

    /// Adds what the store says of itself.
    pub(super) fn write_state(&self, store: &CacheGauges, text: &mut String) {
        let tier = label("tier", MEMORY);
        for (family, value) in [
            (&self.entries, store.entries),
            (&self.bytes, store.bytes),
            (&self.capacity, store.capacity),
        ] {
            family.begin(text);
            family.sample(&[&tier], Sample::Whole(value), text);
        }
        self.evictions.begin(text);
        for (reason, total) in store.evicted {
            let labels = [label("reason", reason), tier.clone()];
            let labels = [labels[0].as_str(), &labels[1]];
            self.evictions.sample(&labels, Sample::Whole(total), text);
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
    use super::super::{Metrics, State};
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
    fn what_the_store_says_of_itself_is_told() {
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
        let state = State {
            cache: Some(gauges),
            ..State::default()
        };
        let text = m.exposition(&state);
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
