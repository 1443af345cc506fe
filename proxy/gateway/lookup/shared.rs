//! The second tier on a request's way: asked before a node is, by the fetch that asks for all, and told what came of it.
//!
//! Never asked on a hit, nor for a request that is on its own. Whatever goes wrong there, the node is asked as if there
//! were no second tier; the one thing that it may cost is time, which is bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use pingora::proxy::Session;

use super::super::ctx::Ctx;
use super::asked::Asked;
use super::fetch::Fetch;
use super::keep::MARKED;
use crate::base::cached::Why;
use crate::cache::entry::Entry;
use crate::cache::policy::life::Life;
use crate::cache::shared::chain::Position;
use crate::cache::shared::codec::useful;
use crate::cache::shared::entries::{Ask, Entries, Looked};
use crate::cache::shared::lease::{Lease, Turn, Word};
use crate::cache::shared::stats::Refused;
use crate::cache::store::{Filler, Loaded};
use crate::config::checked::Redis;
use crate::kv::Fault;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;

/// Of two answers that are both fresh the other one has to be so this much longer, in milliseconds, to be taken: less may
/// be the time it took to be written and read.
const NEWER: u64 = 1_000;

/// What a fetch asks the second tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Nothing: it is for who began it.
    Nothing,
    /// Whether the answer is there.
    Answers,
    /// That, and whether another proxy fetches it already.
    Leases,
}

/// With what a fetch goes to a node.
#[derive(Debug, Default)]
pub struct Way {
    /// It fetches in the name of the cluster.
    pub lease: Option<Lease>,
    /// Which purges it knows of.
    position: Option<Position>,
}

/// What comes before a node is asked.
pub enum Before {
    /// It is asked.
    Node(Way),
    /// It need not be: the answer is in the store.
    There,
    /// Another proxy has just asked: the answer is for nobody else, for so many milliseconds.
    NotStorable(u64),
}

/// The second tier of a generation, where answers are kept there.
fn tier(snapshot: &Snapshot) -> Option<(&Arc<Entries>, &Redis)> {
    let rules = snapshot.config.cache.redis.as_ref();
    let rules = rules.filter(|rules| rules.entries)?;
    Some((&snapshot.shared.as_ref()?.entries, rules))
}

/// Whether a request wants to know for itself, or probably gets what is for it alone.
pub fn is_own(headers: &HeaderMap, asked: &Asked, snapshot: &Snapshot) -> bool {
    let goes_elsewhere = || (snapshot.selecting.iter()).any(|name| headers.contains_key(name));
    headers.contains_key(header::AUTHORIZATION)
        || asked.wish.no_cache
        || asked.wish.max_age == Some(0)
        || goes_elsewhere()
}

/// Asks the second tier on behalf of a fetch.
pub async fn before(fetch: &Fetch, filler: &Filler) -> Before {
    let Some((entries, rules)) = tier(&fetch.snapshot).filter(|(entries, _)| entries.is_up())
    else {
        return Before::Node(Way::default());
    };
    if fetch.reads == Reads::Nothing {
        return alone(fetch, entries, None);
    }
    let clock = fetch.control.clone();
    let ask = Ask {
        key: &fetch.asked.key,
        request: &fetch.request.headers,
        store: &fetch.control.cache,
        rules,
        now: &move || clock.clock.now(),
    };
    let Ok(Looked { found, variant }) = timed(&fetch.control, entries, &ask).await else {
        return alone(fetch, entries, None);
    };
    if let Some(found) = found {
        if !is_wanted(fetch, &found) {
            entries.stats().refused(Refused::Old);
        } else if entries.adopt(filler, found) {
            return Before::There;
        }
    }
    // Where answers go there with a later use, nobody could wait for this one.
    if fetch.reads != Reads::Leases || rules.min_uses > 1 || entries.position().is_none() {
        return alone(fetch, entries, None);
    }
    let wanted = |found: &Loaded| is_wanted(fetch, found);
    let looked = Looked {
        found: None,
        variant,
    };
    match entries.turn(&ask, looked, patience(fetch), wanted).await {
        Turn::Found(found) => match entries.adopt(filler, *found) {
            true => Before::There,
            false => alone(fetch, entries, None),
        },
        Turn::Alone => alone(fetch, entries, None),
        Turn::Mine(lease) => alone(fetch, entries, Some(lease)),
        // What is here may do where a node is in trouble: that is for who asks it to find out.
        Turn::NotStorable(_) if fetch.confirms.is_some() => alone(fetch, entries, None),
        Turn::NotStorable(millis) => Before::NotStorable(millis),
    }
}

/// Looks for an answer, and tells how long that took if it was told.
async fn timed(control: &Control, entries: &Entries, ask: &Ask<'_>) -> Result<Looked, Fault> {
    let begun = Instant::now();
    let looked = entries.look(ask).await;
    if looked.is_ok() {
        control.metrics.cache.looked_up_there(begun.elapsed());
    }
    looked
}

