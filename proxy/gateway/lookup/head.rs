//! The head of an answer out of the store: what is stored of it, with what only we can say.
//!
//! Written by one function for both lanes, into the head that pingora sends or as bytes: the fields are the same.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::super::encode::dress;
use super::offer::Offer;
use super::parts::Parts;
use super::{Cached, status};
use crate::base::coding::Coding;
use crate::cache::entry::Head;
use crate::transform::etag;

/// Where the fields of a head go.
pub trait Sink {
    /// All that is stored of a head.
    ///
    /// # Errors
    /// When a field cannot be set, which does not happen.
    fn all(&mut self, head: &Head) -> Result<()> {
        (head.slices()).try_for_each(|(name, value)| self.stored(head.lines(), name, value))
    }

    /// A field of these stored lines.
    ///
    /// # Errors
    /// As [`Sink::all`].
    fn stored(&mut self, lines: &Bytes, name: &[u8], value: &[u8]) -> Result<()>;

    /// A field of our own, whose value `put` writes.
    ///
    /// # Errors
    /// As [`Sink::all`].
    fn own(&mut self, name: &'static str, put: impl FnOnce(&mut Vec<u8>)) -> Result<()>;
}

impl Sink for ResponseHeader {
    fn stored(&mut self, lines: &Bytes, name: &[u8], value: &[u8]) -> Result<()> {
        // Stored from a head that was valid.
        if let Ok(value) = HeaderValue::from_maybe_shared(lines.slice_ref(value)) {
            self.append_header(lines.slice_ref(name), value)?;
        }
        Ok(())
    }

    fn own(&mut self, name: &'static str, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut value = Vec::with_capacity(64);
        put(&mut value);
        // Made of what is valid.
        if let Ok(value) = HeaderValue::try_from(value) {
            self.append_header(name, value)?;
        }
        Ok(())
    }
}

impl Sink for Vec<u8> {
    fn all(&mut self, head: &Head) -> Result<()> {
        self.extend_from_slice(head.lines());
        Ok(())
    }

    fn stored(&mut self, _: &Bytes, name: &[u8], value: &[u8]) -> Result<()> {
        for part in [name, b": ", value, b"\r\n"] {
            self.extend_from_slice(part);
        }
        Ok(())
    }

    fn own(&mut self, name: &'static str, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        put(self);
        self.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Writes a number.
pub fn number(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the fields of the head that goes out, but for those that say how its body is framed. `age` is in seconds;
/// `None`: it is not said.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn write(
    to: &mut impl Sink,
    offer: &Offer<'_>,
    parts: &Parts,
    (age, cached): (Option<u64>, &Cached),
) -> Result<()> {
    stored(to, offer, parts)?;
    if let Some(age) = age {
        to.own("Age", |text| number(text, age))?;
    }
    if let Some(outcome) = cached.outcome {
        to.own(status::NAME, |text| status::put(text, cached, outcome))?;
    }
    let choice = &offer.choice;
    if choice.varies && !offer.head.varies_by_encoding() {
        to.own("Vary", |text| text.extend_from_slice(b"Accept-Encoding"))?;
    }
    if choice.changes() && choice.to != Coding::Identity && !parts.is_bare() {
        let coding = choice.to.as_str();
        to.own("Content-Encoding", |text| {
            text.extend_from_slice(coding.as_bytes());
        })?;
    }
    Ok(())
}

/// What goes out of what is stored.
fn stored(to: &mut impl Sink, offer: &Offer<'_>, parts: &Parts) -> Result<()> {
    let Offer { head, choice, .. } = offer;
    // By its date the client may have any form, and must not take it for another one (RFC 9111 §4.3.4).
    let is_unnamed = offer.is_by_date && choice.varies;
    let changes = choice.changes();
    if !changes && !is_unnamed && matches!(parts, Parts::Whole) {
        return to.all(head);
    }
    let mut is_tagged = false;
    for (name, value) in head.slices() {
        let goes = match parts {
            _ if changes && dress::is_of_the_bytes(name) => false,
            Parts::NotModified => goes_with_304(name, head),
            Parts::Beyond { .. } => goes_with_416(name),
            Parts::Whole => true,
            Parts::One { .. } | Parts::Many { .. } => !is_of_the_whole(name),
        };
        if !goes {
            continue;
        }
        let is_tag = name.eq_ignore_ascii_case(b"etag");
        if is_tag && (is_unnamed || changes) {
            // One that is none (RFC 9110 §8.8.3) would be that of every form, and goes.
            let named = !is_unnamed && !std::mem::replace(&mut is_tagged, true);
            let tag = named.then(|| etag::of_form(value, choice.to)).flatten();
            if let Some(tag) = tag {
                to.own("ETag", |text| text.extend_from_slice(&tag))?;
            }
            continue;
        }
        to.stored(head.lines(), name, value)?;
    }
    Ok(())
}

/// Whether a field says something of the bytes that are sent, which is wrong of a part of them (RFC 9530 §2).
fn is_of_the_whole(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-digest") || name.eq_ignore_ascii_case(b"content-md5")
}

/// What a 416 carries: nothing that would let somebody keep it, for the next request may be for another part.
fn goes_with_416(name: &[u8]) -> bool {
    const ALWAYS: [&[u8]; 3] = [b"date", b"vary", b"via"];
    ALWAYS.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// What a 304 carries (RFC 9110 §15.4.5): what the client may not have, and nothing that describes a body.
fn goes_with_304(name: &[u8], head: &Head) -> bool {
    const ALWAYS: [&[u8]; 8] = [
        b"cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"vary",
        b"cdn-cache-control",
        b"via",
    ];
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    ALWAYS.iter().any(|other| is(other)) || (is(b"last-modified") && head.etag().is_none())
}

/// Whether answers of this status never have a body (RFC 9110 §6.4.1).
pub fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
