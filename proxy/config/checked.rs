//! What the program believes: the configuration after every check has passed.
//!
//! The rest of the program reads these types only; the file's shapes (strings, short forms, aliases) end in
//! `config/validate`. Nothing here may be invalid: a reader never has to check again. Nothing here may read the
//! clock, the environment or a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use regex::Regex;

/// A whole checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Data ports, in the order of the file; at least one.
    pub listen: Vec<Listen>,
    /// The stats port; `None` when the file says `admin: off`.
    pub admin: Option<Admin>,
    /// Worker threads of the data path; at least 1.
    pub threads: usize,
    /// Peers whose `X-Forwarded-For` / `Forwarded` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How much a client may take.
    pub limits: Limits,
    /// What is done to requests before anybody looks at them.
    pub requests: Requests,
    /// Limits towards clients.
    pub timeouts: ClientTimeouts,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Where requests are told.
    pub access_log: AccessLog,
    /// Upstreams in the order of the files; names are unique.
    pub upstreams: Vec<Upstream>,
    /// Routes, the most specific first: the first that matches a request is its route.
    pub routes: Vec<Route>,
}

/// One data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address to bind, clear TCP.
    pub addr: SocketAddr,
    /// Peers that begin each connection with a PROXY protocol prelude; empty: nobody does.
    pub proxy_protocol: Vec<IpNet>,
    /// Whether a connection may begin with the HTTP/2 preface (RFC 9113 §3.3).
    pub h2c: bool,
    /// Which clients may use it.
    pub access: Access,
}

/// Which clients may come in. `deny` wins; an empty `allow` allows everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// When not empty: only these.
    pub allow: Vec<IpNet>,
    /// Not these.
    pub deny: Vec<IpNet>,
}

/// How much a client may take. `None` is "no limit", which the file writes as `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head, at most [`MAX_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Header fields of a request, at most [`MAX_HEADERS`].
    pub headers: usize,
    /// Bytes of a request target.
    pub uri_bytes: usize,
    /// Bytes of a request body.
    pub body: Option<u64>,
    /// Client connections, all ports together.
    pub connections: Option<usize>,
    /// Connections of one client address.
    pub connections_per_ip: Option<usize>,
    /// Requests that may wait behind the one that is being answered.
    pub pipeline: Option<usize>,
    /// Requests on one connection.
    pub requests_per_connection: Option<u64>,
    /// Bytes a second at which a request body must arrive, while it is waited for.
    pub body_rate: Option<u64>,
    /// Bytes a second at which an answer must be taken, while the client is waited for.
    pub send_rate: Option<u64>,
}

/// The most that [`Limits::header_bytes`] may be: beyond it the proxying layer has its own limit.
pub const MAX_HEADER_BYTES: usize = 256 * 1024;
/// The most that [`Limits::uri_bytes`] may be: a longer target has no form as a value of the `http` crate.
pub const MAX_URI_BYTES: usize = 65_534;
/// The most that [`Limits::headers`] may be, for the same reason.
pub const MAX_HEADERS: usize = 250;

/// What is done to requests before anybody looks at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// `//` in a path counts as `/`.
    pub merge_slashes: bool,
    /// What becomes of fields whose name has a `_`, which many apps take for a `-`.
    pub underscores: Underscores,
    /// Fields that no client may send: removed. In lower case.
    pub drop: Vec<HeaderName>,
    /// So long a client that shut its sending side is answered all the same; then it is taken for gone.
    pub half_close: Duration,
}

/// What becomes of fields whose name has a `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// Removed.
    Drop,
    /// Passed on.
    Keep,
}

/// The stats port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address to bind.
    pub addr: SocketAddr,
}

/// Limits towards clients. `None` is "no limit", which the file writes as `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a request head to its end.
    pub header: Option<Duration>,
    /// A kept-alive connection without a request; also from connect to the first byte.
    pub idle: Option<Duration>,
    /// Between two reads of a request body.
    pub body: Option<Duration>,
    /// One write of an answer to the client.
    pub write: Option<Duration>,
    /// The whole request, from its head to the end of the answer.
    pub request: Option<Duration>,
}

/// How the process ends after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Not ready, but still accepting, for this long.
    pub pre_stop: Duration,
    /// What is in flight has this long to finish.
    pub grace: Duration,
}

