//! Who fetches what: at most one fetch of the same answer at a time.
//!
//! A fetch is here from its first moment until its entry is stored or it has failed, never shorter: who finds neither is
//! the next to fetch.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::flight::Flight;
use crate::cache::key::Key;

/// Fetches of one key at a time that others can join; those beyond are on their own.
const PER_KEY: usize = 64;
/// Fetches of one key at a time that nobody can join. They are here for purges to find; those beyond are not stored.
const ALONE: usize = 1024;
/// Locks; far more than threads.
const PARTS: usize = 64;

type Flights = SmallVec<[Arc<Flight>; 1]>;

#[derive(Debug)]
pub(super) struct Registry {
    parts: Box<[Mutex<HashMap<u128, Flights>>]>,
}

/// What [`Registry::join`] found.
pub(super) enum Place<T> {
    /// One to join.
    Taken(T),
    /// None; this one is registered.
    Registered(Arc<Flight>),
    /// None, and too many of its kind already; this one is not registered.
    Aside(Arc<Flight>),
}

/// Whether there are too many already of those that others can join, or of those that are alone. Each kind has its own
/// bound: many who show who they are must not keep all others from sharing a fetch.
fn is_full(flights: &Flights, is_alone: bool) -> bool {
    let of_its_kind = flights.iter().filter(|other| other.is_alone == is_alone);
    of_its_kind.count() >= if is_alone { ALONE } else { PER_KEY }
}

impl Registry {
    pub(super) fn new() -> Registry {
        Registry {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    fn part(&self, key: &Key) -> &Mutex<HashMap<u128, Flights>> {
        &self.parts[key.hash() as usize % PARTS]
    }

    /// The first fetch of this key that `joins`, or a new one.
    pub(super) fn join<T>(
        &self,
        key: &Key,
        joins: impl FnMut(&Arc<Flight>) -> Option<T>,
        new: impl FnOnce() -> Arc<Flight>,
    ) -> Place<T> {
        let mut part = self.part(key).lock();
        let flights = part.entry(key.hash()).or_default();
        let same = flights.iter().filter(|flight| *flight.key == *key);
        if let Some(joined) = same.map(joins).find_map(|joined| joined) {
            return Place::Taken(joined);
        }
        let flight = new();
        if is_full(flights, flight.is_alone) {
            return Place::Aside(flight);
        }
        flights.push(Arc::clone(&flight));
        Place::Registered(flight)
    }

    /// This fetch has ended.
    pub(super) fn leave(&self, flight: &Arc<Flight>) {
        let mut part = self.part(&flight.key).lock();
        let hash = flight.key.hash();
        if let Some(flights) = part.get_mut(&hash) {
            flights.retain(|other| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                part.remove(&hash);
            }
            // A burst of misses is no reason to keep its table.
            if part.capacity() > 64 && part.len() * 8 < part.capacity() {
                let half = part.capacity() / 2;
                part.shrink_to(half);
            }
        }
    }

    /// The fetches of this key will not be stored, and nobody joins them from now on.
    pub(super) fn purge(&self, key: &Key) {
        let part = self.part(key).lock();
        for flight in part.get(&key.hash()).into_iter().flatten() {
            if *flight.key == *key {
                flight.purge();
            }
        }
    }

    /// How many fetches there are.
    pub(super) fn len(&self) -> usize {
        let of = |part: &Mutex<HashMap<u128, Flights>>| -> usize {
            part.lock().values().map(|flights| flights.len()).sum()
        };
        self.parts.iter().map(of).sum()
    }
}
