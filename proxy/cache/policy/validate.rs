//! Asking the origin whether what is stored is still right (RFC 9111 §4.3.1).
//!
//! The stored validators go out as they came in: an origin that writes them its own way recognises them.

use http::HeaderName;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::condition::Validators;

/// The fields that ask, in place of the client's own conditions.
pub fn conditions<'a>(
    stored: &Validators<'a>,
) -> impl Iterator<Item = (HeaderName, &'a [u8])> + use<'a> {
    let etag = stored.etag.filter(|tag| !tag.is_empty());
    let etag = etag.map(|tag| (IF_NONE_MATCH, tag));
    let modified = stored.last_modified.map(|at| (IF_MODIFIED_SINCE, at));
    etag.into_iter().chain(modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_validators_are_sent_as_they_are() {
        let stored = Validators {
            etag: Some(b"unquoted"),
            last_modified: Some(b"yesterday"),
            date: Some(b"today"),
        };
        let sent: Vec<_> = conditions(&stored).collect();
        assert_eq!(
            sent,
            [
                (IF_NONE_MATCH, &b"unquoted"[..]),
                (IF_MODIFIED_SINCE, b"yesterday")
            ]
        );
        assert_eq!(conditions(&Validators::default()).count(), 0);
    }
}
