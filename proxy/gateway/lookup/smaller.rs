//! What is stored smaller than it came: minified, where the route says so.
//!
//! Decided before the head is stored, for the head must not promise the bytes that came: its entity tag becomes a weak
//! one, and no parts are cut out of it. Never touches what may not be transformed, and whatever the minifier does not
//! understand goes on as it is.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::super::encode::dress::DIGESTS;
use super::fetch::Fetch;
use crate::transform::eligible::is_no_transform;
use crate::transform::minify::{Kind, Minifier, kind, minifier};

/// How the answer to a fetch is minified; `None`: it is stored as it comes.
pub fn how(fetch: &Fetch, head: &ResponseHeader) -> Option<Kind> {
    let rules = fetch.snapshot.config.routes[fetch.route].minify;
    let fields = &head.headers;
    let may = !rules.is_off()
        && head.status == StatusCode::OK
        && !fields.contains_key(header::CONTENT_ENCODING)
        && !DIGESTS.iter().any(|name| fields.contains_key(*name))
        && !is_no_transform(fields);
    let media_type = fields.get(header::CONTENT_TYPE).filter(|_| may)?;
    kind(rules, media_type.as_bytes())
}

/// A body that is minified while it comes.
pub struct Smaller {
    kind: Kind,
    minifier: Box<dyn Minifier + Send>,
}

impl Smaller {
    /// One of this kind.
    pub fn new(kind: Kind) -> Self {
        let minifier = minifier(kind);
        Smaller { kind, minifier }
    }

    /// What can go on of the next piece.
    pub fn takes(&mut self, piece: &[u8]) -> Bytes {
        let mut out = Vec::new();
        self.minifier.write(piece, &mut out);
        out.into()
    }

    /// The rest; `None`: nobody could finish it, because the process is stopping.
    pub async fn ends(self) -> Option<Bytes> {
        let Smaller { kind, minifier } = self;
        let end = move || {
            let mut out = Vec::new();
            minifier.finish(&mut out);
            Bytes::from(out)
        };
        match kind {
            Kind::Json => Some(end()),
            // The whole of it is read now, which may take as long as a page takes to come: not here.
            _ => tokio::task::spawn_blocking(end).await.ok(),
        }
    }
}

/// The head of an answer that is minified.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn head(answer: &ResponseHeader) -> Result<ResponseHeader> {
    let mut head = answer.clone();
    head.remove_header(&header::CONTENT_LENGTH);
    head.insert_header(header::ACCEPT_RANGES, HeaderValue::from_static("none"))?;
    let tag = head.headers.get(header::ETAG);
    let weak = tag.filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        head.insert_header(header::ETAG, weak)?;
    }
    Ok(head)
}
