//! What is not in the store: fetched by this request, or waited for while another one fetches it.
//!
//! Whatever comes of it, a request that cannot use what it waited for asks anew, a few times, and is then handed on.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, Result};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::super::ctx::Ctx;
use super::asked::Asked;
use super::fetch::{self, Handoff};
use super::shared::{Reads, is_own};
use super::{Stored, keep, offer, pass, seconds_left, serve};
use crate::base::cached::{Outcome, Why};
use crate::cache::entry::Entry;
use crate::cache::policy::reuse::{Trouble, Use, on_trouble, reuse};
use crate::cache::policy::vary::Selection;
use crate::cache::store::{Joined, Reader, State};
use crate::config::checked::RouteCache;

/// What a wait comes to.
pub enum Step {
    /// It is answered.
    Answered,
    /// It is handed on.
    Direct,
    /// What was waited for failed.
    Again,
    /// What was waited for was put into the store by the second tier.
    Loaded,
    /// It was for others; where answers vary so, the request wants this one.
    Variant(Selection),
}

/// Fetches, or waits for who does.
///
/// # Errors
/// When the client cannot be written to or has left.
pub async fn join(
    session: &mut Session,
    ctx: &mut Ctx,
    rules: &RouteCache,
    asked: &Asked,
    stored: Option<Stored>,
    hint: Option<&Selection>,
) -> Result<Step> {
    let cache = ctx.control.cache.clone();
    let headers = &session.req_header().headers;
    // Who shows who they are probably gets what is for them alone.
    let is_own = is_own(headers, asked, &ctx.snapshot)
        || stored.as_ref().is_some_and(|(entry, _)| !is_shared(entry));
    if is_own && stored.is_none() && offer::has_terms(headers) {
        return Ok(Step::Direct); // a fetch would be for all of it, and probably for nobody else
    }
    let joined = match is_own || rules.wait.is_zero() {
        true => Joined::Lead(cache.alone(asked.key.clone())),
        false => cache.join(asked.key.clone(), headers, hint),
    };
    match joined {
        Joined::Lead(filler) => {
            if let Some(stored) = now_there(session, ctx, asked, stored.as_ref().map(|s| &s.0)) {
                filler.confirmed(stored.0);
                return Ok(Step::Again);
            }
            let reader = filler.reader();
            let confirms = stored.as_ref().map(|(entry, _)| entry.clone());
            let reads = match () {
                () if is_own => Reads::Nothing,
                () if rules.wait.is_zero() => Reads::Answers,
                () => Reads::Leases,
            };
            let how = (true, reads);
            let handed = fetch::begin(session, ctx, asked.clone(), filler, confirms, how);
            lead(session, ctx, asked, stored, reader, handed).await
        }
        Joined::Follow(reader) => {
            ctx.cached.collapsed = true;
            let until = Instant::now() + rules.wait;
            let until = ctx.deadline.map_or(until, |deadline| deadline.min(until));
            let state = tokio::select! {
                state = timeout_at(until.into(), reader.state()) => state,
                gone = is_gone(session) => return Err(gone),
            };
            let Ok(state) = state else {
                ctx.cached.did(Outcome::Miss, Why::WaitTimeout);
                ctx.cached.collapsed = false;
                let trouble = Trouble::Unreachable;
                return match instead(session, ctx, asked, stored.as_ref(), trouble).await? {
                    true => Ok(Step::Answered),
                    false => Ok(Step::Direct),
                };
            };
            let step = take(session, ctx, asked, stored, reader, state).await?;
            ctx.cached.collapsed &= matches!(step, Step::Answered);
            Ok(step)
        }
    }
}

/// What a fetch has brought that ended between the look into the store and now.
pub fn now_there(
    session: &Session,
    ctx: &Ctx,
    asked: &Asked,
    before: Option<&Arc<Entry>>,
) -> Option<Stored> {
    let (cache, now) = (&ctx.control.cache, ctx.control.clock.now());
    let found = cache.find(&asked.key, &session.req_header().headers);
    let is_new = |entry: &Arc<Entry>| before.is_none_or(|old| !old.is_same_answer(entry));
    found.entry.filter(|(entry, expired_at)| {
        is_new(entry) && reuse(&entry.life, &asked.wish, *expired_at, now) == Use::Fresh
    })
}

/// Whether an answer is for more than the request that it was validated for.
fn is_shared(entry: &Entry) -> bool {
    !entry.life.no_cache && entry.life.lifetime > 0
}

/// Waits for the answer of the request's own fetch.
async fn lead(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: &Asked,
    stored: Option<Stored>,
    reader: Reader,
    handed: Option<mpsc::Receiver<Handoff>>,
) -> Result<Step> {
    let Some(mut handed) = handed else {
        return Ok(Step::Direct);
    };
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            handed = handed.recv(), if open => match handed {
                Some(Handoff::Interim(head)) => pass::interim(session, ctx, head).await?,
                Some(Handoff::Yours(head, rest)) => {
                    return yours(session, ctx, asked, stored, head, rest).await;
                }
                None => open = false,
            },
            state = reader.state() => {
                return take(session, ctx, asked, stored, reader, state).await;
            }
            gone = is_gone(session) => return Err(gone),
        }
    }
}

