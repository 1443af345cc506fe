//! Both ends of a fetch in flight: one fills it, many read it.
//!
//! The filler never fails an answer for the store's sake: what cannot be stored is passed on to those who read it
//! already, no faster than the slowest of them, and to nobody else. One that stands still where others wait for more is
//! given up: nobody holds all others up for ever. Readers come to a clean end only with a whole body.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use super::core::Core;
use super::flight::{End, Flight, Passing};
use super::pack;
use super::purge::Verdict;
use super::room::{Charge, allocated};
use crate::base::cached::Why;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::life::Life;
use crate::cache::policy::vary::Selection;

/// How long a reader may stand still that keeps others waiting. A network that lost a few packets in a row moves again
/// by then, and who waits for it does not yet take the answer for dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of an answer when its head is.
#[derive(Debug)]
pub struct Begun {
    /// Its head.
    pub head: Head,
    /// What decides how long it may be used.
    pub life: Life,
    /// Which requests it is for; a reader that is not among them joins again, with what it wants.
    pub selection: Selection,
    /// The length of its body, if announced.
    pub length: Option<u64>,
}

/// How far a fetch is.
#[derive(Debug, Clone)]
pub enum State {
    /// The head is known, the body follows.
    Streaming(Arc<Begun>),
    /// A stored answer was confirmed; it is this one.
    Stored(Arc<Entry>),
    /// There is an answer, but for nobody else.
    GaveUp(Why),
    /// There is no answer.
    Failed(Why),
}

/// The one who fetches. Dropped without an end, the fetch failed.
#[derive(Debug)]
pub struct Filler {
    core: Arc<Core>,
    flight: Arc<Flight>,
    /// Of what will not be stored: until when nobody is given up. Set when somebody is first waited for.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Filler {
    pub(super) fn new(core: &Arc<Core>, flight: Arc<Flight>) -> Filler {
        let core = Arc::clone(core);
        Filler {
            core,
            flight,
            patience: None,
        }
    }

    /// The [`super::Store::sequence`] when the fetch began.
    pub fn begun(&self) -> u64 {
        self.flight.begun
    }

