//! Which answers are compressed, and which may be decoded.
//!
//! Judges fields alone; the bytes of a body never count. In doubt an answer goes out as it came.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::base::coding::{Coding, Skipped, forbids_transform};
use crate::base::fields::Fields;
use crate::config::checked::Compress;

/// What the verdicts hang on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The answer's status.
    pub status: StatusCode,
    /// The value of `Content-Type`, parameters included; `None` also if there are several.
    pub media_type: Option<&'a [u8]>,
    /// How the body is written; `None`: in a way that is not known, or in several.
    pub coding: Option<Coding>,
    /// Nobody may transform it (RFC 9111 §5.2.2.6).
    pub no_transform: bool,
    /// It sets a cookie.
    pub sets_cookie: bool,
    /// Bytes of the body, as far as they are known.
    pub length: Option<u64>,
    /// It is in the store, or on its way there.
    pub is_stored: bool,
}

impl<'a> Facts<'a> {
    /// Those of an answer that is not stored. `length`: bytes of its body, as far as they are known.
    pub fn of(status: StatusCode, headers: &'a HeaderMap, length: Option<u64>) -> Facts<'a> {
        let coding = match only(headers, &CONTENT_ENCODING) {
            Ok(value) => Coding::of_content(value),
            Err(Several) => None,
        };
        Facts {
            status,
            media_type: only(headers, &CONTENT_TYPE).unwrap_or(None),
            coding,
            no_transform: is_no_transform(headers),
            sets_cookie: headers.contains_key(SET_COOKIE),
            length,
            is_stored: false,
        }
    }
}

/// More than one line of a field that has one.
struct Several;

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Several> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line.map(|line| line.as_bytes())),
        (_, Some(_)) => Err(Several),
    }
}

/// Whether these fields, of a request or of an answer, say that nobody may transform the body.
pub fn is_no_transform(fields: &impl Fields) -> bool {
    fields.lines(&CACHE_CONTROL).any(forbids_transform)
}

/// Media types of a route, ready to be compared with what nodes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types {
    patterns: Box<[Pattern]>,
}

/// One line of `types`. A part that is `None` may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    main: Option<Box<[u8]>>,
    sub: Sub,
}

/// What stands behind the slash.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sub {
    Any,
    /// The rest of `*+json`, with the sign: RFC 6838 §4.2.8.
    Suffix(Box<[u8]>),
    Is(Box<[u8]>),
}

impl Types {
    /// From `types` of the file: `text/html`, `text/*`, `*/*+json`. What has no slash matches nothing.
    pub fn new(types: &[String]) -> Types {
        let patterns = types.iter().filter_map(|line| {
            let (main, sub) = line.split_once('/')?;
            let main = (main != "*").then(|| main.as_bytes().into());
            let sub = match sub.strip_prefix('*') {
                Some("") => Sub::Any,
                Some(suffix) => Sub::Suffix(suffix.as_bytes().into()),
                None => Sub::Is(sub.as_bytes().into()),
            };
            Some(Pattern { main, sub })
        });
        Types {
            patterns: patterns.collect(),
        }
    }

    /// Whether a `Content-Type` is one of them, in any letter case and with any parameters. What is no media type is
    /// not.
    pub fn has(&self, media_type: &[u8]) -> bool {
        essence(media_type).is_some_and(|(main, sub)| {
            let matches = |pattern: &Pattern| pattern.matches(main, sub);
            self.patterns.iter().any(matches)
        })
    }
}

impl Pattern {
    fn matches(&self, main: &[u8], sub: &[u8]) -> bool {
        let is_main = |wanted: &[u8]| wanted.eq_ignore_ascii_case(main);
        self.main.as_deref().is_none_or(is_main)
            && match &self.sub {
                Sub::Any => true,
                Sub::Is(wanted) => wanted.eq_ignore_ascii_case(sub),
                Sub::Suffix(suffix) => {
                    let at = sub.len().checked_sub(suffix.len()).filter(|at| *at > 0);
                    at.is_some_and(|at| sub[at..].eq_ignore_ascii_case(suffix))
                }
            }
    }
}

/// Type and subtype, without parameters (RFC 9110 §8.3.1).
fn essence(media_type: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = media_type.iter().position(|byte| *byte == b';');
    let essence = media_type[..end.unwrap_or(media_type.len())].trim_ascii();
    let slash = essence.iter().position(|byte| *byte == b'/')?;
    let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
    // RFC 6838 §4.2 allows fewer letters than a token has; no more are needed to tell nonsense.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(byte);
    let is_named = |part: &[u8]| !part.is_empty() && part.iter().all(is_name);
    (is_named(main) && is_named(sub)).then_some((main, sub))
}

/// Whether an answer is compressed by these rules, as far as its fields say; else the first reason why not. `types` are
/// those of the rules.
pub fn may_compress(rules: &Compress, types: &Types, facts: &Facts<'_>) -> Result<(), Skipped> {
    let is_stream = |media_type: &[u8]| {
        let named = essence(media_type).map(|(main, sub)| {
            let begins = |name: &[u8]| {
                let start = sub.get(..name.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            };
            // Messages of gRPC have a compression of their own.
            main.eq_ignore_ascii_case(b"text") && sub.eq_ignore_ascii_case(b"event-stream")
                || main.eq_ignore_ascii_case(b"application") && begins(b"grpc")
        });
        named == Some(true)
    };
    let reasons = [
        (!has_whole_body(facts.status), Skipped::Status),
        (facts.no_transform, Skipped::NoTransform),
        (facts.coding != Some(Coding::Identity), Skipped::Encoded),
        (
            facts.media_type.is_some_and(is_stream),
            Skipped::EventStream,
        ),
        (
            !facts.media_type.is_some_and(|given| types.has(given)),
            Skipped::Type,
        ),
        (
            facts.length.is_some_and(|length| length < rules.min_size),
            Skipped::Small,
        ),
        (facts.sets_cookie && !rules.set_cookie, Skipped::SetCookie),
        (!facts.is_stored && !rules.dynamic, Skipped::Dynamic),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// Whether an encoded answer may be decoded for a client that does not take its coding: it has one that is known here,
/// its body is whole, and nobody forbids it.
pub fn may_decode(facts: &Facts<'_>) -> bool {
    let is_encoded = facts.coding.is_some_and(|c| c != Coding::Identity);
    is_encoded && !facts.no_transform && has_whole_body(facts.status)
}

/// Whether answers with this status have a body, and all of it.
fn has_whole_body(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status.as_u16(), 204 | 205 | 206 | 304)
}

#[cfg(test)]
mod tests;
