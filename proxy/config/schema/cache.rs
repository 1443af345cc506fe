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
    Key::later("redis"),
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