/// The answer of a request's own fetch is not for the store: it is sent, unless it tells of a failure and what is
/// stored may be used then.
async fn yours(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: &Asked,
    stored: Option<Stored>,
    head: Box<ResponseHeader>,
    rest: fetch::Rest,
) -> Result<Step> {
    let failed = ctx.fetched.as_ref().and_then(|fetch| fetch.failed());
    let trouble = match failed {
        Some(_) => Some(Trouble::Unreachable),
        None => keep::is_trouble(head.status).then_some(Trouble::Status),
    };
    if let Some(trouble) = trouble
        && instead(session, ctx, asked, stored.as_ref(), trouble).await?
    {
        return Ok(Step::Answered);
    }
    if failed.is_some() {
        ctx.end = failed;
        ctx.cached.outcome = Some(Outcome::Error);
        ctx.cached.not_stored = Some(Why::Failed);
    } else {
        ctx.cached.not_stored = ctx.fetched.as_ref().and_then(|fetch| fetch.not_stored());
    }
    pass::on(session, ctx, head, rest).await?;
    Ok(Step::Answered)
}

/// Uses what a fetch came to.
async fn take(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: &Asked,
    stored: Option<Stored>,
    reader: Reader,
    state: State,
) -> Result<Step> {
    let follows = ctx.cached.collapsed;
    let fits = |selection: &Selection, headers: &HeaderMap| !follows || selection.matches(headers);
    match state {
        State::Streaming(begun) => {
            let headers = &session.req_header().headers;
            if !fits(&begun.selection, headers) {
                return Ok(Step::Variant(begun.selection.wants(headers)));
            }
            let now = ctx.control.clock.now();
            if follows && reuse(&begun.life, &asked.wish, None, now) != Use::Fresh {
                return Ok(Step::Direct);
            }
            ctx.cached.stored = !follows;
            ctx.cached.ttl = Some(seconds_left(begun.life.fresh_until(None), now));
            serve::fetched(session, ctx, &begun, reader).await?;
            Ok(Step::Answered)
        }
        State::Stored(entry) => {
            let headers = &session.req_header().headers;
            if !fits(&entry.selection, headers) {
                return Ok(Step::Variant(entry.selection.wants(headers)));
            }
            let now = ctx.control.clock.now();
            let is_fresh = reuse(&entry.life, &asked.wish, entry.expired_at(), now) == Use::Fresh;
            if follows && !is_fresh {
                return Ok(Step::Direct);
            }
            let own = ctx.fetched.as_ref();
            ctx.cached.node_said = own.and_then(|fetch| fetch.status());
            ctx.cached.not_stored = own.and_then(|fetch| fetch.not_stored());
            ctx.cached.stored = !follows && ctx.cached.not_stored.is_none();
            let why = ctx.cached.why.unwrap_or(Why::Expired);
            let outcome = match stored {
                Some(_) => Outcome::Revalidated,
                None => Outcome::Miss,
            };
            super::stored(session, ctx, &entry, None, (outcome, why)).await?;
            Ok(Step::Answered)
        }
        State::LookAgain => Ok(Step::Loaded),
        State::GaveUp(why) => {
            ctx.cached.not_stored = Some(why);
            Ok(Step::Direct)
        }
        State::Failed(why) => {
            let trouble = match why {
                Why::StaleIfError => Trouble::Status,
                _ => Trouble::Unreachable,
            };
            match instead(session, ctx, asked, stored.as_ref(), trouble).await? {
                true => Ok(Step::Answered),
                false => Ok(Step::Again),
            }
        }
    }
}

/// Sends what is stored in place of a failure, where it may be used so.
pub async fn instead(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: &Asked,
    stored: Option<&Stored>,
    trouble: Trouble,
) -> Result<bool> {
    let Some((entry, expired_at)) = stored else {
        return Ok(false);
    };
    let now = ctx.control.clock.now();
    if !on_trouble(&entry.life, &asked.wish, *expired_at, trouble, now) {
        return Ok(false);
    }
    ctx.cached.node_said = ctx.fetched.as_ref().and_then(|fetch| fetch.status());
    let did = (Outcome::Stale, Why::StaleIfError);
    super::stored(session, ctx, entry, *expired_at, did).await?;
    Ok(true)
}

/// Waits until the client is gone.
pub async fn is_gone(session: &mut Session) -> Box<Error> {
    loop {
        match session.as_mut().read_body_or_idle(true).await {
            Err(error) => return error.into_down(),
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}
