//! What is stored smaller than it came: minified, where the route says so.
//!
//! Decided before the head is stored, for the head must not promise the bytes that came: its entity tag becomes a weak
//! one, and no parts are cut out of it. Never touches what may not be transformed, and whatever the minifier does not
//! understand goes on as it is.

use http::{HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::fetch::Fetch;
use crate::transform::eligible::is_no_transform;
use crate::transform::minify::{Kind, Minifier, kind, minifier};

/// Fields that say something of the very bytes that came.
const OF_THE_BYTES: [&str; 6] = [
    "content-length",
    "accept-ranges",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
];

/// What minifies the answer to a fetch; `None`: it is stored as it comes.
pub fn how(fetch: &Fetch, head: &ResponseHeader) -> Option<Box<dyn Minifier + Send>> {
    of(fetch, head).map(minifier)
}

fn of(fetch: &Fetch, head: &ResponseHeader) -> Option<Kind> {
    let rules = fetch.snapshot.config.routes[fetch.route].minify;
    let fields = &head.headers;
    let may = !rules.is_off()
        && head.status == StatusCode::OK
        && !fields.contains_key(header::CONTENT_ENCODING)
        && !is_no_transform(fields);
    let media_type = fields.get(header::CONTENT_TYPE).filter(|_| may)?;
    kind(rules, media_type.as_bytes())
}

/// The head of an answer that is minified.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn head(answer: &ResponseHeader) -> Result<ResponseHeader> {
    let mut head = answer.clone();
    for name in OF_THE_BYTES {
        head.remove_header(name);
    }
    head.insert_header(header::ACCEPT_RANGES, HeaderValue::from_static("none"))?;
    let tag = head.headers.get(header::ETAG);
    let weak = tag.filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        head.insert_header(header::ETAG, weak)?;
    }
    Ok(head)
}
