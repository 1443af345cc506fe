//! The head of an answer in another form than it came in.
//!
//! What was said of the bytes that came is not said of those that go. An entity tag names one form (RFC 9110 §8.8.3):
//! that of a compressed answer is another one, and leads back to the one the nodes know.

use http::{HeaderValue, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::choice::Choice;
use crate::base::coding::Coding;
use crate::cache::policy::vary::names_encoding;
use crate::transform::etag;

/// Fields by which somebody vouches for the very bytes of a body.
pub const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Other fields that describe them, or offer parts of them.
const OF_THE_BYTES: [&str; 3] = ["content-encoding", "content-length", "accept-ranges"];

/// Whether a field of the answer as it came is left out of one in another form.
pub fn is_of_the_bytes(name: &[u8]) -> bool {
    let mut all = OF_THE_BYTES.iter().chain(&DIGESTS);
    all.any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Says in the head of an answer that is handed on that it has other forms, and which one this is.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(head: &mut ResponseHeader, choice: &Choice) -> Result<()> {
    if choice.changes() {
        for name in OF_THE_BYTES.iter().chain(&DIGESTS) {
            head.remove_header(*name);
        }
    }
    if choice.varies {
        vary(head)?;
    }
    if !choice.changes() {
        return Ok(());
    }
    if choice.to != Coding::Identity {
        let coding = HeaderValue::from_static(choice.to.as_str());
        head.insert_header(header::CONTENT_ENCODING, coding)?;
    }
    tag(head, choice.to)
}

/// Gives a head the entity tag of a form. One that is none (RFC 9110 §8.8.3) would be that of every form, and goes.
fn tag(head: &mut ResponseHeader, form: Coding) -> Result<()> {
    let Some(own) = head.headers.get(header::ETAG) else {
        return Ok(());
    };
    let of_form = etag::of_form(own.as_bytes(), form);
    match of_form.and_then(|tag| HeaderValue::from_bytes(&tag).ok()) {
        Some(tag) => head.insert_header(header::ETAG, tag)?,
        None => drop(head.remove_header(&header::ETAG)),
    }
    Ok(())
}

/// Adds `Accept-Encoding` to `Vary`, unless it says as much.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn vary(head: &mut ResponseHeader) -> Result<()> {
    let mut lines = head.headers.get_all(header::VARY).iter();
    if !lines.any(|line| names_encoding(line.as_bytes())) {
        head.append_header(header::VARY, HeaderValue::from_static("Accept-Encoding"))?;
    }
    Ok(())
}
