//! What the program believes: the configuration after every check has passed.
//!
//! The rest of the program reads these types only; the file's shapes (strings, short forms, aliases) end in
//! `config/validate`. Nothing here may be invalid: a reader never has to check again. Nothing here may read the
//! clock, the environment or a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use regex::Regex;

use crate::base::units::Rate;

mod acme;
mod admin;
mod cache;
mod compress;
mod dns;
mod failure;
mod health;
mod node_tls;
mod sticky;
mod tls;
mod tracing;
mod upstream;

pub use acme::{Acme, AcmeKey, Challenge, Eab};
pub use admin::{Admin, AdminToken};
pub use cache::{Cache, CacheKey, PemFile, Redis, RouteCache, SetCookie};
pub use compress::{AcceptEncoding, Compress, Decode, LEVELS, Minify, Recompress};
pub use dns::{Dns, Family};
pub use failure::{Breaker, Hedge, Outlier, Queue, Retry, RetryOn, SlowStart};
pub use health::{Asking, BodyMatch, Health, HttpProbe, InitialHealth, Probe, codes};
pub use node_tls::{Ca, Identity, NodeTls, NodeTlsVersion, ProxyProtocol};
pub use sticky::{
    KeyFile, Learn, LearnFrom, SameSite, Secret, Secure, Split, Sticky, StickyCookie, Store,
};
pub use tls::{Alpn, Certificate, ClientAuth, ListenTls, TlsVersion, UnknownNames};
pub use tracing::{Otlp, RequestId, Sample, ServerTiming, TraceContext, Tracing};
pub use upstream::{
    Balance, H2, Hash, HashKey, MAX_PRIORITY, MAX_WEIGHT, Node, NodeAddr, NodeTimeouts, Upstream,
};

/// A whole checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Data ports, in the order of the file; at least one.
    pub listen: Vec<Listen>,
    /// The stats port; `None` when the file says `admin: off`.
    pub admin: Option<Admin>,
    /// Whom certificates are got from; `None`: nobody.
    pub acme: Option<Acme>,
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
    /// Which trace requests belong to, and where that is told.
    pub tracing: Tracing,
    /// How names of nodes are resolved.
    pub dns: Dns,
    /// How much is stored of answers.
    pub cache: Cache,
    /// Upstreams in the order of the files; names are unique.
    pub upstreams: Vec<Upstream>,
    /// Routes, the most specific first: the first that matches a request is its route.
    pub routes: Vec<Route>,
}

impl Config {
    /// Whether proxies have sessions or limits in common, by [`Cache::redis`].
    pub fn is_shared(&self) -> bool {
        let knows_all = |upstream: &Upstream| match &upstream.sticky {
            Some(Sticky::Learn(learn)) => learn.store == Store::Redis,
            Some(Sticky::Cookie(_)) | None => false,
        };
        self.upstreams.iter().any(knows_all) || self.routes.iter().any(Route::is_limited_by_all)
    }
}

/// One data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address to bind.
    pub addr: SocketAddr,
    /// Peers that begin each connection with a PROXY protocol prelude; empty: nobody does.
    pub proxy_protocol: Vec<IpNet>,
    /// Whether a connection may begin with the HTTP/2 preface (RFC 9113 §3.3).
    pub h2c: bool,
    /// Which clients may use it.
    pub access: Access,
    /// How it speaks TLS; `None`: clear TCP.
    pub tls: Option<Arc<ListenTls>>,
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
    /// What one connection of HTTP/2 may do.
    pub h2: H2Limits,
}

/// What one connection of HTTP/2 may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct H2Limits {
    /// Requests at the same time.
    pub streams: u32,
    /// Requests that its client resets, or makes us reset.
    pub resets: Option<Rate>,
    /// Frames that ask for nothing, beyond those that go with what is sent.
    pub frames: Option<Rate>,
}

/// The most that [`H2Limits::streams`] may be: each takes room that one client alone decides of.
pub const MAX_H2_STREAMS: u32 = 10_000;

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

/// How the process ends, after SIGTERM or a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Not ready, but still accepting, for this long.
    pub pre_stop: Duration,
    /// What is in flight has this long to finish.
    pub grace: Duration,
    /// Once another process has taken over, connections have this long to end by themselves.
    pub handover: Duration,
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
    /// How it parts reads from writes; only where it hands requests to an upstream.
    pub split: Option<Split>,
    /// What is stored of its answers; `None`: nothing. Only where it hands requests to an upstream.
    pub cache: Option<RouteCache>,
    /// How its answers are compressed; `None`: they are left as they come.
    pub compress: Option<Compress>,
    /// What of its stored answers is made smaller.
    pub minify: Minify,
    /// Which clients may use it.
    pub access: Access,
    /// How often a client may.
    pub rate_limit: Option<RateLimit>,
    /// Requests that take longer are kept at hand; `None`: none are.
    pub slow: Option<Duration>,
}

impl Route {
    /// The upstreams its requests may go to, that of its writes first.
    pub fn upstreams(&self) -> impl Iterator<Item = usize> {
        let primary = match self.action {
            Action::Proxy(at) => Some(at),
            Action::Redirect { .. } => None,
        };
        primary
            .into_iter()
            .chain(self.split.as_ref().map(|split| split.reads))
    }

    /// Whether nodes are asked for what nobody has encoded, in place of what the client of such a request takes.
    pub fn asks_plain(&self, method: &Method) -> bool {
        let rule = self.compress.as_ref().map(|rules| rules.accept_encoding);
        match rule {
            None | Some(AcceptEncoding::Client) => false,
            Some(AcceptEncoding::Identity) => true,
            Some(AcceptEncoding::Auto) => {
                self.cache.is_some() && matches!(*method, Method::GET | Method::HEAD)
            }
        }
    }

    /// Whether all proxies count together how often a client asks.
    pub fn is_limited_by_all(&self) -> bool {
        let scope = self.rate_limit.as_ref().map(|limit| limit.scope);
        scope == Some(Scope::Cluster)
    }

    /// Whether answers are kept compressed beside what is stored of them.
    pub fn stores_compressed(&self) -> bool {
        self.cache.is_some() && self.compress.is_some()
    }
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
    /// Who counts.
    pub scope: Scope,
    /// Count and log what would be refused, and let it through.
    pub dry_run: bool,
}

/// Who counts how often the clients of a rate limit ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each proxy for itself.
    Local,
    /// All proxies together, by [`Cache::redis`], which there is.
    Cluster,
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
    /// What its client spoke; `None`: whatever it did.
    pub scheme: Option<Scheme>,
}

/// What a client spoke: to us, or, as a trusted proxy in front says, to that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
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
        /// Target; `{scheme}` (at its beginning), `{host}`, `{path}`, `{query}`, `{uri}` stand for the request's own. A target that ends with `/`
        /// on a `path` prefix that ends with `/` keeps what follows the prefix, query included.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
    },
}