/// Where requests are told.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub path: LogPath,
    /// Their shape.
    pub format: LogFormat,
    /// Share of requests told, 0.0 to 1.0. Failures (5xx, cut answers) are always told.
    pub sample: f64,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPath {
    /// `-`
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// The shape of access log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// No access log.
    Off,
}

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
    /// Limits towards nodes.
    pub timeouts: NodeTimeouts,
    /// How long requests in flight on a draining node may take.
    pub drain_timeout: Duration,
    /// Send `Forwarded` (RFC 7239) beside the `X-Forwarded-*` fields.
    pub forwarded: bool,
    /// Nodes in the order of the file (those of `nodes_file` after them); ids are unique in the upstream.
    pub nodes: Vec<Node>,
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
    /// By a key of the request, within a bound: see [`Hash`].
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

/// Active health checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// From one probe to the next (jittered by a tenth).
    pub interval: Duration,
    /// One probe's limit.
    pub timeout: Duration,
    /// Passed probes in a row that make a node healthy.
    pub rise: u32,
    /// Failed probes in a row that make a node unhealthy.
    pub fall: u32,
    /// What a node is before its first probe has answered.
    pub initial: InitialHealth,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// `GET path`; healthy when the status is one of `expect`.
    Http {
        /// Path and query, beginning with `/`.
        path: String,
        /// Accepted status codes, as inclusive ranges; not empty.
        expect: Vec<(u16, u16)>,
        /// `Host` to send; the node's address when absent.
        host: Option<HeaderValue>,
    },
    /// A TCP connection that opens.
    Tcp,
}

/// What a node is before its first probe has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialHealth {
    /// Not used while others are there, until one probe passes.
    Probe,
    /// Taken for healthy.
    Healthy,
    /// Taken for unhealthy until `rise` probes have passed.
    Unhealthy,
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
}

/// The largest weight of a node: keeps every sum of weights far from overflow.
pub const MAX_WEIGHT: u32 = 65_535;

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

/// What the operator wants of a node. The file's `state:`.
pub use crate::base::node::Intent;

/// One rule of `routes:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Label in metrics and the log: `name:` of the entry, else made of its match (`shop.example.com/assets/`, `default`).
    pub name: String,
    /// What it matches.
    pub matcher: Match,
    /// What it does.
    pub action: Action,
    /// Which clients may use it.
    pub access: Access,
    /// How often a client may.
    pub rate_limit: Option<RateLimit>,
}

/// How often a client may use a route (GCRA).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What tells clients apart.
    pub key: RateKey,
    /// So many requests, at least 1,
    pub requests: u32,
    /// in this time, at least a millisecond.
    pub per: Duration,
    /// Requests that may come at once, at least 1.
    pub burst: u32,
    /// Count and log what would be refused, and let it through.
    pub dry_run: bool,
}

/// What tells the clients of a rate limit apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client's real address; of an IPv6 one the first 64 bits.
    Ip,
    /// The value of this field; the address where the field is missing.
    Header(HeaderName),
}

/// What a route matches: every condition must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Any of these hosts; empty: every host.
    pub hosts: Vec<HostPattern>,
    /// The path, without the query.
    pub path: PathPattern,
    /// Any of these methods; empty: every method.
    pub methods: Vec<Method>,
    /// Each of these fields with exactly this value.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A host of `match.host`, in lower case, without port and trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any host that ends so, with at least one label before it.
    Suffix(String),
}

/// A path condition.
#[derive(Debug, Clone, Default)]
pub enum PathPattern {
    /// Every path.
    #[default]
    Any,
    /// `path`: begins with this.
    Prefix(String),
    /// `path_exact`: is this.
    Exact(String),
    /// `path_regex`: the expression is found in it (anchor it with `^` and `$`).
    Regex(Regex),
}

impl PartialEq for PathPattern {
    /// Expressions are alike when they are written alike.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (PathPattern::Any, PathPattern::Any) => true,
            (PathPattern::Prefix(a), PathPattern::Prefix(b)) => a == b,
            (PathPattern::Exact(a), PathPattern::Exact(b)) => a == b,
            (PathPattern::Regex(a), PathPattern::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Hand the request to an upstream: index into [`Config::upstreams`].
    Proxy(usize),
    /// Answer with a redirect.
    Redirect {
        /// Target; `{host}`, `{path}`, `{query}`, `{uri}` stand for the request's own. A target that ends with `/`
        /// on a `path` prefix that ends with `/` keeps what follows the prefix, query included.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
    },
}
