//! Every metric of the proxy: names, labels, and the handles that count.
//!
//! A handle is resolved once (per route, node, listener) and then counts without a look-up. No label value is ever
//! chosen by a client: unknown methods share `OTHER`, codes outside 100–599 are not counted by code. Gauges that
//! mirror a state (health, in flight) are set from that state when somebody asks, so they cannot drift.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::core::{Collector, Metric};
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder, histogram_opts, opts,
};

use super::history::SIZES;
use crate::base::reason::Refusal;

mod cache;
mod codes;
/// What is counted of compression.
mod compression;
mod names;
mod nodes;
mod reloads;
mod routes;
mod sticky;
mod upstreams;

pub use cache::{CacheGauges, CacheMetrics, LOOKUPS_PER_SAMPLE};
pub use compression::CompressionMetrics;
pub use names::NameMetrics;
pub use nodes::{NodeGauges, NodeMetrics};
pub use reloads::ReloadMetrics;
pub use routes::{RateLimitMetrics, RouteMetrics};
pub use sticky::StickyMetrics;
pub use upstreams::{UpstreamGauges, UpstreamMetrics};

use nodes::NodeFamilies;
use routes::RouteFamilies;
use sticky::StickyFamilies;
use upstreams::UpstreamFamilies;

/// Upper bounds of every duration histogram, in seconds.
pub const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// How long the series of a removed node stay: long enough for a scrape interval and a look back.
pub const REMOVED_NODE_STAYS: Duration = Duration::from_secs(600);

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    route: RouteFamilies,
    connections_active: IntGaugeVec,
    connections: IntCounterVec,
    refused: Vec<(Refusal, IntCounter)>,
    requests_in_flight: IntGauge,
    node: NodeFamilies,
    upstream: UpstreamFamilies,
    /// Look-ups of names.
    pub names: NameMetrics,
    sticky: StickyFamilies,
    /// The cache.
    pub cache: CacheMetrics,
    /// Compression.
    pub compression: CompressionMetrics,
    /// Reloads, by result.
    pub reloads: ReloadMetrics,
    /// Memory that the figures over time take.
    pub history_size: IntGauge,
    /// Access log lines dropped because the writer was behind.
    pub log_dropped: IntCounter,
    routes: Mutex<HashMap<String, Arc<RouteMetrics>>>,
    nodes: Mutex<HashMap<(String, String), NodeEntry>>,
}

#[derive(Debug)]
struct NodeEntry {
    metrics: Arc<NodeMetrics>,
    gone_since: Option<Instant>,
}

/// A request being worked on; counted out when dropped.
#[derive(Debug)]
pub struct RequestInFlight(IntGauge);

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Connections of one data port.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// Open now.
    pub active: IntGauge,
    /// Opened so far.
    pub total: IntCounter,
    /// The same over HTTP/2.
    pub total_h2: IntCounter,
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts!(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts!(name, help), labels))
}

