//! The response cache as the program believes it: how much, and what a route does with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::compress::Recompress;
use super::sticky::KeyFile;
use crate::config::defaults;

/// The cache as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bytes that all that is stored may take, bookkeeping included; a hard cap.
    pub memory: u64,
    /// Bytes of the largest body that is stored.
    pub max_object: u64,
    /// Variants (`Vary`) kept beside each other under one key.
    pub variants: usize,
    /// What a `PURGE` request must bring as its bearer token; `None`: the method is handed on as any other.
    pub purge_token: Option<KeyFile>,
    /// What is compressed better behind the answers; `None`: nothing is.
    pub recompress: Option<Recompress>,
    /// The tier that proxies share; `None`: this one is on its own.
    pub redis: Option<Redis>,
}

/// A Redis that several proxies share: stored answers, purges, sessions, rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// `redis://…` or `rediss://…`, with the number of a database and a user's name, never with a password.
    pub url: String,
    /// Its password.
    pub password: Option<KeyFile>,
    /// Whom to trust, where that is not whom the system trusts.
    pub ca: Option<PemFile>,
    /// It is a node of a Redis Cluster.
    pub cluster: bool,
    /// What all keys begin with; proxies with the same one act as one.
    pub prefix: String,
    /// How long an operation on a request's way may take.
    pub timeout: Duration,
    /// The longest that an answer is kept there.
    pub ttl_max: Duration,
    /// Answers are kept there.
    pub entries: bool,
    /// Bytes of the largest body that is kept there.
    pub max_object: u64,
    /// With which use an answer goes there; at least 1.
    pub min_uses: u32,
    /// Bytes of answers that wait to go there.
    pub queue: u64,
    /// How many purges are kept there for who was away.
    pub purge_history: u32,
}

/// A file with certificates, read with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    /// Where it was read.
    pub path: PathBuf,
    /// What it holds: at least one certificate.
    pub text: Arc<str>,
}

/// What a route does with the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCache {
    /// Freshness of answers that say nothing of their own; never overrides `no-store`, `private`, `no-cache`.
    pub ttl: Option<Duration>,
    /// Freshness in place of what answers say of theirs; still never of `no-store`, `private`, `no-cache`.
    pub override_ttl: Option<Duration>,
    /// How long after its freshness an answer may be used while it is refreshed, where it says nothing itself.
    pub stale_while_revalidate: Option<Duration>,
    /// How long after its freshness an answer may be used when nodes fail, where it says nothing itself.
    pub stale_if_error: Option<Duration>,
    /// What becomes of answers that set cookies.
    pub set_cookie: SetCookie,
    /// `Cache-Control` and `Pragma` of requests count for nothing.
    pub ignore_client_cache_control: bool,
    /// `Surrogate-Control` of answers is understood.
    pub surrogate_control: bool,
    /// How long a request waits for another one's fetch of the same thing.
    pub wait: Duration,
    /// `Cache-Status` names the key.
    pub show_key: bool,
    /// What of a request's target makes the key.
    pub key: CacheKey,
}

/// What becomes of answers that set cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// They are not stored.
    #[default]
    Refuse,
    /// They are stored without their cookies; who fetched them gets them.
    Strip,
    /// They are stored as they are.
    Store,
}

/// What of a request's target makes the key; the node is asked for the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheKey {
    /// Query parameters that are left out: names, or beginnings of names that end in `*`.
    pub drop_query: Vec<String>,
    /// Query parameters are put in order.
    pub sort_query: bool,
}

impl CacheKey {
    /// The name in `drop_query` that every parameter begins with: nothing of the query is left.
    pub const ALL: &str = "*";
}

impl Default for RouteCache {
    /// `cache: true`: what the answers' own fields allow.
    fn default() -> Self {
        RouteCache {
            ttl: None,
            override_ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            set_cookie: SetCookie::Refuse,
            ignore_client_cache_control: false,
            surrogate_control: false,
            wait: defaults::CACHE_WAIT,
            show_key: false,
            key: CacheKey::default(),
        }
    }
}
