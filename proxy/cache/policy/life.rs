//! What of a stored answer decides whether it may be used: plain numbers, so that asking costs nothing.

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// A span of time in milliseconds that never ends.
pub const FOR_EVER: u64 = u64::MAX / 4;

/// Where a freshness lifetime comes from (RFC 9111 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The route overrides what the answer says.
    Override,
    /// A targeted field: `Tidegate-Cache-Control`, `CDN-Cache-Control` (RFC 9213), `Surrogate-Control`.
    Targeted,
    /// `s-maxage`.
    SMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires` less `Date`.
    Expires,
    /// A tenth of the age of `Last-Modified` (RFC 9111 §4.2.2).
    Heuristic,
    /// The route's `ttl`.
    Route,
    /// Nothing: it is stale from the start.
    Nothing,
}

/// What of a stored answer decides whether it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When its head arrived, or that of the last 304 that confirmed it.
    pub received: Millis,
    /// How old it was then, in milliseconds (`corrected_initial_age`, RFC 9111 §4.2.3).
    pub initial_age: u64,
    /// Its freshness lifetime in milliseconds; [`FOR_EVER`] at most.
    pub lifetime: u64,
    /// Where that comes from.
    pub source: Source,
    /// How long after its freshness it may be used while it is refreshed, in milliseconds (RFC 5861 §3).
    pub stale_while_revalidate: u64,
    /// How long after its freshness it may be used when nodes fail, in milliseconds (RFC 5861 §4). `None`: nobody says
    /// so; then it may be used only when no node could be asked.
    pub stale_if_error: Option<u64>,
    /// It is validated before every use.
    pub no_cache: bool,
    /// It is never used stale (`must-revalidate`, `proxy-revalidate`, `s-maxage`).
    pub must_revalidate: bool,
    /// It has an `ETag` or a `Last-Modified`.
    pub has_validator: bool,
}

impl Life {
    /// Its age in milliseconds (RFC 9111 §4.2.3).
    pub fn age(&self, now: Millis) -> u64 {
        self.initial_age
            .saturating_add(now.saturating_sub(self.received))
    }

    /// When it stops being fresh; with `expired_at`, the time it was purged softly, not later than that.
    pub fn fresh_until(&self, expired_at: Option<Millis>) -> Millis {
        let own = (self.received.saturating_add(self.lifetime)).saturating_sub(self.initial_age);
        expired_at.map_or(own, |at| at.min(own))
    }
}