fn float_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(registry, GaugeVec::new(opts!(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = histogram_opts!(name, help, BUCKETS.to_vec());
    register(registry, HistogramVec::new(options, labels))
}

/// Registers a metric under the prefix of the registry.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric
        .expect("invariant: metric names and labels are literals of this file, valid and tested");
    registry
        .register(Box::new(metric.clone()))
        .expect("invariant: every metric of this file has a name of its own");
    metric
}

impl Metrics {
    /// All metrics, registered and at zero.
    pub fn new(version: &str) -> Arc<Self> {
        let registry = Registry::new_custom(Some("tidegate".into()), None)
            .expect("invariant: the prefix is not empty");
        let r = &registry;
        gauges(
            r,
            "build_info",
            "Version of the running program.",
            &["version"],
        )
        .with_label_values(&[version])
        .set(1);
        let connections = counters(
            r,
            "connections_total",
            "Client connections accepted.",
            &["listener", "protocol"],
        );
        let refused = counters(
            r,
            "requests_refused_total",
            "Requests refused before any node saw them.",
            &["reason"],
        );
        let in_flight = IntGauge::new("http_requests_in_flight", "Requests being worked on.");
        let history = IntGauge::new(
            "history_size_bytes",
            "Memory that the figures over time take.",
        );
        let dropped = IntCounter::new(
            "access_log_dropped_total",
            "Access log lines dropped because the writer was behind.",
        );
        Arc::new(Metrics {
            route: RouteFamilies::new(r),
            connections_active: gauges(
                r,
                "connections_active",
                "Client connections open now.",
                &["listener"],
            ),
            connections,
            refused: Refusal::ALL
                .iter()
                .map(|why| (*why, refused.with_label_values(&[why.as_str()])))
                .collect(),
            requests_in_flight: register(r, in_flight),
            node: NodeFamilies::new(r),
            upstream: UpstreamFamilies::new(r),
            names: NameMetrics::new(r),
            sticky: StickyFamilies::new(r),
            cache: CacheMetrics::new(r),
            compression: CompressionMetrics::new(r),
            reloads: ReloadMetrics::new(r),
            history_size: register(r, history),
            log_dropped: register(r, dropped),
            routes: Mutex::default(),
            nodes: Mutex::default(),
            registry,
        })
    }

    /// The handles of a route; the same ones for the same name, across reloads.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes
            .lock()
            .entry(name.to_string())
            .or_insert_with(|| Arc::new(self.route.handles(name)))
            .clone()
    }

    /// The same for a route with a cache: what is counted of that exists, at zero, from now on.
    pub fn cached_route(&self, name: &str) -> Arc<RouteMetrics> {
        let route = self.route(name);
        route.is_cached(|| self.cache.route(name, self.route.durations()));
        route
    }

    /// The handles of a route's rate limit; they exist, at zero, from now on.
    pub fn rate_limit(&self, route: &str) -> RateLimitMetrics {
        self.route.rate_limit(route)
    }

    /// The handles of a node; the same ones for the same name, across reloads.
    pub fn node(&self, upstream: &str, id: &str) -> Arc<NodeMetrics> {
        let mut nodes = self.nodes.lock();
        let entry = nodes
            .entry((upstream.to_string(), id.to_string()))
            .or_insert_with(|| NodeEntry {
                metrics: Arc::new(self.node.handles(upstream, id)),
                gone_since: None,
            });
        entry.gone_since = None;
        entry.metrics.clone()
    }

    /// The handles of a node that has some.
    pub fn known_node(&self, upstream: &str, id: &str) -> Option<Arc<NodeMetrics>> {
        let key = (upstream.to_string(), id.to_string());
        self.nodes
            .lock()
            .get(&key)
            .map(|entry| entry.metrics.clone())
    }

    /// The handles of an upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        self.upstream.handles(name)
    }

    /// The handles of the sessions of an upstream.
    pub fn sticky(&self, upstream: &str) -> StickyMetrics {
        self.sticky.handles(upstream)
    }

    /// The handles of a data port.
    pub fn listener(&self, label: &str) -> ListenerMetrics {
        ListenerMetrics {
            active: self.connections_active.with_label_values(&[label]),
            total: self.connections.with_label_values(&[label, "http/1.1"]),
            total_h2: self.connections.with_label_values(&[label, "h2"]),
        }
    }

    /// Counts a request in; it is counted out when the guard drops, whatever happened to it.
    pub fn begin_request(&self) -> RequestInFlight {
        self.requests_in_flight.inc();
        RequestInFlight(self.requests_in_flight.clone())
    }

    /// Requests being worked on. What the shutdown waits for.
    pub fn in_flight(&self) -> i64 {
        self.requests_in_flight.get()
    }

    /// Counts a refusal.
    pub fn refused(&self, why: Refusal) {
        if let Some((_, counter)) = self.refused.iter().find(|(r, _)| *r == why) {
            counter.inc();
        }
    }

    /// Connections open now and opened so far, over all data ports.
    pub fn connection_totals(&self) -> (i64, u64) {
        (
            sum(&self.connections_active, |m| m.get_gauge().get_value()) as i64,
            sum(&self.connections, |m| m.get_counter().get_value()) as u64,
        )
    }

    /// Requests answered so far.
    pub fn requests_total(&self) -> u64 {
        sum(&self.route.requests, |m| m.get_counter().get_value()) as u64
    }

    /// Sets the gauges that mirror state.
    pub fn mirror<'a>(
        &self,
        nodes: impl Iterator<Item = NodeGauges<'a>>,
        upstreams: impl Iterator<Item = UpstreamGauges<'a>>,
    ) {
        for gauges in nodes {
            self.node.set(&gauges);
        }
        upstreams.for_each(|gauges| self.upstream.set(&gauges));
    }

    /// A node is gone: its state at once, its counts ten minutes later, unless it comes back.
    pub fn node_left(&self, upstream: &str, id: &str, now: Instant) {
        let key = (upstream.to_string(), id.to_string());
        if let Some(entry) = self.nodes.lock().get_mut(&key) {
            entry.gone_since = Some(now);
            self.node.forget_gauges(upstream, id);
        }
    }

    /// An upstream is gone: so is what is said of its nodes together.
    pub fn upstream_left(&self, name: &str) {
        self.upstream.forget(name);
    }

    /// Forgets the counts of nodes that have been gone for long enough.
    pub fn forget_gone(&self, now: Instant) {
        self.nodes.lock().retain(|key, entry| {
            let stays = entry
                .gone_since
                .is_none_or(|since| now.duration_since(since) < REMOVED_NODE_STAYS);
            if !stays {
                self.node.forget(&key.0, &key.1, &entry.metrics);
            }
            stays
        });
    }

    /// The Prometheus text, `process_*` included.
    pub fn text(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(process_metrics());
        let mut text = String::with_capacity(1 << 14);
        // Writing into memory fails only for a family without metrics, which gather() leaves out.
        let _ = TextEncoder::new().encode_utf8(&families, &mut text);
        text
    }
}

