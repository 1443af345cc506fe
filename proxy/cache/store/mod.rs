//! Keeps answers in memory, within a hard cap.
//!
//! | to understand | read |
//! |---|---|
//! | where entries are and which give way | `shelf`, `slot` |
//! | what is counted, and that it is never more than the cap | `room`, `pack` |
//! | how many requests share one fetch | `registry`, `flight`, `fill` |
//! | how a purge takes effect at once | `purge` |
//!
//! A request finds; if there is nothing it may use, it joins: it reads what another one
//! fetches, or fetches itself and fills. The store knows neither the rules of HTTP, which are `policy`'s, nor a clock,
//! and it never fails an answer: what it cannot keep is passed on.

/// What the store and the fetches share.
mod core;
/// Both ends of a fetch in flight.
pub mod fill;
/// A fetch in flight as all see it.
mod flight;
/// Makes entries.
mod pack;
/// What is purged, and how a lookup knows.
pub mod purge;
/// Who fetches what.
mod registry;
/// How many bytes are alive, and how many may be.
pub(in crate::cache) mod room;
/// Where entries are.
mod shelf;
/// The place of a key.
mod slot;
/// What the store says of itself.
pub mod stats;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderMap;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache as Quick, DefaultLifecycle};

use self::core::Core;
use self::flight::Flight;
use self::purge::Verdict;
use self::registry::Place;
use self::room::{Charge, allocated};
use self::shelf::{AsIs, At};
use self::stats::Gone;
use super::entry::{Entry, Head};
use super::key::{Key, Target};
use super::policy::life::{Life, Millis};
use super::policy::vary::Selection;
use crate::base::cached::Why;
use crate::config::checked::Cache;

pub use fill::{Begun, Filler, Reader, State};
pub use purge::Purge;
pub use stats::Stats;

/// Keys that are remembered as not storable; some forty bytes each, beside the cap.
const MARKS: usize = 32_768;
/// Bytes of a fetch in flight besides its key and itself: its place in the registry, the lists of its pieces and readers.
const FLIGHT: u64 = 512;

/// Stored answers and the fetches that will become some. One a process; told of every new configuration.
#[derive(Debug)]
pub struct Store {
    seed: u64,
    core: Arc<Core>,
    marks: Quick<At, Millis, UnitWeighter, AsIs>,
}

/// What is stored for a request.
#[derive(Debug)]
pub struct Found {
    /// The answer for it, and since when it is stale because it was purged softly.
    pub entry: Option<(Arc<Entry>, Option<Millis>)>,
    /// There are answers under its key, but for other requests.
    pub other_variant: bool,
}

/// What a request does that found nothing to use.
#[derive(Debug)]
pub enum Joined {
    /// It fetches.
    Lead(Filler),
    /// Somebody does already.
    Follow(Reader),
}

impl Store {
    /// An empty store. `seed` is the process's own, so that nobody can look for hashes that collide.
    pub fn new(rules: &Cache, seed: u64) -> Store {
        let (weighter, lifecycle) = (UnitWeighter, DefaultLifecycle::default());
        Store {
            seed,
            core: Arc::new(Core::new(rules)),
            marks: Quick::with(MARKS, MARKS as u64, weighter, AsIs::default(), lifecycle),
        }
    }

    /// Goes on with other rules, and with all that still fits. A smaller `memory` evicts at once.
    pub fn set_rules(&self, rules: &Cache) {
        self.core.set_rules(rules);
    }

    /// The key of a target.
    pub fn key(&self, target: Target<'_>) -> Key {
        Key::new(target, self.seed)
    }

