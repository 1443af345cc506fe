//! The cache before the nodes: what is stored is used as far as the rules allow, what is not is fetched once for all.
//!
//! | what is found | what happens |
//! |---|---|
//! | fresh, or as stale as the client takes it | sent |
//! | stale, inside `stale-while-revalidate` | sent, and fetched behind the answer |
//! | stale, with a validator | a node is asked whether it is still right |
//! | nothing that can be used | fetched, by one request for all who want it |
//! | any of the last two, `only-if-cached` | 504 |
//! | nothing, for HEAD or a part from the middle | handed on as it is: a fetch would be for all of it |
//! | no business of the cache, or lately not storable | handed on, each request by itself |
//! | a node failed, and what is stored may be used then | sent |
//!
//! Whether something may be used is decided in `cache/policy` alone. Never waits without a bound, and never for a
//! client that has left.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode, header};
use pingora::proxy::Session;
use pingora::{Error, Result};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::answer;
use super::ctx::Ctx;
use crate::base::cached::{Outcome, Why};
use crate::cache::entry::Entry;
use crate::cache::key::Key;
use crate::cache::policy::life::Millis;
use crate::cache::policy::reuse::{Trouble, Use, on_trouble, reuse};
use crate::cache::store::{Joined, Reader, State};
use crate::config::checked::RouteCache;

pub mod after;
mod asked;
pub mod fetch;
mod keep;
mod parts;
mod pass;
pub mod purge;
mod serve;
pub mod status;
pub mod told;

use asked::Asked;
use fetch::Handoff;

/// How often a request asks the store anew, when what it waited for was of no use to it.
const TRIES: u32 = 3;

/// What the cache did with a request.
#[derive(Debug, Default)]
pub struct Cached {
    /// What its answer is stored under.
    pub key: Option<Arc<Key>>,
    /// What was done; `None`: its route has no cache.
    pub outcome: Option<Outcome>,
    /// Why.
    pub why: Option<Why>,
    /// Why its answer was not stored.
    pub not_stored: Option<Why>,
    /// Its answer was stored.
    pub stored: bool,
    /// It shared the fetch of another request.
    pub collapsed: bool,
    /// Seconds of freshness left, negative when stale.
    pub ttl: Option<i64>,
    /// The status a node answered with, where that is not what the client gets.
    pub node_said: Option<u16>,
    /// `Cache-Status` names the key.
    pub show_key: bool,
}

impl Cached {
    /// Whether the answer came from the store, or from another request's fetch.
    pub fn is_answer(&self) -> bool {
        self.collapsed || matches!(self.outcome, Some(Outcome::Hit | Outcome::Stale))
    }

    fn did(&mut self, outcome: Outcome, why: Why) {
        self.outcome = Some(outcome);
        self.why = Some(why);
    }
}

/// What is stored, and when it was purged softly.
type Stored = (Arc<Entry>, Option<Millis>);

/// Answers a request from the store or by a fetch. `false`: it is handed on.
///
/// # Errors
/// When the client cannot be written to or has left.
pub async fn answer(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let snapshot = ctx.snapshot.clone();
    let route = ctx.route.map(|at| &snapshot.config.routes[at]);
    let Some(rules) = route.and_then(|route| route.cache.as_ref()) else {
        return Ok(false);
    };
    ctx.cached.show_key = rules.show_key;
    let asked = match asked::of(session, ctx, rules) {
        Ok(asked) => asked,
        Err(why) => {
            ctx.cached.did(Outcome::Bypass, why);
            return Ok(false);
        }
    };
    ctx.cached.key = Some(asked.key.clone());
    let mut alone = false;
    for _ in 0..TRIES {
        let stored = match look(session, ctx, &asked).await? {
            Looked::Answered => return Ok(true),
            Looked::Direct => return Ok(false),
            Looked::Fetch(stored) => stored,
        };
        match join(session, ctx, rules, &asked, stored, alone).await? {
            Step::Answered => return Ok(true),
            Step::Direct => return Ok(false),
            Step::Again => {}
            Step::Alone => alone = true,
        }
    }
    Ok(false)
}

/// What a look into the store comes to.
enum Looked {
    Answered,
    Direct,
    /// It is fetched; what is stored may be confirmed, or used when that fails.
    Fetch(Option<Stored>),
}

/// Looks into the store.
async fn look(session: &mut Session, ctx: &mut Ctx, asked: &Asked) -> Result<Looked> {
    let control = ctx.control.clone();
    let (cache, now) = (&control.cache, control.clock.now());
    let found = told::find(&control, &asked.key, &session.req_header().headers);
    let why = match &found.entry {
        None if found.other_variant => Why::OtherVariant,
        None => Why::Nothing,
        Some((entry, expired_at)) => match reuse(&entry.life, &asked.wish, *expired_at, now) {
            Use::Fresh => {
                return stored(session, ctx, entry, *expired_at, (Outcome::Hit, Why::Fresh)).await;
            }
            Use::Stale(why) => {
                return stored(session, ctx, entry, *expired_at, (Outcome::Stale, why)).await;
            }
            Use::Refresh => {
                refresh(session, ctx, asked, entry);
                let did = (Outcome::Stale, Why::StaleWhileRevalidate);
                return stored(session, ctx, entry, *expired_at, did).await;
            }
            Use::Validate(why) | Use::Fetch(why) => why,
        },
    };
    ctx.cached.did(Outcome::Miss, why);
    if asked.wish.only_if_cached {
        ctx.cached.not_stored = Some(Why::OnlyIfCached);
        let more = status::more(ctx);
        answer::send_with(session, StatusCode::GATEWAY_TIMEOUT, ctx.id(), &more).await?;
        return Ok(Looked::Answered);
    }
    let direct = if asked.is_head {
        Some(Why::Head)
    } else if found.entry.is_none() && asked.is_part {
        Some(Why::Range)
    } else if asked.wish.no_store {
        Some(Why::RequestNoStore)
    } else if found.entry.is_none() && cache.is_marked(&asked.key, now) {
        Some(Why::HitForMiss)
    } else {
        None
    };
    if let Some(why) = direct {
        ctx.cached.not_stored = Some(why);
        return Ok(Looked::Direct);
    }
    Ok(Looked::Fetch(found.entry))
}

