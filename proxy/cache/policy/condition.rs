//! Does a stored answer differ from what a client says that it has (RFC 9110 §13, RFC 9111 §4.3.2).
//!
//! Never looks at `If-Match` and `If-Unmodified-Since`: only the origin can judge them.

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE};

use super::dates;
use super::life::Millis;
use super::list::Members;
use crate::base::fields::Fields;

/// What identifies a stored representation, as its head has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// `ETag`.
    pub etag: Option<&'a [u8]>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a [u8]>,
    /// `Date`.
    pub date: Option<&'a [u8]>,
}

/// Whether a GET or HEAD that would be given this stored 200 is told that it has it already: 304 (RFC 9110 §13.1.2,
/// §13.1.3, §13.2.2). `received_at` is when it was stored.
pub fn not_modified(request: &impl Fields, stored: &Validators<'_>, received_at: Millis) -> bool {
    if request.has(&IF_NONE_MATCH) {
        let lines = request.lines(&IF_NONE_MATCH);
        let mut tags = lines.flat_map(Members::of_tags);
        let same = |tag: &[u8]| stored.etag.is_some_and(|etag| is_weakly_same(tag, etag));
        return tags.any(|tag| tag == b"*" || (!tag.is_empty() && same(tag)));
    }
    let Some(since) = dates::field(request, &IF_MODIFIED_SINCE, received_at) else {
        return false;
    };
    let read = |date: &[u8]| dates::parse(date, received_at);
    let modified = match (stored.last_modified, stored.date.and_then(read)) {
        (Some(modified), _) => read(modified),
        (None, Some(date)) => Some(date),
        (None, None) => i64::try_from(received_at).ok(),
    };
    modified.is_some_and(|at| at <= since)
}

/// Whether `Range` counts: there is no `If-Range`, or it names what is stored, strongly (RFC 9110 §13.1.5).
pub fn if_range_holds(request: &HeaderMap, stored: &Validators<'_>) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(named) = lines.next() else {
        return true;
    };
    let named = named.as_bytes();
    if lines.next().is_some() {
        return false;
    }
    if named.contains(&b'"') {
        return !named.starts_with(b"W/") && stored.etag == Some(named);
    }
    stored.last_modified == Some(named) && is_strong_date(stored)
}

/// Whether two entity tags are the same but for being weak (RFC 9110 §8.8.3.2). What has no quotes is compared as it
/// is.
pub(super) fn is_weakly_same(one: &[u8], other: &[u8]) -> bool {
    let strip = |tag: &'_ [u8]| -> usize { if tag.starts_with(b"W/\"") { 2 } else { 0 } };
    one[strip(one)..] == other[strip(other)..]
}

/// Whether the origin cannot have changed it again within the second that `Last-Modified` names: it answered later,
/// by the same clock (RFC 9110 §8.8.2.2).
fn is_strong_date(stored: &Validators<'_>) -> bool {
    // Only their distance counts, so any century does for dates without one.
    let read = |date: Option<&[u8]>| date.and_then(|date| dates::parse(date, 0));
    let both = read(stored.last_modified).zip(read(stored.date));
    both.is_some_and(|(modified, date)| modified.saturating_add(1_000) <= date)
}

#[cfg(test)]
mod tests;
