//! `Cache-Control` of answers and requests (RFC 9111 §5.2).
//!
//! Reads every line as one list. What cannot be read never makes an answer more usable: a number that is none is 0, of
//! two numbers the stricter counts, and a list of fields that is none stands for all of them.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::life::FOR_EVER;
use super::list::{Members, number, quoted};
use crate::base::fields::Fields;

/// Seconds from which on a span never ends (RFC 9111 §1.2.2).
const ENDLESS: u64 = 1 << 31;
/// Letters of the longest directive that is known.
const NAME_AT_MOST: usize = 24;

/// What an answer's `Cache-Control` says. Spans are in seconds; [`FOR_EVER`] at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerDirectives {
    /// Nothing of it is stored.
    pub no_store: bool,
    /// It is validated before every use.
    pub no_cache: bool,
    /// No shared cache stores it.
    pub private: bool,
    /// Fields that are not stored: those that a qualified `private` or `no-cache` names.
    pub fields: SmallVec<[HeaderName; 2]>,
    /// Everybody may store it.
    pub public: bool,
    /// It is never used stale.
    pub must_revalidate: bool,
    /// It is never used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// It is stored by who understands its status only.
    pub must_understand: bool,
    /// Its body is handed on as it is.
    pub no_transform: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Freshness.
    pub max_age: Option<u64>,
    /// Freshness for shared caches.
    pub s_maxage: Option<u64>,
    /// How long it may be used while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// How long it may be used when nodes fail (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

impl AnswerDirectives {
    /// What an answer's `Cache-Control` says.
    pub fn of(answer: &HeaderMap) -> AnswerDirectives {
        let mut all = AnswerDirectives::default();
        for line in answer.get_all(CACHE_CONTROL) {
            for (name, value) in directives(line.as_bytes()) {
                all.note(&name, value);
            }
        }
        all
    }

    /// Notes one directive, its name in lower case; whether it is a known one.
    pub(super) fn note(&mut self, name: &[u8], value: Value<'_>) -> bool {
        if let Some(span) = self.span(name) {
            least(span, value.seconds().unwrap_or(0));
            return true;
        }
        match name {
            b"no-cache" | b"private" => self.note_qualified(name, value),
            // Whoever writes a value where none belongs means the directive all the same, where it forbids something.
            b"no-store" => self.no_store = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"public" => self.public |= value == Value::Missing,
            b"must-understand" => self.must_understand |= value == Value::Missing,
            b"immutable" => self.immutable |= value == Value::Missing,
            _ => return false,
        }
        true
    }

    /// The directive of this name, when it is one that says how long.
    pub(super) fn span(&mut self, name: &[u8]) -> Option<&mut Option<u64>> {
        match name {
            b"max-age" => Some(&mut self.max_age),
            b"s-maxage" => Some(&mut self.s_maxage),
            b"stale-while-revalidate" => Some(&mut self.stale_while_revalidate),
            b"stale-if-error" => Some(&mut self.stale_if_error),
            _ => None,
        }
    }

    /// `no-cache` and `private`: of all of it, or of the fields they name (RFC 9111 §5.2.2.4, §5.2.2.7).
    fn note_qualified(&mut self, name: &[u8], value: Value<'_>) {
        match value.fields() {
            Some(fields) => self.fields.extend(fields),
            None if name == b"private" => self.private = true,
            None => self.no_cache = true,
        }
    }
}

/// What a request's `Cache-Control` asks for. Spans are in seconds; [`FOR_EVER`] at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Nothing that was not validated.
    pub no_cache: bool,
    /// Nothing is stored for it.
    pub no_store: bool,
    /// Nothing but what is stored.
    pub only_if_cached: bool,
    /// Nothing older.
    pub max_age: Option<u64>,
    /// Nothing that is fresh for less.
    pub min_fresh: Option<u64>,
    /// What is stale for no longer, too; [`FOR_EVER`] without a value.
    pub max_stale: Option<u64>,
    /// What is stale for no longer, too, when nodes fail (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

