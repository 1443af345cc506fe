//! From a checked configuration and the generation in use to the next generation.
//!
//! Nodes that stay keep their state. Building changes nothing that is in use: what the new generation asks of its
//! nodes is applied by the caller, after the swap.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue};
use xxhash_rust::xxh3::xxh3_64;

use super::doors::Doors;
use super::greetings;
use super::issued::Issued;
use super::overlay::Overlay;
use super::shared::Shared;
use super::snapshot::{Compressing, Express, Member, Snapshot, Upstream};
use super::sticky::{self, Others, Sticky};
use super::tls::TlsPorts;
use crate::balance::commons::Commons;
use crate::balance::node::Node;
use crate::balance::pick::{BACKUP, Candidate};
use crate::balance::pool::{How, Pool};
use crate::base::node::{Health, Intent};
use crate::config::checked::{self, Config, InitialHealth, NodeAddr, Secret};
use crate::route::Table;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::transform::eligible::Types;
use crate::upstream::h2::Connections;
use crate::upstream::kept::Kept;
use crate::upstream::peer::peer;
use crate::wire::head::Rules;

/// Label of requests without a route.
pub const NO_ROUTE: &str = "none";

/// Addresses of names, by `host:port`.
pub type Resolved = HashMap<String, Vec<SocketAddr>>;

/// What a generation is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// When it was loaded.
    pub loaded_at: SystemTime,
    /// What the operator changed at run time.
    pub overlay: &'a Overlay,
    /// Addresses of names.
    pub resolved: &'a Resolved,
    /// Nodes that left earlier generations but still have requests: one that comes back is the same node.
    pub leaving: &'a [Arc<Node>],
    /// Whether the express lane is on.
    pub express: bool,
    /// Certificates that came at run time.
    pub issued: &'a Arc<Issued>,
    /// The generation in use; `None` at the start.
    pub previous: Option<&'a Snapshot>,
    /// The own key of the process before; `None`: there was none, or it does not matter any more.
    pub inherited_key: Option<&'a Secret>,
}

/// The next generation.
///
/// # Errors
/// When the access log cannot be opened, or the system has no random numbers to give.
pub fn build(parts: &Parts<'_>, metrics: &Metrics, now: Instant) -> io::Result<Snapshot> {
    let config = &parts.config;
    let log = match parts.previous {
        Some(p) if p.log.fits(&config.access_log) => p.log.clone(),
        _ => Arc::new(AccessLog::open(
            &config.access_log,
            metrics.log_dropped.clone(),
        )?),
    };
    if config.cache.redis.is_some() {
        metrics.cache.is_shared();
    }
    let own_key = match parts.previous {
        Some(p) => p.own_key.clone(),
        None => match parts.inherited_key {
            Some(key) => key.clone(),
            None => sticky::own_key()?,
        },
    };
    let shared = Shared::of(config, parts.previous);
    let tls = TlsPorts::new(config, parts.previous, parts.issued)?;
    Ok(Snapshot {
        generation: parts.previous.map_or(1, |p| p.generation + 1),
        loaded_at: parts.loaded_at,
        rules: rules(config, &tls),
        routes: Table::new(&config.routes),
        selecting: selecting(config),
        announces: (config.upstreams.iter()).any(|u| u.proxy_protocol.is_some()),
        caches: config.routes.iter().any(|r| r.cache.is_some()),
        express: (config.routes.iter())
            .map(|route| express(route, parts.express))
            .collect(),
        compressing: compressing(config),
        route_metrics: config
            .routes
            .iter()
            .map(|r| match r.cache {
                Some(_) => metrics.cached_route(&r.name),
                None => metrics.route(&r.name),
            })
            .collect(),
        no_route_metrics: metrics.route(NO_ROUTE),
        doors: Doors::new(config, parts.previous, shared.as_deref(), metrics, now),
        tls,
        upstreams: config
            .upstreams
            .iter()
            .map(|u| upstream(u, parts, (&own_key, shared.as_deref()), metrics, now))
            .collect(),
        shared,
        config: config.clone(),
        log,
        own_key,
    })
}

/// The request fields that routes are chosen by.
fn selecting(config: &Config) -> Vec<HeaderName> {
    let fields = config
        .routes
        .iter()
        .flat_map(|route| &route.matcher.headers);
    let names: BTreeSet<&str> = fields.map(|(name, _)| name.as_str()).collect();
    let names = names.into_iter().filter_map(|name| name.parse().ok());
    names.collect()
}

