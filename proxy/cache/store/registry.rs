//! Who fetches what, and who makes which form of it: at most one at a time of each.
//!
//! A flight is here from its first moment until what came of it is stored or it has failed, never shorter: who finds
//! neither is the next one.

use std::collections::HashMap;
use std::mem::discriminant;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::flight::{Flight, Kind};
use crate::cache::key::Key;

/// Fetches of one key at a time that others can join, and forms of its answers that are made; those beyond are on their
/// own.
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

/// Whether there are too many of this kind already. Each has its own bound: many who show who they are must not keep all
/// others from sharing a fetch.
fn is_full(flights: &Flights, kind: &Kind) -> bool {
    let of = discriminant(kind);
    let same = flights.iter().filter(|o| discriminant(&o.kind) == of);
    let most = match kind {
        Kind::Alone => ALONE,
        Kind::Shared(_) | Kind::Making(_) => PER_KEY,
    };
    same.count() >= most
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

    /// The first flight of this key that `joins`, or a new one, or what there is instead (`Err`).
    pub(super) fn join<T>(
        &self,
        key: &Key,
        joins: impl FnMut(&Arc<Flight>) -> Option<T>,
        new: impl FnOnce() -> Result<Arc<Flight>, T>,
    ) -> Place<T> {
        let mut part = self.part(key).lock();
        let there = part.get(&key.hash()).into_iter().flatten();
        let same = there.filter(|flight| *flight.key == *key);
        if let Some(joined) = same.map(joins).find_map(|joined| joined) {
            return Place::Taken(joined);
        }
        let flight = match new() {
            Ok(flight) => flight,
            Err(instead) => return Place::Taken(instead),
        };
        let flights = part.entry(key.hash()).or_default();
        if is_full(flights, &flight.kind) {
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

    /// How many fetches there are, and how many forms are being made.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (mut fetches, mut makings) = (0, 0);
        for part in &self.parts {
            for flight in part.lock().values().flatten() {
                match flight.kind {
                    Kind::Making(_) => makings += 1,
                    Kind::Shared(_) | Kind::Alone => fetches += 1,
                }
            }
        }
        (fetches, makings)
    }
}
