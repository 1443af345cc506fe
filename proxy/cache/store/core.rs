//! What the store and the fetches in flight share.
//!
//! Locks are taken in one order, and one that comes earlier is never asked for under one that comes later:
//!
//! 1. a part of the `registry`: who joins looks at the flights of its key one by one, and who wants a form at what is
//!    stored with it too;
//! 2. the flow of a `flight`, of one at a time, that of a form never together with that of what it is made of: pieces
//!    that are put together under it may need room;
//! 3. the door of a shard of the `shelf`, of one at a time: room is made there, entries come and go;
//! 4. the shard itself, inside of `quick_cache`;
//! 5. the tables of the `purge` epochs, read under any of these and written under none.
//!
//! None is held across an await, and readers are woken when none is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::purge::Epochs;
use super::registry::Registry;
use super::room::{Charge, Room};
use super::shelf::Shelf;
use crate::config::checked;

/// Times that room is made for one allocation; others may take what was made.
const TRIES: usize = 16;

/// Of the memory of the file, what the allocator has beyond what it gave out: pages that are not full, and what was
/// given back less than a second ago. Measured in `tests/memory`.
const ALLOCATOR: u64 = 16;

/// Bytes that may be counted of this memory.
fn counted(memory: u64) -> u64 {
    memory - memory / ALLOCATOR
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) room: Arc<Room>,
    pub(super) shelf: Shelf,
    pub(super) epochs: Epochs,
    pub(super) registry: Registry,
    max_object: AtomicU64,
}

impl Core {
    pub(super) fn new(rules: &checked::Cache) -> Core {
        let room = Room::new(counted(rules.memory));
        Core {
            shelf: Shelf::new(rules, &room),
            room,
            epochs: Epochs::default(),
            registry: Registry::new(),
            max_object: AtomicU64::new(rules.max_object),
        }
    }

    pub(super) fn set_rules(&self, rules: &checked::Cache) {
        self.max_object.store(rules.max_object, Relaxed);
        self.room.set_cap(counted(rules.memory));
        self.shelf.set_rules(rules);
    }

    /// Bytes of the largest body that is stored.
    pub(super) fn max_object(&self) -> u64 {
        self.max_object.load(Relaxed)
    }

    /// A charge of so many bytes; entries give way for it. `None`: that did not help.
    pub(super) fn take(&self, bytes: u64) -> Option<Charge> {
        for _ in 0..TRIES {
            if let Some(charge) = Charge::take(&self.room, bytes) {
                return Some(charge);
            }
            let missing = self.room.missing(bytes);
            if bytes > self.room.cap() || self.shelf.squeeze(missing) == 0 {
                break;
            }
        }
        // What was thrown out last may have made room after all.
        Charge::take(&self.room, bytes)
    }
}
