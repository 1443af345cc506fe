//! Selecting request fields in one form, so that what means the same selects the same (RFC 9111 §4.1).
//!
//! Only what a field's own specification calls the same is made the same; of a field that is not known here, nothing
//! but blanks around commas.

use std::cmp::Reverse;

use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::list::Members;
use crate::base::fields::Fields;

/// A value in its one form; most need no memory of their own.
pub(super) type Text = SmallVec<[u8; 128]>;
/// Something preferred, in lower case, and how much, in thousandths.
type Preferred = (Reverse<u16>, Name);
type Name = SmallVec<[u8; 24]>;

/// What a request has in a field of this name; `None`: no such field.
pub(super) fn normal(name: &HeaderName, request: &impl Fields) -> Option<Text> {
    let mut lines = request.lines(name).peekable();
    lines.peek()?;
    let members = lines.flat_map(Members::of);
    Some(match name.as_str() {
        "accept-encoding" => encodings(members),
        "accept-language" => languages(members),
        "accept" => joined(members.map(|member| {
            let mut member = Name::from_slice(member);
            let range = member
                .iter()
                .position(|b| *b == b';')
                .unwrap_or(member.len());
            member[..range].make_ascii_lowercase();
            member
        })),
        "accept-charset" => joined(members.map(lower)),
        _ => joined(members),
    })
}

/// The one language that a request prefers to all others, in lower case.
pub(super) fn language(request: &impl Fields) -> Option<Name> {
    let lines = request.lines(&ACCEPT_LANGUAGE);
    let all = preferences(lines.flat_map(Members::of));
    let mut by_weight = all.into_iter();
    let (weight, first) = by_weight.next()?;
    let is_one = by_weight.next().is_none_or(|(second, _)| weight < second);
    (is_one && weight.0 > 0 && first[..] != *b"*").then_some(first)
}

/// The letters of `Content-Language`, when it names one language.
pub(super) fn content_language(answer: &HeaderMap) -> Option<Box<[u8]>> {
    let mut lines = answer.get_all(http::header::CONTENT_LANGUAGE).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let mut members = Members::of(line.as_bytes()).filter(|member| !member.is_empty());
    let one = members.next().filter(|_| members.next().is_none())?;
    Some(one.to_ascii_lowercase().into())
}

fn lower(member: &[u8]) -> Name {
    let mut member = Name::from_slice(member);
    member.make_ascii_lowercase();
    member
}

fn joined(members: impl Iterator<Item = impl AsRef<[u8]>>) -> Text {
    let mut text = Text::new();
    for (at, member) in members.enumerate() {
        if at > 0 {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(member.as_ref());
    }
    text
}

/// `Accept-Language`: the order of what weighs the same means nothing (RFC 9110 §12.5.4).
fn languages<'a>(members: impl Iterator<Item = &'a [u8]>) -> Text {
    let with_weight = |(Reverse(weight), mut name): Preferred| {
        if weight < 1_000 {
            name.extend_from_slice(b";q=");
            name.extend(weight.to_string().bytes());
        }
        name
    };
    joined(preferences(members).into_iter().map(with_weight))
}

/// `Accept-Encoding`: which codings the answer may have (RFC 9110 §12.5.3). How much each is preferred is the sender's
/// choice among them, and every one of them can be read.
fn encodings<'a>(members: impl Iterator<Item = &'a [u8]>) -> Text {
    let mut all = preferences(members);
    for (_, name) in &mut all {
        match &name[..] {
            b"x-gzip" => *name = Name::from_slice(b"gzip"),
            b"x-compress" => *name = Name::from_slice(b"compress"),
            _ => {}
        }
    }
    let weight = |of: &[u8]| {
        all.iter()
            .find(|(_, name)| name[..] == *of)
            .map(|(w, _)| w.0)
    };
    let any = weight(b"*");
    let identity = weight(b"identity").or(any.filter(|weight| *weight == 0));
    // Anything but these; without `*` they go without saying. That nothing may be left as it is never does.
    let refused = |name: &Name| [&name[..], b";q=0"].concat();
    let takes_any = any.is_some_and(|weight| weight > 0);
    let mut codings: SmallVec<[Vec<u8>; 8]> = all
        .iter()
        .filter(|(_, name)| name[..] != *b"identity")
        .filter_map(|(weight, name)| match weight.0 {
            0 if takes_any => Some(refused(name)),
            0 => None,
            _ => Some(name.to_vec()),
        })
        .collect();
    if identity == Some(0) {
        codings.push(b"identity;q=0".to_vec());
    }
    codings.sort_unstable();
    codings.dedup();
    joined(codings.into_iter())
}

/// Members in lower case, the most preferred first, then by name.
fn preferences<'a>(members: impl Iterator<Item = &'a [u8]>) -> SmallVec<[Preferred; 8]> {
    let preferred = |member| {
        let (name, weight) = weighed(member).unwrap_or((member, 1_000));
        (Reverse(weight), lower(name))
    };
    let members = members.filter(|member| !member.is_empty());
    let mut all: SmallVec<[Preferred; 8]> = members.map(preferred).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A member and its weight in thousandths (RFC 9110 §12.4.2); `None`: not the grammar.
fn weighed(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(at) = memchr::memchr(b';', member) else {
        return Some((member, 1_000));
    };
    let weight = member[at + 1..].trim_ascii();
    let ([b'q' | b'Q', b'='], weight) = weight.split_at_checked(2)? else {
        return None;
    };
    let (whole, fraction) = weight.split_first()?;
    let digits = match fraction {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        thousandths = thousandths * 10 + u16::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
    }
    match whole {
        b'0' => Some((member[..at].trim_ascii_end(), thousandths)),
        b'1' if thousandths == 0 => Some((member[..at].trim_ascii_end(), 1_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