    /// Reads what is filled, from its beginning. To be asked for before anything is written.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.flight, self.flight.with(|flow| flow.enter()))
    }

    /// Whether anybody reads.
    pub fn has_readers(&self) -> bool {
        self.flight.with(|flow| flow.has_readers())
    }

    /// The head is known and the answer may be stored: readers may start. `length` is that of the whole body, if it was
    /// announced.
    pub fn begins(
        &mut self,
        (head, life): (Head, Life),
        selection: Selection,
        tags: Box<[u64]>,
        length: Option<u64>,
    ) {
        let bytes = allocated(head.lines().len()) + (size_of_val(&*tags) + selection.size()) as u64;
        let charge = self.core.take(bytes);
        let too_large = length.is_some_and(|length| length > self.core.max_object());
        let begun = Arc::new(Begun {
            head,
            life,
            selection,
            length,
        });
        self.flight.tell(|flow| {
            if too_large {
                flow.degraded.get_or_insert(Why::TooLarge);
            }
            match charge {
                Some(charge) => flow.charge.merge(charge),
                None => drop(flow.degraded.get_or_insert(Why::NoRoom)),
            }
            flow.begun = Some(begun);
            flow.tags = tags;
        });
    }

    /// Appends a piece of the body. What will not be stored waits here for the slowest reader, as long as that one moves
    /// or nobody else waits. Cancelled, it has not been appended.
    pub async fn write(&mut self, piece: Bytes) {
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

    fn degrade(&self, why: Why) {
        self.flight.with(|flow| {
            flow.degraded.get_or_insert(why);
            flow.trim();
        });
    }

    fn pass(&self, piece: &Bytes) -> Passing {
        let take = |bytes| Charge::take(&self.core.room, bytes);
        self.flight.tell(|flow| flow.pass(piece, take))
    }

    /// The body is whole: it is stored, and readers come to a clean end.
    ///
    /// # Errors
    /// Why it is not stored. Readers have the whole answer all the same, except with [`Why::Incomplete`] (the body has
    /// not the length that was announced) and [`Why::Failed`] (there was no head).
    pub fn finish(self) -> Result<Arc<Entry>, Why> {
        let stored = self.store();
        let end = match stored {
            Err(why @ (Why::Incomplete | Why::Failed)) => End::Failed(why),
            _ => End::Whole,
        };
        self.flight.tell(|flow| {
            if let Ok(entry) = &stored {
                flow.set_pieces(entry.body.pieces());
            }
            flow.end(end);
        });
        stored
    }

    fn store(&self) -> Result<Arc<Entry>, Why> {
        let (begun, tags, pieces) = self.flight.with(|flow| {
            let begun = flow.begun.clone().ok_or(Why::Failed)?;
            if begun.length.is_some_and(|length| length != flow.written()) {
                return Err(Why::Incomplete);
            }
            match flow.degraded {
                Some(why) => Err(why),
                None => Ok((begun, flow.tags.clone(), flow.pieces())),
            }
        })?;
        let key = Arc::clone(&self.flight.key);
        let parts = (key, begun.selection.clone(), tags, self.flight.begun);
        let entry = pack::whole(&self.core, parts, (&begun.head, begun.life), &pieces)?;
        let entry = Arc::new(entry);
        let put = Arc::clone(&entry);
        let may = || !self.is_purged_with(&entry.tags);
        self.core.shelf.put(put, may)?;
        Ok(entry)
    }

    /// There is an answer, but it may not be stored: readers fetch for themselves.
    pub fn give_up(self, why: Why) {
        self.flight.tell(|flow| flow.end(End::GaveUp(why)));
    }

    /// There is no answer, or no whole one.
    pub fn fails(self, why: Why) {
        self.flight.tell(|flow| flow.end(End::Failed(why)));
    }

    /// A stored answer was confirmed (304) and is for the readers too, if they are among its requests.
    pub fn confirmed(self, entry: Arc<Entry>) {
        self.flight.tell(|flow| flow.end(End::Stored(entry)));
    }

    /// What is fetched was purged meanwhile: it will not be stored, and nobody else joins.
    pub fn is_purged(&self) -> bool {
        self.flight.with(|flow| self.is_purged_with(&flow.tags))
    }

    /// The same of an answer with these tags; takes no lock but that of the epochs.
    fn is_purged_with(&self, tags: &[u64]) -> bool {
        let Flight { key, begun, .. } = &*self.flight;
        self.flight.is_purged()
            || self.core.epochs.judge(key, Some(tags), *begun) != Verdict::Spared
    }

    /// Why it will not be stored, if that is known by now: it is too large, or there is no room. What was purged is kept
    /// all the same for those who read it, and refused in the end.
    pub fn degraded(&self) -> Option<Why> {
        self.flight.with(|flow| flow.degraded)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if !self.flight.with(|flow| flow.has_ended()) {
            self.flight.tell(|flow| flow.end(End::Failed(Why::Failed)));
        }
        self.core.registry.leave(&self.flight);
    }
}

/// One who reads what another fetches. Dropped, it is not waited for.
#[derive(Debug)]
pub struct Reader {
    flight: Arc<Flight>,
    number: usize,
}

impl Reader {
    pub(super) fn new(flight: &Arc<Flight>, number: usize) -> Reader {
        let flight = Arc::clone(flight);
        Reader { flight, number }
    }

    /// How far the fetch is, once its head is known or it has ended without one.
    pub async fn state(&self) -> State {
        self.flight.state().await
    }

    /// The next piece; `None` when the body is whole. Cancelled, nothing is lost.
    ///
    /// # Errors
    /// Why it never will be: the fetch failed, or this reader stood still while others waited for what will not be
    /// stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Why> {
        self.flight.next(self.number).await
    }

    /// Goes on at this position of the body, which is not before where it is.
    pub fn seek(&mut self, position: u64) {
        self.flight.seek(self.number, position);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flight.exit(self.number);
    }
}
