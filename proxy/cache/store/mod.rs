//! Keeps answers in memory, within a hard cap.
//!
//! | to understand | read |
//! |---|---|
//! | where entries are and which give way | `shelf`, `slot` |
//! | what is counted, and that it is never more than the cap | `room`, `pack` |
//! | how many requests share one fetch | `registry`, `flight`, `feed`, `fill` |
//! | how many requests share one encoding of a body | `make` |
//! | how a purge takes effect at once | `purge` |
//!
//! A request finds; if there is nothing it may use, it joins: it reads what another one
//! fetches, or fetches itself and fills. The store knows neither the rules of HTTP, which are `policy`'s, nor a clock,
//! and it never fails an answer: what it cannot keep is passed on.

/// What the store and the fetches share.
mod core;
/// The writing end of a flight.
mod feed;
/// Both ends of a fetch in flight.
pub mod fill;
/// A fetch in flight as all see it.
mod flight;
/// Bodies in other codings.
pub mod make;
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
/// Carries purges out.
mod walk;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache as Quick, DefaultLifecycle};
use smallvec::SmallVec;

use self::core::Core;
use self::feed::{Feed, Part};
use self::flight::{Flight, Kind};
use self::make::{Role, Source};
use self::purge::Verdict;
use self::shelf::{AsIs, At, Replaced};
use self::stats::Gone;
use super::entry::{Entry, Head};
use super::key::{Key, Sought, Target};
use super::policy::life::{Life, Millis};
use super::policy::tags::tags;
use super::policy::vary::Selection;
use crate::base::coding::Coding;
use crate::base::fields::Fields;
use crate::config::checked::Cache;

pub use fill::{Begun, Filler, Loaded, Reader, State};
pub use make::{Deriving, DerivingStored, Maker};
pub use purge::Purge;
pub use stats::Stats;

