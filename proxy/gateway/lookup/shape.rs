//! What is stored of an answer's head, and what only who asked is given of it.
//!
//! Never keeps what belongs to one connection, and never a field that follows from the body or the time.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use crate::cache::entry::Head;
use crate::cache::policy::life::Millis;
use crate::cache::policy::merge::is_of_one_connection;
use crate::cache::policy::store::Plan;
use crate::cache::store::Store;

/// The head and the tags that are stored of an answer.
pub fn shape(
    cache: &Store,
    answer: &ResponseHeader,
    plan: &Plan,
    now: Millis,
) -> (Head, Box<[u64]>) {
    let head = kept_head(answer.status, dated(answer, &received(now)), plan);
    (head, cache.tags_of(&answer.headers))
}

/// What only who asked is given of an answer that is stored.
pub fn apart(
    answer: &ResponseHeader,
    plan: &Plan,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let is_apart = |name: &HeaderName| {
        plan.leave_out.contains(name) && *name != header::AGE && !is_of_one_connection(name)
    };
    let fields = answer
        .headers
        .iter()
        .filter(move |(name, _)| is_apart(name));
    fields.map(|(name, value)| (name.clone(), value.clone()))
}

/// The fields of an answer in the letter case they came in.
fn fields(head: &ResponseHeader) -> impl Iterator<Item = (&[u8], &HeaderValue)> {
    let fields = head.case_header_iter();
    fields.map(|(name, value)| (name.as_slice(), value))
}

/// When an answer arrived, as a `Date`.
pub fn received(now: Millis) -> HeaderValue {
    let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now));
    HeaderValue::from_str(&at).expect("invariant: a date is letters, digits, commas and colons")
}

/// The fields of an answer, with the time it arrived where it says no time of its own (RFC 9110 §6.6.1).
pub fn dated<'a>(
    head: &'a ResponseHeader,
    received: &'a HeaderValue,
) -> impl Iterator<Item = (&'a [u8], &'a HeaderValue)> {
    let missing = !head.headers.contains_key(header::DATE);
    let date = missing.then_some((&b"Date"[..], received));
    fields(head).chain(date)
}

/// The head that is stored: without what is not for others, and without framing, which follows from the body.
pub fn kept_head<'a>(
    status: StatusCode,
    fields: impl Iterator<Item = (&'a [u8], &'a HeaderValue)>,
    plan: &Plan,
) -> Head {
    let left_out = |name: &[u8]| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        is_framing(name)
            || plan
                .leave_out
                .iter()
                .any(|other| is(other.as_str().as_bytes()))
    };
    let kept = fields.filter(|(name, _)| !left_out(name));
    Head::new(status, kept.map(|(name, value)| (name, value.as_bytes())))
}

/// Whether a field follows from the body and the time.
pub fn is_framing(name: &[u8]) -> bool {
    const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"age"];
    FRAMING.iter().any(|other| name.eq_ignore_ascii_case(other))
}
