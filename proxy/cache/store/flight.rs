//! A fetch in flight as all see it: what has come of the answer, who reads it and how far they are.
//!
//! Every piece stays until the end, for those who join late and for the entry it will be. A flight that will not be
//! stored keeps what its slowest reader has not seen, and no more than a window; a reader that hardly moves is given up
//! where it would keep others waiting for ever. Readers go by their position in the body, so pieces may be put together
//! behind them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use super::fill::{Begun, State};
use super::make::Making;
use super::room::Charge;
use crate::base::cached::Why;
use crate::cache::entry::{Body, Entry};
use crate::cache::key::Key;
use crate::cache::policy::vary::Selection;

/// Bytes that a flight keeps which will not be stored.
const WINDOW: u64 = 1024 * 1024;
/// What a reader that keeps others waiting has to read, each time they have been patient: if that takes it longer, it is
/// not slow for a moment. Less than any piece of a usual size, so that one piece at a time is enough.
const STEP: u64 = 16 * 1024;

/// What comes in a flight, and for whom.
#[derive(Debug)]
pub(super) enum Kind {
    /// An answer that others may join. Which requests it will probably be for, by what is stored of its key or what
    /// another fetch of it brought.
    Shared(Option<Selection>),
    /// An answer for who began it alone: nobody joins.
    Alone,
    /// A form of an answer that is there already, or comes in another flight.
    Making(Making),
}

/// A fetch in flight, or the making of a form.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) key: Arc<Key>,
    /// How many purges there had been when it began.
    pub(super) begun: u64,
    pub(super) kind: Kind,
    purged: AtomicBool,
    /// For readers: something has come.
    news: Notify,
    /// For the filler: the slowest reader has moved.
    space: Notify,
    flow: Mutex<Flow>,
}

/// What of it changes.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) begun: Option<Arc<Begun>>,
    pub(super) tags: Box<[u64]>,
    pub(super) degraded: Option<Why>,
    end: Option<End>,
    /// What it is as a stored answer. No more memory than the pieces have: they are of this body from the end on.
    body: Option<Body>,
    pieces: VecDeque<Piece>,
    written: u64,
    readers: Slab<Place>,
    /// The position that `space` was waited for at.
    slowest: u64,
    /// Of the flight itself, its head and its list of pieces.
    pub(super) charge: Charge,
}

/// How far a reader is.
#[derive(Debug, Default)]
struct Place {
    /// Its position in the body.
    at: u64,
    /// Where it has to be when patience with it ends.
    due: u64,
    /// Why it gets no more: it kept others waiting.
    given_up: Option<Why>,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }
}

/// How it ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// The body is whole.
    Whole,
    /// A stored answer was confirmed.
    Stored(Arc<Entry>),
    /// The answer was put into the store from elsewhere: who waits looks there.
    Adopted,
    /// It is for nobody else.
    GaveUp(Why),
    /// It failed.
    Failed(Why),
}

/// What a filler does with a piece that will not be stored.
pub(super) enum Passing {
    /// It was passed on, or nobody is there to read it.
    Done,
    /// Readers first have to come so far that there is room: to this position.
    Wait(u64),
}

impl Flight {
    pub(super) fn new(key: Arc<Key>, begun: u64, kind: Kind, charge: Charge) -> Flight {
        Flight {
            key,
            begun,
            kind,
            purged: AtomicBool::new(false),
            news: Notify::new(),
            space: Notify::new(),
            flow: Mutex::new(Flow {
                begun: None,
                tags: Box::default(),
                degraded: None,
                end: None,
                body: None,
                pieces: VecDeque::new(),
                written: 0,
                readers: Slab::new(),
                slowest: 0,
                charge,
            }),
        }
    }

    /// Whether it is of a URL that was purged or overwritten since.
    pub(super) fn is_purged(&self) -> bool {
        self.purged.load(Relaxed)
    }

    /// Whether its answer will probably be for this request too; `None`: before its head is known nobody can tell.
    pub(super) fn is_wanted_by(&self, request: &HeaderMap) -> Option<bool> {
        let Kind::Shared(Some(wanted)) = &self.kind else {
            return None;
        };
        Some(wanted.wants(request) == *wanted)
    }

