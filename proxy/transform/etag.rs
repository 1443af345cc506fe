//! Entity tags of forms: every coding of a body is a representation with a tag of its own (RFC 9110 §8.8.3.3).
//!
//! `"x"` as Brotli is `"x-br"`. Nodes know only their own tags, so that what clients list is told to them with both. A
//! tag that is not the grammar is never touched.

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

use crate::base::coding::Coding;

/// The tag of a body in this coding whose own tag is `tag`: `"x"` becomes `"x-br"`, `W/"x"` becomes `W/"x-br"`. `None`:
/// it is not an entity tag.
pub fn of_form(tag: &[u8], coding: Coding) -> Option<Vec<u8>> {
    let inner = inner(tag)?;
    let open = tag.len() - inner.len() - 1;
    let name = coding.as_str().as_bytes();
    Some([&tag[..open], inner, b"-", name, b"\""].concat())
}

/// The tag of the body itself and the coding, if this may be the tag of a form: `"x-br"` is of `"x"`.
pub fn base_of(tag: &[u8]) -> Option<(Vec<u8>, Coding)> {
    let (length, coding) = form(tag)?;
    Some(([&tag[..length], b"\""].concat(), coding))
}

/// An `If-None-Match` or `If-Match` line as nodes are asked: behind each tag of a form the tag of the body itself, so
/// that `"x-br", "y"` becomes `"x-br", "x", "y"`; at most twice as many members. Only of forms that `counts`. `None`: there
/// is nothing to change.
pub fn for_nodes(value: &[u8], counts: impl Fn(Coding) -> bool) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut copied = 0;
    for (end, tag) in members(value) {
        if let Some((length, _)) = form(tag).filter(|(_, coding)| counts(*coding)) {
            line.extend_from_slice(&value[copied..end]);
            line.extend_from_slice(b", ");
            line.extend_from_slice(&tag[..length]);
            line.push(b'"');
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    line.extend_from_slice(&value[copied..]);
    Some(line)
}

/// The tag that a 304 must carry for the node's `tag`: that of the form which the client says it has, the first of them.
/// Only of forms that `counts`. `None`: it lists `tag` itself (compared weakly), `*`, or no form of it.
pub fn of_client(
    if_none_match: &HeaderMap,
    tag: &[u8],
    counts: impl Fn(Coding) -> bool,
) -> Option<Vec<u8>> {
    let opaque = inner(tag)?;
    let mut found = None;
    for line in if_none_match.get_all(IF_NONE_MATCH) {
        for (_, listed) in members(line.as_bytes()) {
            if listed == b"*" || inner(listed) == Some(opaque) {
                return None;
            }
            if let (None, Some((length, coding))) = (found, form(listed)) {
                let begin = listed.len() - inner(listed).map_or(0, <[u8]>::len) - 1;
                let is_it = &listed[begin..length] == opaque && counts(coding);
                found = is_it.then_some(coding);
            }
        }
    }
    of_form(tag, found?)
}

/// What stands between the quotes of an entity tag (RFC 9110 §8.8.3).
fn inner(tag: &[u8]) -> Option<&[u8]> {
    let quoted = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'"')).then_some(inner)
}

/// Up to where the tag of a form is that of the body itself but for its last quote, and in which coding the form is.
fn form(tag: &[u8]) -> Option<(usize, Coding)> {
    let inner = inner(tag)?;
    let dash = inner.iter().rposition(|byte| *byte == b'-')?;
    let named = |coding: &Coding| coding.as_str().as_bytes() == &inner[dash + 1..];
    let coding = Coding::ALL.into_iter().find(named)?;
    Some((tag.len() - 1 - inner.len() + dash, coding))
}

/// The members of a line, blanks off, each with where it ends; commas within quotes are letters of a tag. A quote that is
/// never closed is none.
fn members(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    let mut quotes = true;
    std::iter::from_fn(move || {
        let begin = at;
        (begin <= line.len()).then_some(())?;
        let mut end = begin;
        while let Some(byte) = line.get(end).filter(|byte| **byte != b',') {
            let close = match byte {
                b'"' if quotes => line[end + 1..].iter().position(|byte| *byte == b'"'),
                _ => None,
            };
            quotes &= *byte != b'"' || close.is_some();
            end += close.map_or(1, |close| close + 2);
        }
        at = end + 1;
        let member = &line[begin..end];
        Some((begin + member.trim_ascii_end().len(), member.trim_ascii()))
    })
}

#[cfg(test)]
mod tests;
