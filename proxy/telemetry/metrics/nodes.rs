//! What is counted for a node, and the gauges that mirror its state.
//!
//! Gauges are set from the state when somebody asks; they never keep a value of their own.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::codes::{CodeCounters, WordCounters};
use super::family::{Counters, Families, Histograms, Mirror, Sample, counters, histograms, label};
use super::{BUCKETS, read_took};
use crate::base::node::{Circuit, Health, Intent, Standing};
use crate::base::reason::End;
use crate::telemetry::history::Amounts;

#[derive(Debug)]
pub(super) struct NodeFamilies {
    requests: Counters,
    duration: Histograms,
    ttfb: Histograms,
    errors: Counters,
    checks: Counters,
    ejections: Counters,
    transitions: Counters,
    tunnels: Counters,
    state: StateFamilies,
}

/// Families that mirror the state of nodes.
#[derive(Debug)]
struct StateFamilies {
    in_flight: Mirror,
    tunnels: Mirror,
    state: Mirror,
    health: Mirror,
    weight: Mirror,
    breaker: Mirror,
    drain_remaining: Mirror,
}

/// What is counted for one node.
#[derive(Debug)]
pub struct NodeMetrics {
    codes: CodeCounters,
    duration: Histogram,
    ttfb: Histogram,
    errors: WordCounters,
    errors_total: IntCounter,
    retries_total: IntCounter,
    checks: WordCounters,
    ejections: WordCounters,
    transitions: WordCounters,
    tunnels: IntCounter,
    labels: NodeLabels,
}

/// How its series name it, as text.
#[derive(Debug)]
struct NodeLabels {
    upstream: String,
    node: String,
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
        self.errors.inc(why.as_str());
    }

    /// Counts an attempt that followed a failed one.
    pub fn retried(&self) {
        self.retries_total.inc();
    }

    /// Reads what was counted into `amounts`, which holds what was read before.
    pub fn read(&self, amounts: &mut Amounts) {
        amounts.requests = self.codes.total();
        amounts.errors = self.errors_total.get();
        amounts.retries = self.retries_total.get();
        read_took([Some(&self.duration)], &mut amounts.took);
    }

    /// Counts a tunnel that it agreed to.
    pub fn tunnel(&self) {
        self.tunnels.inc();
    }

    /// Counts a probe.
    pub fn probed(&self, passed: bool) {
        self.checks.inc(if passed { "pass" } else { "fail" });
    }

    /// Counts a change of state. `ejected` says why it was, when it was.
    pub fn changed(&self, from: Standing, to: Standing, ejected: Option<&'static str>) {
        if let Some(why) = ejected {
            self.ejections.inc(why);
        }
        let changed = [
            (from.health != to.health, to.health.as_str()),
            (from.intent != to.intent, to.intent.as_str()),
            (from.circuit != to.circuit, breaker_word(to.circuit)),
        ];
        for (_, to) in changed.iter().filter(|(changed, _)| *changed) {
            self.transitions.inc(to);
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

/// What a breaker's change is called among the changes of a node.
fn breaker_word(circuit: Circuit) -> &'static str {
    match circuit {
        Circuit::Closed => "breaker_closed",
        Circuit::Open => "breaker_open",
        Circuit::HalfOpen => "breaker_half_open",
    }
}

/// State of a node, read when metrics are asked for.
#[derive(Debug, Clone)]
pub struct NodeGauges<'a> {
    /// What is counted for it.
    pub metrics: &'a NodeMetrics,
    /// What the operator wants.
    pub intent: Intent,
    /// What we see.
    pub health: Health,
    /// Requests in flight on it.
    pub in_flight: usize,
    /// Those of them that are tunnels.
    pub tunnels: usize,
    /// Its breaker, where it has one.
    pub circuit: Option<Circuit>,
    /// Share of the traffic it is given now.
    pub weight: f64,
    /// Whether it is draining.
    pub draining: bool,
}

impl NodeFamilies {
    pub(super) fn new(f: &Families) -> Self {
        const NODE: &[&str] = &["upstream", "node"];
        NodeFamilies {
            requests: counters(
                f,
                "upstream_requests_total",
                "Answers from nodes.",
                &["upstream", "node", "code"],
            ),
            duration: histograms(
                f,
                (
                    "upstream_request_duration_seconds",
                    "From choosing a node to the end of its answer.",
                ),
                &BUCKETS,
                NODE,
            ),
            ttfb: histograms(
                f,
                (
                    "upstream_time_to_first_byte_seconds",
                    "From choosing a node to the head of its answer.",
                ),
                &BUCKETS,
                NODE,
            ),
            errors: counters(
                f,
                "upstream_errors_total",
                "Attempts that failed on a node.",
                &["upstream", "node", "reason"],
            ),
            checks: counters(
                f,
                "node_health_checks_total",
                "Health probes, by whether they passed.",
                &["upstream", "node", "result"],
            ),
            ejections: counters(
                f,
                "node_ejections_total",
                "Times a node was rested.",
                &["upstream", "node", "reason"],
            ),
            transitions: counters(
                f,
                "node_transitions_total",
                "Changes of a node's state, health or breaker.",
                &["upstream", "node", "to"],
            ),
            tunnels: counters(
                f,
                "tunnels_total",
                "Connections that became tunnels (101, WebSockets).",
                NODE,
            ),
            state: StateFamilies::new(),
        }
    }

