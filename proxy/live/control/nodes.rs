//! What a new generation asks of its nodes, and how drains end.
//!
//! Nodes change here and on a request's way (a connection refused or made), always through `Node::apply`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Control, Leaving};
use crate::balance::node::{Input, Node, Transition};
use crate::base::node::{Health, Intent};
use crate::live::build;
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::metrics::Metrics;

impl Control {
    /// Tells the nodes of `next` what the operator wants of them, and starts their health anew where what was seen
    /// no longer counts: another address, or no probe any more that could bring an unhealthy node back.
    pub(super) fn settle_nodes(&self, old: &Snapshot, next: &Snapshot, now: Instant) {
        for (upstream, config) in next.upstreams.iter().zip(&next.config.upstreams) {
            let before = old.upstreams.iter().position(|u| u.name == upstream.name);
            let had_probes = before.is_some_and(|i| old.config.upstreams[i].health.is_some());
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                let node = &candidate.node;
                self.apply(node, Input::Intend(member.intent), now);
                let moved = before
                    .and_then(|i| address_of(&old.upstreams[i], node))
                    .is_some_and(|addr| addr != member.addr);
                if moved || (had_probes && config.health.is_none()) {
                    let health = build::initial_health(config.health.as_ref());
                    self.apply(node, Input::Restart(health), now);
                }
            }
        }
    }

    /// Nodes of `old` that `next` does not name drain from now on.
    pub(super) fn dismiss(&self, old: &Snapshot, next: &Snapshot, now: Instant) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        for (upstream, config) in old.upstreams.iter().zip(&old.config.upstreams) {
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                if !has_node(next, &candidate.node) {
                    self.apply(&candidate.node, Input::Intend(Intent::Drain), now);
                    leaving.push(Leaving {
                        node: candidate.node.clone(),
                        addr: member.addr,
                        ends: now + config.drain_timeout,
                    });
                }
            }
        }
        leaving
    }

    /// Lets something happen to a node, and tells what changed.
    pub fn apply(&self, node: &Arc<Node>, input: Input, now: Instant) {
        if let Some(transition) = node.apply(input, now) {
            tell(node, &transition, &self.metrics);
        }
    }

    /// Ends drains whose time is over and forgets nodes that have left. Called several times a second.
    pub fn tick(&self, now: Instant) {
        let mut inner = self.inner.lock();
        let mut cut = false;
        inner.leaving.retain(|l| {
            if l.node.in_flight() > 0 && now >= l.ends {
                cut |= cut_rest(&l.node);
            }
            l.node.in_flight() > 0
        });
        drop(inner);
        let snapshot = self.hold.load();
        for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
            for candidate in upstream.pool.candidates() {
                let node = &candidate.node;
                if candidate.weight == 0
                    && node.in_flight() > 0
                    && node
                        .view(now)
                        .draining_since
                        .is_some_and(|since| now >= since + config.drain_timeout)
                {
                    cut |= cut_rest(node);
                }
            }
        }
        if cut {
            self.cut.send_modify(|epoch| *epoch += 1);
        }
    }
}

/// Tells a change of a node's state: one line, one count.
pub fn tell(node: &Node, t: &Transition, metrics: &Metrics) {
    let (upstream, id) = (&node.upstream, &node.id);
    let (from, to) = (words(t.from), words(t.to));
    if t.to.1 == Health::Unhealthy || t.to.1 == Health::Ejected {
        tracing::warn!("node {upstream}/{id}: {from} -> {to}: {}", t.reason);
    } else {
        tracing::info!("node {upstream}/{id}: {from} -> {to}: {}", t.reason);
    }
    metrics.node(upstream, id).changed(t.from, t.to);
}

fn words((intent, health): (Intent, Health)) -> String {
    format!("{} {}", intent.as_str(), health.as_str())
}

fn cut_rest(node: &Arc<Node>) -> bool {
    if node.is_cut() {
        return false;
    }
    tracing::warn!(
        "node {}/{}: its drain is over, {} requests are cut",
        node.upstream,
        node.id,
        node.in_flight()
    );
    node.cut_in_flight();
    true
}

pub(super) fn has_node(snapshot: &Snapshot, node: &Arc<Node>) -> bool {
    snapshot
        .upstreams
        .iter()
        .flat_map(|u| u.pool.candidates())
        .any(|c| Arc::ptr_eq(&c.node, node))
}

fn address_of(upstream: &Upstream, node: &Arc<Node>) -> Option<SocketAddr> {
    let at = upstream
        .pool
        .candidates()
        .iter()
        .position(|c| Arc::ptr_eq(&c.node, node))?;
    Some(upstream.members[at].addr)
}
