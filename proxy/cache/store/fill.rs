//! Both ends of a fetch in flight: one fills it, many read it. Readers come to a clean end only with a whole body.

use std::sync::Arc;

use bytes::Bytes;

use super::core::Core;
use super::feed::Feed;
use super::flight::{End, Flight};
use super::make::{self, Deriving, Role, Source};
use super::pack;
use super::purge::Verdict;
use super::room::allocated;
use crate::base::cached::Why;
use crate::base::coding::Coding;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::life::Life;
use crate::cache::policy::vary::Selection;

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

/// An answer that another proxy fetched.
#[derive(Debug)]
pub struct Loaded {
    /// What decides how long it may be used.
    pub life: Life,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Bytes,
    /// Which requests it is for.
    pub selection: Selection,
    /// Hashes of its tags, as [`super::Store::tags_of`] makes them.
    pub tags: Box<[u64]>,
    /// The [`super::Store::sequence`] that it counts as begun at: no purge after that is known to its answer.
    pub begun: u64,
}

/// How far a fetch is.
#[derive(Debug, Clone)]
pub enum State {
    /// The head is known, the body follows.
    Streaming(Arc<Begun>),
    /// A stored answer was confirmed; it is this one.
    Stored(Arc<Entry>),
    /// An answer was put into the store from elsewhere; whether it is for this request is to be seen there.
    LookAgain,
    /// There is an answer, but for nobody else.
    GaveUp(Why),
    /// There is no answer.
    Failed(Why),
}

/// The one who fetches. Dropped without an end, the fetch failed.
#[derive(Debug)]
pub struct Filler {
    feed: Feed,
}

impl Filler {
    pub(super) fn new(feed: Feed) -> Filler {
        Filler { feed }
    }

    /// The [`super::Store::sequence`] when the fetch began.
    pub fn begun(&self) -> u64 {
        self.feed.flight.begun
    }

    /// Reads what is filled, from its beginning. To be asked for before anything is written.
    pub fn reader(&self) -> Reader {
        self.feed.reader()
    }

    /// Whether anybody reads.
    pub fn has_readers(&self) -> bool {
        self.feed.has_readers()
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
        let charge = self.feed.core.take(bytes);
        let too_large = length.is_some_and(|length| length > self.feed.core.max_object());
        let begun = Arc::new(Begun {
            head,
            life,
            selection,
            length,
        });
        self.feed.flight.tell(|flow| {
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
        self.feed.write(piece).await;
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
        self.feed.flight.tell(|flow| {
            if let Ok(entry) = &stored {
                flow.set_pieces(entry.body.pieces());
            }
            flow.end(end);
        });
        stored
    }

    fn store(&self) -> Result<Arc<Entry>, Why> {
        let (begun, tags, pieces) = self.feed.flight.with(|flow| {
            let begun = flow.begun.clone().ok_or(Why::Failed)?;
            if begun.length.is_some_and(|length| length != flow.written()) {
                return Err(Why::Incomplete);
            }
            match flow.degraded {
                Some(why) => Err(why),
                None => Ok((begun, flow.tags.clone(), flow.pieces())),
            }
        })?;
        let key = Arc::clone(&self.feed.flight.key);
        let parts = (key, begun.selection.clone(), tags, self.feed.flight.begun);
        let entry = pack::whole(&self.feed.core, parts, (&begun.head, begun.life), &pieces)?;
        let entry = Arc::new(entry);
        // Before anybody finds it: they look for who makes a form of it already.
        let becomes = |body| self.feed.flight.with(|flow| flow.becomes(body));
        becomes(Some(&entry.body));
        let put = Arc::clone(&entry);
        let may = || !self.is_purged_with(&entry.tags);
        let put = self.feed.core.shelf.put(put, may);
        put.inspect_err(|_| becomes(None))?;
        Ok(entry)
    }

    /// There is an answer, but it may not be stored: readers fetch for themselves.
    pub fn give_up(self, why: Why) {
        self.feed.end(End::GaveUp(why));
    }

    /// There is no answer, or no whole one.
    pub fn fails(self, why: Why) {
        self.feed.end(End::Failed(why));
    }

    /// A stored answer was confirmed (304) and is for the readers too, if they are among its requests.
    pub fn confirmed(self, entry: Arc<Entry>) {
        self.feed.end(End::Stored(entry));
    }

    /// Puts an answer into the store that was fetched by another proxy, if it was not purged meanwhile and there is room.
    /// Not the end: who waits is to be told by [`Filler::look_again`], and without an entry it is to be fetched.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn adopt(&self, found: Loaded) -> Result<Arc<Entry>, Why> {
        let core = &self.feed.core;
        let Loaded {
            life,
            head,
            body,
            selection,
            tags,
            begun,
        } = found;
        if body.len() as u64 > core.max_object() {
            return Err(Why::TooLarge);
        }
        let parts = (Arc::clone(&self.feed.flight.key), selection, tags, begun);
        let entry = Arc::new(pack::adopted(core, parts, (&head, life), &body)?);
        let put = Arc::clone(&entry);
        // What happened since this fetch began, and to the answer since it was fetched elsewhere.
        let is_purged = || {
            let Flight { key, .. } = &*self.feed.flight;
            self.feed.flight.is_purged()
                || core.epochs.judge(key, Some(&entry.tags), begun) == Verdict::Gone
        };
        core.shelf.put(put, || !is_purged())?;
        Ok(entry)
    }

    /// An answer was put into the store: who waits for this fetch looks there.
    pub fn look_again(self) {
        self.feed.end(End::Adopted);
    }

    /// What is fetched was purged meanwhile: it will not be stored, and nobody else joins.
    pub fn is_purged(&self) -> bool {
        self.feed
            .flight
            .with(|flow| self.is_purged_with(&flow.tags))
    }

    /// The same of an answer with these tags; takes no lock but that of the epochs.
    fn is_purged_with(&self, tags: &[u64]) -> bool {
        let Flight { key, begun, .. } = &*self.feed.flight;
        self.feed.flight.is_purged()
            || self.feed.core.epochs.judge(key, Some(tags), *begun) != Verdict::Spared
    }

    /// Why it will not be stored, if that is known by now: it is too large, or there is no room. What was purged is kept
    /// all the same for those who read it, and refused in the end.
    pub fn degraded(&self) -> Option<Why> {
        self.feed.degraded()
    }
}

/// One who reads what another fetches. Dropped, it is not waited for.
#[derive(Debug)]
pub struct Reader {
    core: Arc<Core>,
    flight: Arc<Flight>,
    number: usize,
}

impl Reader {
    pub(super) fn new(core: &Arc<Core>, flight: &Arc<Flight>, number: usize) -> Reader {
        let (core, flight) = (Arc::clone(core), Arc::clone(flight));
        Reader {
            core,
            flight,
            number,
        }
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

    /// The same answer in another coding, made once for all who read along. This reader, which has not read anything
    /// yet, becomes the source of the one who makes it.
    pub fn derive(self, coding: Coding) -> Deriving {
        let source = Source::Fetch(Arc::clone(&self.flight));
        match make::derive(&self.core, &self.flight.key, source, coding) {
            Role::Lead(maker) => Deriving::Lead(maker, self),
            Role::Follow(reader) => Deriving::Follow(reader),
            Role::Ready(entry) => Deriving::Ready(entry),
        }
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