/// Keys that are remembered as not storable; some forty bytes each, beside the cap.
const MARKS: usize = 32_768;
/// Times that an entry is renewed in place of what is stored by then; it has got another form each time before.
const TRIES: usize = 16;

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

    /// What the hashes of its keys are made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The key of a target.
    pub fn key(&self, target: Target<'_>) -> Key {
        Key::new(target, self.seed)
    }

    /// The same, to look for.
    pub fn sought(&self, target: Target<'_>) -> Sought {
        Sought::of(target, self.seed)
    }

    /// What is stored for a request with these fields; of several, what was received last (RFC 9111 §4.1).
    pub fn find(&self, key: &Key<impl Deref<Target = [u8]>>, request: &impl Fields) -> Found {
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
        match self.take_part(key, Kind::Alone, |_| None) {
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
        self.take_part(key, Kind::Shared(wanted), joins)
    }

    /// Takes part in the first fetch of this key that `joins`, else in a new one.
    fn take_part(
        &self,
        key: Arc<Key>,
        kind: Kind,
        joins: impl FnMut(&Arc<Flight>) -> Option<Reader>,
    ) -> Joined {
        match Feed::or_join(&self.core, key, kind, joins, || None) {
            Part::Feeds(feed) => Joined::Lead(Filler::new(feed)),
            Part::Joins(reader) => Joined::Follow(reader),
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
        if flight.is_purged() || !matches!(flight.kind, Kind::Shared(_)) {
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
        Some(Reader::new(&self.core, flight, number))
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
        for _ in 0..TRIES {
            let (what, selection) = ((life, head.clone()), selection.clone());
            match self.try_renew(old, what, selection, tags.clone(), begun) {
                (_, Replaced::Missing) => {} // it has got a form since it was looked at
                (new, _) => return new,
            }
        }
        Arc::new(old.as_if(life, head))
    }

    /// The same, if what is stored stays as it is meanwhile.
    fn try_renew(
        &self,
        old: &Arc<Entry>,
        (life, head): (Life, Head),
        selection: Selection,
        tags: Box<[u64]>,
        begun: u64,
    ) -> (Arc<Entry>, Replaced) {
        let core = &self.core;
        let stored = core.shelf.same(old);
        let old = stored.as_ref().unwrap_or(old);
        let parts = (Arc::clone(&old.key), selection, tags, begun);
        let new = match pack::renewed(core, parts, (head, life), old) {
            Ok(new) => Arc::new(new),
            Err(bare) => return (Arc::new(*bare), Replaced::Refused),
        };
        if stored.is_none() {
            return (new, Replaced::Refused);
        }
        let is_spared = || {
            let judge = |tags| core.epochs.judge(&old.key, Some(tags), begun);
            old.expired_by() <= begun
                && judge(&old.tags) == Verdict::Spared
                && judge(&new.tags) == Verdict::Spared
        };
        let done = core.shelf.replace(old, &new, is_spared);
        if done == Replaced::Done {
            core.shelf.counts.add(Gone::Replaced, 1);
        }
        (new, done)
    }

    /// Takes part in making this form of a stored answer: one at a time for each body and coding, the others read along.
    pub fn derive(&self, entry: &Arc<Entry>, coding: Coding) -> DerivingStored {
        if entry.form(coding).is_some() {
            return DerivingStored::Ready(Arc::clone(entry));
        }
        let source = Source::Stored(Arc::clone(entry));
        match make::derive(&self.core, &entry.key, source, coding) {
            Role::Lead(maker) => DerivingStored::Lead(maker),
            Role::Follow(reader) => DerivingStored::Follow(reader),
            Role::Ready(entry) => DerivingStored::Ready(entry),
        }
    }

    /// Puts a form of these pieces, which are copied, beside the body of this entry, whatever was confirmed or put beside
    /// it meanwhile. Of two forms in one coding the smaller stays, and none that is not final takes the place of one that
    /// is. One no smaller than the body itself is remembered as not worth having, unless it is the body decoded.
    ///
    /// Returns the entry as it is stored then; `None`: it is not any more, the form is larger than what is stored at all,
    /// or there is no room.
    pub fn put_form(
        &self,
        entry: &Arc<Entry>,
        coding: Coding,
        pieces: &[Bytes],
        is_final: bool,
    ) -> Option<Arc<Entry>> {
        make::put_form(&self.core, entry, coding, pieces, is_final)
    }

    /// Remembers that the body of this entry is sent rather than this form of it: that would be no smaller. Returns what
    /// [`Store::put_form`] does.
    pub fn put_no_gain(
        &self,
        entry: &Arc<Entry>,
        coding: Coding,
        is_final: bool,
    ) -> Option<Arc<Entry>> {
        make::put_no_gain(&self.core, entry, coding, is_final)
    }

    /// Of what is stored under this key and has a form in this coding that could be better, what was sent so most often.
    pub fn most_used(&self, key: &Key, coding: Coding) -> Option<Arc<Entry>> {
        let slot = self.core.shelf.peek(key)?;
        let hits = |entry: &Arc<Entry>| {
            let form = entry.form(coding).filter(|form| !form.is_final);
            form.map(|form| (form.hits(), Arc::clone(entry)))
        };
        let all = slot.entries().iter().filter_map(hits);
        all.max_by_key(|(hits, _)| *hits).map(|(_, entry)| entry)
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

    /// Removes this entry, if it is still stored, with whatever forms by now.
    pub fn discard(&self, entry: &Arc<Entry>) {
        self.core.shelf.discard(entry, Gone::Replaced);
    }

    /// The hash of a tag, as entries keep it.
    pub fn tag_hash(&self, tag: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(tag, self.seed)
    }

    /// The hashes of the tags of an answer with these fields, in order, each once.
    pub fn tags_of(&self, answer: &HeaderMap) -> Box<[u64]> {
        let all = tags(answer).map(|tag| self.tag_hash(tag));
        let mut all: SmallVec<[u64; 8]> = all.collect();
        all.sort_unstable();
        all.dedup();
        all.into_vec().into()
    }

    /// Whether this answer is stored, and no purge there has been concerns it.
    pub fn is_current(&self, entry: &Entry) -> bool {
        let stored = self.core.shelf.same(entry);
        stored.is_some_and(|entry| self.core.epochs.spares(&entry) && entry.expired_at().is_none())
    }

    /// Whether an answer under this key with these tags, begun after so many purges, may be used as it is.
    pub fn is_spared(&self, key: &Key, tags: &[u64], begun: u64) -> bool {
        self.core.epochs.judge(key, Some(tags), begun) == Verdict::Spared
    }

    /// What it holds and what it did.
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let (mut entries, mut forms, mut form_bytes) = (0, 0, 0);
        core.shelf.for_each(|entry| {
            entries += 1;
            forms += entry.forms().iter().filter(|f| f.body.is_some()).count() as u64;
            form_bytes += entry.forms_weight();
        });
        let (fills, makings) = core.registry.counts();
        Stats {
            entries,
            forms,
            form_bytes,
            bytes: core.room.used(),
            capacity: core.room.cap(),
            fills,
            makings,
            evicted: core.shelf.counts.evicted(),
            marks: self.marks.len() as u64,
        }
    }

    /// Every entry that is stored, in no order; those that come or go meanwhile may or may not be among them.
    pub fn for_each(&self, f: impl FnMut(&Arc<Entry>)) {
        self.core.shelf.for_each(f);
    }
}
