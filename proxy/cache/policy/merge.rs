//! What a 304 changes of what is stored (RFC 9111 §3.2).

use http::{HeaderMap, HeaderName};

/// Whether a 304's field of this name replaces the stored ones.
pub fn is_updated_by_304(name: &HeaderName) -> bool {
    let _ = name;
    true
}

/// The stored fields as a 304 with `fresh` fields updates them.
pub fn merged(stored: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let _ = fresh;
    stored.clone()
}
