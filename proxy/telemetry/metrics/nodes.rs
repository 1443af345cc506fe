//! What is counted for a node, and the gauges that mirror its state.
//!
//! Gauges are set from the state when somebody asks; they never keep a value of their own.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry,
};

use super::codes::CodeCounters;
use super::{counters, float_gauges, gauges, histograms, read_took};
use crate::base::node::{Circuit, Health, Intent, Standing};
use crate::base::reason::End;
use crate::telemetry::history::Amounts;

#[derive(Debug)]
pub(super) struct NodeFamilies {
    requests: IntCounterVec,
    duration: HistogramVec,
    ttfb: HistogramVec,
    errors: IntCounterVec,
    in_flight: IntGaugeVec,
    state: IntGaugeVec,
    health: IntGaugeVec,
    weight: GaugeVec,
    breaker: IntGaugeVec,
    drain_remaining: IntGaugeVec,
    checks: IntCounterVec,
    ejections: IntCounterVec,
    transitions: IntCounterVec,
}

/// What is counted for one node.
#[derive(Debug)]
pub struct NodeMetrics {
    codes: CodeCounters,
    duration: Histogram,
    ttfb: Histogram,
    errors: IntCounterVec,
    errors_total: IntCounter,
    retries_total: IntCounter,
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

    /// Counts a probe.
    pub fn probed(&self, passed: bool) {
        let result = if passed { "pass" } else { "fail" };
        self.families
            .0
            .with_label_values(&[&self.labels.0, &self.labels.1, result])
            .inc();
    }

    /// Counts a change of state. Rare, so its handles are looked up.
    /// `ejected` says why it was, when it was.
    pub fn changed(&self, from: Standing, to: Standing, ejected: Option<&str>) {
        let (upstream, node) = (self.labels.0.as_str(), self.labels.1.as_str());
        let (_, ejections, transitions) = &self.families;
        if let Some(why) = ejected {
            ejections.with_label_values(&[upstream, node, why]).inc();
        }
        let changed = [
            (from.health != to.health, to.health.as_str()),
            (from.intent != to.intent, to.intent.as_str()),
            (from.circuit != to.circuit, breaker_word(to.circuit)),
        ];
        for (_, to) in changed.iter().filter(|(changed, _)| *changed) {
            transitions.with_label_values(&[upstream, node, to]).inc();
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
    /// Its breaker, where it has one.
    pub circuit: Option<Circuit>,
    /// Share of the traffic it is given now.
    pub weight: f64,
    /// Whether it is draining.
    pub draining: bool,
}

impl NodeFamilies {
    pub(super) fn new(r: &Registry) -> Self {
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
            weight: float_gauges(
                r,
                "node_effective_weight",
                "Share of new requests a node is given now.",
                &NODE,
            ),
            breaker: gauges(
                r,
                "breaker_state",
                "State of a node's circuit breaker.",
                &["upstream", "node", "state"],
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

    pub(super) fn handles(&self, upstream: &str, id: &str) -> NodeMetrics {
        NodeMetrics {
            codes: CodeCounters::new(&self.requests, &[upstream, id]),
            duration: self.duration.with_label_values(&[upstream, id]),
            ttfb: self.ttfb.with_label_values(&[upstream, id]),
            errors: self.errors.clone(),
            errors_total: unregistered("errors"),
            retries_total: unregistered("retries"),
            labels: (upstream.to_string(), id.to_string()),
            families: (
                self.checks.clone(),
                self.ejections.clone(),
                self.transitions.clone(),
            ),
        }
    }

    pub(super) fn set(&self, g: &NodeGauges<'_>) {
        let node = [g.upstream, g.node];
        self.in_flight
            .with_label_values(&node)
            .set(g.in_flight as i64);
        self.weight.with_label_values(&node).set(g.weight);
        for circuit in Circuit::ALL {
            let labels = [g.upstream, g.node, circuit.as_str()];
            match g.circuit {
                Some(is) => self
                    .breaker
                    .with_label_values(&labels)
                    .set(i64::from(circuit == is)),
                None => drop(self.breaker.remove_label_values(&labels)),
            }
        }
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
    pub(super) fn forget_gauges(&self, upstream: &str, node: &str) {
        for family in [&self.in_flight, &self.drain_remaining] {
            let _ = family.remove_label_values(&[upstream, node]);
        }
        let _ = self.weight.remove_label_values(&[upstream, node]);
        for circuit in Circuit::ALL {
            let _ = self
                .breaker
                .remove_label_values(&[upstream, node, circuit.as_str()]);
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

    pub(super) fn forget(&self, upstream: &str, node: &str, metrics: &NodeMetrics) {
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

/// A counter that is told by other ways than the Prometheus text.
fn unregistered(name: &str) -> IntCounter {
    IntCounter::new(name, "Not told by itself.").expect("invariant: a literal name is valid")
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