    pub(super) fn handles(&self, upstream: &str, id: &str) -> NodeMetrics {
        let node = [upstream, id];
        NodeMetrics {
            codes: CodeCounters::new(&self.requests, &node),
            duration: self.duration.with_label_values(&node),
            ttfb: self.ttfb.with_label_values(&node),
            errors: WordCounters::new(&self.errors, &node),
            errors_total: unregistered("errors"),
            retries_total: unregistered("retries"),
            checks: WordCounters::new(&self.checks, &node),
            ejections: WordCounters::new(&self.ejections, &node),
            transitions: WordCounters::new(&self.transitions, &node),
            tunnels: self.tunnels.with_label_values(&node),
            labels: NodeLabels {
                upstream: label("upstream", upstream),
                node: label("node", id),
            },
        }
    }

    /// Adds the state of these nodes.
    pub(super) fn write_state(&self, nodes: &[NodeGauges<'_>], text: &mut String) {
        self.state.write(nodes, text);
    }

    pub(super) fn forget(&self, upstream: &str, node: &str) {
        let node = [upstream, node];
        for family in [
            &self.requests,
            &self.errors,
            &self.checks,
            &self.ejections,
            &self.transitions,
            &self.tunnels,
        ] {
            family.remove_under(&node);
        }
        self.duration.remove_under(&node);
        self.ttfb.remove_under(&node);
    }
}

/// A counter that is told by other ways than the Prometheus text.
fn unregistered(name: &str) -> IntCounter {
    IntCounter::new(name, "Not told by itself.").expect("invariant: a literal name is valid")
}

impl StateFamilies {
    fn new() -> Self {
        StateFamilies {
            in_flight: Mirror::gauge(
                "upstream_requests_in_flight",
                "Requests in flight on a node.",
            ),
            tunnels: Mirror::gauge(
                "tunnels_active",
                "Tunnels that stand (101, WebSockets), in flight among the rest.",
            ),
            state: Mirror::gauge("node_state", "What the operator wants of a node."),
            health: Mirror::gauge("node_health", "What is seen of a node."),
            weight: Mirror::gauge(
                "node_effective_weight",
                "Share of new requests a node is given now.",
            ),
            breaker: Mirror::gauge("breaker_state", "State of a node's circuit breaker."),
            drain_remaining: Mirror::gauge(
                "node_drain_remaining_requests",
                "Requests left on a draining node.",
            ),
        }
    }

    /// Labels stand by name, as everywhere.
    fn write(&self, nodes: &[NodeGauges<'_>], text: &mut String) {
        let in_flight = |g: &NodeGauges<'_>| Sample::Whole(g.in_flight as u64);
        each(&self.in_flight, nodes, text, |g| Some(in_flight(g)));
        each(&self.tunnels, nodes, text, |g| {
            Some(Sample::Whole(g.tunnels as u64))
        });
        each(&self.weight, nodes, text, |g| Some(Sample::Float(g.weight)));
        each(&self.drain_remaining, nodes, text, |g| {
            g.draining.then(|| in_flight(g))
        });
        let words = Health::ALL.map(|word| (word, label("health", word.as_str())));
        self.health.begin(text);
        for g in nodes {
            let NodeLabels { upstream, node } = &g.metrics.labels;
            for (word, health) in &words {
                let is = Sample::Whole(u64::from(*word == g.health));
                self.health.sample(&[health, node, upstream], is, text);
            }
        }
        let words = Intent::ALL.map(|word| (word, label("state", word.as_str())));
        self.state.begin(text);
        for g in nodes {
            let NodeLabels { upstream, node } = &g.metrics.labels;
            for (word, state) in &words {
                let is = Sample::Whole(u64::from(*word == g.intent));
                self.state.sample(&[node, state, upstream], is, text);
            }
        }
        let words = Circuit::ALL.map(|word| (word, label("state", word.as_str())));
        self.breaker.begin(text);
        for (g, circuit) in nodes.iter().filter_map(|g| Some((g, g.circuit?))) {
            let NodeLabels { upstream, node } = &g.metrics.labels;
            for (word, state) in &words {
                let is = Sample::Whole(u64::from(*word == circuit));
                self.breaker.sample(&[node, state, upstream], is, text);
            }
        }
    }
}

/// A sample for each node that has one.
fn each(
    family: &Mirror,
    nodes: &[NodeGauges<'_>],
    text: &mut String,
    sample: impl Fn(&NodeGauges<'_>) -> Option<Sample>,
) {
    family.begin(text);
    for g in nodes {
        if let Some(value) = sample(g) {
            let NodeLabels { upstream, node } = &g.metrics.labels;
            family.sample(&[node, upstream], value, text);
        }
    }
}
