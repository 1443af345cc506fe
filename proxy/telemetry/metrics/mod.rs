//! Every metric of the proxy: names, labels, and the handles that count.
//!
//! A handle is resolved once (per route, node, listener) and then counts without a look-up. No label value is ever
//! chosen by a client: unknown methods share `OTHER`, codes outside 100–599 are not counted by code. What mirrors
//! a state (health, in flight) is written from that state when somebody asks and kept nowhere, so it cannot drift.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::core::{Collector, Metric};
use prometheus::{Histogram, IntCounter, IntGauge, TextEncoder};

use super::history::SIZES;
use crate::base::flood::Flood;
use crate::base::reason::Refusal;

mod acme;
mod cache;
mod codes;
/// What is counted of compression.
mod compression;
mod family;
mod lives;
mod names;
mod nodes;
mod reloads;
mod routes;
mod spans;
mod sticky;
mod tier;
mod tls;
mod upstreams;

pub use acme::AcmeMetrics;
pub use cache::{CacheGauges, CacheMetrics, LOOKUPS_PER_SAMPLE};
pub use compression::CompressionMetrics;
pub use lives::STAYS;
pub use names::NameMetrics;
pub use nodes::{NodeGauges, NodeMetrics};
pub use reloads::ReloadMetrics;
pub use routes::{METHODS, RateLimitMetrics, RouteMetrics, SharedRateMetrics};
pub use spans::SpanMetrics;
pub use sticky::{SharedStickyMetrics, StickyMetrics};
pub use tier::{ClusterGauges, EntryGauges, TierGauges};
pub use tls::{ExpiryGauge, Failed, TlsMetrics};
pub use upstreams::{UpstreamGauges, UpstreamMetrics};

use family::{Counters, Families, Gauges, Tell, counter, counters, gauge, gauges};
use lives::Lives;
use nodes::NodeFamilies;
use routes::RouteFamilies;
use sticky::StickyFamilies;
use tier::TierMetrics;
use tls::TlsFamilies;
use upstreams::UpstreamFamilies;

/// Upper bounds of every duration histogram, in seconds.
pub const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    families: Vec<Box<dyn Tell>>,
    route: RouteFamilies,
    connections_active: Gauges,
    connections: Counters,
    h2_floods: Counters,
    refused: Vec<(Refusal, IntCounter)>,
    requests_in_flight: IntGauge,
    node: NodeFamilies,
    upstream: UpstreamFamilies,
    /// Certificates that are got from a CA.
    pub acme: AcmeMetrics,
    /// Look-ups of names.
    pub names: NameMetrics,
    sticky: StickyFamilies,
    /// The cache.
    pub cache: CacheMetrics,
    tier: TierMetrics,
    tls: TlsFamilies,
    /// Compression.
    pub compression: CompressionMetrics,
    /// Reloads, by result.
    pub reloads: ReloadMetrics,
    /// Memory that the figures over time take.
    pub history_size: IntGauge,
    /// Spans.
    pub spans: SpanMetrics,
    /// Access log lines dropped because the writer was behind.
    pub log_dropped: IntCounter,
    routes: Lives<String, Arc<RouteMetrics>>,
    rate_limits: Lives<String, RateLimitMetrics>,
    upstreams: Lives<String, UpstreamMetrics>,
    sessions: Lives<String, StickyMetrics>,
    nodes: Lives<(String, String), Arc<NodeMetrics>>,
    /// Bytes of the last text: the next one is about as long.
    last_size: AtomicUsize,
}

/// What is read from the live world when somebody asks, and kept nowhere.
#[derive(Debug, Default)]
pub struct State<'a> {
    /// Of every node in use, and of those that are being left.
    pub nodes: Vec<NodeGauges<'a>>,
    /// Of every upstream.
    pub upstreams: Vec<UpstreamGauges<'a>>,
    /// Of every certificate of the file.
    pub certificates: Vec<ExpiryGauge<'a>>,
    /// Of the store.
    pub cache: Option<CacheGauges>,
    /// Of the tier that proxies share, where there is one.
    pub tier: Option<TierGauges<'a>>,
}

