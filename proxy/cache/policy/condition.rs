//! Does a stored answer differ from what a client says that it has (RFC 9110 §13).
//!
//! Never looks at `If-Match` and `If-Unmodified-Since`: only the origin can judge them.

use http::HeaderMap;

use super::life::Millis;

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

/// Whether a fresh stored answer is what the client has: 304 (RFC 9110 §13.1.2, §13.1.3, §13.2.2).
pub fn not_modified(request: &HeaderMap, stored: &Validators<'_>, received_at: Millis) -> bool {
    let _ = (request, stored, received_at);
    false
}

/// Whether `Range` counts: there is no `If-Range`, or it names what is stored, strongly (RFC 9110 §13.1.5).
pub fn if_range_holds(request: &HeaderMap, stored: &Validators<'_>) -> bool {
    let _ = stored;
    !request.contains_key(http::header::IF_RANGE)
}
