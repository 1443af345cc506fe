//! The cache before the nodes: what is stored is used as far as the rules allow, what is not is fetched once for all.
//!
//! | what is found | what happens |
//! |---|---|
//! | fresh, or as stale as the client takes it | sent |
//! | stale, inside `stale-while-revalidate` | sent, and fetched behind the answer |
//! | stale, with a validator | a node is asked whether it is still right |
//! | nothing that can be used | fetched, by one request for all who want it; the second tier is asked before a node |
//! | any of the last two, `only-if-cached` | 504 |
//! | nothing, for HEAD or a part from the middle | handed on as it is: a fetch would be for all of it |
//! | no business of the cache, or lately not storable | handed on, each request by itself |
//! | a node failed, and what is stored may be used then | sent |
//!
//! Whether something may be used is decided in `cache/policy` alone. Never waits without a bound, and never for a
//! client that has left.

use std::sync::Arc;

use http::{Method, StatusCode};
use pingora::Result;
use pingora::proxy::Session;

use super::ctx::Ctx;
use super::{answer, line, split};
use crate::base::cached::{Outcome, Why};
use crate::cache::entry::Entry;
use crate::cache::key::Key;
use crate::cache::policy::directives::Wish;
use crate::cache::policy::life::Millis;
use crate::cache::policy::reuse::{Trouble, Use, reuse};
use crate::cache::store::Joined;

pub mod after;
pub mod asked;
mod confirm;
pub mod fetch;
pub mod form;
pub mod head;
pub mod keep;
pub mod offer;
pub mod parts;
mod pass;
pub mod purge;
mod serve;
mod shape;
pub mod shared;
mod smaller;
pub mod status;
pub mod told;
mod wait;

use asked::Asked;
use shared::Reads;
use wait::Step;

/// How often a request asks the store anew, when what it waited for was of no use to it, or came from the second tier.
const TRIES: u32 = 4;

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
    /// What is in the store was looked for in the second tier, and came from there.
    loaded: Option<bool>,
    /// What is stored, for a request that is handed on, should the nodes fail it.
    spare: Option<Box<(Stored, Asked)>>,
}

impl Cached {
    /// The answer came from the store, fresh for so many seconds. `shown`: the key that `Cache-Status` names.
    pub fn hit(shown: Option<&Arc<Key>>, ttl: i64) -> Cached {
        Cached {
            key: shown.cloned(),
            outcome: Some(Outcome::Hit),
            why: Some(Why::Fresh),
            ttl: Some(ttl),
            show_key: shown.is_some(),
            ..Cached::default()
        }
    }

    /// Whether the answer came from the store, or from another request's fetch.
    pub fn is_answer(&self) -> bool {
        self.collapsed || matches!(self.outcome, Some(Outcome::Hit | Outcome::Stale))
    }

    /// Whether what the request's own fetch brought is sent, and not what another one did.
    pub fn is_own(&self) -> bool {
        !self.collapsed && self.why != Some(Why::StaleIfError)
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
            let is_read = matches!(ctx.head.method, Method::GET | Method::HEAD);
            let fields = &session.req_header().headers;
            let wish = Wish::of(fields, rules.ignore_client_cache_control);
            if is_read && wish.only_if_cached {
                return refuse_to_fetch(session, ctx).await.map(|()| true);
            }
            return Ok(false);
        }
    };
    let fields = &session.req_header().headers;
    if route.is_some_and(|route| split::is_pinned(fields, route, &snapshot.config, ctx.at)) {
        ctx.cached.did(Outcome::Bypass, Why::Pinned);
        return Ok(false);
    }
    ctx.cached.key = Some(asked.key.clone());
    let mut hint = None;
    for _ in 0..TRIES {
        let stored = match look(session, ctx, &asked).await? {
            Looked::Answered => return Ok(true),
            Looked::Direct => return Ok(false),
            Looked::Again => continue,
            Looked::Fetch(stored) => stored,
        };
        let step = wait::join(session, ctx, rules, &asked, stored, hint.as_ref()).await?;
        if let Step::Answered = step {
            return Ok(true);
        }
        // Time has passed, and no node has seen it: what was drained meanwhile gets nothing new.
        ctx.fetched = None;
        line::renew(&session.req_header().headers, ctx);
        match step {
            Step::Answered | Step::Direct => return Ok(false),
            Step::Again => {}
            Step::Loaded => ctx.cached.loaded = Some(true),
            Step::Variant(wanted) => hint = Some(wanted),
        }
    }
    Ok(false)
}

