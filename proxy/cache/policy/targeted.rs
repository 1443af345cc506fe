//! Whose word counts: a field meant for us, or `Cache-Control` (RFC 9213).
//!
//! A targeted field that cannot be read is not there: then the next one counts, and never a part of it.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, ParseMore};

use super::directives::{AnswerDirectives, Name, Value, directives, endless};
use super::list::{Members, number};

/// Targeted fields that we listen to, in their order (RFC 9213 §2.2).
static TARGETS: [HeaderName; 2] = [
    HeaderName::from_static("tidegate-cache-control"),
    HeaderName::from_static("cdn-cache-control"),
];
const SURROGATE: HeaderName = HeaderName::from_static("surrogate-control");

/// What an answer says of storing it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governing {
    /// What it says.
    pub directives: AnswerDirectives,
    /// A targeted field says it: `Cache-Control` and `Expires` count for nothing.
    pub is_targeted: bool,
}

/// What counts of an answer; `Surrogate-Control` only where the route listens to it.
pub fn governing(answer: &HeaderMap, surrogate: bool) -> Governing {
    let mut fields = TARGETS.iter().filter(|name| answer.contains_key(*name));
    let targeted = fields
        .find_map(|name| dictionary(answer, name))
        .or_else(|| surrogate.then(|| surrogate_control(answer)).flatten());
    let is_targeted = targeted.is_some();
    Governing {
        directives: targeted.unwrap_or_else(|| AnswerDirectives::of(answer)),
        is_targeted,
    }
}

/// A targeted field that is valid and not empty.
fn dictionary(answer: &HeaderMap, name: &HeaderName) -> Option<AnswerDirectives> {
    let mut members = Dictionary::new();
    for line in answer.get_all(name) {
        members.parse_more(line.as_bytes()).ok()?;
    }
    let mut all = AnswerDirectives::default();
    for (name, member) in &members {
        let ListEntry::Item(item) = member else {
            // A list fits no directive that is known; of the others nothing is known.
            if is_known(name) {
                return None;
            }
            continue;
        };
        take(&mut all, name, &item.bare_item)?;
    }
    (!members.is_empty()).then_some(all)
}

/// Takes one member; `None` when it is known and of the wrong type (RFC 9213 §2.1).
fn take(all: &mut AnswerDirectives, name: &str, item: &BareItem) -> Option<()> {
    if let Some(span) = all.span(name.as_bytes()) {
        let seconds = u64::try_from(item.as_int()?).ok()?;
        *span = Some(endless(seconds));
        return Some(());
    }
    let is_qualified = matches!(name, "no-cache" | "private");
    match item {
        BareItem::Boolean(true) => drop(all.note(name.as_bytes(), Value::Missing)),
        BareItem::String(fields) if is_qualified => {
            all.note(name.as_bytes(), Value::Text(fields.as_bytes()));
        }
        BareItem::Boolean(false) => {}
        _ if is_known(name) => return None,
        _ => {}
    }
    Some(())
}

fn is_known(name: &str) -> bool {
    AnswerDirectives::default().note(name.as_bytes(), Value::Missing)
}

/// `Surrogate-Control` (Edge Architecture 1.0 §2.2) with a directive that we know and that is meant for all or for us.
/// The second number of `max-age=60+30` is how long the answer may be used while it is refreshed.
fn surrogate_control(answer: &HeaderMap) -> Option<AnswerDirectives> {
    let mut all = AnswerDirectives::default();
    let mut says = false;
    let lines = answer.get_all(SURROGATE).iter();
    for member in lines.flat_map(|line| Members::of(line.as_bytes())) {
        let (directive, device) = match memchr::memchr(b';', member) {
            Some(at) => (&member[..at], member[at + 1..].trim_ascii()),
            None => (member, &b""[..]),
        };
        if device.is_empty() || device.eq_ignore_ascii_case(b"tidegate") {
            for (name, value) in directives(directive) {
                says |= surrogate_directive(&mut all, &name, value);
            }
        }
    }
    says.then_some(all)
}

fn surrogate_directive(all: &mut AnswerDirectives, name: &Name, value: Value<'_>) -> bool {
    let plus = match value {
        Value::Text(text) if name[..] == *b"max-age" => {
            memchr::memchr(b'+', text).map(|at| (text, at))
        }
        _ => None,
    };
    let Some((text, at)) = plus else {
        return all.note(name, value);
    };
    all.note(name, Value::Text(&text[..at]));
    let more = number(&text[at + 1..]).unwrap_or(0);
    all.stale_while_revalidate = all.stale_while_revalidate.or(Some(endless(more)));
    true
}

#[cfg(test)]
mod tests;
