//! `cache:` at the top of the file, and `cache:` of a route.
//!
//! Shapes only: the words are read in `config/validate/cache`.

use serde::Deserialize;

use super::compress::{RECOMPRESS, Recompress};
use super::failure::WordOr;
use super::shape::{Key, Shape};

/// `cache:` at the top of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Bytes that all that is stored may take.
    pub memory: Option<String>,
    /// Bytes of the largest body that is stored.
    pub max_object: Option<String>,
    /// Variants under one key.
    pub variants: Option<String>,
    /// A file with the token of the method `PURGE`.
    pub purge_token_file: Option<String>,
    /// What is compressed better behind the answers.
    pub recompress: Option<WordOr<Recompress>>,
    /// The tier that proxies share.
    pub redis: Option<Redis>,
}

/// `redis:` of `cache:` at the top of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// Where it is.
    pub url: Option<String>,
    /// A file with its password.
    pub password_file: Option<String>,
    /// A file of the authorities that sign its certificate.
    pub ca: Option<String>,
    /// Whether it is a node of a Redis Cluster.
    pub cluster: Option<String>,
    /// What all keys begin with.
    pub prefix: Option<String>,
    /// How long an operation on a request's way may take.
    pub timeout: Option<String>,
    /// The longest that an answer is kept there.
    pub ttl_max: Option<String>,
    /// Whether answers are kept there.
    pub entries: Option<String>,
    /// Bytes of the largest body that is kept there.
    pub max_object: Option<String>,
    /// With which use an answer goes there.
    pub min_uses: Option<String>,
    /// Bytes of answers that wait to go there.
    pub queue: Option<String>,
    /// How many purges are kept there for who was away.
    pub purge_history: Option<String>,
}

/// `cache:` of a route, a mapping, or a word for yes or no.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum RouteCache {
    /// `cache: true`
    Word(String),
    /// `cache: { ttl: 1h, … }`
    Keys(Box<RouteCacheKeys>),
}

/// The mapping of `cache:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteCacheKeys {
    /// Freshness of answers that say nothing of their own.
    pub ttl: Option<String>,
    /// Freshness whatever answers say of theirs.
    pub override_ttl: Option<String>,
    /// How long a stale answer is used while it is refreshed.
    pub stale_while_revalidate: Option<String>,
    /// How long a stale answer is used when nodes fail.
    pub stale_if_error: Option<String>,
    /// What becomes of answers that set cookies.
    pub set_cookie: Option<String>,
    /// Whether `Cache-Control` of requests counts for nothing.
    pub ignore_client_cache_control: Option<String>,
    /// Whether `Surrogate-Control` is understood.
    pub surrogate_control: Option<String>,
    /// How long a request waits for another one's fetch.
    pub wait: Option<String>,
    /// Whether `Cache-Status` names the key.
    pub show_key: Option<String>,
    /// What of a request's target makes the key.
    pub key: Option<CacheKey>,
}

/// `key:` of `cache:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheKey {
    /// Query parameters that are left out.
    pub drop_query: Option<Vec<Option<String>>>,
    /// Whether query parameters are put in order.
    pub sort_query: Option<String>,
}

/// The keys of [`Cache`].
pub const CACHE: Shape = Shape::Map(&[
    Key::new("memory", Shape::Word, "memory: 256MiB"),
    Key::new("max_object", Shape::Word, "max_object: 16MiB"),
    Key::new("variants", Shape::Word, "variants: 32"),
    Key::new(
        "purge_token_file",
        Shape::Word,
        "purge_token_file: purge.token",
    ),
    RECOMPRESS,
    Key::new(
        "redis",
        REDIS,
        "redis: { url: \"redis://127.0.0.1:6379/0\" }",
    ),
]);

/// The keys of [`Redis`].
const REDIS: Shape = Shape::Map(&[
    Key::new("url", Shape::Word, "url: \"redis://127.0.0.1:6379/0\""),
    Key::new(
        "password_file",
        Shape::Word,
        "password_file: redis.password",
    ),
    Key::new("ca", Shape::Word, "ca: ca.pem"),
    Key::new("cluster", Shape::Word, "cluster: false"),
    Key::new("prefix", Shape::Word, "prefix: tg"),
    Key::new("timeout", Shape::Word, "timeout: 20ms"),
    Key::new("ttl_max", Shape::Word, "ttl_max: 1h"),
    Key::new("entries", Shape::Word, "entries: true"),
    Key::new("max_object", Shape::Word, "max_object: 1MiB"),
    Key::new("min_uses", Shape::Word, "min_uses: 1"),
    Key::new("queue", Shape::Word, "queue: 32MiB"),
    Key::new("purge_history", Shape::Word, "purge_history: 65536"),
]);

/// The keys of [`RouteCache`].
pub const ROUTE_CACHE: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("ttl", Shape::Word, "ttl: 1h"),
    Key::new("override_ttl", Shape::Word, "override_ttl: 10m"),
    Key::new(
        "stale_while_revalidate",
        Shape::Word,
        "stale_while_revalidate: 1d",
    ),
    Key::new("stale_if_error", Shape::Word, "stale_if_error: 1d"),
    Key::new("set_cookie", Shape::Word, "set_cookie: refuse"),
    Key::new(
        "ignore_client_cache_control",
        Shape::Word,
        "ignore_client_cache_control: true",
    ),
    Key::new("surrogate_control", Shape::Word, "surrogate_control: true"),
    Key::new("wait", Shape::Word, "wait: 10s"),
    Key::new("show_key", Shape::Word, "show_key: true"),
    Key::new("key", CACHE_KEY, "key: { drop_query: [\"utm_*\"] }"),
]));

/// The keys of [`CacheKey`].
const CACHE_KEY: Shape = Shape::Map(&[
    Key::new("drop_query", Shape::Words, "drop_query: [\"utm_*\"]"),
    Key::new("sort_query", Shape::Word, "sort_query: true"),
]);
