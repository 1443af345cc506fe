//! `Cache-Status` (RFC 9211): what the cache did with a request, for whoever reads the answer.

use std::fmt::Write as _;

use http::HeaderValue;
use pingora::Result;
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use super::super::ctx::Ctx;
use super::Cached;
use crate::base::cached::{Outcome, Why};

/// The field.
const NAME: &str = "Cache-Status";

/// Adds our member to an answer of a route with a cache.
///
/// # Errors
/// When it cannot be added, which does not happen.
pub fn add(head: &mut ResponseHeader, ctx: &Ctx) -> Result<()> {
    if let Some(outcome) = ctx.cached.outcome {
        let value = HeaderValue::try_from(value(&ctx.cached, outcome));
        head.append_header(NAME, value.unwrap_or(HeaderValue::from_static("tidegate")))?;
    }
    Ok(())
}

/// Our member for an answer of the proxy itself.
pub fn more(ctx: &Ctx) -> SmallVec<[(&'static str, String); 2]> {
    let outcome = ctx.cached.outcome.into_iter();
    outcome
        .map(|outcome| (NAME, value(&ctx.cached, outcome)))
        .collect()
}

/// Our member.
fn value(cached: &Cached, outcome: Outcome) -> String {
    let mut text = String::with_capacity(64);
    text.push_str("tidegate");
    let forwarded = match outcome {
        Outcome::Hit | Outcome::Stale if cached.why != Some(Why::StaleIfError) => {
            text.push_str("; hit");
            None
        }
        _ => Some(reason(outcome, cached.why)),
    };
    if let Some(reason) = forwarded {
        let _ = write!(text, "; fwd={reason}");
        if let Some(status) = cached.node_said {
            let _ = write!(text, "; fwd-status={status}");
        }
    }
    if cached.stored {
        text.push_str("; stored");
    }
    if cached.collapsed {
        text.push_str("; collapsed");
    }
    if let Some(ttl) = cached.ttl {
        let _ = write!(text, "; ttl={ttl}");
    }
    if let Some(key) = cached.key.as_ref().filter(|_| cached.show_key) {
        // A string has neither quotes nor bytes beyond ASCII (RFC 9651 §3.3.3); no target has.
        let shown = key.to_string().replace(['"', '\\'], "");
        let _ = write!(text, "; key=\"{shown}\"");
    }
    if let Some(why) = cached.not_stored.or(cached.why) {
        let _ = write!(text, "; detail={}", why.as_str());
    }
    text
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
