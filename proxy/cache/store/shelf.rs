//! Where entries are: `quick_cache` by key, the variants of a key side by side.
//!
//! A lookup takes the read lock of one shard and nothing else. All that changes a shard goes through its door, one at a
//! time, so that what is read there is still true when it is written. Who has to make room puts a ballast on a shard for
//! a moment, and `quick_cache` throws overboard what it likes least. An entry that is being sent is not thrown: that
//! would free nothing.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use smallvec::SmallVec;

use super::room::{Charge, Room};
use super::slot::Slot;
use super::stats::{Counts, Gone};
use crate::base::cached::Why;
use crate::cache::entry::Entry;
use crate::cache::key::Key;
use crate::config::checked;

/// What `quick_cache` finds by: the hash of a key. 128 bits, and the key's bytes decide after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(u64, u64);

impl At {
    pub(super) fn by(key: &Key<impl Deref<Target = [u8]>>) -> At {
        let hash = key.hash();
        At((hash >> 64) as u64, hash as u64)
    }
}

impl Hash for At {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.1);
    }
}

/// Keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AsIs(u64);

impl BuildHasher for AsIs {
    type Hasher = AsIs;

    fn build_hasher(&self) -> AsIs {
        AsIs(0)
    }
}

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "hashes are written as numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Debug, Clone, Copy)]
struct Weights;

impl Weighter<At, Slot> for Weights {
    fn weight(&self, _: &At, slot: &Slot) -> u64 {
        slot.weight()
    }
}

/// Hands on what was thrown out, to be dropped outside of the lock.
#[derive(Debug, Clone, Copy)]
struct Thrown;

impl Lifecycle<At, Slot> for Thrown {
    type RequestState = SmallVec<[(At, Slot); 4]>;

    fn is_pinned(&self, _: &At, slot: &Slot) -> bool {
        slot.is_in_use()
    }

    fn on_evict(&self, thrown: &mut Self::RequestState, at: At, slot: Slot) {
        thrown.push((at, slot));
    }
}

/// No key has this hash but once in the age of the universe, and then it is only found again too late.
const BALLAST: At = At(u64::MAX, u64::MAX);

/// Of a shard, for what is used again and again; what is seen for the first time has to prove itself in the rest.
const HOT: f64 = 0.90;
/// Keys that were thrown out and still known: none. They would come back as hot, and among scans most of them are not
/// (measured in `tests/hits`: two points less with half as many as there are entries).
const GHOSTS: f64 = 0.0;
/// Entries expected; only counts where there are ghosts.
const EXPECTED: usize = 1;
/// Largest objects a shard has room for, while the memory allows several shards.
const LARGEST: u64 = 2;
/// Shards at most: more than threads that could meet in one.
const SHARDS: u64 = 64;
/// Of the cap, what entries do not get: fetches in flight, the tables of the shards, what is still being sent. When
/// that is more, entries give way; when it is less, it is the price of knowing which are hot.
const BESIDE: u64 = 32;
/// Thrown out at once at least, so that not every piece of a body has to make its own room.
const BATCH: u64 = 64 * 1024;

/// What became of an entry that was to take another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It has it.
    Done,
    /// The other one was not there any more.
    Missing,
    /// It may not have it, or is too heavy.
    Refused,
}

/// All shards.
#[derive(Debug)]
pub(super) struct Shelf {
    room: Arc<Room>,
    shards: Box<[Shard]>,
    variants: AtomicUsize,
    /// Which shard makes room next.
    turn: AtomicUsize,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Shard {
    cache: Cache<At, Slot, Weights, AsIs, Thrown>,
    /// Whoever changes the shard holds this: the charge of its tables.
    door: Mutex<Charge>,
}

impl Shelf {
    pub(super) fn new(rules: &checked::Cache, room: &Arc<Room>) -> Shelf {
        let most = rules.memory / (LARGEST * rules.max_object.max(1));
        let count = 1 << most.clamp(1, SHARDS).ilog2();
        let capacity = capacity(rules, room.cap(), count);
        let shards = (0..count).map(|_| Shard::new(capacity, room)).collect();
        Shelf {
            room: Arc::clone(room),
            shards,
            variants: AtomicUsize::new(rules.variants),
            turn: AtomicUsize::new(0),
            counts: Counts::default(),
        }
    }

    /// Other rules. The number of shards stays: a far larger `max_object` makes them overlap, which costs some hits and
    /// nothing else, until the next start.
    pub(super) fn set_rules(&self, rules: &checked::Cache) {
        self.variants.store(rules.variants, Relaxed);
        let capacity = capacity(rules, self.room.cap(), self.shards.len() as u64);
        for shard in &self.shards {
            let _door = shard.door.lock();
            let over = shard.cache.weight().saturating_sub(capacity);
            self.lighten(shard, over);
            shard.cache.set_capacity(capacity);
        }
        while self.room.missing(0) > 0 && self.squeeze(self.room.missing(0)) > 0 {}
        self.drop_in_use();
    }

