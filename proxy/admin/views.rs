//! Shapes of the stats port's answers: what is in use, read at one moment.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use utoipa::ToSchema;

use super::figures::{self, NodePointView};
use crate::balance::node::View;
use crate::base::node::Intent;
use crate::config::checked::{self, NodeAddr};
use crate::live::control::{Control, Leaving};
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::history;

/// `/api/v1/upstreams`
#[derive(Debug, Serialize, ToSchema)]
pub struct Upstreams {
    /// Generation in use.
    pub generation: u64,
    /// Each upstream.
    pub upstreams: Vec<UpstreamView>,
    /// The `cursor` of what comes after these; none: that was all.
    pub next_cursor: Option<String>,
}

/// `/api/v1/upstreams/{u}`
#[derive(Debug, Serialize, ToSchema)]
pub struct UpstreamView {
    /// Its name.
    pub name: String,
    /// How it balances.
    pub balance: &'static str,
    /// Nodes that take new requests without reserve.
    pub available: usize,
    /// Whether so few are healthy that health is ignored.
    pub fail_open: bool,
    /// Whether its nodes are believed whoever they are (`tls: { verify: false }`).
    pub unverified: bool,
    /// What its nodes are spoken to in: `h2` or `http/1.1`.
    pub protocol: &'static str,
    /// Requests that wait for a place on a node.
    pub waiting: usize,
    /// The last second on all its nodes; none: it was not looked at in time.
    pub second: Option<NodePointView>,
    /// Its nodes, those that are leaving last.
    pub nodes: Vec<NodeView>,
    /// Names without an address yet.
    pub unresolved: Vec<String>,
    /// Names among its nodes.
    pub names: Vec<NameView>,
}

/// A name whose addresses are nodes.
#[derive(Debug, Serialize, ToSchema)]
pub struct NameView {
    /// `host:port`, as in the file.
    pub name: String,
    /// Addresses in use.
    pub addresses: usize,
    /// How long ago it last had an answer; none: never.
    pub age_seconds: Option<f64>,
    /// Why the last look-up failed; none: it did not.
    pub failure: Option<String>,
}

/// `/api/v1/upstreams/{u}/nodes/{n}`
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeView {
    /// Its identity.
    pub id: String,
    /// Where it listens.
    pub addr: String,
    /// What the operator wants of it.
    pub state: &'static str,
    /// What is seen of it.
    pub health: &'static str,
    /// Why it is so.
    pub reason: String,
    /// For how long.
    pub since_seconds: f64,
    /// Its weight in the file, or as set at run time.
    pub weight: u32,
    /// The state of its circuit breaker, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<&'static str>,
    /// For how long it still rests, while it is ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_for_seconds: Option<f64>,
    /// The share of new requests it is given now; a whole number unless it starts slowly.
    #[serde(serialize_with = "whole_where_it_is")]
    pub effective_weight: f64,
    /// The share of its weight that it asks for itself, in percent.
    pub agent_share: u32,
    /// Used only when no other can be.
    pub backup: bool,
    /// Nodes of the lowest number that can be used are used.
    pub priority: u8,
    /// How many requests it may have at a time.
    pub max_conns: Option<u32>,
    /// Requests in flight on it.
    pub in_flight: usize,
    /// Those of them that are tunnels, WebSockets.
    pub tunnels: usize,
    /// Answers it gave.
    pub requests_total: u64,
    /// Attempts that failed on it.
    pub errors_total: u64,
    /// Its last probe.
    pub last_check: Option<CheckView>,
    /// Whether it was changed at run time.
    pub drift: bool,
    /// Whether it was added at run time.
    pub added: bool,
    /// Whether it is no longer named, by the file or since it was removed at run time.
    pub removed: bool,
    /// What is left of a drain.
    pub drain: Option<DrainView>,
    /// The last second on it; none: it was not looked at in time.
    pub second: Option<NodePointView>,
}

/// A probe.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CheckView {
    /// Whether it passed.
    pub ok: bool,
    /// How long ago.
    pub age_seconds: f64,
    /// What came of it.
    pub text: String,
}

/// A drain.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DrainView {
    /// Requests left.
    pub remaining: usize,
    /// When what is left will be cut.
    pub ends_in_seconds: f64,
}

/// `/api/v1/config`
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigView {
    /// Generation in use.
    pub generation: u64,
    /// Where it comes from.
    pub path: String,
    /// When it was loaded.
    pub loaded_at: String,
    /// Every file read.
    pub files: Vec<String>,
    /// What the file says but only a restart puts in use.
    pub waits_for_restart: Vec<String>,
    /// The whole of it, defaults included.
    pub effective: String,
}

mod unresolved;

pub use unresolved::unresolved;

/// RFC 3339, to the millisecond.
pub fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// Every upstream now.
pub fn upstreams(control: &Control, now: Instant) -> Upstreams {
    let snapshot = control.hold.load();
    let leaving = control.leaving();
    let mut upstreams: Vec<_> = (0..snapshot.upstreams.len())
        .map(|at| upstream(control, &snapshot, at, &leaving, now))
        .collect();
    let figures = control.history.lock();
    for upstream in &mut upstreams {
        upstream.second = figures::nodes(&figures, &history::upstream(&upstream.name));
        for node in &mut upstream.nodes {
            let series = history::node(&upstream.name, &node.id);
            node.second = figures::nodes(&figures, &series);
        }
    }
    Upstreams {
        generation: snapshot.generation,
        upstreams,
        next_cursor: None,
    }
}

