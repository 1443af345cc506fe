//! What answers that were handed on mean for the store: writes that make it wrong, and answers that it may keep.
//!
//! Asked for every answer of a node that no fetch waits for.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use super::shape::shape;
use super::{asked, keep, told};
use crate::base::cached::Why;
use crate::base::path;
use crate::cache::asks::tidied;
use crate::cache::key::{Key, Target};
use crate::cache::policy::invalidate::{invalidates, targets};
use crate::cache::policy::store::{Answer, Asked, Plan, storable};
use crate::cache::unkeyed;
use crate::config::checked::RouteCache;
use crate::live::control::Ask;

/// A write went well: what is stored of its target, and of those that its answer names, is wrong (RFC 9111 §4.4).
pub fn written(session: &Session, answer: &ResponseHeader, ctx: &Ctx) {
    if !invalidates(&ctx.head.method, answer.status) || !ctx.snapshot.caches {
        return;
    }
    let request = session.req_header();
    let Some(host) = asked::host(&request.headers, ctx.own_host(), ctx.trusted) else {
        return;
    };
    let scheme = asked::scheme(&request.headers, ctx.trusted, ctx.own_scheme());
    let Some(target) = request.uri.path_and_query() else {
        return;
    };
    let origin = format!("{scheme}://{}", asked::seen(&host));
    for target in targets(&origin, target.as_str(), &answer.headers) {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        let path = &*in_its_form(path, ctx.snapshot.rules.merge_slashes);
        let ask = Ask {
            target: Target {
                scheme,
                host: &host,
                path,
                query,
            },
            host: ctx.host(),
            headers: &HeaderMap::new(),
        };
        let (key, route) = ctx.control.key_of(&ctx.snapshot, &ask);
        let rules = route.and_then(|at| ctx.snapshot.config.routes[at].cache.as_ref());
        ctx.control.invalidate(key, rules.is_some());
    }
}

/// An answer that was handed on may be for the store all the same: then the next requests wait for each other again,
/// and what a POST says of its own URL (RFC 9110 §9.3.3) is kept for those that get it.
pub fn kept(session: &Session, answer: &ResponseHeader, ctx: &mut Ctx) {
    if ctx.cached.outcome.is_none() {
        return;
    }
    let snapshot = ctx.snapshot.clone();
    let route = ctx.route.map(|at| &snapshot.config.routes[at]);
    let Some(rules) = route.and_then(|route| route.cache.as_ref()) else {
        return;
    };
    let request = session.req_header();
    let is_post = request.method == Method::POST;
    let wanted = match is_post {
        true => may_answer_gets(&request.headers, answer),
        false => ctx.cached.not_stored == Some(Why::HitForMiss),
    };
    let (Some(host), Some(target)) = (
        asked::host(&request.headers, ctx.own_host(), ctx.trusted).filter(|_| wanted),
        request.uri.path_and_query(),
    ) else {
        return;
    };
    let scheme = asked::scheme(&request.headers, ctx.trusted, ctx.own_scheme());
    let asked = Asked {
        method: &request.method,
        headers: &request.headers,
        path: target.path(),
        origin: &format!("{scheme}://{}", asked::seen(&host)),
        target: target.as_str(),
        selecting: &snapshot.selecting,
    };
    let plan = match judge(&asked, answer, rules, ctx) {
        Ok(plan) => plan,
        Err(why) => {
            ctx.cached.not_stored = Some(why);
            return told::handed_on(ctx, why);
        }
    };
    let query = target.query().and_then(|query| tidied(query, &rules.key));
    let key = asked::key(ctx, scheme, &host, target.path(), query.as_deref());
    ctx.control.cache.unmark(&key);
    // With another query than the key has it was asked for something else.
    if is_post && query.as_deref() == target.query() {
        keep_for_gets(key, answer, plan, ctx);
    }
}

/// Whether an answer to a POST may be one to GET, as far as its fields say. What a fetch would have left out of the
/// request must not have been in it.
fn may_answer_gets(request: &HeaderMap, answer: &ResponseHeader) -> bool {
    let may_poison = |name| unkeyed::is_stripped(name, false);
    answer.headers.contains_key(header::CONTENT_LOCATION) && !request.keys().any(may_poison)
}

/// Whether an answer that was handed on could be stored, and how.
fn judge(
    asked: &Asked<'_>,
    answer: &ResponseHeader,
    rules: &RouteCache,
    ctx: &Ctx,
) -> Result<Plan, Why> {
    let (status, headers) = (answer.status, &answer.headers);
    let clock = &ctx.control.clock;
    let (began, now) = (clock.at(ctx.at), clock.now());
    storable(asked, &Answer { status, headers }, rules, began, now)
}

/// Begins to keep an answer to a POST.
fn keep_for_gets(key: Arc<Key>, answer: &ResponseHeader, plan: Plan, ctx: &mut Ctx) {
    let Ok(length) = keep::length(answer) else {
        return;
    };
    if length.is_some_and(|length| length > ctx.snapshot.config.cache.max_object) {
        return;
    }
    let cache = &ctx.control.cache;
    let mut filler = cache.alone(key);
    let (head, tags) = shape(cache, answer, &plan, ctx.control.clock.now());
    filler.begins((head, plan.life), plan.selection, tags, length);
    ctx.cached.stored = true;
    ctx.keeps = Some(filler);
}

/// More of an answer that is kept. With its end it is stored, before its client has it: who has read it to its end and
/// asks again finds it.
pub fn more(body: Option<&Bytes>, end: bool, ctx: &mut Ctx) {
    if let (Some(filler), Some(piece)) = (&mut ctx.keeps, body) {
        // Nobody reads along: there is nobody to wait for.
        let writing = pin!(filler.write(piece.clone()));
        let _ = writing.poll(&mut Context::from_waker(Waker::noop()));
    }
    if let Some(filler) = ctx.keeps.take_if(|_| end) {
        let _ = filler.finish();
    }
}

/// A path in the form that requests have when they arrive; what has none stays as it is, and nothing is stored for it.
fn in_its_form(path: &str, merge: bool) -> Cow<'_, str> {
    let escapes = path.split('%').skip(1);
    let is_whole = |escape: &str| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_readable = path.starts_with('/') && { escapes }.all(is_whole);
    match is_readable.then(|| path::is_normal(path.as_bytes(), merge)) {
        Some(Ok(false)) => Cow::Owned(path::normal(path, merge)),
        _ => Cow::Borrowed(path),
    }
}