/// A node is asked, from now on.
fn alone(fetch: &Fetch, entries: &Entries, lease: Option<Lease>) -> Before {
    fetch.goes_out();
    Before::Node(Way {
        lease,
        position: entries.position(),
    })
}

/// How long a fetch waits for that of another proxy: half of what those wait who wait for it, who then still get what it
/// brings.
fn patience(fetch: &Fetch) -> Duration {
    let rules = fetch.snapshot.config.routes[fetch.route].cache.as_ref();
    let wait = rules.map_or(Duration::ZERO, |rules| rules.wait / 2);
    match fetch.deadline() {
        Some(deadline) => wait.min(deadline.saturating_duration_since(Instant::now())),
        None => wait,
    }
}

/// Whether what another proxy stored is of more use than what is here.
fn is_wanted(fetch: &Fetch, found: &Loaded) -> bool {
    let Some(old) = &fetch.confirms else {
        return true;
    };
    let control = &fetch.control;
    let now = control.clock.now();
    let old_until = old.life.fresh_until(old.expired_at());
    let until = found.life.fresh_until(None);
    now < until
        && (now >= old_until || until > old_until.saturating_add(NEWER))
        && (control.cache).is_spared(&fetch.asked.key, &found.tags, found.begun)
}

/// Looks for an answer on behalf of a request that no fetch is begun for. `true`: it is in the store.
pub async fn load(session: &Session, ctx: &Ctx, asked: &Asked) -> bool {
    let headers = &session.req_header().headers;
    let Some((entries, rules)) = tier(&ctx.snapshot).filter(|(entries, _)| entries.is_up()) else {
        return false;
    };
    if asked.wish.no_store || is_own(headers, asked, &ctx.snapshot) {
        return false;
    }
    let control = ctx.control.clone();
    let clock = control.clone();
    // Purges find it, as they find all that is on its way into the store.
    let filler = control.cache.alone(asked.key.clone());
    let ask = Ask {
        key: &asked.key,
        request: headers,
        store: &control.cache,
        rules,
        now: &move || clock.clock.now(),
    };
    match timed(&control, entries, &ask).await {
        Ok(Looked {
            found: Some(found), ..
        }) => entries.adopt(&filler, found),
        _ => false,
    }
}

impl Way {
    /// The head of the answer is there. Nobody waits for what will not come to them.
    pub fn begins(&mut self, fetch: &Fetch, life: &Life, length: Option<u64>) {
        let Some((_, rules)) = tier(&fetch.snapshot) else {
            return;
        };
        let now = fetch.control.clock.now();
        let is_large = length.is_some_and(|length| length > rules.max_object);
        if (is_large || useful(life, now, u64::MAX) == 0)
            && let Some(lease) = self.lease.take()
        {
            lease.ends(Word::Go);
        }
    }

    /// The answer is stored here.
    pub fn stored(self, fetch: &Fetch, entry: &Arc<Entry>) {
        if let Some((entries, rules)) = tier(&fetch.snapshot) {
            let control = &fetch.control;
            let (store, now) = (&*control.cache, control.clock.now());
            entries.offer(entry, self.position, self.lease, (rules, store), now);
        }
    }

    /// What is stored here was confirmed, and is `entry` now.
    pub fn confirmed(self, fetch: &Fetch, entry: &Arc<Entry>) {
        if let (Some((entries, rules)), Some(old)) = (tier(&fetch.snapshot), &fetch.confirms) {
            let control = &fetch.control;
            let (store, now) = (&*control.cache, control.clock.now());
            let both = (&**old, entry);
            entries.confirmed(both, self.position, self.lease, (rules, store), now);
        }
    }

    /// The answer is not for others, for so many milliseconds.
    pub fn not_storable(self, millis: u64) {
        if let Some(lease) = self.lease {
            lease.ends(Word::NotStorable(millis));
        }
    }

    /// The answer is not stored here, and so nowhere.
    pub fn not_stored(self) {
        if let Some(lease) = self.lease {
            lease.ends(Word::Go);
        }
    }
}

/// What was stored is over.
pub fn is_over(fetch: &Fetch) {
    if let Some((entries, _)) = tier(&fetch.snapshot) {
        entries.forget(&fetch.asked.key);
    }
}

/// What another proxy was told: nobody waits for such answers for a while.
pub fn is_not_storable(fetch: &Fetch, filler: Filler, millis: u64) {
    let until = fetch.control.clock.now() + millis.min(MARKED);
    fetch.control.cache.mark(&fetch.asked.key, until);
    filler.give_up(Why::HitForMiss);
}

/// A stored answer is used.
pub fn used(control: &Control, snapshot: &Snapshot, entry: &Arc<Entry>) {
    // Almost none waits for that.
    if entry.is_due()
        && let Some((entries, rules)) = tier(snapshot)
    {
        entries.is_due(entry, (rules, &control.cache));
    }
}