/// Sends what is stored.
async fn stored(
    session: &mut Session,
    ctx: &mut Ctx,
    entry: &Arc<Entry>,
    expired_at: Option<Millis>,
    (outcome, why): (Outcome, Why),
) -> Result<Looked> {
    ctx.cached.did(outcome, why);
    let now = ctx.control.clock.now();
    ctx.cached.ttl = Some(seconds_left(entry.life.fresh_until(expired_at), now));
    serve::stored(session, ctx, entry).await?;
    Ok(Looked::Answered)
}

fn seconds_left(until: Millis, now: Millis) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    (signed(until) - signed(now)).div_euclid(1_000)
}

/// Fetches behind an answer what was sent stale, unless somebody does already.
fn refresh(session: &mut Session, ctx: &mut Ctx, asked: &Asked, entry: &Arc<Entry>) {
    let headers = &session.req_header().headers;
    let cache = ctx.control.cache.clone();
    if let Joined::Lead(filler) = cache.join(asked.key.clone(), headers, false) {
        let asked = asked.again();
        fetch::begin(session, ctx, asked, filler, Some(entry.clone()), false);
    }
}

/// What a wait comes to.
enum Step {
    Answered,
    Direct,
    /// What was waited for failed.
    Again,
    /// It was for others.
    Alone,
}

/// Fetches, or waits for who does.
async fn join(
    session: &mut Session,
    ctx: &mut Ctx,
    rules: &RouteCache,
    asked: &Asked,
    stored: Option<Stored>,
    alone: bool,
) -> Result<Step> {
    let cache = ctx.control.cache.clone();
    let headers = &session.req_header().headers;
    // Who shows who they are probably gets what is for them alone.
    let is_own = headers.contains_key(header::AUTHORIZATION)
        || stored.as_ref().is_some_and(|(entry, _)| !is_shared(entry));
    let joined = match is_own || rules.wait.is_zero() {
        true => Joined::Lead(cache.alone(asked.key.clone())),
        false => cache.join(asked.key.clone(), headers, alone),
    };
    match joined {
        Joined::Lead(filler) => {
            if let Some(stored) = now_there(session, ctx, asked, stored.as_ref()) {
                filler.confirmed(stored.0);
                return Ok(Step::Again);
            }
            let reader = filler.reader();
            let confirms = stored.as_ref().map(|(entry, _)| entry.clone());
            let handed = fetch::begin(session, ctx, asked.again(), filler, confirms, true);
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
                return Ok(Step::Direct);
            };
            let step = take(session, ctx, asked, stored, reader, state).await?;
            ctx.cached.collapsed &= matches!(step, Step::Answered);
            Ok(step)
        }
    }
}

/// What a fetch has brought that ended between the look into the store and now.
fn now_there(
    session: &Session,
    ctx: &Ctx,
    asked: &Asked,
    before: Option<&Stored>,
) -> Option<Stored> {
    let (cache, now) = (&ctx.control.cache, ctx.control.clock.now());
    let found = cache.find(&asked.key, &session.req_header().headers);
    let is_new = |entry: &Arc<Entry>| before.is_none_or(|(old, _)| !Arc::ptr_eq(old, entry));
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
    head: Box<pingora::http::ResponseHeader>,
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
    mut reader: Reader,
    state: State,
) -> Result<Step> {
    let follows = ctx.cached.collapsed;
    let fits = |selection: &crate::cache::policy::vary::Selection, headers: &HeaderMap| {
        !follows || selection.matches(headers)
    };
    match state {
        State::Streaming(begun) => {
            if !fits(&begun.selection, &session.req_header().headers) {
                return Ok(Step::Alone);
            }
            if follows && (begun.life.no_cache || begun.life.lifetime <= begun.life.initial_age) {
                return Ok(Step::Direct);
            }
            let now = ctx.control.clock.now();
            ctx.cached.stored = !follows;
            ctx.cached.ttl = Some(seconds_left(begun.life.fresh_until(None), now));
            let what = (&begun.head, &begun.life, begun.length);
            serve::fetched(session, ctx, what, &mut reader).await?;
            Ok(Step::Answered)
        }
        State::Stored(entry) => {
            if !fits(&entry.selection, &session.req_header().headers) {
                return Ok(Step::Alone);
            }
            if follows && !is_shared(&entry) {
                return Ok(Step::Direct);
            }
            ctx.cached.node_said = ctx.fetched.as_ref().and_then(|fetch| fetch.status());
            ctx.cached.stored = !follows;
            let why = ctx.cached.why.unwrap_or(Why::Expired);
            let outcome = match stored {
                Some(_) => Outcome::Revalidated,
                None => Outcome::Miss,
            };
            self::stored(session, ctx, &entry, None, (outcome, why)).await?;
            Ok(Step::Answered)
        }
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
async fn instead(
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
    self::stored(session, ctx, entry, *expired_at, did).await?;
    Ok(true)
}

/// Waits until the client is gone.
async fn is_gone(session: &mut Session) -> Box<Error> {
    loop {
        match session.as_mut().read_body_or_idle(true).await {
            Err(error) => return error.into_down(),
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}
