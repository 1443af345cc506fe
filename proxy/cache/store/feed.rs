//! The writing end of a flight: pieces go in, are kept or passed on, and it ends.
//!
//! It never fails an answer for the store's sake: what cannot be stored is passed on to those who read it already, no
//! faster than the slowest of them, and to nobody else. One that stands still where others wait for more is given up:
//! nobody holds all others up for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use super::core::Core;
use super::fill::Reader;
use super::flight::{End, Flight, Kind, Passing};
use super::pack;
use super::registry::Place;
use super::room::{Charge, allocated};
use crate::base::cached::Why;
use crate::cache::key::Key;

/// How long a reader may stand still that keeps others waiting. A network that lost a few packets in a row moves again
/// by then, and who waits for it does not yet take the answer for dead.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a flight besides its key and itself: its place in the registry, the lists of its pieces and readers.
const FLIGHT: u64 = 512;

/// The writing end of a flight. Dropped without an end, it failed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) core: Arc<Core>,
    pub(super) flight: Arc<Flight>,
    /// Of what will not be stored: until when nobody is given up. Set when somebody is first waited for.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How somebody takes part in a flight.
pub(super) enum Part<T> {
    /// It is a new one, and fed by who asked.
    Feeds(Feed),
    /// In another way.
    Joins(T),
}

impl Feed {
    /// Takes part in the first flight of this key that `joins`, in what there is `instead` where none does, or else in a
    /// new one. Both are asked while no flight of the key begins or leaves.
    pub(super) fn or_join<T>(
        core: &Arc<Core>,
        key: Arc<Key>,
        kind: Kind,
        joins: impl FnMut(&Arc<Flight>) -> Option<T>,
        instead: impl FnOnce() -> Option<T>,
    ) -> Part<T> {
        let begun = core.epochs.count();
        // Room is made before the registry is locked: that may take a while.
        let bytes = allocated(size_of::<Flight>()) + allocated(key.size()) + FLIGHT;
        let charge = core.take(bytes);
        let new = || {
            if let Some(instead) = instead() {
                return Err(instead);
            }
            let degraded = charge.is_none().then_some(Why::NoRoom);
            let charge = charge.unwrap_or_else(|| Charge::none(&core.room));
            let flight = Flight::new(Arc::clone(&key), begun, kind, charge);
            flight.with(|flow| flow.degraded = degraded);
            Ok(Arc::new(flight))
        };
        let flight = match core.registry.join(&key, joins, new) {
            Place::Taken(other) => return Part::Joins(other),
            Place::Registered(flight) => flight,
            Place::Aside(flight) => {
                flight.with(|flow| flow.degraded = Some(Why::NoRoom));
                flight
            }
        };
        Part::Feeds(Feed {
            core: Arc::clone(core),
            flight,
            patience: None,
        })
    }

    /// Reads what is written, from its beginning. To be asked for before anything is.
    pub(super) fn reader(&self) -> Reader {
        let number = self.flight.with(|flow| flow.enter());
        Reader::new(&self.core, &self.flight, number)
    }

    /// Whether anybody reads.
    pub(super) fn has_readers(&self) -> bool {
        self.flight.with(|flow| flow.has_readers())
    }

    /// Why it will not be stored, if that is known by now.
    pub(super) fn degraded(&self) -> Option<Why> {
        self.flight.with(|flow| flow.degraded)
    }

    /// It will not be stored: what all readers have seen need not be kept.
    pub(super) fn degrade(&self, why: Why) {
        self.flight.with(|flow| {
            flow.degraded.get_or_insert(why);
            flow.trim();
        });
    }

    /// Appends a piece. What will not be stored waits here for the slowest reader, as long as that one moves or nobody
    /// else waits. Cancelled, it has not been appended.
    pub(super) async fn write(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.degraded().is_none() {
            match self.keep(&piece) {
                Ok(()) => return,
                Err(why) => self.degrade(why),
            }
        }
        while let Passing::Wait(until) = self.pass(&piece) {
            self.wait(until).await;
        }
    }

    /// Waits until the slowest reader may have moved, or those have been given up who should have come to `until`.
    async fn wait(&mut self, until: u64) {
        let flight = &self.flight;
        let patience = self.patience.get_or_insert_with(|| {
            flight.with(|flow| flow.be_patient());
            Box::pin(sleep(PATIENCE))
        });
        tokio::select! {
            biased; // who has just moved is not given up
            () = flight.space() => {}
            () = patience => {
                flight.with(|flow| flow.give_up_slow(until));
                self.patience = None;
            }
        }
    }

    /// Appends a piece of what will be stored, in memory of our own: the one it came in may be a small part of a large
    /// buffer.
    fn keep(&self, piece: &Bytes) -> Result<(), Why> {
        let (written, announced) = self.flight.with(|flow| {
            let begun = flow.begun.as_ref();
            (flow.written(), begun.and_then(|begun| begun.length))
        });
        let length = written + piece.len() as u64;
        if length > self.core.max_object() {
            return Err(Why::TooLarge);
        }
        let copy = pack::join(&self.core, std::slice::from_ref(piece))?;
        let merge = |one: &Bytes, two: &Bytes| pack::merge(&self.core, one, two);
        // Of the last piece readers hear when all is stored: who has read an answer to its end and asks again finds it.
        if announced == Some(length) {
            self.flight.with(|flow| flow.push(copy, merge));
        } else {
            self.flight.tell(|flow| flow.push(copy, merge));
        }
        Ok(())
    }

    fn pass(&self, piece: &Bytes) -> Passing {
        let take = |bytes| Charge::take(&self.core.room, bytes);
        self.flight.tell(|flow| flow.pass(piece, take))
    }

    /// It has ended so; readers are told.
    pub(super) fn end(&self, end: End) {
        self.flight.tell(|flow| flow.end(end));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.flight.with(|flow| flow.has_ended()) {
            self.end(End::Failed(Why::Failed));
        }
        self.core.registry.leave(&self.flight);
    }
}
