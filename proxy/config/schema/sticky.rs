//! `sticky:` of an upstream.
//!
//! Shapes only: the words are read in `config/validate/sticky`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `sticky:`, a mapping, the name of the cookie, or the word `off`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Sticky {
    /// `sticky: tg_node`
    Word(String),
    /// `sticky: { cookie: tg_node, … }`
    Keys(Box<StickyKeys>),
}

/// The mapping of `sticky:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StickyKeys {
    /// Name of the cookie.
    pub cookie: Option<String>,
    /// How long it holds.
    pub ttl: Option<String>,
    /// A file with the key that signs it.
    pub key_file: Option<String>,
    /// Its `Path`.
    pub path: Option<String>,
    /// Its `Domain`.
    pub domain: Option<String>,
    /// Its `SameSite`.
    pub same_site: Option<String>,
    /// Its `Secure`.
    pub secure: Option<String>,
    /// Its `HttpOnly`.
    pub http_only: Option<String>,
    /// Sessions of the app instead of a cookie of ours.
    pub learn: Option<Learn>,
}

/// `learn:` of `sticky:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learn {
    /// The cookie that has the session's id.
    pub cookie: Option<String>,
    /// Or the field.
    pub header: Option<String>,
    /// How long a session may be idle.
    pub ttl: Option<String>,
    /// How many are remembered.
    pub max: Option<String>,
    /// Where.
    pub store: Option<String>,
}

/// The keys of [`Sticky`].
pub const STICKY: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("cookie", Shape::Word, "cookie: tg_node"),
    Key::new("ttl", Shape::Word, "ttl: 1h"),
    Key::new("key_file", Shape::Word, "key_file: sticky.key"),
    Key::new("path", Shape::Word, "path: /"),
    Key::new("domain", Shape::Word, "domain: example.com"),
    Key::new("same_site", Shape::Word, "same_site: lax"),
    Key::new("secure", Shape::Word, "secure: auto"),
    Key::new("http_only", Shape::Word, "http_only: true"),
    Key::new("learn", LEARN, "learn: { cookie: JSESSIONID }"),
]));

/// The keys of [`Learn`].
const LEARN: Shape = Shape::Map(&[
    Key::new("cookie", Shape::Word, "cookie: JSESSIONID"),
    Key::new("header", Shape::Word, "header: X-Session-Id"),
    Key::new("ttl", Shape::Word, "ttl: 1h"),
    Key::new("max", Shape::Word, "max: 100000"),
    Key::new("store", Shape::Word, "store: memory"),
]);