/// Who has series by the configuration in use; nodes are told one by one.
#[derive(Debug, Default)]
pub struct InUse<'a> {
    /// Names of routes.
    pub routes: HashSet<&'a str>,
    /// Those of them with a rate limit.
    pub rate_limits: HashSet<&'a str>,
    /// Names of upstreams.
    pub upstreams: HashSet<&'a str>,
    /// Those of them with sessions.
    pub sticky: HashSet<&'a str>,
    /// There is a tier that proxies share.
    pub shared: bool,
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
    /// Of those, the ones that were closed for a flood of frames, by what it was made of.
    floods: Vec<(Flood, IntCounter)>,
}

impl ListenerMetrics {
    /// Counts a connection that was closed for a flood.
    pub fn flooded(&self, flood: Flood) {
        if let Some((_, counter)) = self.floods.iter().find(|(f, _)| *f == flood) {
            counter.inc();
        }
    }
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new(version: &str) -> Arc<Self> {
        let families = Families::default();
        let f = &families;
        gauges(
            f,
            "build_info",
            "Version of the running program.",
            &["version"],
        )
        .with_label_values(&[version])
        .set(1);
        let refused = counters(
            f,
            "requests_refused_total",
            "Requests refused before any node saw them.",
            &["reason"],
        );
        Arc::new(Metrics {
            route: RouteFamilies::new(f),
            connections_active: gauges(
                f,
                "connections_active",
                "Client connections open now.",
                &["listener"],
            ),
            connections: counters(
                f,
                "connections_total",
                "Client connections accepted.",
                &["listener", "protocol"],
            ),
            h2_floods: counters(
                f,
                "h2_floods_total",
                "HTTP/2 connections closed because their client flooded them with frames, by what they were.",
                &["listener", "kind"],
            ),
            refused: Refusal::ALL
                .iter()
                .map(|why| (*why, refused.with_label_values(&[why.as_str()])))
                .collect(),
            requests_in_flight: gauge(f, "http_requests_in_flight", "Requests being worked on."),
            node: NodeFamilies::new(f),
            upstream: UpstreamFamilies::new(f),
            acme: AcmeMetrics::new(f),
            names: NameMetrics::new(f),
            sticky: StickyFamilies::new(f),
            cache: CacheMetrics::new(f),
            tier: TierMetrics::new(),
            tls: TlsFamilies::new(f),
            compression: CompressionMetrics::new(f),
            reloads: ReloadMetrics::new(f),
            history_size: gauge(
                f,
                "history_size_bytes",
                "Memory that the figures over time take.",
            ),
            spans: SpanMetrics::new(f),
            log_dropped: counter(
                f,
                "access_log_dropped_total",
                "Access log lines dropped because the writer was behind.",
            ),
            routes: Lives::default(),
            rate_limits: Lives::default(),
            upstreams: Lives::default(),
            sessions: Lives::default(),
            nodes: Lives::default(),
            last_size: AtomicUsize::new(0),
            families: families.sorted(),
        })
    }