/// Sends what is stored to a request that was handed on and that the nodes failed, where it may be used so. `true`: it is
/// answered.
///
/// # Errors
/// When the client cannot be written to.
pub async fn rescues(session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let Some(spare) = ctx.cached.spare.take() else {
        return Ok(false);
    };
    let (stored, asked) = *spare;
    wait::instead(session, ctx, &asked, Some(&stored), Trouble::Unreachable).await
}

/// What a look into the store comes to.
enum Looked {
    Answered,
    Direct,
    /// Something was put into the store since.
    Again,
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
                let why = match ctx.cached.loaded {
                    Some(true) => Why::Shared,
                    _ => Why::Fresh,
                };
                return stored(session, ctx, entry, *expired_at, (Outcome::Hit, why)).await;
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
    let is_marked = found.entry.is_none() && cache.is_marked(&asked.key, now);
    let is_part = found.entry.is_none() && asked.is_part;
    if (asked.is_head || is_part || asked.wish.only_if_cached)
        && !is_marked
        && ctx.cached.loaded.is_none()
    {
        let is_there = shared::load(session, ctx, asked).await;
        ctx.cached.loaded = Some(is_there);
        if is_there {
            return Ok(Looked::Again);
        }
    }
    if asked.wish.only_if_cached {
        refuse_to_fetch(session, ctx).await?;
        return Ok(Looked::Answered);
    }
    let direct = if asked.is_head {
        Some(Why::Head)
    } else if is_part {
        Some(Why::Range)
    } else if asked.wish.no_store {
        Some(Why::RequestNoStore)
    } else if is_marked {
        Some(Why::HitForMiss)
    } else {
        None
    };
    if let Some(why) = direct {
        ctx.cached.not_stored = Some(why);
        ctx.cached.spare = found.entry.map(|stored| Box::new((stored, asked.clone())));
        return Ok(Looked::Direct);
    }
    Ok(Looked::Fetch(found.entry))
}

/// Answers who takes nothing but what is stored (RFC 9111 §5.2.1.7).
async fn refuse_to_fetch(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    ctx.cached.not_stored = Some(Why::OnlyIfCached);
    let more = status::more(ctx);
    answer::send_with(session, StatusCode::GATEWAY_TIMEOUT, ctx, &more).await
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
    shared::used(&ctx.control, &ctx.snapshot, entry);
    serve::stored(session, ctx, entry).await?;
    Ok(Looked::Answered)
}

/// Seconds of freshness that are left, negative when there are none.
pub fn seconds_left(until: Millis, now: Millis) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    // No more digits than a structured integer has (RFC 9651 §3.3.1).
    (signed(until) - signed(now))
        .div_euclid(1_000)
        .min(999_999_999_999_999)
}

/// Fetches behind an answer what was sent stale, unless somebody does already.
fn refresh(session: &mut Session, ctx: &mut Ctx, asked: &Asked, entry: &Arc<Entry>) {
    let headers = &session.req_header().headers;
    let cache = ctx.control.cache.clone();
    if let Joined::Lead(filler) = cache.join(asked.key.clone(), headers, None) {
        if let Some((new, _)) = wait::now_there(session, ctx, asked, Some(entry)) {
            return filler.confirmed(new);
        }
        let asked = asked.clone();
        let how = (false, Reads::Leases);
        fetch::begin(session, ctx, asked, filler, Some(entry.clone()), how);
    }
}
