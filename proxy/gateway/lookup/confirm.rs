//! A node says that what is stored is still right: it lives on, with the fields that the 304 brought.
//!
//! The body stays, and so does what names its bytes.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;

use super::fetch::Fetch;
use super::keep::plan;
use super::shape::{apart, dated, is_framing, kept_head, received};
use super::told;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::condition::Validators;
use crate::cache::policy::life::Millis;
use crate::cache::policy::merge::{confirms, is_updated_by_304, merged};
use crate::config::checked::RouteCache;

/// Fields that name the stored bytes, or say which parts of them there are.
const OF_THE_BYTES: [HeaderName; 2] = [header::ETAG, header::ACCEPT_RANGES];

/// Whether a 304 speaks of what is stored.
pub fn is_about(answer: &ResponseHeader, entry: &Entry) -> bool {
    let etag = entry.head.field("etag");
    let stored = Validators {
        etag: etag.as_deref(),
        ..Validators::default()
    };
    confirms(&stored, &answer.headers)
}

/// A stored answer that a node says is still right: with the fields that the 304 brought, and a new life.
pub fn confirm(
    fetch: &Fetch,
    entry: &Arc<Entry>,
    head: &ResponseHeader,
    rules: &RouteCache,
    now: Millis,
) -> Arc<Entry> {
    let mut stored = HeaderMap::new();
    for (name, value) in entry.head.fields() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&name),
            HeaderValue::from_maybe_shared(value),
        ) {
            stored.append(name, value);
        }
    }
    // A 304 without a time of its own was made now (RFC 9110 §6.6.1).
    let received = received(now);
    let mut fresh = head.headers.clone();
    fresh
        .entry(header::DATE)
        .or_insert_with(|| received.clone());
    let both = merged(&stored, &fresh);
    let cache = &fetch.control.cache;
    let status = entry.head.status;
    // That it may be stored was decided by another request than this one.
    let mut asker = fetch.request.headers.clone();
    asker.remove(header::AUTHORIZATION);
    asker.remove(header::CACHE_CONTROL);
    let planned = plan(fetch, (&asker, status), &both, rules, now);
    // What names the stored bytes stays with them: it may say less than the node does.
    let stays = |name: &HeaderName| {
        OF_THE_BYTES.contains(name) && entry.head.field(name.as_str()).is_some()
    };
    let updates = |name: &[u8]| {
        HeaderName::from_bytes(name).is_ok_and(|name| {
            is_updated_by_304(&name) && fresh.contains_key(&name) && !stays(&name)
        })
    };
    let old: Vec<_> = entry.head.fields().collect();
    let old = old.iter().filter(|(name, _)| !updates(name));
    let old: Vec<(&[u8], HeaderValue)> = old
        .filter_map(|(name, value)| {
            let value = HeaderValue::from_maybe_shared(value.clone()).ok()?;
            Some((&name[..], value))
        })
        .collect();
    let new = dated(head, &received).filter(|(name, _)| updates(name));
    let all = old.iter().map(|(name, value)| (*name, value)).chain(new);
    let plan = match planned {
        Ok(plan) => plan,
        Err(why) => {
            // It is right this once and to be stored no more: who waits for it gets it, nobody after them.
            cache.discard(entry);
            fetch.is_not_stored(why);
            told::not_stored(fetch, why);
            let mut life = entry.life;
            (life.received, life.lifetime, life.no_cache) = (now, 0, true);
            let all = all.filter(|(name, _)| !is_framing(name));
            let sent = Head::new(status, all.map(|(name, value)| (name, value.as_bytes())));
            return Arc::new(entry.as_if(life, sent));
        }
    };
    fetch.keeps_apart(apart(head, &plan));
    let kept = kept_head(status, all, &plan);
    let tags = cache.tags_of(&both);
    cache.renew(
        entry,
        (plan.life, kept),
        plan.selection,
        tags,
        fetch.sequence,
    )
}