/// Whether the express lane serves a route. What it cannot do for one has a name here; what it can, it is asked for each
/// request.
fn express(route: &checked::Route, is_on: bool) -> Express {
    match (&route.action, &route.cache) {
        _ if !is_on => Express::Off,
        (checked::Action::Redirect { .. }, _) => Express::Redirect,
        (_, None) => Express::NoCache,
        _ if route.is_limited_by_all() => Express::ClusterLimit,
        _ => Express::Open,
    }
}

/// How each route compresses.
fn compressing(config: &Config) -> Vec<Option<Compressing>> {
    let of = |rules: &checked::Compress| Compressing {
        types: Types::new(&rules.types),
        rules: rules.clone(),
    };
    let routes = config.routes.iter();
    routes
        .map(|route| route.compress.as_ref().map(of))
        .collect()
}

/// What is let in, in the words of the wire.
fn rules(config: &checked::Config, ports: &TlsPorts) -> Rules {
    let (limits, requests) = (&config.limits, &config.requests);
    Rules {
        max_head: limits.header_bytes,
        max_fields: limits.headers,
        max_target: limits.uri_bytes,
        max_body: limits.body,
        merge_slashes: requests.merge_slashes,
        keep_underscores: requests.underscores == checked::Underscores::Keep,
        drop: (requests.drop.iter())
            // No client may say by whatever port whose certificate it has.
            .chain(ports.client_headers())
            .map(|name| name.to_string())
            .collect(),
    }
}

fn upstream(
    config: &checked::Upstream,
    parts: &Parts<'_>,
    (own_key, shared): (&Secret, Option<&Shared>),
    metrics: &Metrics,
    now: Instant,
) -> Upstream {
    let name: Arc<str> = config.name.as_str().into();
    let previous = parts
        .previous
        .and_then(|p| p.upstreams.iter().find(|u| u.name == name));
    let mut known = known_nodes(&name, previous, parts.leaving);
    let speaker = greetings::speaker(config, previous);
    // What a node was told of one client must not be said by another.
    let limit = match config.proxy_protocol {
        None => config.timeouts.idle,
        Some(_) => Duration::ZERO,
    };
    let mut unresolved = Vec::new();
    let (mut candidates, mut members) = (Vec::new(), Vec::new());
    for (entry, node) in config.nodes.iter().enumerate() {
        let added = parts.overlay.is_added(&name, &node.id);
        for (id, addr) in addresses(node, parts.resolved, &mut unresolved) {
            let over = parts.overlay.of(&name, &id);
            let intent = over.intent.unwrap_or(node.state);
            let weight = over.weight.unwrap_or(node.weight);
            let shared = known.remove(id.as_str()).unwrap_or_else(|| {
                let health = initial_health(config.health.as_ref());
                Arc::new(Node::new(
                    name.clone(),
                    id.as_str().into(),
                    intent,
                    health,
                    now,
                ))
            });
            // A node that is not up takes nothing new in this generation.
            let counts = if intent == Intent::Up { weight } else { 0 };
            let candidate = Candidate {
                most: node.max_conns,
                tier: if node.backup { BACKUP } else { node.priority },
                ..Candidate::new(shared, counts, xxh3_64(id.as_bytes()))
            };
            let before = before(previous, &candidate.node);
            let greeting = greetings::greeting(speaker.as_ref(), (node, addr), before);
            let before = before.map(|(_, member)| member);
            // Connections are of use to a node that begins as before, has not moved, and takes requests in both generations.
            let same = before
                .filter(|member| greetings::is_same(&member.greeting, &greeting))
                .filter(|m| (m.addr, m.intent) == (addr, intent) && intent == Intent::Up);
            let kept = same
                .filter(|m| m.kept.limit() == limit)
                .map(|m| m.kept.clone());
            let h2 = config.h2.map(|rules| h2(same, rules, limit));
            let mut peer = peer(addr, &config.timeouts);
            if let Some(connections) = &h2 {
                connections.speaks(&mut peer, greeting.tls.is_some());
            }
            candidates.push(candidate);
            members.push(Member {
                addr,
                greeting,
                peer,
                kept: kept.unwrap_or_else(|| Arc::new(Kept::new(limit, now))),
                h2,
                host: host_value(addr),
                metrics: metrics.node(&name, &id),
                entry,
                weight,
                intent,
                drift: added || over != super::overlay::Override::default(),
                added,
            });
        }
    }
    let sticky = config.sticky.as_ref().map(|sticky| {
        let others = Others::of(sticky, &name, shared, || metrics.shared_sticky(&name));
        let metrics = (metrics.sticky(&name), others);
        Sticky::new(sticky, &name, &candidates, previous, own_key, metrics)
    });
    Upstream {
        speaker,
        sticky,
        pool: Pool::new(
            How {
                balance: config.balance,
                most: config.hash.balance_factor,
                fail_open_below: config.fail_open_below,
                outlier: config.outlier.clone(),
                breaker: config.breaker.clone(),
                slow_start: config.slow_start,
                queue: config.queue,
                has_way_out: falls_back(config, &parts.config),
            },
            candidates,
            previous.map(|p| &p.pool),
            previous.map_or_else(|| Arc::new(Commons::new(now)), |p| p.pool.commons().clone()),
            seed(parts.previous),
        ),
        members,
        metrics: metrics.upstream(&name),
        unresolved,
        name,
    }
}