    /// The handles of a route; the same ones for the same name, across reloads.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes
            .of(name.to_string(), || Arc::new(self.route.handles(name)))
    }

    /// The same for a route with a cache: what is counted of that exists, at zero, from now on.
    pub fn cached_route(&self, name: &str) -> Arc<RouteMetrics> {
        let route = self.route(name);
        route.is_cached(|| self.cache.route(name, self.route.durations()));
        route
    }

    /// The handles of a route's rate limit; they exist, at zero, from now on.
    pub fn rate_limit(&self, route: &str) -> RateLimitMetrics {
        self.rate_limits
            .of(route.to_string(), || self.route.rate_limit(route))
    }

    /// The same, where all proxies count together.
    pub fn shared_rate(&self, route: &str) -> SharedRateMetrics {
        self.route.shared_rate(route)
    }

    /// The handles of a node; the same ones for the same name, across reloads.
    pub fn node(&self, upstream: &str, id: &str) -> Arc<NodeMetrics> {
        self.nodes.of((upstream.to_string(), id.to_string()), || {
            Arc::new(self.node.handles(upstream, id))
        })
    }

    /// The handles of a node that has some.
    pub fn known_node(&self, upstream: &str, id: &str) -> Option<Arc<NodeMetrics>> {
        self.nodes.known(&(upstream.to_string(), id.to_string()))
    }

    /// The handles of an upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        self.upstreams
            .of(name.to_string(), || self.upstream.handles(name))
    }

    /// The handles of the sessions of an upstream.
    pub fn sticky(&self, upstream: &str) -> StickyMetrics {
        self.sessions
            .of(upstream.to_string(), || self.sticky.handles(upstream))
    }

    /// The same, where all proxies know of them.
    pub fn shared_sticky(&self, upstream: &str) -> SharedStickyMetrics {
        self.sticky.shared(upstream)
    }

    /// The handles of a data port.
    pub fn listener(&self, label: &str) -> ListenerMetrics {
        ListenerMetrics {
            active: self.connections_active.with_label_values(&[label]),
            total: self.connections.with_label_values(&[label, "http/1.1"]),
            total_h2: self.connections.with_label_values(&[label, "h2"]),
            floods: Flood::ALL
                .iter()
                .map(|flood| {
                    let labels = [label, flood.as_str()];
                    (*flood, self.h2_floods.with_label_values(&labels))
                })
                .collect(),
        }
    }

    /// The handles of the TLS of a data port; they exist, at zero, from now on.
    pub fn tls(&self, listener: &str) -> TlsMetrics {
        self.tls.handles(listener)
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
        (self.connections_active.total(), self.connections.total())
    }

    /// Requests answered so far, by routes that are gone too.
    pub fn requests_total(&self) -> u64 {
        self.route.requests.total()
    }

    /// A node is gone: its counts stay for ten minutes, unless it comes back.
    pub fn node_left(&self, upstream: &str, id: &str, now: Instant) {
        self.nodes
            .left(&(upstream.to_string(), id.to_string()), now);
    }

    /// Another generation is in use: the counts of what is not in it stay for ten minutes, unless it comes back.
    pub fn only(&self, in_use: &InUse<'_>, now: Instant) {
        let of = |names: &HashSet<&str>, name: &String| names.contains(name.as_str());
        self.routes.only(|name| of(&in_use.routes, name), now);
        self.rate_limits
            .only(|name| of(&in_use.rate_limits, name), now);
        self.upstreams.only(|name| of(&in_use.upstreams, name), now);
        self.sessions.only(|name| of(&in_use.sticky, name), now);
        if !in_use.shared {
            self.cache.is_alone();
        }
    }

    /// Forgets the counts of what has been gone for long enough.
    pub fn forget_gone(&self, now: Instant) {
        self.nodes
            .forget_gone(now, |(upstream, id)| self.node.forget(upstream, id));
        self.upstreams
            .forget_gone(now, |name| self.upstream.forget(name));
        self.sessions
            .forget_gone(now, |name| self.sticky.forget(name));
        self.rate_limits
            .forget_gone(now, |name| self.route.forget_rate_limit(name));
        self.routes.forget_gone(now, |name| {
            self.route.forget(name);
            self.cache.forget(name);
        });
        self.names.forget_gone(now);
    }

    /// The Prometheus text, `process_*` included. Reads, and changes nothing: any number may ask at a time.
    pub fn exposition(&self, state: &State<'_>) -> String {
        let last = self.last_size.load(Relaxed);
        let mut text = String::with_capacity(last + last / 8 + (1 << 14));
        for family in &self.families {
            family.write(&mut text);
        }
        self.node.write_state(&state.nodes, &mut text);
        self.upstream.write_state(&state.upstreams, &mut text);
        self.tls.write_state(&state.certificates, &mut text);
        if let Some(store) = &state.cache {
            self.cache.write_state(store, &mut text);
        }
        if let Some(tier) = &state.tier {
            self.tier.write(tier, &mut text);
        }
        // Writing into memory fails only for a family without metrics, and the process always has some.
        let _ = TextEncoder::new().encode_utf8(&process_metrics(), &mut text);
        self.last_size.store(text.len(), Relaxed);
        text
    }

    /// The same of a world without nodes.
    #[cfg(test)]
    pub fn text(&self) -> String {
        self.exposition(&State::default())
    }
}

/// The usual `process_*` metrics, which carry no prefix.
fn process_metrics() -> Vec<prometheus::proto::MetricFamily> {
    static COLLECTOR: OnceLock<prometheus::process_collector::ProcessCollector> = OnceLock::new();
    COLLECTOR
        .get_or_init(prometheus::process_collector::ProcessCollector::for_self)
        .collect()
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

#[cfg(test)]
mod tests;