/// The usual `process_*` metrics, which carry no prefix.
fn process_metrics() -> Vec<prometheus::proto::MetricFamily> {
    static COLLECTOR: OnceLock<prometheus::process_collector::ProcessCollector> = OnceLock::new();
    COLLECTOR
        .get_or_init(prometheus::process_collector::ProcessCollector::for_self)
        .collect()
}

/// The sum of the counters of a family that have this label.
fn sum_where(family: &IntCounterVec, (name, value): (&str, &str)) -> f64 {
    sum(family, |metric| {
        let mut labels = metric.get_label().iter();
        match labels.any(|label| label.name() == name && label.value() == value) {
            true => metric.get_counter().get_value(),
            false => 0.0,
        }
    })
}

/// Reads how long requests took into `took`, which holds what was read before: unless requests came since, that is it.
fn read_took<const N: usize>(histograms: [Option<&Histogram>; N], took: &mut [u64; SIZES]) {
    let histograms = histograms.into_iter().flatten();
    let all: u64 = histograms.clone().map(Histogram::get_sample_count).sum();
    if all == took.iter().sum::<u64>() {
        return;
    }
    *took = [0; SIZES];
    for histogram in histograms {
        let metric = histogram.metric();
        let histogram = metric.get_histogram();
        let mut below = 0;
        let buckets = histogram.get_bucket().iter().map(|b| b.cumulative_count());
        let bounds = buckets.chain([histogram.get_sample_count()]);
        for (to, up_to) in took.iter_mut().zip(bounds) {
            *to += up_to.saturating_sub(below);
            below = up_to;
        }
    }
}

fn sum(family: &impl Collector, value: impl Fn(&prometheus::proto::Metric) -> f64) -> f64 {
    family
        .collect()
        .iter()
        .flat_map(|f| f.get_metric())
        .map(value)
        .sum()
}

#[cfg(test)]
mod tests;