    /// Entries that are being sent go too when there is too little room for them.
    fn drop_in_use(&self) {
        if self.room.missing(0) == 0 {
            return;
        }
        self.for_each(|entry| {
            if self.room.missing(0) > 0 {
                self.discard(entry, Gone::Capacity);
            }
        });
    }

    fn shard(&self, at: At) -> &Shard {
        &self.shards[at.0 as usize & (self.shards.len() - 1)]
    }

    /// The variants under this key; counts as a use.
    pub(super) fn get(&self, key: &Key<impl Deref<Target = [u8]>>) -> Option<Slot> {
        let at = At::by(key);
        (self.shard(at).cache.get(&at)).filter(|slot| slot.is_of(key))
    }

    /// The variants under this key; nobody uses them.
    pub(super) fn peek(&self, key: &Key) -> Option<Slot> {
        let at = At::by(key);
        (self.shard(at).cache.peek(&at)).filter(|slot| slot.is_of(key))
    }

    /// Puts an entry beside its variants, in place of the one it is for the same requests as, unless `may` says no by
    /// then. The oldest variants make room for it.
    pub(super) fn put(&self, entry: Arc<Entry>, may: impl FnOnce() -> bool) -> Result<(), Why> {
        let at = At::by(&entry.key);
        let shard = self.shard(at);
        let _thrown;
        let mut door = shard.door.lock();
        if !may() {
            return Err(Why::PurgedMeanwhile);
        }
        let heaviest = (shard.cache.capacity() as f64 * HOT) as u64;
        if entry.weight() > heaviest {
            return Err(Why::NoRoom);
        }
        let old = shard.cache.peek(&at);
        let same = old.as_ref().filter(|slot| slot.is_of(&entry.key));
        let beside = same.map_or(&[][..], Slot::entries);
        let (slot, counts) = Slot::with(beside, entry, self.variants.load(Relaxed), heaviest);
        self.counts.add(Gone::Replaced, counts.replaced);
        self.counts.add(Gone::Variants, counts.too_many);
        if old.is_some() && same.is_none() {
            self.counts.add(Gone::Replaced, 1);
        }
        _thrown = (self.insert(shard, &mut door, at, slot), old);
        Ok(())
    }

    /// The entry that is stored by now of the same answer as this one: it may have got forms.
    pub(super) fn same(&self, entry: &Entry) -> Option<Arc<Entry>> {
        let slot = self.peek(&entry.key)?;
        slot.same(entry).map(Arc::clone)
    }

    /// Puts `new` in the place of `old`, if that very entry is still stored and `may` says yes by then.
    pub(super) fn replace(
        &self,
        old: &Arc<Entry>,
        new: &Arc<Entry>,
        may: impl FnOnce() -> bool,
    ) -> Replaced {
        let at = At::by(&old.key);
        let shard = self.shard(at);
        let _thrown;
        let mut door = shard.door.lock();
        let is_there = |slot: &Slot| slot.entries().iter().any(|e| Arc::ptr_eq(e, old));
        let Some(slot) = shard.cache.peek(&at).filter(is_there) else {
            return Replaced::Missing;
        };
        let heaviest = (shard.cache.capacity() as f64 * HOT) as u64;
        if new.weight() > heaviest || !may() {
            return Replaced::Refused;
        }
        let beside = slot.without(old);
        let beside = beside.as_ref().map_or(&[][..], Slot::entries);
        let most = self.variants.load(Relaxed);
        let (slot, counts) = Slot::with(beside, Arc::clone(new), most, heaviest);
        self.counts.add(Gone::Replaced, counts.replaced);
        self.counts.add(Gone::Variants, counts.too_many);
        _thrown = self.insert(shard, &mut door, at, slot);
        Replaced::Done
    }

    /// Inserts what is lighter than a shard can take, and charges what the shard's tables have grown.
    fn insert(
        &self,
        shard: &Shard,
        tables: &mut Charge,
        at: At,
        slot: Slot,
    ) -> SmallVec<[(At, Slot); 4]> {
        let mut thrown = SmallVec::new();
        shard.cache.insert_with_lifecycle(at, slot, &mut thrown);
        let others = thrown.iter().filter(|(key, _)| *key != at);
        let others: usize = others.map(|(_, slot)| slot.entries().len()).sum();
        self.counts.add(Gone::Capacity, others as u64);
        let grown = (shard.cache.memory_used().total() as u64).saturating_sub(tables.bytes());
        if grown > 0 && !tables.grow(grown) {
            self.lighten(shard, self.room.missing(grown).max(BATCH));
            tables.grow(grown);
        }
        thrown
    }

