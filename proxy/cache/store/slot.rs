//! The place of a key: its variants side by side.
//!
//! Immutable: a change is a new slot. All entries of one have the same key, byte by byte.

use std::ops::Deref;
use std::sync::Arc;

use crate::cache::entry::Entry;
use crate::cache::key::Key;

/// What is stored under a hash.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    /// One entry, as almost always.
    One(Arc<Entry>),
    /// Several, the latest put last.
    Many(Arc<Variants>),
    /// Nothing: weight that makes others give way.
    Ballast(u64),
}

#[derive(Debug)]
pub(super) struct Variants {
    weight: u64,
    entries: Box<[Arc<Entry>]>,
}

/// How many went when one came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    /// They were for the same requests.
    pub(super) replaced: u64,
    /// There were too many, or they were too heavy together.
    pub(super) too_many: u64,
}

impl Slot {
    fn of(mut entries: Vec<Arc<Entry>>) -> Option<Slot> {
        if entries.len() <= 1 {
            return entries.pop().map(Slot::One);
        }
        let weight = entries.iter().map(|e| e.weight()).sum();
        let entries = entries.into();
        Some(Slot::Many(Arc::new(Variants { weight, entries })))
    }

    /// This entry and, before it, those that stay beside it: for other requests, at most `most` in all, the latest
    /// received, no heavier together than `heaviest`.
    pub(super) fn with(
        beside: &[Arc<Entry>],
        entry: Arc<Entry>,
        most: usize,
        heaviest: u64,
    ) -> (Slot, Went) {
        if beside.is_empty() {
            return (Slot::One(entry), Went::default());
        }
        let differs =
            |old: &&Arc<Entry>| !entry.selection.is_any() && old.selection != entry.selection;
        let mut kept: Vec<Arc<Entry>> = beside.iter().filter(differs).cloned().collect();
        let mut went = Went {
            replaced: (beside.len() - kept.len()) as u64,
            too_many: 0,
        };
        let mut weight = entry.weight() + kept.iter().map(|e| e.weight()).sum::<u64>();
        while kept.len() + 1 > most.max(1) || (weight > heaviest && !kept.is_empty()) {
            let oldest = (0..kept.len()).min_by_key(|n| kept[*n].life.received);
            let Some(oldest) = oldest else { break };
            weight -= kept.remove(oldest).weight();
            went.too_many += 1;
        }
        kept.push(Arc::clone(&entry));
        (Slot::of(kept).unwrap_or(Slot::One(entry)), went)
    }

    /// The entry of the same answer as this one, with the forms it has by now.
    pub(super) fn same(&self, entry: &Entry) -> Option<&Arc<Entry>> {
        self.entries().iter().find(|e| e.is_same_answer(entry))
    }

    /// What is left without this answer.
    pub(super) fn without(&self, entry: &Entry) -> Option<Slot> {
        let others = self.entries().iter().filter(|e| !e.is_same_answer(entry));
        Slot::of(others.cloned().collect())
    }

    /// Its entries, the latest put last.
    pub(super) fn entries(&self) -> &[Arc<Entry>] {
        match self {
            Slot::One(entry) => std::slice::from_ref(entry),
            Slot::Many(variants) => &variants.entries,
            Slot::Ballast(_) => &[],
        }
    }

    /// Whether it is of this key and not of another with the same hash.
    pub(super) fn is_of(&self, key: &Key<impl Deref<Target = [u8]>>) -> bool {
        let first = self.entries().first();
        first.is_some_and(|e| e.key.bytes() == key.bytes())
    }

    /// Whether anybody has one of its entries: throwing it out would free nothing.
    pub(super) fn is_in_use(&self) -> bool {
        match self {
            Slot::Ballast(_) => true,
            _ => self.entries().iter().any(|e| Arc::strong_count(e) > 1),
        }
    }

    /// Bytes it takes.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Slot::One(entry) => entry.weight(),
            Slot::Many(variants) => variants.weight,
            Slot::Ballast(weight) => *weight,
        }
    }
}
