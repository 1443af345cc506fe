//! `upstreams:` pools of nodes.
//!
//! Shapes only: what the words mean is decided in `config/validate/upstream`.

use serde::Deserialize;

use super::failure::{self, WordOr};
use super::health::{HEALTH, Health};
use super::node::{NODES_KEY, Node};
use super::node_tls::{NODE_TLS, NodeTls, SEND_PROXY};
use super::shape::{Key, Shape};
use super::sticky::{STICKY, Sticky};

/// An entry of `upstreams:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// How a node is chosen.
    pub balance: Option<String>,
    /// By what, for `balance: hash`.
    pub hash: Option<Hash>,
    /// Active health checks.
    pub health: Option<Health>,
    /// TLS to the nodes.
    pub tls: Option<WordOr<NodeTls>>,
    /// Whose connection it is, told to the nodes.
    pub proxy_protocol: Option<String>,
    /// Limits towards nodes.
    pub timeouts: Option<NodeTimeouts>,
    /// Below this share of healthy nodes health is ignored.
    pub fail_open_below: Option<String>,
    /// Status codes that count as failures of a node.
    pub failure_statuses: Option<Vec<Option<String>>>,
    /// When a node that fails rests.
    pub outlier: Option<WordOr<failure::Outlier>>,
    /// When a node that fails is asked nothing at all.
    pub breaker: Option<WordOr<failure::Breaker>>,
    /// When a request is sent again.
    pub retry: Option<WordOr<failure::Retry>>,
    /// How a node comes to its share.
    pub slow_start: Option<WordOr<failure::SlowStart>>,
    /// Where requests wait when all nodes are full.
    pub queue: Option<WordOr<failure::Queue>>,
    /// How a drain ends.
    pub drain: Option<Drain>,
    /// How the requests of a session stay on one node.
    pub sticky: Option<Sticky>,
    /// Whether to send `Forwarded`.
    pub forwarded: Option<String>,
    /// A file with further nodes.
    pub nodes_file: Option<String>,
    /// The nodes.
    pub nodes: Option<Vec<Option<Node>>>,
}

/// `hash:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hash {
    /// What is hashed.
    pub key: Option<String>,
    /// The most of its share that a node may have.
    pub balance_factor: Option<String>,
}

/// `timeouts:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeTimeouts {
    /// Until the connection stands.
    pub connect: Option<String>,
    /// Between two reads of an answer.
    pub read: Option<String>,
    /// One write of the request.
    pub write: Option<String>,
    /// How long an unused connection is kept.
    pub idle: Option<String>,
    /// How long a tunnel may be silent.
    pub tunnel: Option<String>,
}

/// `drain:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long requests in flight may take.
    pub timeout: Option<String>,
    /// How long its sessions may go on on a draining node.
    pub session_grace: Option<String>,
}

/// The keys of [`Upstream`].
pub const UPSTREAM: Shape = Shape::Map(&[
    Key::new("balance", Shape::Word, "balance: least_conn"),
    Key::new("hash", HASH, "hash: { key: uri }"),
    Key::new("health", HEALTH, "health: { path: /healthz }"),
    Key::new("tls", NODE_TLS, "tls: { ca: ca.pem }"),
    Key::new("proxy_protocol", Shape::Word, "proxy_protocol: v2"),
    SEND_PROXY,
    Key::new("timeouts", NODE_TIMEOUTS, "timeouts: { connect: 1s }"),
    Key::new("fail_open_below", Shape::Word, "fail_open_below: 50%"),
    Key::new(
        "failure_statuses",
        Shape::Words,
        "failure_statuses: [500, 502, 503, 504]",
    ),
    Key::new(
        "outlier",
        failure::OUTLIER,
        "outlier: { consecutive_failures: 5 }",
    ),
    Key::new(
        "breaker",
        failure::BREAKER,
        "breaker: { failure_rate: 50% }",
    ),
    Key::new("retry", failure::RETRY, "retry: { tries: 2 }"),
    Key::new("slow_start", failure::SLOW_START, "slow_start: 30s"),
    Key::new("queue", failure::QUEUE, "queue: { size: 100, timeout: 1s }"),
    Key::new("drain", DRAIN, "drain: { timeout: 60s }"),
    Key::new("sticky", STICKY, "sticky: { cookie: tg_node }"),
    Key::new("forwarded", Shape::Word, "forwarded: true"),
    Key::new("nodes_file", Shape::Word, "nodes_file: nodes.yaml"),
    NODES_KEY,
]);

/// The keys of [`Hash`].
const HASH: Shape = Shape::Map(&[
    Key::new("key", Shape::Word, "key: uri"),
    Key::new("balance_factor", Shape::Word, "balance_factor: 1.25"),
]);

/// The keys of [`NodeTimeouts`].
const NODE_TIMEOUTS: Shape = Shape::Map(&[
    Key::new("connect", Shape::Word, "connect: 1s"),
    Key::new("read", Shape::Word, "read: 30s"),
    Key::new("write", Shape::Word, "write: 30s"),
    Key::new("idle", Shape::Word, "idle: 60s"),
    Key::new("tunnel", Shape::Word, "tunnel: 1h"),
]);

/// The keys of [`Drain`].
const DRAIN: Shape = Shape::Map(&[
    Key::new("timeout", Shape::Word, "timeout: 60s"),
    Key::new("session_grace", Shape::Word, "session_grace: 5m"),
]);
