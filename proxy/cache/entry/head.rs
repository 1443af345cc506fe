//! A response head as it is kept: its lines as they are sent, and what is asked of it for every hit, found once.

use bytes::Bytes;
use http::StatusCode;

use crate::base::coding::{Coding, forbids_transform};
use crate::cache::policy::vary;

/// A response head: its lines as they are sent, `Name: value` each, CRLF included.
#[derive(Debug, Clone)]
pub struct Head {
    /// Status.
    pub status: StatusCode,
    facts: Facts,
    lines: Bytes,
}

/// What was found in the lines. Small: every stored answer has it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    media_type: Place,
    etag: Place,
    coding: Option<Coding>,
    flags: u8,
}

/// It says that nobody may change its body.
const NO_TRANSFORM: u8 = 1;
/// It sets a cookie.
const SETS_COOKIE: u8 = 2;
/// It differs by what encodings clients take, or by everything.
const VARIES: u8 = 4;
/// It has a `Content-Encoding`; another one makes it a body with several.
const ENCODED: u8 = 8;

/// Where in the lines the value of a field begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u16);

impl Place {
    /// There is no such field: every value has a name before it.
    const NOWHERE: Place = Place(0);
    /// Too far on for the number, in a head of more than 64 KiB: it is looked for when it is asked for.
    const FAR: Place = Place(u16::MAX);

    /// Notes the first field's.
    fn note(&mut self, at: usize) {
        if *self == Place::NOWHERE {
            *self = u16::try_from(at).map_or(Place::FAR, Place);
        }
    }
}

impl Facts {
    const NONE: Facts = Facts {
        media_type: Place::NOWHERE,
        etag: Place::NOWHERE,
        coding: Some(Coding::Identity),
        flags: 0,
    };

    /// Notes a field whose value begins at this place of the lines.
    fn note(&mut self, name: &[u8], value: &[u8], at: usize) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            4 if is("etag") => self.etag.note(at),
            4 if is("vary") => self.set(VARIES, vary::names_encoding(value)),
            10 if is("set-cookie") => self.set(SETS_COOKIE, true),
            12 if is("content-type") => self.media_type.note(at),
            13 if is("cache-control") => {
                self.set(NO_TRANSFORM, forbids_transform(value));
            }
            16 if is("content-encoding") => {
                let is_first = !self.has(ENCODED);
                self.coding = Coding::of_content(Some(value)).filter(|_| is_first);
                self.set(ENCODED, true);
            }
            _ => {}
        }
    }

    fn set(&mut self, flag: u8, is_so: bool) {
        self.flags |= if is_so { flag } else { 0 };
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl Head {
    /// A head of these fields, names in the letter case they came in.
    pub fn new<'a>(
        status: StatusCode,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Head {
        let (mut lines, mut facts) = (Vec::new(), Facts::NONE);
        for (name, value) in fields {
            lines.extend_from_slice(name);
            lines.extend_from_slice(b": ");
            facts.note(name, value, lines.len());
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
        lines.shrink_to_fit();
        Head {
            status,
            facts,
            lines: lines.into(),
        }
    }

    /// Its fields, name and value, without a copy.
    pub fn fields(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let mut rest = self.lines.clone();
        std::iter::from_fn(move || {
            // No name has a `:`, and no name or value a CR.
            let name = memchr::memchr(b':', &rest)?;
            let end = memchr::memchr(b'\r', &rest)?;
            let mut line = rest.split_to(end + 2);
            line.truncate(end);
            let value = line.split_off((name + 2).min(end));
            line.truncate(name);
            Some((line, value))
        })
    }

    /// The same, borrowed.
    pub fn slices(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.lines[..];
        std::iter::from_fn(move || {
            let name = memchr::memchr(b':', rest)?;
            let end = name + memchr::memchr(b'\r', &rest[name..])?;
            let value = rest.get(name + 2..end).unwrap_or_default();
            let line = (&rest[..name], value);
            rest = &rest[end + 2..];
            Some(line)
        })
    }

    /// The value of its first field of this name.
    pub fn field(&self, name: &str) -> Option<Bytes> {
        let same = |field: &(Bytes, Bytes)| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields().find(same).map(|(_, value)| value)
    }

    /// Its lines as they are sent.
    pub fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// The same in other memory.
    pub fn with_lines(&self, lines: Bytes) -> Head {
        debug_assert_eq!(lines.len(), self.lines.len(), "they are the same lines");
        Head {
            lines,
            ..self.clone()
        }
    }

    /// The value of `Content-Type`, with its parameters; of several, the first.
    pub fn media_type(&self) -> Option<&[u8]> {
        self.value(self.facts.media_type, "content-type")
    }

    /// The value of `ETag`, quotes and weakness included; of several, the first.
    pub fn etag(&self) -> Option<&[u8]> {
        self.value(self.facts.etag, "etag")
    }

    /// How the body is written (RFC 9110 §8.4); `None`: in a way that is not known here, or in several.
    pub fn coding(&self) -> Option<Coding> {
        self.facts.coding
    }

    /// Whether it says that nobody may change its body (`no-transform`, RFC 9111 §5.2.2.6).
    pub fn no_transform(&self) -> bool {
        self.facts.has(NO_TRANSFORM)
    }

    /// Whether it sets a cookie.
    pub fn sets_cookie(&self) -> bool {
        self.facts.has(SETS_COOKIE)
    }

    /// Whether its `Vary` names `Accept-Encoding`, or `*`.
    pub fn varies_by_encoding(&self) -> bool {
        self.facts.has(VARIES)
    }

    /// The value that begins at this place, of the field of this name.
    fn value(&self, place: Place, name: &str) -> Option<&[u8]> {
        let at = match place {
            Place::NOWHERE => return None,
            Place::FAR => {
                let value = self.field(name)?;
                value.as_ptr() as usize - self.lines.as_ptr() as usize
            }
            Place(at) => usize::from(at),
        };
        let rest = self.lines.get(at..)?;
        rest.get(..memchr::memchr(b'\r', rest)?)
    }
}

#[cfg(test)]
mod tests;
