//! What the program believes of an upstream.
//!
//! Values with a meaning, whatever was written. Nothing here may need the file to be understood.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;

use super::health::Health;
use super::{Breaker, Intent, NodeTls, Outlier, ProxyProtocol, Queue, Retry, SlowStart, Sticky};

/// A pool of nodes and how to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// How a node is chosen.
    pub balance: Balance,
    /// By what, where that is `hash`.
    pub hash: Hash,
    /// Active health checks; `None` when the file asks for none.
    pub health: Option<Health>,
    /// How TLS is spoken to the nodes; `None`: it is not.
    pub tls: Option<NodeTls>,
    /// How nodes are told whose connection it is; `None`: they are not.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limits towards nodes.
    pub timeouts: NodeTimeouts,
    /// Below this share of healthy nodes, in hundredths, health is ignored; 0: never.
    pub fail_open_below: u32,
    /// Status codes of a node's answer that count as its failure, as inclusive ranges.
    pub failure_statuses: Vec<(u16, u16)>,
    /// When a node that fails rests; `None`: only when it refuses connections.
    pub outlier: Option<Outlier>,
    /// When a node that fails is asked nothing at all; `None`: never.
    pub breaker: Option<Breaker>,
    /// When a request is sent again.
    pub retry: Retry,
    /// How a node that is new or has recovered comes to its share; `None`: at once.
    pub slow_start: Option<SlowStart>,
    /// Where requests wait while every node is full.
    pub queue: Queue,
    /// How long requests in flight on a draining node may take.
    pub drain_timeout: Duration,
    /// How the requests of a session stay on one node; `None`: they do not.
    pub sticky: Option<Sticky>,
    /// How long the sessions of a draining node go on there.
    pub session_grace: Duration,
    /// Send `Forwarded` (RFC 7239) beside the `X-Forwarded-*` fields.
    pub forwarded: bool,
    /// Nodes in the order of the file (those of `nodes_file` after them); ids are unique in the upstream.
    pub nodes: Vec<Node>,
}

impl Upstream {
    /// When what is left on a node is cut, from the moment it was no longer wanted up: sessions that go on there have
    /// as long to finish after their grace as others at once.
    pub fn drain_ends_after(&self, intent: Intent) -> Duration {
        match intent {
            Intent::Drain if self.sticky.is_some() => self.session_grace + self.drain_timeout,
            _ => self.drain_timeout,
        }
    }
}

/// How a node is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight for its weight.
    LeastConn,
    /// At random in proportion to the weights.
    WeightedRandom,
    /// At random, each node alike.
    Random,
    /// By the client's address: the same client meets the same node.
    IpHash,
    /// By a key of the request, within a bound: see [`struct@Hash`].
    Hash,
    /// The less busy of two drawn at random.
    P2c,
    /// Of two drawn at random the one that will probably answer first.
    PeakEwma,
}

/// By what `balance: hash` tells requests apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hash {
    /// What is hashed.
    pub key: HashKey,
    /// The most of its share of what is in flight that a node may have, in hundredths, above 100; `None`: no bound.
    pub balance_factor: Option<u32>,
}

/// What is hashed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The client's real address.
    #[default]
    Ip,
    /// Path and query.
    Uri,
    /// The path without the query.
    Path,
    /// The value of this field; the address where it is missing.
    Header(HeaderName),
    /// The value of this cookie; the address where it is missing.
    Cookie(String),
}

impl Balance {
    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round_robin",
            Balance::LeastConn => "least_conn",
            Balance::WeightedRandom => "weighted_random",
            Balance::Random => "random",
            Balance::IpHash => "ip_hash",
            Balance::Hash => "hash",
            Balance::P2c => "p2c",
            Balance::PeakEwma => "peak_ewma",
        }
    }
}

/// Limits towards nodes. `None` is "no limit", which the file writes as `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeTimeouts {
    /// Until the connection stands.
    pub connect: Option<Duration>,
    /// Between two reads of an answer, and until its first byte.
    pub read: Option<Duration>,
    /// One write of the request.
    pub write: Option<Duration>,
    /// How long an unused connection to a node is kept; `0s` keeps none.
    pub idle: Duration,
    /// How long a tunnel, a WebSocket, may be silent, both ways.
    pub tunnel: Option<Duration>,
}

/// One entry of `nodes:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `id` of the entry, else its address as written.
    pub id: String,
    /// Where it listens.
    pub addr: NodeAddr,
    /// Share of the traffic; 0 takes no new requests. At most [`MAX_WEIGHT`].
    pub weight: u32,
    /// What the operator wants of it.
    pub state: Intent,
    /// Used only when no other node can be.
    pub backup: bool,
    /// Nodes of the lowest number that can be used are used; at most [`MAX_PRIORITY`].
    pub priority: u8,
    /// How many requests it may have at a time; `None`: any number.
    pub max_conns: Option<u32>,
}

/// The largest weight of a node: keeps every sum of weights far from overflow.
pub const MAX_WEIGHT: u32 = 65_535;

/// The largest number of a node's tier.
pub const MAX_PRIORITY: u8 = 100;

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAddr {
    /// A literal address.
    Socket(SocketAddr),
    /// A name, resolved in the background; every address is a node.
    Name {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
}
