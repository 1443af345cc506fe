//! One generation of the configuration with everything a request needs, ready made.
//!
//! Immutable. What changes while it is in use (health, requests in flight) lives in the nodes it shares with other
//! generations.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderName, HeaderValue};
use pingora::upstreams::peer::HttpPeer;

use super::doors::Doors;
use super::shared::Shared;
use super::sticky::Sticky;
use super::tls::TlsPorts;
use crate::balance::node::{Fitness, Node};
use crate::balance::pick::Candidate;
use crate::balance::pool::Pool;
use crate::base::node::Intent;
use crate::config::checked::{Compress, Config, Secret};
use crate::route::Table;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{NodeMetrics, RouteMetrics, UpstreamMetrics};
use crate::transform::eligible::Types;
use crate::upstream::connect::Greeting;
use crate::upstream::h2::Connections;
use crate::upstream::kept::Kept;
use crate::upstream::tls::Speaker;
use crate::wire::head::Rules;

/// One generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every change, reload or verb.
    pub generation: u64,
    /// When the file it is made of was loaded.
    pub loaded_at: SystemTime,
    /// What the file says, with the nodes that were added and without those that were removed at run time.
    pub config: Arc<Config>,
    /// What is let in.
    pub rules: Rules,
    /// Finds a request's route: positions into `config.routes`.
    pub routes: Table,
    /// Request fields that routes are chosen by.
    pub selecting: Vec<HeaderName>,
    /// Whether any node is told whose connection comes to it.
    pub announces: bool,
    /// Whether any route has a cache.
    pub caches: bool,
    /// Whether the express lane serves each of `config.routes`.
    pub express: Vec<Express>,
    /// How answers of each of `config.routes` are compressed, where they are.
    pub compressing: Vec<Option<Compressing>>,
    /// Metrics of each of `config.routes`.
    pub route_metrics: Vec<Arc<RouteMetrics>>,
    /// Metrics of requests without a route.
    pub no_route_metrics: Arc<RouteMetrics>,
    /// Who may come in and how often, by port and route.
    pub doors: Doors,
    /// How ports speak TLS.
    pub tls: TlsPorts,
    /// Each of `config.upstreams`, live.
    pub upstreams: Vec<Upstream>,
    /// What this proxy shares with others; `None`: it is on its own.
    pub shared: Option<Arc<Shared>>,
    /// Where requests are told.
    pub log: Arc<AccessLog>,
    /// Signs the cookies of upstreams without a key of their own; the same in every generation.
    pub own_key: Secret,
}

/// Whether the express lane, which answers from the cache where requests come in, serves a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Express {
    /// It does.
    Open,
    /// The route has no cache to answer from.
    NoCache,
    /// The route redirects.
    Redirect,
    /// All proxies count together how often its clients ask: Redis is asked, and nothing here waits.
    ClusterLimit,
    /// It is off for the whole process.
    Off,
}

impl Express {
    /// Whether it serves the route.
    pub fn is_open(self) -> bool {
        self == Express::Open
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Express::Open => "open",
            Express::NoCache => "no_cache",
            Express::Redirect => "redirect",
            Express::ClusterLimit => "cluster_limit",
            Express::Off => "off",
        }
    }
}

/// How a route compresses, ready made.
#[derive(Debug)]
pub struct Compressing {
    /// What the file says.
    pub rules: Compress,
    /// Its media types.
    pub types: Types,
}

/// One upstream of a generation.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Chooses a node.
    pub pool: Pool,
    /// What belongs to each of the pool's candidates, by position.
    pub members: Vec<Member>,
    /// How TLS is spoken to its nodes, where it is.
    pub speaker: Option<Arc<Speaker>>,
    /// How sessions stay on their node.
    pub sticky: Option<Sticky>,
    /// Its metrics.
    pub metrics: UpstreamMetrics,
    /// Names among its nodes that have no address yet.
    pub unresolved: Vec<String>,
}

/// What a request needs of one node.
#[derive(Debug)]
pub struct Member {
    /// Where it listens.
    pub addr: SocketAddr,
    /// How to connect to it.
    pub peer: HttpPeer,
    /// Connections to it that wait for the next request.
    pub kept: Arc<Kept>,
    /// Its connections of HTTP/2; `None`: it is spoken to in HTTP/1.1.
    pub h2: Option<Arc<Connections>>,
    /// How a connection to it begins.
    pub greeting: Greeting,
    /// `Host` for requests that came without one.
    pub host: HeaderValue,
    /// Its metrics.
    pub metrics: Arc<NodeMetrics>,
    /// Position of its entry in the configuration's `nodes`.
    pub entry: usize,
    /// Its weight, whatever its state.
    pub weight: u32,
    /// What the operator wants of it, by file or verb.
    pub intent: Intent,
    /// Whether it is not as the file says.
    pub drift: bool,
    /// Whether it was added at run time.
    pub added: bool,
}

impl Upstream {
    /// Takes one more try out of the budget, of which `share` hundredths of recent requests are allowed; counts it when
    /// there is none left.
    pub fn pays(&self, share: u32, now: Instant) -> bool {
        let commons = self.pool.commons();
        let paid = commons.budget.take(share, commons.millis(now));
        if !paid {
            self.metrics.budget_exhausted.inc();
        }
        paid
    }

    /// Whether another node than this one takes requests.
    pub fn is_carried_without(&self, node: &Arc<Node>, now: Instant) -> bool {
        let serves = |c: &Candidate| {
            c.takes_new() && !Arc::ptr_eq(&c.node, node) && c.node.fitness(now) == Fitness::Good
        };
        self.pool.candidates().iter().any(serves)
    }
}

impl Snapshot {
    /// The connections it keeps, node by node.
    pub fn kept(&self) -> impl Iterator<Item = &Arc<Kept>> {
        let members = self.upstreams.iter().flat_map(|u| &u.members);
        members.map(|member| &member.kept)
    }

    /// The connections of HTTP/2 to its nodes, node by node.
    pub fn over_h2(&self) -> impl Iterator<Item = &Arc<Connections>> {
        let members = self.upstreams.iter().flat_map(|u| &u.members);
        members.filter_map(|member| member.h2.as_ref())
    }

    /// Why this generation cannot serve, a sentence each; empty when it can. What `/readyz` asks.
    pub fn not_ready(&self, now: Instant) -> Vec<String> {
        self.config
            .routes
            .iter()
            .filter_map(|route| match route.action {
                crate::config::checked::Action::Proxy(at) => self.upstreams.get(at),
                crate::config::checked::Action::Redirect { .. } => None,
            })
            .filter(|upstream| !upstream.pool.is_usable(now))
            .map(|upstream| format!("upstream {}: no usable node", upstream.name))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}
