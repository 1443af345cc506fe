//! `Cache-Status` (RFC 9211): what the cache did with a request, for whoever reads the answer.

use http::HeaderValue;
use pingora::Result;
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use super::super::ctx::Ctx;
use super::Cached;
use super::head::number;
use crate::base::cached::{Outcome, Why};

/// The field.
pub const NAME: &str = "Cache-Status";

/// Adds our member to an answer of a route with a cache.
///
/// # Errors
/// When it cannot be added, which does not happen.
pub fn add(head: &mut ResponseHeader, ctx: &Ctx) -> Result<()> {
    if let Some(outcome) = ctx.cached.outcome {
        let mut text = Vec::with_capacity(64);
        put(&mut text, &ctx.cached, outcome);
        let value = HeaderValue::try_from(text);
        head.append_header(NAME, value.unwrap_or(HeaderValue::from_static("tidegate")))?;
    }
    Ok(())
}

/// Our member for an answer of the proxy itself.
pub fn more(ctx: &Ctx) -> SmallVec<[(&'static str, String); 2]> {
    let outcome = ctx.cached.outcome.into_iter();
    outcome
        .map(|outcome| {
            let mut text = Vec::new();
            put(&mut text, &ctx.cached, outcome);
            (NAME, String::from_utf8(text).unwrap_or_default())
        })
        .collect()
}

/// Writes our member behind what is in `text`.
pub fn put(text: &mut Vec<u8>, cached: &Cached, outcome: Outcome) {
    text.extend_from_slice(b"tidegate");
    let forwarded = match outcome {
        Outcome::Hit | Outcome::Stale if cached.why != Some(Why::StaleIfError) => {
            text.extend_from_slice(b"; hit");
            None
        }
        _ => Some(reason(outcome, cached.why)),
    };
    if let Some(reason) = forwarded {
        text.extend_from_slice(b"; fwd=");
        text.extend_from_slice(reason.as_bytes());
        if let Some(status) = cached.node_said {
            text.extend_from_slice(b"; fwd-status=");
            number(text, status);
        }
    }
    if cached.stored {
        text.extend_from_slice(b"; stored");
    }
    if cached.collapsed {
        text.extend_from_slice(b"; collapsed");
    }
    if let Some(ttl) = cached.ttl {
        text.extend_from_slice(b"; ttl=");
        number(text, ttl);
    }
    if let Some(key) = cached.key.as_ref().filter(|_| cached.show_key) {
        // A string has neither quotes nor bytes beyond ASCII (RFC 9651 §3.3.3); no target has.
        let shown = key.to_string().replace(['"', '\\'], "");
        text.extend_from_slice(b"; key=\"");
        text.extend_from_slice(shown.as_bytes());
        text.push(b'"');
    }
    if let Some(why) = cached.not_stored.or(cached.why) {
        text.extend_from_slice(b"; detail=");
        text.extend_from_slice(why.as_str().as_bytes());
    }
}

/// Why a request was forwarded, in the words of RFC 9211 §2.2.
fn reason(outcome: Outcome, why: Option<Why>) -> &'static str {
    match why {
        _ if outcome == Outcome::Bypass => match why {
            Some(Why::Method) => "method",
            _ => "bypass",
        },
        Some(Why::OtherVariant) => "vary-miss",
        Some(Why::Expired | Why::NoCache | Why::Purged | Why::StaleIfError) => "stale",
        Some(Why::RequestNoCache | Why::RequestMaxAge | Why::RequestMinFresh) => "request",
        Some(Why::Nothing) => "uri-miss",
        _ => "miss",
    }
}
