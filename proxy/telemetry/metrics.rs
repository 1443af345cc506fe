//! Every metric of the proxy: names, labels, and the handles that count.
//!
//! A handle is resolved once (per route, node, listener) and then counts without a look-up. No label value is ever
//! chosen by a client: unknown methods share `OTHER`, codes outside 100–599 are not counted by code. Gauges that
//! mirror a state (health, in flight) are set from that state when somebody asks, so they cannot drift.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Method;
use parking_lot::Mutex;
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder, core::Collector, histogram_opts, opts,
};

use crate::base::node::{Health, Intent};
use crate::base::reason::{End, Refusal};

/// Upper bounds of every duration histogram, in seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// How long the series of a removed node stay: long enough for a scrape interval and a look back.
const REMOVED_NODE_STAYS: Duration = Duration::from_secs(600);

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    request_bytes: IntCounterVec,
    response_bytes: IntCounterVec,
    client_aborts: IntCounterVec,
    connections_active: IntGaugeVec,
    connections: IntCounterVec,
    refused: Vec<(Refusal, IntCounter)>,
    /// Requests in flight, all routes. Also what the shutdown waits for.
    pub requests_in_flight: IntGauge,
    node: NodeFamilies,
    upstream: UpstreamFamilies,
    /// Reloads, by result.
    pub reloads: ReloadMetrics,
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

/// Metrics of reloads and of the configuration in use.
#[derive(Debug)]
pub struct ReloadMetrics {
    total: IntCounterVec,
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

#[derive(Debug)]
struct NodeFamilies {
    requests: IntCounterVec,
    duration: HistogramVec,
    ttfb: HistogramVec,
    errors: IntCounterVec,
    in_flight: IntGaugeVec,
    state: IntGaugeVec,
    health: IntGaugeVec,
    weight: IntGaugeVec,
    drain_remaining: IntGaugeVec,
    checks: IntCounterVec,
    ejections: IntCounterVec,
    transitions: IntCounterVec,
}

#[derive(Debug)]
struct UpstreamFamilies {
    connect_duration: HistogramVec,
    retries: IntCounterVec,
    reuse: IntCounterVec,
    available: IntGaugeVec,
}

/// Status codes 100–599, each counter resolved when its code is first seen.
#[derive(Debug)]
struct CodeCounters {
    family: IntCounterVec,
    labels: Vec<String>,
    slots: Box<[OnceLock<IntCounter>]>,
}

impl CodeCounters {
    fn new(family: &IntCounterVec, labels: &[&str]) -> Self {
        CodeCounters {
            family: family.clone(),
            labels: labels.iter().map(|l| (*l).to_string()).collect(),
            slots: (0..500).map(|_| OnceLock::new()).collect(),
        }
    }

    fn inc(&self, code: u16) {
        let Some(slot) = usize::from(code)
            .checked_sub(100)
            .and_then(|i| self.slots.get(i))
        else {
            return;
        };
        slot.get_or_init(|| {
            let code = code.to_string();
            let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
            labels.push(&code);
            self.family.with_label_values(&labels)
        })
        .inc();
    }

    fn total(&self) -> u64 {
        self.slots
            .iter()
            .filter_map(|s| s.get())
            .map(IntCounter::get)
            .sum()
    }

    fn forget(&self) {
        for (i, slot) in self.slots.iter().enumerate() {
            if slot.get().is_some() {
                let code = (i + 100).to_string();
                let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
                labels.push(&code);
                let _ = self.family.remove_label_values(&labels);
            }
        }
    }
}

/// Methods with a label of their own; any other counts as `OTHER`.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
    Method::TRACE,
];

/// What is counted for one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: String,
    family: IntCounterVec,
    by_method: [OnceLock<CodeCounters>; METHODS.len() + 1],
    duration: Histogram,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    aborts: IntCounter,
}

impl RouteMetrics {
    /// Counts a finished request.
    pub fn finished(
        &self,
        method: &Method,
        code: u16,
        took: Duration,
        bytes: (u64, u64),
        end: End,
    ) {
        let at = METHODS
            .iter()
            .position(|m| m == method)
            .unwrap_or(METHODS.len());
        self.by_method[at]
            .get_or_init(|| {
                let label = METHODS.get(at).map_or("OTHER", Method::as_str);
                CodeCounters::new(&self.family, &[&self.name, label])
            })
            .inc(code);
        self.duration.observe(took.as_secs_f64());
        self.bytes_in.inc_by(bytes.0);
        self.bytes_out.inc_by(bytes.1);
        if end == End::ClientAbort {
            self.aborts.inc();
        }
    }
}

