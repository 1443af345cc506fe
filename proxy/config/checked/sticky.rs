//! What the program believes of stickiness, and of the split of a route.
//!
//! A key is held so that nothing can print it: neither a log line nor a dump of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

/// How the requests of a session stay on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// By a cookie of ours.
    Cookie(StickyCookie),
    /// By the session that the app itself begins.
    Learn(Learn),
}

/// A cookie of ours that says which node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name: a token (RFC 6265 §4.1.1).
    pub name: String,
    /// How long it holds, whole seconds at least; `None`: as long as the browser runs.
    pub ttl: Option<Duration>,
    /// What it is signed with; `None`: with a key that the process makes for itself.
    pub key: Option<KeyFile>,
    /// Its `Path`.
    pub path: String,
    /// Its `Domain`, without a dot in front; `None`: the host alone.
    pub domain: Option<String>,
    /// Its `SameSite`.
    pub same_site: SameSite,
    /// Its `Secure`.
    pub secure: Secure,
    /// Its `HttpOnly`.
    pub http_only: bool,
}

/// `SameSite` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Also when a link from elsewhere is followed.
    Lax,
    /// Only from the site itself.
    Strict,
    /// Always.
    None,
}

impl SameSite {
    /// The word of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => "None",
        }
    }
}

/// `Secure` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// When the client came by TLS, as a trusted proxy says.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// A file with a key, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// The key.
    pub key: Secret,
}

/// Bytes that nobody may read but who signs with them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// The fewest bytes of a key: as many as the hash has.
    pub const LEAST: usize = 32;

    /// Keeps these bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Secret(bytes.into())
    }

    /// The bytes, to sign with.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// How the sessions of an app are learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learn {
    /// Where a session's id is.
    pub from: LearnFrom,
    /// How long a session may be idle.
    pub ttl: Duration,
    /// How many are remembered at the most.
    pub max: usize,
    /// Who knows of them.
    pub store: Store,
}

/// Who knows of learned sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The process that learned them.
    Memory,
    /// All proxies, by [`super::Cache::redis`], which there is.
    Redis,
}

/// Where a session's id is, in answers and in requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnFrom {
    /// In this cookie.
    Cookie(String),
    /// In this field.
    Header(HeaderName),
}

/// How a route parts reads from writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Where reads go: index into [`super::Config::upstreams`]. The rest goes to the route's own upstream.
    pub reads: usize,
    /// How long a client reads from where it wrote; zero: it is not told.
    pub pin_after_write: Duration,
    /// Whether reads go to the route's own upstream when no replica can be used.
    pub fallback: bool,
    /// Name of the cookie that says until when: a token (RFC 6265 §4.1.1).
    pub cookie: String,
}

impl Split {
    /// The methods of reads: those that are safe (RFC 9110 §9.2.1) and passed on.
    pub const READS: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let key = Secret::new(*b"0123456789abcdef0123456789abcdef");
        let shown = format!("{key:?} {:#?}", vec![key.clone()]);
        assert!(!shown.contains("0123") && !shown.contains("48"), "{shown}");
    }
}