    /// What is stored for a request with these fields; of several, what was received last (RFC 9111 §4.1).
    pub fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        let slot = self.core.shelf.get(key);
        let entries = slot.as_ref().map_or(&[][..], |slot| slot.entries());
        let mut best: Option<&Arc<Entry>> = None;
        let mut other_variant = false;
        for entry in entries.iter().filter(|e| self.core.epochs.spares(e)) {
            if !entry.selection.matches(request) {
                other_variant = true;
            } else if best.is_none_or(|best| best.life.received <= entry.life.received) {
                best = Some(entry);
            }
        }
        Found {
            entry: best.map(|entry| (Arc::clone(entry), entry.expired_at())),
            other_variant,
        }
    }

    /// Whether answers under this key were not storable a moment ago.
    pub fn is_marked(&self, key: &Key, now: Millis) -> bool {
        (self.marks.get(&At::by(key))).is_some_and(|until| until > now)
    }

    /// Answers under this key are not storable; until then nobody waits for one.
    pub fn mark(&self, key: &Key, until: Millis) {
        self.marks.insert(At::by(key), until);
    }

    /// They are again.
    pub fn unmark(&self, key: &Key) {
        self.marks.remove(&At::by(key));
    }

    /// A fetch that nobody else takes part in.
    pub fn alone(&self, key: Arc<Key>) -> Filler {
        match self.take_part(key, None, true, |_| None) {
            Joined::Lead(filler) => filler,
            Joined::Follow(_) => unreachable!("invariant: it follows nobody"),
        }
    }

    /// Takes part in a fetch of this key: in one that runs and whose answer may be for this request, else in a new one.
    /// `hint`: the request took part in one before whose answer was for others, and this is what it
    /// [wants](Selection::wants) where answers vary as that one did. It does not guess again: of those whose head is
    /// not known it joins none but one that was begun for the same.
    pub fn join(&self, key: Arc<Key>, request: &HeaderMap, hint: Option<&Selection>) -> Joined {
        let stored = || self.wanted(&key, request);
        let wanted = hint.cloned().or_else(stored);
        let guesses = hint.is_none();
        let joins = |flight: &Arc<Flight>| self.joins(flight, request, guesses);
        self.take_part(key, wanted, false, joins)
    }

    /// Takes part in the first fetch of this key that `joins`, else in a new one.
    fn take_part(
        &self,
        key: Arc<Key>,
        wanted: Option<Selection>,
        is_alone: bool,
        joins: impl FnMut(&Arc<Flight>) -> Option<Reader>,
    ) -> Joined {
        let core = &self.core;
        let begun = core.epochs.count();
        // Room is made before the registry is locked: that may take a while.
        let bytes = allocated(size_of::<Flight>()) + allocated(key.size()) + FLIGHT;
        let charge = core.take(bytes);
        let new = || {
            let degraded = charge.is_none().then_some(Why::NoRoom);
            let charge = charge.unwrap_or_else(|| Charge::none(&core.room));
            let flight = Flight::new(Arc::clone(&key), begun, wanted, is_alone, charge);
            flight.with(|flow| flow.degraded = degraded);
            Arc::new(flight)
        };
        match core.registry.join(&key, joins, new) {
            Place::Taken(reader) => Joined::Follow(reader),
            Place::Registered(flight) => Joined::Lead(Filler::new(core, flight)),
            Place::Aside(flight) => {
                flight.with(|flow| flow.degraded = Some(Why::NoRoom));
                Joined::Lead(Filler::new(core, flight))
            }
        }
    }

    /// Which answer a request will probably get, by what was stored last under its key.
    fn wanted(&self, key: &Key, request: &HeaderMap) -> Option<Selection> {
        let slot = self.core.shelf.peek(key)?;
        let selecting = slot.entries().iter().filter(|e| !e.selection.is_any());
        let last = selecting.max_by_key(|e| e.life.received)?;
        Some(last.selection.wants(request))
    }

    /// A reader of this fetch, if its answer may be for this request.
    fn joins(&self, flight: &Arc<Flight>, request: &HeaderMap, guesses: bool) -> Option<Reader> {
        if flight.is_purged() || flight.is_alone {
            return None;
        }
        let number = flight.with(|flow| {
            if flow.has_ended() || flow.degraded.is_some() {
                return None;
            }
            let (tags, fits) = match &flow.begun {
                Some(begun) => (Some(&*flow.tags), begun.selection.matches(request)),
                None => (None, flight.is_wanted_by(request).unwrap_or(guesses)),
            };
            let judge = || (self.core.epochs).judge(&flight.key, tags, flight.begun);
            (fits && judge() == Verdict::Spared).then(|| flow.enter())
        })?;
        Some(Reader::new(flight, number))
    }

    /// A new entry with the body of `old`, in its place if that is still stored and nothing was purged since `begun`,
    /// the [`Store::sequence`] when its validation began.
    pub fn renew(
        &self,
        old: &Arc<Entry>,
        (life, head): (Life, Head),
        selection: Selection,
        tags: Box<[u64]>,
        begun: u64,
    ) -> Arc<Entry> {
        let core = &self.core;
        let parts = (Arc::clone(&old.key), selection, tags, begun);
        let new = match pack::renewed(core, parts, (head, life), old) {
            Ok(new) => Arc::new(new),
            Err(bare) => return Arc::new(*bare),
        };
        let is_spared = || {
            let judge = |tags| core.epochs.judge(&old.key, Some(tags), begun);
            old.expired_by() <= begun
                && judge(&old.tags) == Verdict::Spared
                && judge(&new.tags) == Verdict::Spared
        };
        core.shelf.replace(old, &new, is_spared);
        new
    }

    /// How many purges there have been.
    pub fn sequence(&self) -> u64 {
        self.core.epochs.count()
    }

    /// Removes all that is stored under this key; what is being fetched under it will not be stored. Returns how many
    /// entries it were.
    pub fn invalidate(&self, key: &Key) -> usize {
        self.core.registry.purge(key);
        self.core.shelf.remove(key)
    }

    /// Removes this entry, if it is still stored.
    pub fn discard(&self, entry: &Arc<Entry>) {
        self.core.shelf.discard(entry, Gone::Replaced);
    }

    /// Purges: hard removes, soft makes stale from `now` on. From when this is called on nobody is given what it
    /// concerns; the time it takes to return is that of a walk over all that is stored, so it is called off the
    /// threads that serve requests. Returns how many entries it concerned.
    pub fn purge(&self, what: &Purge, hard: bool, now: Millis) -> u64 {
        let tag = |name: &[u8]| self.tag_hash(name);
        let number = self.core.epochs.note(what, hard, now, tag);
        if let Purge::Url(key) = what {
            self.core.registry.purge(key);
            return match hard {
                true => self.core.shelf.remove(key) as u64,
                false => (self.core.shelf).each_of(key, |e| e.expire_by(now, number)) as u64,
            };
        }
        self.walk(number)
    }

    /// Judges all that is stored and removes what may not be used. Returns how many entries this purge concerned.
    fn walk(&self, number: u64) -> u64 {
        let core = &self.core;
        let mut concerned = 0;
        core.shelf.for_each(|entry| {
            if !core.epochs.spares(entry) {
                concerned += u64::from(core.shelf.discard(entry, Gone::Purged));
            } else if entry.expired_by() >= number {
                concerned += 1;
            }
        });
        concerned
    }

    /// The hash of a tag, as entries keep it.
    pub fn tag_hash(&self, tag: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(tag, self.seed)
    }

    /// What it holds and what it did.
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let mut entries = 0;
        core.shelf.for_each(|_| entries += 1);
        Stats {
            entries,
            bytes: core.room.used(),
            capacity: core.room.cap(),
            fills: core.registry.len() as u64,
            evicted: core.shelf.counts.evicted(),
            marks: self.marks.len() as u64,
        }
    }

    /// Every entry that is stored, in no order; those that come or go meanwhile may or may not be among them.
    pub fn for_each(&self, f: impl FnMut(&Arc<Entry>)) {
        self.core.shelf.for_each(f);
    }
}