/// What is counted for one node.
#[derive(Debug)]
pub struct NodeMetrics {
    codes: CodeCounters,
    duration: Histogram,
    ttfb: Histogram,
    errors: IntCounterVec,
    errors_total: IntCounter,
    labels: (String, String),
    families: (IntCounterVec, IntCounterVec, IntCounterVec),
}

impl NodeMetrics {
    /// Counts an answer.
    pub fn answered(&self, code: u16, ttfb: Duration) {
        self.codes.inc(code);
        self.ttfb.observe(ttfb.as_secs_f64());
    }

    /// An attempt on it is over.
    pub fn attempt_took(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a failed attempt.
    pub fn failed(&self, why: End) {
        self.errors_total.inc();
        self.errors
            .with_label_values(&[&self.labels.0, &self.labels.1, why.as_str()])
            .inc();
    }

    /// Counts a probe.
    pub fn probed(&self, passed: bool) {
        let result = if passed { "pass" } else { "fail" };
        self.families
            .0
            .with_label_values(&[&self.labels.0, &self.labels.1, result])
            .inc();
    }

    /// Counts a change of state. Rare, so its handles are looked up.
    pub fn changed(&self, from: (Intent, Health), to: (Intent, Health)) {
        let (upstream, node) = (&self.labels.0, &self.labels.1);
        if from.1 != to.1 {
            self.families
                .2
                .with_label_values(&[upstream, node, to.1.as_str()])
                .inc();
            if to.1 == Health::Ejected {
                self.families
                    .1
                    .with_label_values(&[upstream.as_str(), node, "connect"])
                    .inc();
            }
        }
        if from.0 != to.0 {
            self.families
                .2
                .with_label_values(&[upstream, node, to.0.as_str()])
                .inc();
        }
    }

    /// Answers it gave so far.
    pub fn requests_total(&self) -> u64 {
        self.codes.total()
    }

    /// Attempts that failed on it so far.
    pub fn errors_total(&self) -> u64 {
        self.errors_total.get()
    }
}

/// What is counted for one upstream.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    /// Time to open a connection to a node.
    pub connect_duration: Histogram,
    /// Attempts that found an open connection.
    pub reuse: IntCounter,
    retries: IntCounterVec,
    name: String,
}

impl UpstreamMetrics {
    /// Counts a retry.
    pub fn retried(&self, why: End) {
        self.retries
            .with_label_values(&[self.name.as_str(), why.as_str()])
            .inc();
    }
}

/// Connections of one data port.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// Open now.
    pub active: IntGauge,
    /// Opened so far.
    pub total: IntCounter,
}

