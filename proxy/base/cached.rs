//! What the cache does with a request, and why: the words of the log, the metrics, `Cache-Status` and the stats page.
//!
//! One vocabulary, as `reason` is for endings: a new "no" gets a name here. Never says anything a client chose.

/// What the cache did with a request. The log's `cache` and the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from the store.
    Hit,
    /// Answered from the store with what is stale, as the rules allow.
    Stale,
    /// Answered from the store after a node said that it is still right.
    Revalidated,
    /// Fetched because the store had nothing to use.
    Miss,
    /// Handed on without asking the store.
    Bypass,
    /// What should have filled the store failed.
    Error,
}

impl Outcome {
    /// Every value, for metrics that exist from the start.
    pub const ALL: [Outcome; 6] = [
        Outcome::Hit,
        Outcome::Stale,
        Outcome::Revalidated,
        Outcome::Miss,
        Outcome::Bypass,
        Outcome::Error,
    ];

    /// The word of the log and the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Revalidated => "revalidated",
            Outcome::Miss => "miss",
            Outcome::Bypass => "bypass",
            Outcome::Error => "error",
        }
    }
}

macro_rules! why {
    ($( $(#[doc = $doc:literal])+ $name:ident = $word:literal, )+) => {
        /// Why the cache did what it did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Why {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl Why {
            /// Every value, for metrics that exist from the start.
            pub const ALL: &'static [Why] = &[ $( Why::$name, )+ ];

            /// The word of the log, the metric and `Cache-Status`; a token (RFC 9110 §5.6.2).
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Why::$name => $word, )+
                }
            }
        }
    };
}

impl Why {
    /// Whether it says why an answer was not stored, rather than why a request was handled as it was.
    pub fn is_about_answer(self) -> bool {
        // In the order below, in which what the answer says comes last.
        self as usize >= Why::NoStore as usize
    }
}

why! {
    // -- what is in the store
    /// It is fresh.
    Fresh = "fresh",
    /// It was loaded from the tier that proxies share, for this request, and is fresh.
    Shared = "shared",
    /// Nothing is stored under this key.
    Nothing = "nothing_stored",
    /// What is stored was selected by other request fields (`Vary`).
    OtherVariant = "other_variant",
    /// It is older than its freshness lifetime.
    Expired = "expired",
    /// It may only be used after validation (`no-cache` of the answer).
    NoCache = "no_cache",
    /// It was purged, softly.
    Purged = "purged",
    /// The client takes what is stale (`max-stale`).
    MaxStale = "max_stale",
    /// It is stale and refreshed behind the answer.
    StaleWhileRevalidate = "stale_while_revalidate",
    /// It is stale and the nodes failed.
    StaleIfError = "stale_if_error",
    // -- what the request says
    /// The client wants it validated (`no-cache`).
    RequestNoCache = "request_no_cache",
    /// The client wants it younger (`max-age`).
    RequestMaxAge = "request_max_age",
    /// The client wants it fresh for longer (`min-fresh`).
    RequestMinFresh = "request_min_fresh",
    /// The client does not want it stored (`no-store`).
    RequestNoStore = "request_no_store",
    /// The client takes nothing but what is stored (`only-if-cached`).
    OnlyIfCached = "only_if_cached",
    /// Its method is none the cache answers.
    Method = "method",
    /// Another field says that its method is another one.
    MethodOverride = "method_override",
    /// It has a body.
    RequestBody = "request_body",
    /// It has a precondition that only the origin can judge (`If-Match`, `If-Unmodified-Since`).
    Precondition = "precondition",
    /// It wants another protocol (`Upgrade`).
    Upgrade = "upgrade",
    /// Nodes are told whose certificate its client has, and may answer that client alone.
    ClientCertificate = "client_certificate",
    /// Its client wrote a moment ago and reads from the primary.
    Pinned = "pinned",
    /// It names no host, or several.
    NoHost = "no_host",
    /// It wants a part from the middle of what is not stored.
    Range = "range",
    /// HEAD for what is not stored.
    Head = "head",
    /// Answers to it were not storable a moment ago.
    HitForMiss = "hit_for_miss",
    /// It waited for another request's fetch for as long as it may.
    WaitTimeout = "wait_timeout",
    // -- what the answer says
    /// `no-store`.
    NoStore = "no_store",
    /// `private`.
    Private = "private",
    /// `must-understand` with a status that is not understood.
    NotUnderstood = "not_understood",
    /// `Vary: *`.
    VaryAny = "vary_any",
    /// It sets a cookie.
    SetCookie = "set_cookie",
    /// It answers `Authorization` and does not say that others may have it.
    Authorization = "authorization",
    /// Its status is never stored (206, 304), or not without explicit freshness.
    Status = "status",
    /// It says neither how long it is fresh nor how to validate it.
    NoFreshness = "no_freshness",
    /// It is stale on arrival and cannot be validated.
    Stale = "stale_on_arrival",
    /// It has more tags than are remembered, or too long ones: it could not be purged by all of them.
    Tags = "tags",
    /// Its content type does not fit the path's extension (web cache deception).
    ContentType = "content_type",
    /// It is a stream of events: it is for who asked for it, from now on, and has no end.
    EventStream = "event_stream",
    /// Its body ends with the connection: nobody knows whether it is whole.
    Unframed = "unframed",
    /// Its body was cut.
    Incomplete = "incomplete",
    /// It is not in the encoding that its head names, or far more than it should come of it.
    Undecodable = "undecodable",
    /// It is larger than `cache.max_object`.
    TooLarge = "too_large",
    /// There is no room for it in memory.
    NoRoom = "no_room",
    /// It was purged or overwritten while it was fetched.
    PurgedMeanwhile = "purged_meanwhile",
    /// The proxy's own answer: no node gave one.
    Failed = "fetch_failed",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_requests_and_of_answers_are_told_apart() {
        assert!(!Why::WaitTimeout.is_about_answer() && !Why::Fresh.is_about_answer());
        assert!(Why::NoStore.is_about_answer() && Why::Failed.is_about_answer());
    }

    #[test]
    fn every_word_is_a_token_and_stands_for_one_thing() {
        let mut words: Vec<&str> = Why::ALL.iter().map(|why| why.as_str()).collect();
        words.sort_unstable();
        let count = words.len();
        words.dedup();
        assert_eq!(words.len(), count);
        let token = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(words.iter().all(|word| word.chars().all(token)));
    }
}