    pub(super) fn purge(&self) {
        self.purged.store(true, Relaxed);
    }

    /// A look at what has come. Nobody else looks meanwhile.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Flow) -> T) -> T {
        f(&mut self.flow.lock())
    }

    /// The same, and readers are told.
    pub(super) fn tell<T>(&self, f: impl FnOnce(&mut Flow) -> T) -> T {
        let done = self.with(f);
        self.news.notify_waiters();
        done
    }

    /// A reader has gone.
    pub(super) fn exit(&self, reader: usize) {
        self.with(|flow| flow.readers.remove(reader));
        self.space.notify_one();
    }

    pub(super) fn seek(&self, reader: usize, position: u64) {
        self.with(|flow| {
            let place = &mut flow.readers[reader];
            place.at = place.at.max(position);
        });
        self.space.notify_one();
    }

    /// How far it is, once that is known.
    pub(super) async fn state(&self) -> State {
        loop {
            // Made before the look, so that no news between the two are missed.
            let news = self.news.notified();
            if let Some(state) = self.with(|flow| flow.state()) {
                return state;
            }
            news.await;
        }
    }

    /// The next piece for this reader.
    pub(super) async fn next(&self, reader: usize) -> Result<Option<Bytes>, Why> {
        loop {
            let news = self.news.notified();
            let (next, moved) = self.with(|flow| flow.next(reader));
            if moved {
                self.space.notify_one();
            }
            if let Some(next) = next {
                return next;
            }
            news.await;
        }
    }

    /// Waits until the slowest reader may have moved.
    pub(super) async fn space(&self) {
        self.space.notified().await;
    }
}

impl Flow {
    /// Somebody reads from the beginning; its number.
    pub(super) fn enter(&mut self) -> usize {
        self.readers.insert(Place::default())
    }

    /// The same once it has come a way, if nothing of the beginning is lost and it has not failed.
    pub(super) fn enter_late(&mut self) -> Option<usize> {
        let has_beginning =
            self.written == 0 || self.pieces.front().is_some_and(|piece| piece.at == 0);
        let may_end_well = matches!(self.end, None | Some(End::Whole));
        (has_beginning && may_end_well).then(|| self.enter())
    }

    /// It is about to be stored with this body; `None`: it was not after all.
    pub(super) fn becomes(&mut self, body: Option<&Body>) {
        self.body = body.cloned();
    }

    /// The body that it was stored with, or that was confirmed.
    pub(super) fn body(&self) -> Option<Body> {
        match &self.end {
            Some(End::Stored(entry)) => Some(entry.body.clone()),
            _ => self.body.clone(),
        }
    }

    pub(super) fn state(&self) -> Option<State> {
        match (&self.begun, &self.end) {
            (Some(begun), _) => Some(State::Streaming(Arc::clone(begun))),
            (None, Some(End::Stored(entry))) => Some(State::Stored(Arc::clone(entry))),
            (None, Some(End::Adopted)) => Some(State::LookAgain),
            (None, Some(End::GaveUp(why))) => Some(State::GaveUp(*why)),
            (None, Some(End::Failed(why))) => Some(State::Failed(*why)),
            (None, Some(End::Whole)) => Some(State::Failed(Why::Failed)),
            (None, None) => None,
        }
    }

    /// The next piece for a reader, if there is one, and whether the filler may have waited for that.
    fn next(&mut self, reader: usize) -> (Option<Result<Option<Bytes>, Why>>, bool) {
        let place = &mut self.readers[reader];
        if let Some(why) = place.given_up {
            return (Some(Err(why)), false);
        }
        let position = place.at;
        let after = self.pieces.partition_point(|piece| piece.at <= position);
        let piece = after.checked_sub(1).and_then(|at| self.pieces.get(at));
        if let Some(piece) = piece.filter(|piece| piece.end() > position) {
            let bytes = piece.bytes.slice((position - piece.at) as usize..);
            place.at = piece.end();
            let moved = self.degraded.is_some() && position <= self.slowest;
            return (Some(Ok(Some(bytes))), moved);
        }
        let next = match &self.end {
            _ if position < self.written => Some(Err(Why::Failed)), // it came too late for that
            None => None,
            Some(End::Whole | End::Stored(_)) => Some(Ok(None)),
            Some(End::Adopted) => Some(Err(Why::Failed)), // there never was anything to read
            Some(End::GaveUp(why) | End::Failed(why)) => Some(Err(*why)),
        };
        (next, false)
    }

