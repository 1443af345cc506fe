//! What is counted for a route. Methods a client made up share one label.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::Method;
use prometheus::{Histogram, IntCounter};

use super::cache::CacheRouteMetrics;
use super::codes::CodeCounters;
use super::family::{Counters, Families, Histograms, counters, histograms};
use super::{BUCKETS, read_took};
use crate::base::cached::Outcome;
use crate::base::reason::End;
use crate::telemetry::history::Amounts;

/// Metrics by route.
#[derive(Debug)]
pub(super) struct RouteFamilies {
    pub(super) requests: Counters,
    duration: Histograms,
    bytes_in: Counters,
    bytes_out: Counters,
    aborts: Counters,
    rate_limited: Counters,
    shared_rates: Counters,
    slow: Counters,
}

impl RouteFamilies {
    pub(super) fn new(f: &Families) -> Self {
        RouteFamilies {
            requests: counters(
                f,
                "http_requests_total",
                "Requests answered.",
                &["route", "method", "code"],
            ),
            duration: histograms(
                f,
                (
                    "http_request_duration_seconds",
                    "From the head of a request to the end of its answer.",
                ),
                &BUCKETS,
                &["route", "cache"],
            ),
            bytes_in: counters(
                f,
                "http_request_bytes_total",
                "Body bytes received from clients.",
                &["route"],
            ),
            bytes_out: counters(
                f,
                "http_response_bytes_total",
                "Body bytes sent to clients.",
                &["route"],
            ),
            aborts: counters(
                f,
                "client_aborts_total",
                "Requests whose client left before the answer was complete.",
                &["route"],
            ),
            slow: counters(
                f,
                "slow_requests_total",
                "Requests that took longer than their route may take.",
                &["route"],
            ),
            rate_limited: counters(
                f,
                "rate_limited_total",
                "Requests over the rate limit of their route, refused or only counted.",
                &["route", "outcome"],
            ),
            shared_rates: counters(
                f,
                "rate_limit_shared_total",
                "Requests on routes whose limit all proxies count together, by who decided what.",
                &["route", "result"],
            ),
        }
    }

    pub(super) fn forget(&self, name: &str) {
        for family in [
            &self.requests,
            &self.bytes_in,
            &self.bytes_out,
            &self.aborts,
            &self.slow,
        ] {
            family.remove_under(&[name]);
        }
        self.duration.remove_under(&[name]);
    }

    pub(super) fn forget_rate_limit(&self, name: &str) {
        self.rate_limited.remove_under(&[name]);
        self.shared_rates.remove_under(&[name]);
    }

    pub(super) fn durations(&self) -> &Histograms {
        &self.duration
    }

    pub(super) fn rate_limit(&self, name: &str) -> RateLimitMetrics {
        let of = |outcome| self.rate_limited.with_label_values(&[name, outcome]);
        RateLimitMetrics {
            refused: of("refused"),
            dry_run: of("dry_run"),
        }
    }

    pub(super) fn shared_rate(&self, name: &str) -> SharedRateMetrics {
        let of = |result| self.shared_rates.with_label_values(&[name, result]);
        SharedRateMetrics {
            admitted: of("admitted"),
            refused: of("refused"),
            remembered: of("remembered"),
            fallback: of("fallback"),
        }
    }

    pub(super) fn handles(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            name: name.to_string(),
            family: self.requests.clone(),
            by_method: std::array::from_fn(|_| OnceLock::new()),
            slow: self.slow.with_label_values(&[name]),
            duration: self.duration.with_label_values(&[name, "none"]),
            cache: OnceLock::new(),
            bytes_in: self.bytes_in.with_label_values(&[name]),
            bytes_out: self.bytes_out.with_label_values(&[name]),
            aborts: self.aborts.with_label_values(&[name]),
            unanswered: AtomicU64::new(0),
        }
    }
}

