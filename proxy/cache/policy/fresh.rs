//! How long an answer is fresh, and how old it is on arrival (RFC 9111 §4.2).
//!
//! **Which clock.** `Expires` is compared with the answer's own `Date`, both of the origin's clock; its difference to
//! ours cancels out. For the same reason the age on arrival is `Age` and the time the answer took, and not also
//! `apparent_age`, the difference of our clock and `Date`, which RFC 9111 §4.2.3 has for clocks that agree: an origin
//! two minutes behind would never be cached for a minute, and who sends no `Age` today has no cache in front of it.

use std::time::Duration;

use http::header::{AGE, DATE, ETAG, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::dates;
use super::directives::AnswerDirectives;
use super::life::{FOR_EVER, Life, Millis, Source};
use super::list::{Members, number};
use super::targeted::Governing;
use crate::config::checked::RouteCache;

/// Heuristic freshness is never longer, in milliseconds: a day.
const HEURISTIC_AT_MOST: u64 = 86_400_000;

/// The life of an answer whose request was sent at `requested_at` and whose head arrived at `received_at`.
pub fn life(
    (status, headers): (StatusCode, &HeaderMap),
    says: &Governing,
    rules: &RouteCache,
    requested_at: Millis,
    received_at: Millis,
) -> Life {
    let directives = &says.directives;
    let (lifetime, source) = lifetime((status, headers), says, rules, received_at);
    let must_revalidate = must_revalidate(directives);
    // RFC 5861 is silent on whether its windows open what these close; RFC 9111 §4.2.4 is not.
    let never_stale = directives.no_cache || must_revalidate;
    let window = |own: Option<u64>, route: Option<Duration>| match own {
        _ if never_stale => Some(0),
        Some(seconds) => Some(millis(seconds)),
        None => route.map(millis_of),
    };
    Life {
        received: received_at,
        initial_age: initial_age(headers, requested_at, received_at),
        lifetime,
        source,
        stale_while_revalidate: window(
            directives.stale_while_revalidate,
            rules.stale_while_revalidate,
        )
        .unwrap_or(0),
        stale_if_error: window(directives.stale_if_error, rules.stale_if_error),
        no_cache: directives.no_cache,
        must_revalidate,
        has_validator: has_validator(headers, received_at),
    }
}

/// Whether an answer without freshness of its own may be given some (RFC 9110 §15.1, RFC 9111 §4.2.2).
pub fn is_cacheable_by_default(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Whether it is never used stale; `s-maxage` says so too (RFC 9111 §5.2.2.10).
fn must_revalidate(directives: &AnswerDirectives) -> bool {
    directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some()
}

/// How long it is fresh, counted from when the origin made it, and who says so (RFC 9111 §4.2.1).
fn lifetime(
    (status, headers): (StatusCode, &HeaderMap),
    says: &Governing,
    rules: &RouteCache,
    received_at: Millis,
) -> (u64, Source) {
    let directives = &says.directives;
    // A route's word is for what may be stored without the origin's: an error of a minute is not kept for a day.
    let by_default = is_cacheable_by_default(status) || directives.public;
    if let Some(ttl) = rules.override_ttl.filter(|_| by_default) {
        return (millis_of(ttl), Source::Override);
    }
    let stated = directives.s_maxage.map(|s| (s, Source::SMaxAge));
    if let Some((seconds, source)) = stated.or(directives.max_age.map(|s| (s, Source::MaxAge))) {
        let source = if says.is_targeted {
            Source::Targeted
        } else {
            source
        };
        return (millis(seconds), source);
    }
    if !says.is_targeted && headers.contains_key(EXPIRES) {
        return (until_expiry(headers, received_at), Source::Expires);
    }
    if !by_default {
        return (0, Source::Nothing);
    }
    match (heuristic(headers, received_at), rules.ttl) {
        (Some(span), _) => (span, Source::Heuristic),
        (None, Some(ttl)) => (millis_of(ttl), Source::Route),
        (None, None) => (0, Source::Nothing),
    }
}

/// `Expires` less `Date`, or less the time of receipt without one that can be read (RFC 9111 §4.2.1, §5.3).
fn until_expiry(headers: &HeaderMap, received_at: Millis) -> u64 {
    let expiry = dates::field(headers, &EXPIRES, received_at);
    let span = expiry.map(|at| at.saturating_sub(made_at(headers, received_at)));
    let span = span.and_then(|span| u64::try_from(span).ok());
    span.unwrap_or(0).min(FOR_EVER)
}

/// A tenth of how long it had not changed; `None` when that says nothing.
fn heuristic(headers: &HeaderMap, received_at: Millis) -> Option<u64> {
    let modified = dates::field(headers, &LAST_MODIFIED, received_at)?;
    let unchanged = made_at(headers, received_at).saturating_sub(modified);
    let span = u64::try_from(unchanged).ok()? / 10;
    (span > 0).then_some(span.min(HEURISTIC_AT_MOST))
}

/// When the origin says that it made the answer, in milliseconds since the Unix epoch.
fn made_at(headers: &HeaderMap, received_at: Millis) -> i64 {
    let received = i64::try_from(received_at).unwrap_or(i64::MAX);
    dates::field(headers, &DATE, received_at).unwrap_or(received)
}

/// `corrected_initial_age` without `apparent_age`: the first member of the first `Age`, when it is a number
/// (RFC 9111 §5.1), and the time the answer took. In milliseconds, [`FOR_EVER`] at most.
fn initial_age(headers: &HeaderMap, requested_at: Millis, received_at: Millis) -> u64 {
    let line = headers.get(AGE).map(|line| line.as_bytes());
    let first = line.and_then(|line| Members::of(line).next());
    let age = first.and_then(number).map_or(0, millis);
    let delay = received_at.saturating_sub(requested_at);
    age.saturating_add(delay).min(FOR_EVER)
}

fn has_validator(headers: &HeaderMap, received_at: Millis) -> bool {
    let has_etag = headers.get(ETAG).is_some_and(|tag| !tag.is_empty());
    has_etag || dates::field(headers, &LAST_MODIFIED, received_at).is_some()
}

/// Seconds as milliseconds; [`FOR_EVER`] at most.
pub(super) fn millis(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000).min(FOR_EVER)
}

fn millis_of(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).map_or(FOR_EVER, |all| all.min(FOR_EVER))
}

#[cfg(test)]
mod tests;