/// Whether reads that go to this upstream may go to a primary instead.
fn falls_back(upstream: &checked::Upstream, config: &Config) -> bool {
    let splits = config.routes.iter().flat_map(|route| &route.split);
    let mut falling = splits.filter(|split| split.fallback);
    falling.any(|split| config.upstreams[split.reads].name == upstream.name)
}

/// What `node` was in the generation before.
fn before<'a>(
    previous: Option<&'a Upstream>,
    node: &Arc<Node>,
) -> Option<(&'a Upstream, &'a Member)> {
    let previous = previous?;
    let mut before = previous.pool.candidates().iter().zip(&previous.members);
    let (_, member) = before.find(|(candidate, _)| Arc::ptr_eq(&candidate.node, node))?;
    Some((previous, member))
}

/// The connections of HTTP/2 to a node: those that it had, where they are as `rules` want them.
fn h2(before: Option<&Member>, rules: checked::H2, idle: Duration) -> Arc<Connections> {
    let had = before.and_then(|member| member.h2.clone());
    had.filter(|had| had.are(rules, idle))
        .unwrap_or_else(|| Arc::new(Connections::new(rules, idle)))
}

/// Where a new sequence starts: with the first node when the process starts, as a reader of the file expects;
/// anywhere after a change, so that frequent reloads do not favour the first node.
fn seed(previous: Option<&Snapshot>) -> u64 {
    previous.map_or(0, |_| fastrand::u64(..))
}

/// Nodes that exist already, by id.
fn known_nodes<'a>(
    upstream: &str,
    previous: Option<&'a Upstream>,
    leaving: &'a [Arc<Node>],
) -> HashMap<&'a str, Arc<Node>> {
    leaving
        .iter()
        .filter(|n| *n.upstream == *upstream)
        .chain(
            previous
                .into_iter()
                .flat_map(|p| p.pool.candidates().iter().map(|c| &c.node)),
        )
        .map(|n| (&*n.id, n.clone()))
        .collect()
}

/// The addresses of an entry, each with the id of its node.
fn addresses(
    node: &checked::Node,
    resolved: &Resolved,
    unresolved: &mut Vec<String>,
) -> Vec<(String, SocketAddr)> {
    match &node.addr {
        NodeAddr::Socket(addr) => vec![(node.id.clone(), *addr)],
        NodeAddr::Name { host, port } => {
            let name = format!("{host}:{port}");
            let Some(found) = resolved.get(&name).filter(|a| !a.is_empty()) else {
                unresolved.push(name);
                return Vec::new();
            };
            found
                .iter()
                .map(|addr| (format!("{}@{}", node.id, addr.ip()), *addr))
                .collect()
        }
    }
}

/// What a node is before its first probe has answered.
pub fn initial_health(health: Option<&checked::Health>) -> Health {
    match health.map(|h| h.initial) {
        None | Some(InitialHealth::Healthy) => Health::Healthy,
        Some(InitialHealth::Probe) => Health::Checking,
        Some(InitialHealth::Unhealthy) => Health::Unhealthy,
    }
}

fn host_value(addr: SocketAddr) -> HeaderValue {
    HeaderValue::from_str(&addr.to_string())
        .expect("invariant: a socket address prints as digits, dots, colons and brackets")
}