/// What is counted for the rate limit of one route.
#[derive(Debug, Clone)]
pub struct RateLimitMetrics {
    /// Requests refused.
    pub refused: IntCounter,
    /// Requests that would have been.
    pub dry_run: IntCounter,
}

/// What is counted where all proxies count together for one route.
#[derive(Debug, Clone)]
pub struct SharedRateMetrics {
    /// Redis let the request in.
    pub admitted: IntCounter,
    /// Redis said that its client asks too often.
    pub refused: IntCounter,
    /// It was refused without asking Redis again: its client has not waited for as long as it was told to.
    pub remembered: IntCounter,
    /// Redis did not decide: the proxy's own limit did.
    pub fallback: IntCounter,
}

/// Methods with a name of their own, in metrics and in spans; any other is `OTHER`: it would make as many names as clients
/// think of.
pub const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
    Method::TRACE,
];

/// What is counted for one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: String,
    family: Counters,
    by_method: [OnceLock<CodeCounters>; METHODS.len() + 1],
    /// Of requests that the cache had no part in.
    duration: Histogram,
    /// Where the route has a cache, or had one.
    cache: OnceLock<CacheRouteMetrics>,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    aborts: IntCounter,
    /// Requests that ended without an answer, and not because their client left.
    unanswered: AtomicU64,
    /// Requests that took longer than the route may take.
    pub slow: IntCounter,
}

impl RouteMetrics {
    pub(super) fn is_cached(&self, handles: impl FnOnce() -> CacheRouteMetrics) {
        self.cache.get_or_init(handles);
    }

    /// Counts a request that was answered in the express lane.
    pub fn in_express(&self) {
        if let Some(cache) = self.cache.get() {
            cache.express.inc();
        }
    }

    /// Counts a finished request: its status and how it ended, its body bytes in and out, and what the cache did, if it
    /// was asked; with whether the answer was that of another request's fetch.
    pub fn finished(
        &self,
        method: &Method,
        (code, end): (u16, End),
        took: Duration,
        bytes: (u64, u64),
        cached: Option<(Outcome, bool)>,
    ) {
        let at = METHODS
            .iter()
            .position(|m| m == method)
            .unwrap_or(METHODS.len());
        self.by_method[at]
            .get_or_init(|| {
                let label = METHODS.get(at).map_or("OTHER", Method::as_str);
                CodeCounters::new(&self.family, &[&self.name, label])
            })
            .inc(code);
        match (cached, self.cache.get()) {
            (Some((outcome, collapsed)), Some(cache)) => {
                cache.finished(outcome, collapsed, took, bytes.1);
            }
            _ => self.duration.observe(took.as_secs_f64()),
        }
        self.bytes_in.inc_by(bytes.0);
        self.bytes_out.inc_by(bytes.1);
        if end == End::ClientAbort {
            self.aborts.inc();
        } else if code == 0 {
            self.unanswered.fetch_add(1, Relaxed);
        }
    }

    /// Requests so far, and those of them that were answered with 5xx or not at all.
    pub fn totals(&self) -> (u64, u64) {
        let unanswered = self.unanswered.load(Relaxed);
        let codes = self.by_method.iter().filter_map(OnceLock::get);
        let seen = codes.flat_map(CodeCounters::seen);
        seen.fold((unanswered, unanswered), |(all, failed), (code, n)| {
            (all + n, failed + if code >= 500 { n } else { 0 })
        })
    }

    /// Reads what was counted into `amounts`, which holds what was read before.
    pub fn read(&self, amounts: &mut Amounts) {
        (amounts.requests, amounts.errors) = self.totals();
        amounts.bytes_in = self.bytes_in.get();
        amounts.bytes_out = self.bytes_out.get();
        let none = Some(&self.duration);
        match self.cache.get() {
            None => read_took([none], &mut amounts.took),
            Some(cache) => {
                let [hit, stale, miss, bypass] = cache.read(amounts).each_ref().map(Some);
                read_took([none, hit, stale, miss, bypass], &mut amounts.took);
            }
        }
    }
}
