//! What a new generation asks of its nodes, and how drains end.
//!
//! Nodes change here and on a request's way (a connection refused or made), always through `Node::apply`.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Control, Leaving};
use crate::balance::node::{Input, Node, Transition};
use crate::base::node::{Circuit, Health, Intent, Standing};
use crate::live::build;
use crate::live::overlay::Overlay;
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::metrics::Metrics;

impl Control {
    /// Tells the nodes of `next` what the operator wants of them, and starts their health anew where what was seen
    /// no longer counts: another address, or no probe any more that could bring an unhealthy node back. New ones start
    /// `slowly`, where the file says so, unless they only became known after the start.
    pub(super) fn settle_nodes(
        &self,
        old: &Snapshot,
        next: &Snapshot,
        leaving: &[Leaving],
        slowly: bool,
        now: Instant,
    ) {
        let left = leaving.iter().map(|l| (Arc::as_ptr(&l.node), l.addr));
        let before: HashMap<_, _> = left.chain(addresses_in(old)).collect();
        for (upstream, config) in next.upstreams.iter().zip(&next.config.upstreams) {
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                let node = &candidate.node;
                self.apply(node, Input::Intend(member.intent), now);
                let was = before.get(&Arc::as_ptr(node));
                let moved = was.is_some_and(|addr| *addr != member.addr);
                let health = node.view(now).health;
                let stuck = config.health.is_none()
                    && matches!(health, Health::Unhealthy | Health::Checking);
                if moved || stuck {
                    let health = build::initial_health(config.health.as_ref());
                    self.apply(node, Input::Restart(health), now);
                }
                if config.breaker.is_none() && node.is_hindered() {
                    let why = "no breaker any more".into();
                    self.apply(node, Input::Close { why }, now);
                }
                if config.health.is_none() {
                    node.apply(Input::Unprobed, now);
                }
                if config.outlier.is_none() {
                    self.apply(node, Input::Release, now);
                }
                let begins = (was.is_none() && slowly) || moved;
                if begins && config.slow_start.is_some() && upstream.is_carried_without(node, now) {
                    node.apply(Input::Warm, now);
                }
            }
        }
    }

    /// Nodes of `old` that are not among those `named` drain from now on.
    pub(super) fn dismiss(
        &self,
        old: &Snapshot,
        named: &HashSet<*const Node>,
        overlay: &Overlay,
        now: Instant,
    ) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        for (upstream, config) in old.upstreams.iter().zip(&old.config.upstreams) {
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                if !named.contains(&Arc::as_ptr(&candidate.node)) {
                    self.apply(&candidate.node, Input::Intend(Intent::Drain), now);
                    let by_hand = overlay.is_removed(&upstream.name, &candidate.node.id)
                        || (member.added && !overlay.is_added(&upstream.name, &candidate.node.id));
                    leaving.push(Leaving {
                        why: match by_hand {
                            true => "removed at run time",
                            false => "removed from the file",
                        },
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
        let stays: HashSet<_> = next.over_h2().map(Arc::as_ptr).collect();
        let gone = old
            .over_h2()
            .filter(|home| !stays.contains(&Arc::as_ptr(home)));
        gone.for_each(|home| home.close());
    }

    /// Lets something happen to a node, and tells what changed.
    pub fn apply(&self, node: &Arc<Node>, input: Input, now: Instant) {
        if let Some(transition) = node.apply(input, now) {
            self.changed(node, &transition, now);
        }
    }

    /// Tells a change of a node's state: one line, one count. One that comes back to a pool that others carry starts
    /// slowly, where the file says so.
    pub fn changed(&self, node: &Arc<Node>, transition: &Transition, now: Instant) {
        tell(node, transition, &self.metrics);
        self.note_transition(node, transition);
        self.hold.look(|snapshot| {
            let own = |u: &&Upstream| u.name == node.upstream;
            let Some(upstream) = snapshot.upstreams.iter().find(own) else {
                return;
            };
            // Whoever waits for a place may have one there.
            upstream.pool.commons().queue.has_room();
            let slowly = upstream.pool.how().slow_start.is_some();
            if transition.returned && slowly && upstream.is_carried_without(node, now) {
                node.apply(Input::Warm, now);
            }
        });
    }

    /// Ends drains, ejections, tunnels and idle connections whose time is over, and forgets nodes that have left. Called several times a second.
    pub fn tick(&self, now: Instant) {
        let snapshot = self.hold.load();
        let mut cut = false;
        for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
            for (at, candidate) in upstream.pool.candidates().iter().enumerate() {
                self.apply(&candidate.node, Input::Settle, now);
                if config.breaker.is_none() && candidate.node.is_hindered() {
                    // A request of an older generation has opened it.
                    let why = "no breaker any more".into();
                    self.apply(&candidate.node, Input::Close { why }, now);
                }
                if candidate.node.warming_for(now).is_some() && upstream.pool.is_warm(at, now) {
                    candidate.node.apply(Input::IsWarm, now);
                }
                let limit = config.drain_ends_after(upstream.members[at].intent);
                cut |= self.end_drain(&candidate.node, limit, now);
            }
            // Places may have come from what no request does: a node that recovered, a generation with more.
            upstream.pool.commons().queue.has_room();
            self.tell_fail_open(upstream, now);
        }
        snapshot.kept().for_each(|kept| kept.sweep(now));
        self.inner.lock().leaving.retain(|leaving| {
            cut |= self.end_drain(&leaving.node, leaving.limit, now);
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
        self.tunnels.look(now);
        self.metrics.forget_gone(now);
    }

    /// Says when the health of an upstream's nodes is ignored from now on, or counts again.
    fn tell_fail_open(&self, upstream: &Upstream, now: Instant) {
        let Some(open) = upstream.pool.noticed(now) else {
            return;
        };
        let (name, well) = (&upstream.name, upstream.pool.available(now));
        let all = upstream.members.len();
        let said = match open {
            true => format!(
                "upstream {name}: only {well} of {all} nodes are healthy, less than fail_open_below: health is \
                 ignored, all of them are used; look at the health check if the nodes are well"
            ),
            false => format!("upstream {name}: enough nodes are healthy again; health counts"),
        };
        match open {
            true => tracing::warn!("{said}"),
            false => tracing::info!("{said}"),
        }
        self.note_fail_open(name, open, said);
    }

    /// Whether requests on it are to be cut now, because its drain is over.
    fn end_drain(&self, node: &Arc<Node>, limit: Duration, now: Instant) -> bool {
        let left = node.in_flight();
        if left == 0 {
            return false;
        }
        let already = node.is_cut();
        node.apply(Input::DrainIsOver { limit }, now);
        if node.is_cut() && !already {
            let (upstream, id) = (&node.upstream, &node.id);
            let said = format!("node {upstream}/{id}: its drain is over, {left} requests are cut");
            tracing::warn!("{said}");
            self.note_cut(node, said);
        }
        node.is_cut()
    }
}

/// How long a removed node is kept in sight although it is empty: a request that began on an older generation and is
/// tried again there must be seen and counted.
const LATECOMERS: Duration = Duration::from_secs(1);

fn tell(node: &Node, t: &Transition, metrics: &Metrics) {
    let (upstream, id) = (&node.upstream, &node.id);
    match is_worse(t) {
        true => tracing::warn!("node {upstream}/{id}: {}", said(t)),
        false => tracing::info!("node {upstream}/{id}: {}", said(t)),
    }
    let ejected = t.ejected.map(|kind| kind.as_str());
    // One that has left and is forgotten has no counts any more, and must not have some for ever.
    if let Some(metrics) = metrics.known_node(upstream, id) {
        metrics.changed(t.from, t.to, ejected);
    }
}

/// A change in words, with its reason.
pub(super) fn said(t: &Transition) -> String {
    let (from, to) = (words(t.from), words(t.to));
    match t.from == t.to && t.ejected.is_none() {
        true => format!("{to}: {}", t.reason),
        false => format!("{from} -> {to}: {}", t.reason),
    }
}

/// Whether a change is for the worse, and not what the operator wants.
pub(super) fn is_worse(t: &Transition) -> bool {
    let ill =
        matches!(t.to.health, Health::Unhealthy | Health::Ejected) || t.to.circuit == Circuit::Open;
    ill && (t.from != t.to || t.ejected.is_some())
}

fn words(standing: Standing) -> String {
    let (intent, health) = (standing.intent.as_str(), standing.health.as_str());
    match standing.circuit {
        Circuit::Closed => format!("{intent} {health}"),
        circuit => format!("{intent} {health}, breaker {}", circuit.as_str()),
    }
}

/// The nodes of a generation, each by itself: they are many, and looked for one by one.
pub(super) fn nodes_of(snapshot: &Snapshot) -> HashSet<*const Node> {
    addresses_in(snapshot).map(|(node, _)| node).collect()
}

/// Where the nodes of a generation listen.
fn addresses_in(snapshot: &Snapshot) -> impl Iterator<Item = (*const Node, SocketAddr)> {
    snapshot.upstreams.iter().flat_map(|upstream| {
        let candidates = upstream.pool.candidates().iter();
        let both = candidates.zip(&upstream.members);
        both.map(|(candidate, member)| (Arc::as_ptr(&candidate.node), member.addr))
    })
}
