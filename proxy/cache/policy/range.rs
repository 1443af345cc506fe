//! Which part of a stored body is wanted (RFC 9110 §14).
//!
//! Never more bytes than the body has, however many ranges name them: what overlaps is sent once (RFC 9110 §14.2).

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;
use smallvec::SmallVec;

use super::list::number;

/// Parts of one answer; who wants more is given the whole.
const PARTS_AT_MOST: usize = 16;

/// What of a body is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// All of it: 200.
    Whole,
    /// One part: 206.
    One(Range<u64>),
    /// Several parts that do not overlap: 206 with `multipart/byteranges`.
    Many(SmallVec<[Range<u64>; 4]>),
    /// Nothing that it has: 416.
    None,
}

/// What of a body of this `length` in bytes a request wants. `If-Range` is somebody else's:
/// [`super::condition::if_range_holds`].
pub fn wanted(request: &HeaderMap, length: u64) -> Ranges {
    let mut lines = request.get_all(RANGE).iter();
    let line = lines
        .next()
        .filter(|_| request.get_all(RANGE).iter().count() == 1);
    let parts = line.and_then(|line| parts(line.as_bytes(), length));
    match parts {
        // No `Range`, another unit, or not the grammar: as if there were none (RFC 9110 §14.2).
        None => Ranges::Whole,
        Some(parts) => bounded(parts, length),
    }
}

/// The parts that can be had, in the order they are named; `None` when this is not the grammar.
fn parts(line: &[u8], length: u64) -> Option<SmallVec<[Range<u64>; 4]>> {
    let (unit, set) = line.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let members = set.split(|b| *b == b',').map(|member| member.trim_ascii());
    let mut named = 0;
    let mut all = SmallVec::new();
    for member in members.filter(|member| !member.is_empty()) {
        named += 1;
        all.extend(part(member, length)?);
    }
    (named > 0).then_some(all)
}

/// `a-b`, `a-` or `-n`: the outer `None` is for what is none of them, the inner one for what the body has not.
#[allow(clippy::option_option, reason = "each level says another no")]
fn part(member: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let at = memchr::memchr(b'-', member)?;
    let (first, last) = (&member[..at], &member[at + 1..]);
    if first.is_empty() {
        let bytes = number(last)?;
        return Some((bytes > 0).then(|| length.saturating_sub(bytes)..length));
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some((first < length).then(|| first..last.saturating_add(1).min(length)))
}

/// The same as an answer can have them.
fn bounded(mut parts: SmallVec<[Range<u64>; 4]>, length: u64) -> Ranges {
    let is_orderly = parts.windows(2).all(|two| two[0].end <= two[1].start);
    if !is_orderly || parts.len() > PARTS_AT_MOST {
        merge(&mut parts);
    }
    match parts.as_slice() {
        [] => Ranges::None,
        // `-5` of nothing is all of it, and no `Content-Range` can say so.
        [_] if length == 0 => Ranges::Whole,
        [one] => Ranges::One(one.clone()),
        many if many.len() > PARTS_AT_MOST => Ranges::Whole,
        _ => Ranges::Many(parts),
    }
}

/// Puts parts in order, those that meet into one.
fn merge(parts: &mut SmallVec<[Range<u64>; 4]>) {
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|next, kept| {
        let meets = next.start <= kept.end;
        if meets {
            kept.end = kept.end.max(next.end);
        }
        meets
    });
}

#[cfg(test)]
mod tests;
