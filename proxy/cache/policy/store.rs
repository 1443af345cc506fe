//! May an answer be stored, and how (RFC 9111 §3).
//!
//! Says no for one reason, the first that holds; what is doubtful is not stored. Bodies are somebody else's: whether
//! one is whole, and small enough, is not known when the head is judged.

use http::header::{AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use smallvec::SmallVec;

use super::deception;
use super::directives::{AnswerDirectives, Wish};
use super::fresh::{self, is_cacheable_by_default};
use super::invalidate::names_itself;
use super::life::{Life, Millis, Source};
use super::merge;
use super::tags;
use super::targeted::{Governing, governing};
use super::vary::Selection;
use crate::base::cached::Why;
use crate::cache::unkeyed::overrides_method;
use crate::config::checked::{RouteCache, SetCookie};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Its path, as it is forwarded.
    pub path: &'a str,
    /// `http://host[:port]`, what a relative `Content-Location` is relative to.
    pub origin: &'a str,
    /// Its path and query, as they are forwarded.
    pub target: &'a str,
    /// Fields that decide where it goes: answers are kept apart by them as if `Vary` named them.
    pub selecting: &'a [HeaderName],
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

/// How an answer is stored.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decides whether it may be used.
    pub life: Life,
    /// Which requests it is for.
    pub selection: Selection,
    /// Fields of it that are not stored: those of one connection (RFC 9111 §3.1), those that a qualified `private` or
    /// `no-cache` names, `Age`, and `Set-Cookie` where the route strips it.
    pub leave_out: SmallVec<[HeaderName; 2]>,
}

/// How an answer is stored, whose request was sent at `requested_at` and whose head arrived at `received_at`.
///
/// For an answer that a 304 confirmed, `answer` is the stored status with the [`merge::merged`] fields.
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
    asks_for_storable(asked, rules)?;
    let says = governing(answer.headers, rules.surrogate_control);
    is_allowed(asked, answer, &says.directives, rules)?;
    if !tags::fit(answer.headers) {
        return Err(Why::Tags);
    }
    let selection = Selection::with(answer.headers, asked.headers, asked.selecting)?;
    let head = (answer.status, answer.headers);
    let life = fresh::life(head, &says, rules, requested_at, received_at);
    is_of_use(answer.status, &says, &life)?;
    if asked.method == Method::POST && !answers_later_gets(asked, answer, &life) {
        return Err(Why::Method);
    }
    let by_route = match life.source {
        Source::Override | Source::Route => true,
        // Not the origin's word either.
        Source::Heuristic => rules.ttl.is_some(),
        _ => false,
    };
    if by_route && !deception::fits(asked.path, answer) {
        return Err(Why::ContentType);
    }
    Ok(Plan {
        life,
        selection,
        leave_out: left_out(answer.headers, &says.directives, rules),
    })
}

/// Whether what a status says about storing is known here, as `must-understand` wants (RFC 9111 §5.2.2.3): the
/// registered final ones, but for those that need partial answers (206) or what is stored already (304).
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 207 | 208 | 226 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451
            | 500..=508 | 510 | 511
    )
}

/// What the request has to say.
fn asks_for_storable(asked: &Asked<'_>, rules: &RouteCache) -> Result<(), Why> {
    if overrides_method(asked.headers) {
        return Err(Why::MethodOverride);
    }
    if !matches!(*asked.method, Method::GET | Method::POST) {
        return Err(Why::Method);
    }
    if Wish::of(asked.headers, rules.ignore_client_cache_control).no_store {
        return Err(Why::RequestNoStore);
    }
    Ok(())
}

/// What the answer has to say, but for how long.
fn is_allowed(
    asked: &Asked<'_>,
    answer: &Answer<'_>,
    says: &AnswerDirectives,
    rules: &RouteCache,
) -> Result<(), Why> {
    let status = answer.status;
    if status.is_informational() || matches!(status.as_u16(), 206 | 304) {
        return Err(Why::Status);
    }
    if says.must_understand && !is_understood(status) {
        return Err(Why::NotUnderstood);
    }
    if says.no_store && !says.must_understand {
        return Err(Why::NoStore);
    }
    if says.private {
        return Err(Why::Private);
    }
    // RFC 9111 §3.5: these three, and no others.
    let for_others = says.public || says.must_revalidate || says.s_maxage.is_some();
    if asked.headers.contains_key(AUTHORIZATION) && !for_others {
        return Err(Why::Authorization);
    }
    // Joined later it would begin with the past, and a fetch that waits for its end never ends.
    if is_event_stream(answer.headers) {
        return Err(Why::EventStream);
    }
    let sets_cookie = answer.headers.contains_key(SET_COOKIE) && !says.fields.contains(&SET_COOKIE);
    if sets_cookie && rules.set_cookie == SetCookie::Refuse {
        return Err(Why::SetCookie);
    }
    Ok(())
}

/// Whether an answer is a stream of events (HTML, server-sent events: `text/event-stream`).
fn is_event_stream(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let essence = given.and_then(|given| given.split(|byte| *byte == b';').next());
    essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

/// Whether a stored answer of this life would ever be used.
fn is_of_use(status: StatusCode, says: &Governing, life: &Life) -> Result<(), Why> {
    if life.source == Source::Nothing {
        if !is_cacheable_by_default(status) && !says.directives.public {
            return Err(Why::Status);
        }
        if !life.has_validator {
            return Err(Why::NoFreshness);
        }
    }
    if life.has_validator {
        return Ok(());
    }
    if life.no_cache {
        return Err(Why::NoCache);
    }
    // Stale for good on arrival; what has a window, or was fresh once, may still be used stale.
    let windows = life
        .stale_while_revalidate
        .max(life.stale_if_error.unwrap_or(0));
    let may_be_stale = !life.must_revalidate && life.lifetime > 0;
    let is_fresh = life.initial_age < life.lifetime;
    if is_fresh || may_be_stale || windows > 0 {
        Ok(())
    } else {
        Err(Why::Stale)
    }
}

/// Whether an answer to POST answers later requests of the same URL (RFC 9110 §9.3.3).
fn answers_later_gets(asked: &Asked<'_>, answer: &Answer<'_>, life: &Life) -> bool {
    let is_explicit = matches!(
        life.source,
        Source::Targeted | Source::SMaxAge | Source::MaxAge | Source::Expires
    );
    answer.status == StatusCode::OK
        && is_explicit
        && life.lifetime > 0
        && names_itself(asked.origin, asked.target, answer.headers)
}

/// The fields of an answer that are not stored.
fn left_out(
    answer: &HeaderMap,
    says: &AnswerDirectives,
    rules: &RouteCache,
) -> SmallVec<[HeaderName; 2]> {
    let strips = rules.set_cookie == SetCookie::Strip;
    let named = merge::named_by_connection(answer);
    let is_left_out = |name: &&HeaderName| {
        merge::is_of_one_connection(name)
            || **name == http::header::AGE
            || (strips && **name == SET_COOKIE)
            || says.fields.contains(*name)
            || named.contains(*name)
    };
    answer.keys().filter(is_left_out).cloned().collect()
}

#[cfg(test)]
mod tests;
