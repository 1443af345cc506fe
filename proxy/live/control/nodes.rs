//! What a new generation asks of its nodes, and how drains end.
//!
//! Nodes change here and on a request's way (a connection refused or made), always through `Node::apply`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Control, Leaving};
use crate::balance::node::{Input, Node, Transition};
use crate::base::node::{Health, Intent};
use crate::live::build;
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::metrics::Metrics;

impl Control {
    /// Tells the nodes of `next` what the operator wants of them, and starts their health anew where what was seen
    /// no longer counts: another address, or no probe any more that could bring an unhealthy node back.
    pub(super) fn settle_nodes(
        &self,
        old: &Snapshot,
        next: &Snapshot,
        leaving: &[Leaving],
        now: Instant,
    ) {
        for (upstream, config) in next.upstreams.iter().zip(&next.config.upstreams) {
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                let node = &candidate.node;
                self.apply(node, Input::Intend(member.intent), now);
                let moved = address_in(old, node)
                    .or_else(|| {
                        leaving
                            .iter()
                            .find(|l| Arc::ptr_eq(&l.node, node))
                            .map(|l| l.addr)
                    })
                    .is_some_and(|addr| addr != member.addr);
                let health = node.view(now).health;
                let stuck = config.health.is_none()
                    && matches!(health, Health::Unhealthy | Health::Checking);
                if moved || stuck {
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
                        since: now,
                        limit: config.drain_timeout,
                    });
                }
            }
        }
        leaving
    }

    /// Closes the connections that `old` kept and `next` does not: to nodes that left, moved, or get nothing new.
    pub(super) fn close_unkept(old: &Snapshot, next: &Snapshot) {
        let stays: HashSet<_> = next.kept().map(Arc::as_ptr).collect();
        let gone = old
            .kept()
            .filter(|kept| !stays.contains(&Arc::as_ptr(kept)));
        gone.for_each(|kept| kept.close());
    }

    /// Lets something happen to a node, and tells what changed.
    pub fn apply(&self, node: &Arc<Node>, input: Input, now: Instant) {
        if let Some(transition) = node.apply(input, now) {
            tell(node, &transition, &self.metrics);
        }
    }

    /// Ends drains, ejections and idle connections whose time is over, and forgets nodes that have left. Called several times a second.
    pub fn tick(&self, now: Instant) {
        let snapshot = self.hold.load();
        let mut cut = false;
        for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
            for candidate in upstream.pool.candidates() {
                self.apply(&candidate.node, Input::Settle, now);
                cut |= end_drain(&candidate.node, config.drain_timeout, now);
            }
            tell_fail_open(upstream, now);
        }
        snapshot.kept().for_each(|kept| kept.sweep(now));
        self.inner.lock().leaving.retain(|leaving| {
            cut |= end_drain(&leaving.node, leaving.limit, now);
            // A request that holds an older generation may still come to it for a moment.
            let stays = leaving.node.in_flight() > 0 || now < leaving.since + LATECOMERS;
            if !stays {
                let node = &leaving.node;
                self.metrics.node_left(&node.upstream, &node.id, now);
            }
            stays
        });
        if cut {
            self.cut.send_modify(|epoch| *epoch += 1);
        }
        self.metrics.forget_gone(now);
    }
}

/// How long a removed node is kept in sight although it is empty: a request that began on an older generation and is
/// tried again there must be seen and counted.
const LATECOMERS: Duration = Duration::from_secs(1);

/// Says when the health of an upstream's nodes is ignored from now on, or counts again.
fn tell_fail_open(upstream: &Upstream, now: Instant) {
    let Some(open) = upstream.pool.noticed(now) else {
        return;
    };
    let (name, well) = (&upstream.name, upstream.pool.available(now));
    let all = upstream.members.len();
    match open {
        true => tracing::warn!(
            "upstream {name}: only {well} of {all} nodes are healthy, less than fail_open_below: health is ignored, \
             all of them are used; look at the health check if the nodes are well"
        ),
        false => tracing::info!("upstream {name}: enough nodes are healthy again; health counts"),
    }
}

/// Whether requests on it are to be cut now, because its drain is over.
fn end_drain(node: &Arc<Node>, limit: Duration, now: Instant) -> bool {
    if node.in_flight() == 0 {
        return false;
    }
    let already = node.is_cut();
    node.apply(Input::DrainIsOver { limit }, now);
    if node.is_cut() && !already {
        tracing::warn!(
            "node {}/{}: its drain is over, {} requests are cut",
            node.upstream,
            node.id,
            node.in_flight()
        );
    }
    node.is_cut()
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

pub(super) fn has_node(snapshot: &Snapshot, node: &Arc<Node>) -> bool {
    snapshot
        .upstreams
        .iter()
        .flat_map(|u| u.pool.candidates())
        .any(|c| Arc::ptr_eq(&c.node, node))
}

fn address_in(snapshot: &Snapshot, node: &Arc<Node>) -> Option<SocketAddr> {
    snapshot.upstreams.iter().find_map(|upstream| {
        let mut candidates = upstream.pool.candidates().iter();
        let at = candidates.position(|c| Arc::ptr_eq(&c.node, node))?;
        Some(upstream.members[at].addr)
    })
}