impl Wish {
    /// What a request asks for (RFC 9111 §5.2.1); nothing when the route says to `ignore` it. `Pragma: no-cache` counts
    /// where there is no `Cache-Control` (RFC 9111 §5.4).
    pub fn of(request: &impl Fields, ignore: bool) -> Wish {
        let mut wish = Wish::default();
        if ignore {
            return wish;
        }
        for line in request.lines(&CACHE_CONTROL) {
            for (name, value) in directives(line) {
                wish.note(&name, value);
            }
        }
        if !request.has(&CACHE_CONTROL) {
            let asks = |line: &[u8]| Members::of(line).any(|m| m.eq_ignore_ascii_case(b"no-cache"));
            wish.no_cache = request.lines(&PRAGMA).any(asks);
        }
        wish
    }

    fn note(&mut self, name: &[u8], value: Value<'_>) {
        match (name, value.seconds()) {
            (b"no-cache", _) => self.no_cache = true,
            (b"no-store", _) => self.no_store = true,
            (b"only-if-cached", _) => self.only_if_cached = true,
            (b"max-age", seconds) => least(&mut self.max_age, seconds.unwrap_or(0)),
            // The two that want less than usual count only when they can be read.
            (b"max-stale", Some(seconds)) => least(&mut self.max_stale, seconds),
            (b"max-stale", None) if value == Value::Missing => least(&mut self.max_stale, FOR_EVER),
            (b"stale-if-error", Some(seconds)) => least(&mut self.stale_if_error, seconds),
            (b"min-fresh", Some(seconds)) => self.min_fresh = self.min_fresh.max(Some(seconds)),
            _ => {}
        }
    }
}

/// Of two, the smaller.
fn least(span: &mut Option<u64>, seconds: u64) {
    *span = Some(span.map_or(seconds, |other| other.min(seconds)));
}

/// What stands behind a directive's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Nothing, not even `=`.
    Missing,
    /// A token, or what a quoted string has between its quotes.
    Text(&'a [u8]),
    /// Something else.
    Malformed,
}

impl<'a> Value<'a> {
    /// What stands behind `=`.
    fn of(bytes: &'a [u8]) -> Value<'a> {
        match bytes {
            [b'"', inner @ .., b'"'] if quoted(bytes, true) == Some(bytes.len()) => {
                Value::Text(inner)
            }
            _ if bytes.iter().any(|b| b.is_ascii_whitespace() || *b == b'"') => Value::Malformed,
            _ => Value::Text(bytes),
        }
    }

    /// It as a span of time in seconds; `None` when it is none.
    fn seconds(self) -> Option<u64> {
        match self {
            Value::Text(digits) => number(digits).map(endless),
            Value::Missing | Value::Malformed => None,
        }
    }

    /// It as a list of field names; `None` when it is none.
    fn fields(self) -> Option<SmallVec<[HeaderName; 2]>> {
        let Value::Text(list) = self else { return None };
        let names = Members::of(list).filter(|member| !member.is_empty());
        let names: Option<SmallVec<_>> = names.map(|n| HeaderName::from_bytes(n).ok()).collect();
        names.filter(|all| !all.is_empty())
    }
}

/// A number of seconds, or [`FOR_EVER`].
pub(super) fn endless(seconds: u64) -> u64 {
    if seconds >= ENDLESS {
        FOR_EVER
    } else {
        seconds
    }
}

/// A name in lower case.
pub(super) type Name = SmallVec<[u8; NAME_AT_MOST]>;

/// The directives of one line. Unknown ones are among them, but none that is longer than all known ones.
pub(super) fn directives(line: &[u8]) -> impl Iterator<Item = (Name, Value<'_>)> {
    Members::of(line).filter_map(|member| {
        let (name, value) = match memchr::memchr(b'=', member) {
            Some(at) => (&member[..at], Value::of(&member[at + 1..])),
            None => (member, Value::Missing),
        };
        // `max-age =60` is no number of seconds, but it is not nothing either.
        let bare = name.trim_ascii_end();
        let value = if bare == name {
            value
        } else {
            Value::Malformed
        };
        (1..=NAME_AT_MOST).contains(&bare.len()).then(|| {
            let mut name = Name::from_slice(bare);
            name.make_ascii_lowercase();
            (name, value)
        })
    })
}

#[cfg(test)]
mod tests;