fn upstream(
    control: &Control,
    snapshot: &Snapshot,
    at: usize,
    leaving: &[Leaving],
    now: Instant,
) -> UpstreamView {
    let upstream = &snapshot.upstreams[at];
    let config = &snapshot.config.upstreams[at];
    let ends = |i: usize| config.drain_ends_after(upstream.members[i].intent);
    let nodes = (0..upstream.members.len()).map(|i| member(upstream, i, ends(i), now));
    let gone = leaving
        .iter()
        .filter(|l| l.node.upstream == upstream.name)
        .map(|l| leaver(control, l, now));
    UpstreamView {
        name: upstream.name.to_string(),
        balance: upstream.pool.how().balance.as_str(),
        available: upstream.pool.available(now),
        fail_open: upstream.pool.fails_open(now),
        unverified: config.tls.as_ref().is_some_and(|tls| !tls.verify),
        protocol: match config.h2 {
            Some(_) => "h2",
            None => "http/1.1",
        },
        waiting: upstream.pool.commons().queue.len(),
        second: None,
        nodes: nodes.chain(gone).collect(),
        unresolved: upstream.unresolved.clone(),
        names: names(control, &snapshot.config.upstreams[at], now),
    }
}

fn names(control: &Control, upstream: &checked::Upstream, now: Instant) -> Vec<NameView> {
    let names = upstream.nodes.iter().filter_map(|node| match &node.addr {
        NodeAddr::Name { host, port } => Some(format!("{host}:{port}")),
        NodeAddr::Socket(_) => None,
    });
    let view = |name: String| {
        let state = control.name_state(&name);
        let age = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
        NameView {
            addresses: control.addresses_of(&name).len(),
            age_seconds: state.answered.map(age),
            failure: state.failure,
            name,
        }
    };
    names.map(view).collect()
}

fn member(upstream: &Upstream, at: usize, drain_ends: Duration, now: Instant) -> NodeView {
    let (member, candidate) = (&upstream.members[at], &upstream.pool.candidates()[at]);
    let view = candidate.node.view(now);
    let in_flight = candidate.node.in_flight();
    let drain = view.draining_since.map(|since| DrainView {
        remaining: in_flight,
        ends_in_seconds: (since + drain_ends)
            .saturating_duration_since(now)
            .as_secs_f64(),
    });
    NodeView {
        id: candidate.node.id.to_string(),
        addr: member.addr.to_string(),
        state: member.intent.as_str(),
        health: view.health.as_str(),
        since_seconds: now.duration_since(view.since).as_secs_f64(),
        weight: member.weight,
        breaker: upstream.pool.circuit(at, now).map(|c| c.as_str()),
        rests_for_seconds: rests_for(&view, now),
        effective_weight: upstream.pool.effective_weight(at, now),
        backup: candidate.is_backup(),
        priority: candidate.tier,
        max_conns: candidate.most,
        agent_share: view.agent_share,
        in_flight,
        tunnels: candidate.node.tunnels(),
        requests_total: member.metrics.requests_total(),
        errors_total: member.metrics.errors_total(),
        last_check: check(&view, now),
        reason: view.reason,
        drift: member.drift,
        added: member.added,
        removed: false,
        drain,
        second: None,
    }
}

fn leaver(control: &Control, leaving: &Leaving, now: Instant) -> NodeView {
    let node = &leaving.node;
    let view = node.view(now);
    let metrics = control.metrics.known_node(&node.upstream, &node.id);
    NodeView {
        id: node.id.to_string(),
        addr: leaving.addr.to_string(),
        state: Intent::Drain.as_str(),
        health: view.health.as_str(),
        since_seconds: now.duration_since(view.since).as_secs_f64(),
        weight: 0,
        breaker: None,
        rests_for_seconds: rests_for(&view, now),
        effective_weight: 0.0,
        agent_share: view.agent_share,
        backup: false,
        priority: 0,
        max_conns: None,
        in_flight: node.in_flight(),
        tunnels: node.tunnels(),
        requests_total: metrics.as_ref().map_or(0, |m| m.requests_total()),
        errors_total: metrics.as_ref().map_or(0, |m| m.errors_total()),
        last_check: check(&view, now),
        reason: leaving.why.into(),
        drift: false,
        added: false,
        removed: true,
        drain: Some(DrainView {
            remaining: node.in_flight(),
            ends_in_seconds: leaving.ends().saturating_duration_since(now).as_secs_f64(),
        }),
        second: None,
    }
}

fn rests_for(view: &View, now: Instant) -> Option<f64> {
    let until = view.rests_until?;
    Some(until.saturating_duration_since(now).as_secs_f64())
}

/// A number that readers may take for a whole one wherever it is.
fn whole_where_it_is<S: serde::Serializer>(n: &f64, out: S) -> Result<S::Ok, S::Error> {
    match n.fract() == 0.0 {
        true => out.serialize_u64(*n as u64),
        false => out.serialize_f64(*n),
    }
}

fn check(view: &View, now: Instant) -> Option<CheckView> {
    view.last_check.as_ref().map(|(at, failure)| CheckView {
        ok: failure.is_none(),
        age_seconds: now.duration_since(*at).as_secs_f64(),
        text: failure.clone().unwrap_or_else(|| "passed".into()),
    })
}
