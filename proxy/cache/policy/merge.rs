//! What a 304 changes of what is stored (RFC 9111 §3.2, §4.3.4), and which fields are of one connection alone.
//!
//! The body stays, so what describes its bytes stays: a 304 must never make a stored body unreadable.

use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::condition::{Validators, is_weakly_same};
use super::list::Members;

/// Fields of one connection, or for the next hop alone (RFC 9110 §7.6.1, RFC 9111 §3.1).
static OF_ONE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
];

/// Fields that describe the stored body's bytes.
static OF_THE_BODY: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// Whether a 304's field of this name replaces the stored ones.
pub fn is_updated_by_304(name: &HeaderName) -> bool {
    !is_of_one_connection(name) && !OF_THE_BODY.contains(name)
}

/// Whether a field is never stored, whoever sends it.
pub fn is_of_one_connection(name: &HeaderName) -> bool {
    OF_ONE_CONNECTION.contains(name)
}

/// The fields that `Connection` names; they are not stored either.
pub(super) fn named_by_connection(answer: &HeaderMap) -> SmallVec<[HeaderName; 2]> {
    let lines = answer.get_all(CONNECTION).iter();
    let members = lines.flat_map(|line| Members::of(line.as_bytes()));
    members
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

/// Whether a 304 speaks of what is stored: it does not name another entity tag (RFC 9111 §4.3.4).
///
/// One without an entity tag is about what was asked about.
pub fn confirms(stored: &Validators<'_>, fresh: &HeaderMap) -> bool {
    match (stored.etag, fresh.get(ETAG)) {
        (Some(stored), Some(fresh)) => is_weakly_same(stored, fresh.as_bytes()),
        (None, Some(_)) | (_, None) => true,
    }
}

/// The stored fields as a 304 with `fresh` fields updates them. The stored `Age` is gone: it was that of another
/// answer.
pub fn merged(stored: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let mut all = stored.clone();
    all.remove(AGE);
    let named = named_by_connection(fresh);
    for name in fresh.keys() {
        if !is_updated_by_304(name) || named.contains(name) {
            continue;
        }
        all.remove(name);
        for value in fresh.get_all(name) {
            all.append(name, value.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    #[test]
    fn every_field_of_a_304_replaces_the_stored_ones_but_for_those_of_the_body_and_the_connection()
    {
        let stored = fields(&[
            ("cache-control", "max-age=1"),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("content-encoding", "gzip"),
            ("age", "7"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("x-old", "1"),
        ]);
        let fresh = fields(&[
            ("cache-control", "max-age=2"),
            ("content-type", "text/html"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("x-two", "3"),
            ("x-new", "1"),
            ("x-new", "2"),
        ]);
        let expected = fields(&[
            ("cache-control", "max-age=2"),
            ("content-type", "text/html"),
            ("content-length", "3"),
            ("content-encoding", "gzip"),
            ("x-two", "3"),
            ("x-old", "1"),
            ("x-new", "1"),
            ("x-new", "2"),
        ]);
        assert_eq!(merged(&stored, &fresh), expected);
    }

    #[test]
    fn a_304_with_another_entity_tag_is_about_something_else() {
        let stored = |etag: &'static str| Validators {
            etag: Some(etag.as_bytes()),
            ..Validators::default()
        };
        assert!(confirms(&stored("\"a\""), &fields(&[("etag", "\"a\"")])));
        assert!(confirms(&stored("\"a\""), &fields(&[("etag", "W/\"a\"")])));
        assert!(confirms(&stored("\"a\""), &fields(&[])));
        assert!(!confirms(&stored("\"a\""), &fields(&[("etag", "\"b\"")])));
        assert!(confirms(
            &Validators::default(),
            &fields(&[("etag", "\"b\"")])
        ));
    }
}
