//! `PURGE` on a data port: whoever has the token purges the URL that they name, as `GET` would name it.
//!
//! Only where the file says `cache.purge_token_file`; else it is a method as any other. Never reaches a node, and
//! without the token never the store.

use http::{HeaderMap, header};
use pingora::Result;
use pingora::proxy::Session;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::super::ctx::Ctx;
use super::super::{answer, door};
use super::asked;
use crate::base::reason::Refusal;
use crate::cache::key::Target;
use crate::cache::store::Purge;
use crate::live::control::{Ask, mode};

/// The method.
const METHOD: &str = "PURGE";
/// How thoroughly: `soft` (also without the field) or `hard`.
const MODE: &str = "purge-mode";

/// Purges, if that is what is asked. `true`: it is answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn answer(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    if ctx.head.method.as_str() != METHOD {
        return Ok(false);
    }
    let config = ctx.snapshot.config.clone();
    let Some(token) = &config.cache.purge_token else {
        return Ok(false);
    };
    let fields = &session.req_header().headers;
    if !has_token(fields, token.key.bytes()) {
        return door::refuse(session, ctx, Refusal::PurgeToken).await;
    }
    let host = asked::host(fields, ctx.own_host(), ctx.trusted);
    let (Some(hard), Some(host)) = (is_hard(fields), host) else {
        return door::refuse(session, ctx, Refusal::BadRequest).await;
    };
    let uri = &session.req_header().uri;
    let ask = Ask {
        target: Target {
            scheme: asked::scheme(fields, ctx.trusted, ctx.own_scheme()),
            host: &host,
            path: uri.path(),
            query: uri.query(),
        },
        host: ctx.host(),
        headers: fields,
    };
    let (key, route) = ctx.control.key_of(&ctx.snapshot, &ask);
    ctx.route = route;
    let who = ctx.client.to_string();
    let purged = ctx.control.purge(&Purge::Url(key), hard, &who);
    let mut said = json!({ "purged": purged, "mode": mode(hard) });
    if let Some(word) = ctx.control.purge_reaches().await {
        said["cluster"] = json!(word);
    }
    answer::json(session, ctx, &said).await?;
    Ok(true)
}

/// Whether a request brings the token. How long that takes says nothing of it but its length.
fn has_token(fields: &HeaderMap, token: &[u8]) -> bool {
    let mut lines = fields.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let Some((scheme, brought)) = line.as_bytes().split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(brought.trim_ascii().ct_eq(token))
}

/// How thoroughly; `None`: a word that is neither.
fn is_hard(fields: &HeaderMap) -> Option<bool> {
    let Some(word) = fields.get(MODE) else {
        return Some(false);
    };
    match word.as_bytes() {
        b"soft" => Some(false),
        b"hard" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn only_the_whole_token_opens() {
        let opens = |values: &[&'static str]| {
            has_token(&with("authorization", values), b"0123456789abcdef")
        };
        assert!(opens(&["Bearer 0123456789abcdef"]) && opens(&["bearer  0123456789abcdef"]));
        for values in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["0123456789abcdef"],
            &["Basic 0123456789abcdef"],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Bearer 0123456789abcdeF"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!opens(values), "{values:?}");
        }
    }

    #[test]
    fn a_purge_is_soft_unless_it_says_hard() {
        let of = |values: &[&'static str]| is_hard(&with(MODE, values));
        assert_eq!(
            (of(&[]), of(&["soft"]), of(&["hard"])),
            (Some(false), Some(false), Some(true))
        );
        assert_eq!((of(&["Hard"]), of(&[""])), (None, None));
    }
}
