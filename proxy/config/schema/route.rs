//! `routes:` which request goes where.
//!
//! Shapes only: what the words mean is decided in `config/validate/route`.

use serde::Deserialize;

use super::Named;
use super::access::{ALLOW, DENY};
use super::cache::{ROUTE_CACHE, RouteCache};
use super::compress::{BROTLI, COMPRESS, Compress, ENCODE, GZIP, MINIFY};
use super::failure::WordOr;
use super::shape::{Key, Shape};
use super::split::{SPLIT, Split};

/// An entry of `routes:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Label in metrics and the log.
    pub name: Option<String>,
    /// What it matches.
    pub r#match: Option<Match>,
    /// Where requests go.
    pub upstream: Option<String>,
    /// Where reads go instead.
    pub split: Option<Split>,
    /// What is stored of its answers.
    pub cache: Option<RouteCache>,
    /// How its answers are compressed.
    pub compress: Option<WordOr<Box<Compress>>>,
    /// What of its stored answers is made smaller.
    pub minify: Option<Vec<Option<String>>>,
    /// Or where the client is sent.
    pub redirect: Option<Redirect>,
    /// Only these clients.
    pub allow: Option<Vec<Option<String>>>,
    /// Not these clients.
    pub deny: Option<Vec<Option<String>>>,
    /// How often a client may.
    pub rate_limit: Option<RateLimit>,
    /// Requests that take longer are kept at hand.
    pub slow: Option<String>,
}

/// `match:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Any of these hosts.
    pub host: Option<Vec<Option<String>>>,
    /// The path begins with this.
    pub path: Option<String>,
    /// The path is this.
    pub path_exact: Option<String>,
    /// This expression is found in the path.
    pub path_regex: Option<String>,
    /// Any of these methods.
    pub methods: Option<Vec<Option<String>>>,
    /// Each of these fields has this value.
    pub headers: Option<Named<Option<String>>>,
    /// What its client spoke.
    pub scheme: Option<String>,
}

/// `redirect:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redirect {
    /// Target.
    pub to: Option<String>,
    /// Status code.
    pub status: Option<String>,
}

/// `rate_limit:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// What tells clients apart.
    pub key: Option<String>,
    /// So many requests in a time.
    pub rate: Option<String>,
    /// So many at once.
    pub burst: Option<String>,
    /// Who counts.
    pub scope: Option<String>,
    /// Whether to count only.
    pub dry_run: Option<String>,
}

/// The keys of [`Route`].
pub const ROUTE: Shape = Shape::Map(&[
    Key::new("name", Shape::Word, "name: assets"),
    Key::new(
        "match",
        MATCH,
        "match: { host: shop.example.com, path: /assets/ }",
    ),
    Key::new("upstream", Shape::Word, "upstream: web"),
    Key::new("split", SPLIT, "split: { reads: web-replicas }"),
    Key::new("redirect", REDIRECT, "redirect: { to: /new/, status: 308 }"),
    ALLOW,
    DENY,
    Key::new("rate_limit", RATE_LIMIT, "rate_limit: { rate: 100/s }"),
    Key::new("slow", Shape::Word, "slow: 1s"),
    Key::new("cache", ROUTE_CACHE, "cache: { ttl: 1h }"),
    COMPRESS,
    MINIFY,
    GZIP,
    BROTLI,
    ENCODE,
]);

/// The keys of [`Match`].
const MATCH: Shape = Shape::Map(&[
    Key::new(
        "host",
        Shape::Words,
        "host: [shop.example.com, \"*.example.org\"]",
    ),
    Key::new("path", Shape::Word, "path: /assets/"),
    Key::new("path_exact", Shape::Word, "path_exact: /robots.txt"),
    Key::new("path_regex", Shape::Word, "path_regex: '^/item/[0-9]+$'"),
    Key::new("methods", Shape::Words, "methods: [GET, HEAD]"),
    Key::new("scheme", Shape::Word, "scheme: http"),
    Key::new(
        "headers",
        Shape::Named(&Shape::Word),
        "headers: { X-Beta: \"1\" }",
    ),
]);

/// The keys of [`Redirect`].
const REDIRECT: Shape = Shape::Map(&[
    Key::new("to", Shape::Word, "to: /new/"),
    Key::new("status", Shape::Word, "status: 308"),
]);

/// The keys of [`RateLimit`].
const RATE_LIMIT: Shape = Shape::Map(&[
    Key::new("key", Shape::Word, "key: ip"),
    Key::new("rate", Shape::Word, "rate: 100/s"),
    Key::new("burst", Shape::Word, "burst: 200"),
    Key::new("scope", Shape::Word, "scope: cluster"),
    Key::new("dry_run", Shape::Word, "dry_run: true"),
]);
