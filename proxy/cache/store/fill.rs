//! A fetch in flight: one fills it, many read it.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::cached::Why;
use crate::cache::entry::{Entry, Head};
use crate::cache::key::Key;
use crate::cache::policy::life::{Life, Millis};
use crate::cache::policy::vary::Selection;

/// What is known of an answer when its head is.
#[derive(Debug)]
pub struct Begun {
    /// Its head.
    pub head: Head,
    /// What decides how long it may be used.
    pub life: Life,
    /// Which requests it is for; a reader that is not among them joins again, `alone`.
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
    key: Arc<Key>,
}

impl Filler {
    pub(super) fn new(key: Arc<Key>) -> Filler {
        Filler { key }
    }

    /// The [`super::Store::sequence`] when the fetch began.
    pub fn begun(&self) -> u64 {
        0
    }

    /// Reads what is filled, from its beginning.
    pub fn reader(&self) -> Reader {
        Reader {}
    }

    /// Whether anybody does.
    pub fn has_readers(&self) -> bool {
        false
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
        let _ = (head, life, selection, tags, length);
    }

    /// Appends a piece of the body; cancelled, it is not appended.
    pub async fn write(&mut self, piece: Bytes) {
        let _ = piece;
    }

    /// The body is whole: it is stored, and readers come to a clean end.
    ///
    /// # Errors
    /// Why it is not stored. Readers have the whole answer all the same, except with [`Why::Incomplete`], when the body
    /// has not the length that was announced.
    pub fn finish(self, now: Millis) -> Result<Arc<Entry>, Why> {
        let _ = (now, self.key);
        Err(Why::NoRoom)
    }

    /// There is an answer, but it may not be stored: readers fetch for themselves.
    pub fn give_up(self, why: Why) {
        let _ = why;
    }

    /// There is no answer.
    pub fn fails(self, why: Why) {
        let _ = why;
    }

    /// A stored answer was confirmed (304) and is for the readers too, if they are among its requests.
    pub fn confirmed(self, entry: Arc<Entry>) {
        let _ = entry;
    }

    /// What is fetched was purged meanwhile: it will not be stored, and nobody else joins.
    pub fn is_purged(&self) -> bool {
        false
    }

    /// Why it will not be stored, if that is so: it is too large, or there is no room.
    pub fn degraded(&self) -> Option<Why> {
        None
    }
}

/// One who reads what another fetches. Dropped, it is not waited for.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// How far the fetch is, once its head is known or it has ended without one.
    pub async fn state(&self) -> State {
        State::Failed(Why::Failed)
    }

    /// The next piece; `None` when the body is whole.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Why> {
        Err(Why::Failed)
    }

    /// Goes on at this position of the body. Only before the first [`Reader::next`], and only forward.
    pub fn seek(&mut self, position: u64) {
        let _ = position;
    }
}