    /// Removes what is stored under this key. Returns how many.
    pub(super) fn remove(&self, key: &Key) -> usize {
        let at = At::by(key);
        let shard = self.shard(at);
        let _door = shard.door.lock();
        let is_it = |slot: &Slot| slot.is_of(key);
        let gone = shard.cache.remove_if(&at, is_it);
        let gone = gone.map_or(0, |(_, slot)| slot.entries().len());
        self.counts.add(Gone::Purged, gone as u64);
        gone
    }

    /// Does `f` to what is stored under this key while nobody changes it. Returns how many.
    pub(super) fn each_of(&self, key: &Key, mut f: impl FnMut(&Arc<Entry>)) -> usize {
        let at = At::by(key);
        let shard = self.shard(at);
        let _door = shard.door.lock();
        let Some(slot) = shard.cache.peek(&at).filter(|slot| slot.is_of(key)) else {
            return 0;
        };
        slot.entries().iter().for_each(&mut f);
        slot.entries().len()
    }

    /// Removes this answer, if it is still stored, with all its forms.
    pub(super) fn discard(&self, entry: &Arc<Entry>, why: Gone) -> bool {
        let at = At::by(&entry.key);
        let shard = self.shard(at);
        let _thrown;
        let mut door = shard.door.lock();
        let Some(slot) = shard.cache.peek(&at) else {
            return false;
        };
        if slot.same(entry).is_none() {
            return false;
        }
        self.counts.add(why, 1);
        match slot.without(entry) {
            Some(rest) => _thrown = self.insert(shard, &mut door, at, rest),
            None => drop(shard.cache.remove(&at)),
        }
        true
    }

    /// Throws out at least so many bytes, if there are so many that nobody uses. Returns how many.
    pub(super) fn squeeze(&self, bytes: u64) -> u64 {
        let first = self.turn.fetch_add(1, Relaxed);
        let bytes = bytes.max(BATCH);
        let mut freed = 0;
        for n in 0..self.shards.len() {
            let shard = &self.shards[first.wrapping_add(n) & (self.shards.len() - 1)];
            let _door = shard.door.lock();
            freed += self.lighten(shard, bytes - freed);
            if freed >= bytes {
                break;
            }
        }
        freed
    }

    /// Throws so many bytes out of a shard whose door the caller holds. Returns how many they were.
    fn lighten(&self, shard: &Shard, bytes: u64) -> u64 {
        let (weight, capacity) = (shard.cache.weight(), shard.cache.capacity());
        let bytes = bytes.min(weight);
        if bytes == 0 {
            return 0;
        }
        let ballast = Slot::Ballast((capacity + bytes).saturating_sub(weight).max(1));
        let mut thrown = SmallVec::new();
        (shard.cache).insert_with_lifecycle(BALLAST, ballast, &mut thrown);
        shard.cache.remove(&BALLAST);
        let gone: usize = thrown.iter().map(|(_, slot)| slot.entries().len()).sum();
        self.counts.add(Gone::Capacity, gone as u64);
        thrown.iter().map(|(_, slot)| slot.weight()).sum()
    }

    /// Every entry, in no order; no lock is held meanwhile.
    pub(super) fn for_each(&self, mut f: impl FnMut(&Arc<Entry>)) {
        for shard in &self.shards {
            for (_, slot) in shard.cache.iter() {
                slot.entries().iter().for_each(&mut f);
            }
        }
    }

    /// Bytes of the tables of all shards.
    #[cfg(test)]
    pub(super) fn tables(&self) -> u64 {
        self.shards.iter().map(|s| s.door.lock().bytes()).sum()
    }
}

impl Shard {
    fn new(capacity: u64, room: &Arc<Room>) -> Shard {
        let options = OptionsBuilder::new()
            .shards(1)
            .hot_allocation(HOT)
            .ghost_allocation(GHOSTS)
            .estimated_items_capacity(EXPECTED)
            .weight_capacity(capacity)
            .build()
            .expect("both capacities are set");
        Shard {
            cache: Cache::with_options(options, Weights, AsIs::default(), Thrown),
            door: Mutex::new(Charge::none(room)),
        }
    }
}

/// What one of so many shards takes: its share, but the largest object in any case.
fn capacity(rules: &checked::Cache, cap: u64, shards: u64) -> u64 {
    let share = (cap - cap / BESIDE) / shards;
    let largest = rules.max_object + rules.max_object / 4 + BATCH;
    share.max(largest.min(cap)).max(1)
}
