//! Asking the origin whether what is stored is still right (RFC 9111 §4.3.1).

use http::HeaderName;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::condition::Validators;

/// The fields that ask: the stored validators as they are.
pub fn conditions<'a>(
    stored: &Validators<'a>,
) -> impl Iterator<Item = (HeaderName, &'a [u8])> + use<'a> {
    let etag = stored.etag.map(|tag| (IF_NONE_MATCH, tag));
    let modified = stored.last_modified.map(|at| (IF_MODIFIED_SINCE, at));
    etag.into_iter().chain(modified)
}