    /// Appends a piece. Small ones become one as they come, each byte in few steps however small they were.
    pub(super) fn push(&mut self, bytes: Bytes, merge: impl Fn(&Bytes, &Bytes) -> Option<Bytes>) {
        let at = self.written;
        self.written += bytes.len() as u64;
        self.pieces.push_back(Piece { at, bytes });
        while let [.., before, last] = self.pieces.make_contiguous() {
            if last.bytes.len() < before.bytes.len() {
                break;
            }
            let Some(bytes) = merge(&before.bytes, &last.bytes) else {
                break;
            };
            before.bytes = bytes;
            self.pieces.pop_back();
        }
    }

    /// Passes a piece on that will not be stored. `take` charges bytes that are kept until all have seen them; without
    /// a charge there is one piece at a time, as there would be without a cache.
    pub(super) fn pass(
        &mut self,
        bytes: &Bytes,
        take: impl FnOnce(u64) -> Option<Charge>,
    ) -> Passing {
        let length = bytes.len() as u64;
        self.trim();
        let held = self
            .pieces
            .front()
            .map_or(0, |piece| self.written - piece.at);
        let bytes = match held {
            0 => bytes.clone(),
            _ if held + length > WINDOW => return Passing::Wait(self.room_from(length)),
            _ => match take(super::room::cost(bytes.len())) {
                Some(charge) => super::room::charged(bytes.clone(), charge),
                None => return Passing::Wait(self.written),
            },
        };
        let at = self.written;
        self.written += length;
        if self.has_readers() {
            self.pieces.push_back(Piece { at, bytes });
        }
        Passing::Done
    }

    /// The position that all readers have to come to before there is room for a piece of this length.
    fn room_from(&self, length: u64) -> u64 {
        let stays = |piece: &&Piece| self.written - piece.at + length <= WINDOW;
        self.pieces
            .iter()
            .find(stays)
            .map_or(self.written, |p| p.at)
    }

    /// From now on there is patience with all readers, for a while.
    pub(super) fn be_patient(&mut self) {
        for (_, place) in &mut self.readers {
            place.due = (place.at + STEP).min(self.written);
        }
    }

    /// Patience has ended. Those who keep the filler from going on, by not having come to `until`, and who have hardly
    /// moved meanwhile are given up, if there are others who wait for what is to come.
    pub(super) fn give_up_slow(&mut self, until: u64) {
        let Some(why) = self.degraded else { return };
        if !self.reading().any(|place| place.at >= self.written) {
            return;
        }
        for (_, place) in &mut self.readers {
            if place.at < until.min(place.due) {
                place.given_up = Some(why);
            }
        }
        self.trim();
    }

    /// Those who read.
    fn reading(&self) -> impl Iterator<Item = &Place> {
        let places = self.readers.iter().map(|(_, place)| place);
        places.filter(|place| place.given_up.is_none())
    }

    /// Drops what all readers have seen.
    pub(super) fn trim(&mut self) {
        let positions = self.reading().map(|place| place.at);
        self.slowest = positions.min().unwrap_or(u64::MAX);
        while (self.pieces.front()).is_some_and(|piece| piece.end() <= self.slowest) {
            self.pieces.pop_front();
        }
    }

    pub(super) fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.end, Some(End::Whole | End::Stored(_)))
    }

    pub(super) fn has_readers(&self) -> bool {
        self.reading().next().is_some()
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn pieces(&self) -> Vec<Bytes> {
        self.pieces
            .iter()
            .map(|piece| piece.bytes.clone())
            .collect()
    }

    /// The same body in other memory, for those who still read it.
    pub(super) fn set_pieces(&mut self, pieces: &[Bytes]) {
        let mut at = 0;
        self.pieces.clear();
        for bytes in pieces {
            let bytes = bytes.clone();
            self.pieces.push_back(Piece { at, bytes });
            at += self.pieces.back().map_or(0, |p| p.bytes.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests;