/// State of a node, read when metrics are asked for.
#[derive(Debug, Clone)]
pub struct NodeGauges<'a> {
    /// Its upstream.
    pub upstream: &'a str,
    /// Its id.
    pub node: &'a str,
    /// What the operator wants.
    pub intent: Intent,
    /// What we see.
    pub health: Health,
    /// Requests in flight on it.
    pub in_flight: usize,
    /// Share of the traffic it is given now.
    pub weight: u32,
    /// Whether it is draining.
    pub draining: bool,
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts!(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts!(name, help), labels))
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
        let dropped = IntCounter::new(
            "access_log_dropped_total",
            "Access log lines dropped because the writer was behind.",
        );
        Arc::new(Metrics {
            requests: counters(
                r,
                "http_requests_total",
                "Requests answered.",
                &["route", "method", "code"],
            ),
            request_duration: histograms(
                r,
                "http_request_duration_seconds",
                "From the head of a request to the end of its answer.",
                &["route", "cache"],
            ),
            request_bytes: counters(
                r,
                "http_request_bytes_total",
                "Body bytes received from clients.",
                &["route"],
            ),
            response_bytes: counters(
                r,
                "http_response_bytes_total",
                "Body bytes sent to clients.",
                &["route"],
            ),
            client_aborts: counters(
                r,
                "client_aborts_total",
                "Requests whose client left before the answer was complete.",
                &["route"],
            ),
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
            reloads: ReloadMetrics::new(r),
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
            .or_insert_with(|| {
                Arc::new(RouteMetrics {
                    name: name.to_string(),
                    family: self.requests.clone(),
                    by_method: std::array::from_fn(|_| OnceLock::new()),
                    duration: self.request_duration.with_label_values(&[name, "none"]),
                    bytes_in: self.request_bytes.with_label_values(&[name]),
                    bytes_out: self.response_bytes.with_label_values(&[name]),
                    aborts: self.client_aborts.with_label_values(&[name]),
                })
            })
            .clone()
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
        UpstreamMetrics {
            connect_duration: self.upstream.connect_duration.with_label_values(&[name]),
            reuse: self.upstream.reuse.with_label_values(&[name]),
            retries: self.upstream.retries.clone(),
            name: name.to_string(),
        }
    }

    /// The handles of a data port.
    pub fn listener(&self, label: &str) -> ListenerMetrics {
        ListenerMetrics {
            active: self.connections_active.with_label_values(&[label]),
            total: self.connections.with_label_values(&[label, "http/1.1"]),
        }
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
        sum(&self.requests, |m| m.get_counter().get_value()) as u64
    }

    /// Sets the gauges that mirror state. Nodes that are not named are gone; their series leave
    /// [`REMOVED_NODE_STAYS`] later.
    pub fn mirror<'a>(
        &self,
        nodes: impl Iterator<Item = NodeGauges<'a>>,
        available: impl Iterator<Item = (&'a str, usize)>,
        now: Instant,
    ) {
        let mut known = self.nodes.lock();
        let mut present = std::collections::HashSet::new();
        for gauges in nodes {
            self.node.set(&gauges);
            present.insert((gauges.upstream.to_string(), gauges.node.to_string()));
        }
        for (key, entry) in known.iter_mut() {
            if present.contains(key) {
                entry.gone_since = None;
            } else if entry.gone_since.is_none() {
                entry.gone_since = Some(now);
                self.node.forget_gauges(&key.0, &key.1);
            }
        }
        known.retain(|key, entry| {
            let stays = entry
                .gone_since
                .is_none_or(|since| now.duration_since(since) < REMOVED_NODE_STAYS);
            if !stays {
                self.node.forget(&key.0, &key.1, &entry.metrics);
            }
            stays
        });
        for (name, n) in available {
            self.upstream
                .available
                .with_label_values(&[name])
                .set(n as i64);
        }
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

fn sum(family: &impl Collector, value: impl Fn(&prometheus::proto::Metric) -> f64) -> f64 {
    family
        .collect()
        .iter()
        .flat_map(|f| f.get_metric())
        .map(value)
        .sum()
}

impl NodeFamilies {
    fn new(r: &Registry) -> Self {
        const NODE: [&str; 2] = ["upstream", "node"];
        NodeFamilies {
            requests: counters(
                r,
                "upstream_requests_total",
                "Answers from nodes.",
                &["upstream", "node", "code"],
            ),
            duration: histograms(
                r,
                "upstream_request_duration_seconds",
                "From choosing a node to the end of its answer.",
                &NODE,
            ),
            ttfb: histograms(
                r,
                "upstream_time_to_first_byte_seconds",
                "From choosing a node to the head of its answer.",
                &NODE,
            ),
            errors: counters(
                r,
                "upstream_errors_total",
                "Attempts that failed on a node.",
                &["upstream", "node", "reason"],
            ),
            in_flight: gauges(
                r,
                "upstream_requests_in_flight",
                "Requests in flight on a node.",
                &NODE,
            ),
            state: gauges(
                r,
                "node_state",
                "What the operator wants of a node.",
                &["upstream", "node", "state"],
            ),
            health: gauges(
                r,
                "node_health",
                "What is seen of a node.",
                &["upstream", "node", "health"],
            ),
            weight: gauges(
                r,
                "node_effective_weight",
                "Share of new requests a node is given now.",
                &NODE,
            ),
            drain_remaining: gauges(
                r,
                "node_drain_remaining_requests",
                "Requests left on a draining node.",
                &NODE,
            ),
            checks: counters(
                r,
                "node_health_checks_total",
                "Health probes.",
                &["upstream", "node", "result"],
            ),
            ejections: counters(
                r,
                "node_ejections_total",
                "Times a node was rested.",
                &["upstream", "node", "reason"],
            ),
            transitions: counters(
                r,
                "node_transitions_total",
                "Changes of a node's state or health.",
                &["upstream", "node", "to"],
            ),
        }
    }

    fn handles(&self, upstream: &str, id: &str) -> NodeMetrics {
        NodeMetrics {
            codes: CodeCounters::new(&self.requests, &[upstream, id]),
            duration: self.duration.with_label_values(&[upstream, id]),
            ttfb: self.ttfb.with_label_values(&[upstream, id]),
            errors: self.errors.clone(),
            errors_total: IntCounter::new("errors", "Sum over reasons.")
                .expect("invariant: a literal name is valid"),
            labels: (upstream.to_string(), id.to_string()),
            families: (
                self.checks.clone(),
                self.ejections.clone(),
                self.transitions.clone(),
            ),
        }
    }

    fn set(&self, g: &NodeGauges<'_>) {
        let node = [g.upstream, g.node];
        self.in_flight
            .with_label_values(&node)
            .set(g.in_flight as i64);
        self.weight
            .with_label_values(&node)
            .set(i64::from(g.weight));
        if g.draining {
            self.drain_remaining
                .with_label_values(&node)
                .set(g.in_flight as i64);
        } else {
            let _ = self.drain_remaining.remove_label_values(&node);
        }
        for intent in Intent::ALL {
            self.state
                .with_label_values(&[g.upstream, g.node, intent.as_str()])
                .set(i64::from(intent == g.intent));
        }
        for health in Health::ALL {
            self.health
                .with_label_values(&[g.upstream, g.node, health.as_str()])
                .set(i64::from(health == g.health));
        }
    }

    /// The state of a node that is gone is no state: its gauges leave at once.
    fn forget_gauges(&self, upstream: &str, node: &str) {
        for family in [&self.in_flight, &self.weight, &self.drain_remaining] {
            let _ = family.remove_label_values(&[upstream, node]);
        }
        for intent in Intent::ALL {
            let _ = self
                .state
                .remove_label_values(&[upstream, node, intent.as_str()]);
        }
        for health in Health::ALL {
            let _ = self
                .health
                .remove_label_values(&[upstream, node, health.as_str()]);
        }
    }

    fn forget(&self, upstream: &str, node: &str, metrics: &NodeMetrics) {
        metrics.codes.forget();
        let _ = self.duration.remove_label_values(&[upstream, node]);
        let _ = self.ttfb.remove_label_values(&[upstream, node]);
        for family in [
            &self.errors,
            &self.checks,
            &self.ejections,
            &self.transitions,
        ] {
            forget_node(family, upstream, node);
        }
    }
}

/// Removes every series of a node from a family whose third label varies.
fn forget_node(family: &IntCounterVec, upstream: &str, node: &str) {
    let thirds: Vec<String> = family
        .collect()
        .iter()
        .flat_map(|f| f.get_metric())
        .filter_map(|m| {
            let value = |name| {
                m.get_label()
                    .iter()
                    .find(|l| l.name() == name)
                    .map(|l| l.value())
            };
            (value("upstream") == Some(upstream) && value("node") == Some(node)).then(|| {
                m.get_label()
                    .iter()
                    .find(|l| l.name() != "upstream" && l.name() != "node")
                    .map(|l| l.value().to_string())
            })?
        })
        .collect();
    for third in thirds {
        let _ = family.remove_label_values(&[upstream, node, &third]);
    }
}

impl UpstreamFamilies {
    fn new(r: &Registry) -> Self {
        UpstreamFamilies {
            connect_duration: histograms(
                r,
                "upstream_connect_duration_seconds",
                "Time to open a connection to a node.",
                &["upstream"],
            ),
            retries: counters(
                r,
                "upstream_retries_total",
                "Attempts that followed a failed one.",
                &["upstream", "reason"],
            ),
            reuse: counters(
                r,
                "upstream_connection_reuse_total",
                "Attempts that found an open connection.",
                &["upstream"],
            ),
            available: gauges(
                r,
                "upstream_nodes_available",
                "Nodes that take new requests without reserve.",
                &["upstream"],
            ),
        }
    }
}

impl ReloadMetrics {
    fn new(r: &Registry) -> Self {
        let gauge = |name, help| register(r, IntGauge::new(name, help));
        ReloadMetrics {
            total: counters(r, "config_reloads_total", "Reloads.", &["result"]),
            last_successful: gauge(
                "config_last_reload_successful",
                "Whether the last reload was accepted.",
            ),
            last_success_at: register(
                r,
                Gauge::new(
                    "config_last_reload_success_timestamp_seconds",
                    "When a reload was last accepted.",
                ),
            ),
            generation: gauge(
                "config_generation",
                "Generation of the configuration in use.",
            ),
            drift: gauge(
                "config_drift",
                "Nodes changed at run time, not in the file.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges_of(health: Health) -> NodeGauges<'static> {
        NodeGauges {
            upstream: "web",
            node: "a",
            intent: Intent::Up,
            health,
            in_flight: 3,
            weight: 2,
            draining: false,
        }
    }

    #[test]
    fn a_request_is_counted_by_route_method_and_code() {
        let m = Metrics::new("1");
        let route = m.route("shop");
        route.finished(&Method::GET, 200, Duration::from_millis(3), (1, 2), End::Ok);
        let odd = Method::from_bytes(b"BREW").unwrap();
        route.finished(&odd, 418, Duration::ZERO, (0, 0), End::ClientAbort);
        let text = m.text();
        for line in [
            r#"tidegate_http_requests_total{code="200",method="GET",route="shop"} 1"#,
            r#"tidegate_http_requests_total{code="418",method="OTHER",route="shop"} 1"#,
            r#"tidegate_http_request_duration_seconds_bucket{cache="none",route="shop",le="0.005"} 2"#,
            r#"tidegate_http_response_bytes_total{route="shop"} 2"#,
            r#"tidegate_client_aborts_total{route="shop"} 1"#,
            r#"tidegate_build_info{version="1"} 1"#,
            "\nprocess_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(m.requests_total(), 2);
    }

    #[test]
    fn node_gauges_mirror_the_state_and_leave_with_the_node() {
        let m = Metrics::new("1");
        let node = m.node("web", "a");
        node.answered(200, Duration::ZERO);
        node.failed(End::UpstreamReset);
        node.changed((Intent::Up, Health::Healthy), (Intent::Up, Health::Ejected));
        let t0 = Instant::now();
        m.mirror(
            [gauges_of(Health::Ejected)].into_iter(),
            [("web", 0)].into_iter(),
            t0,
        );
        let text = m.text();
        for line in [
            r#"tidegate_node_health{health="ejected",node="a",upstream="web"} 1"#,
            r#"tidegate_node_health{health="healthy",node="a",upstream="web"} 0"#,
            r#"tidegate_upstream_requests_in_flight{node="a",upstream="web"} 3"#,
            r#"tidegate_node_ejections_total{node="a",reason="connect",upstream="web"} 1"#,
            r#"tidegate_upstream_errors_total{node="a",reason="upstream_reset",upstream="web"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        m.mirror(std::iter::empty(), std::iter::empty(), t0);
        let text = m.text();
        assert!(!text.contains("node_health{"), "{text}");
        assert!(text.contains(r#"upstream_requests_total{code="200",node="a""#));
        m.mirror(
            std::iter::empty(),
            std::iter::empty(),
            t0 + REMOVED_NODE_STAYS,
        );
        assert!(!m.text().contains(r#"node="a""#), "{}", m.text());
    }

    #[test]
    fn a_node_that_comes_back_in_time_keeps_its_counts() {
        let m = Metrics::new("1");
        m.node("web", "a").answered(200, Duration::ZERO);
        let t0 = Instant::now();
        m.mirror(std::iter::empty(), std::iter::empty(), t0);
        assert_eq!(m.node("web", "a").requests_total(), 1);
        m.mirror(
            std::iter::empty(),
            std::iter::empty(),
            t0 + REMOVED_NODE_STAYS,
        );
        assert_eq!(
            m.node("web", "a").requests_total(),
            1,
            "its time starts again"
        );
    }
}
