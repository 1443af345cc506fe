//! A stored answer's body in another coding, made once for all who want it.
//!
//! One at a time makes it for each body and coding, others read along; who comes later finds it beside the body. Where it
//! is put is decided when it is whole: beside the entry that has this body then, however often that was confirmed or got
//! other forms meanwhile, and nowhere once that is gone. So nothing that is purged or replaced ever leaves a form behind.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::core::Core;
use super::feed::{Feed, Part};
use super::fill::Reader;
use super::flight::{End, Flight, Kind};
use super::pack;
use super::shelf::Replaced;
use crate::base::cached::Why;
use crate::base::coding::Coding;
use crate::cache::entry::{Body, BodyId, Entry, Form, with_form};
use crate::cache::key::Key;

/// Times that a form is put beside what is stored by then; somebody else has put another one each time before.
const TRIES: usize = 16;

/// Takes part in making a form of an answer that is being fetched.
#[derive(Debug)]
pub enum Deriving {
    /// Makes it, of what the reader reads from its beginning.
    Lead(Maker, Reader),
    /// Reads the form that somebody else makes. There are pieces to read and no [`Reader::state`]: what is known of the
    /// answer is known already.
    Follow(Reader),
    /// The fetch has ended meanwhile, and this entry has the form.
    Ready(Arc<Entry>),
}

/// Takes part in making a form of a stored answer.
#[derive(Debug)]
pub enum DerivingStored {
    /// Makes it, of the entry's body.
    Lead(Maker),
    /// Reads the form that somebody else makes; as with [`Deriving::Follow`].
    Follow(Reader),
    /// It has been made: this entry, the given one or the one that is stored now, has the form.
    Ready(Arc<Entry>),
}

/// What a form is made of.
#[derive(Debug)]
pub(super) enum Source {
    /// The body of an entry.
    Stored(Arc<Entry>),
    /// What is being fetched.
    Fetch(Arc<Flight>),
}

impl Source {
    /// The body it is, or has become.
    fn body(&self) -> Option<Body> {
        match self {
            Source::Stored(entry) => Some(entry.body.clone()),
            Source::Fetch(flight) => flight.with(|flow| flow.body()),
        }
    }

    fn id(&self) -> Option<BodyId> {
        self.body().and_then(|body| body.id())
    }

    fn is_whole(&self) -> bool {
        match self {
            Source::Stored(_) => true,
            Source::Fetch(flight) => flight.with(|flow| flow.is_whole()),
        }
    }

    /// Why it will not be stored, if that is known by now; then no form of it will.
    fn degraded(&self) -> Option<Why> {
        match self {
            Source::Stored(_) => None,
            Source::Fetch(flight) => flight.with(|flow| flow.degraded),
        }
    }
}

/// What is made in a flight.
#[derive(Debug)]
pub(super) struct Making {
    coding: Coding,
    of: Of,
}

/// What it is made of, without holding it: the maker does as long as that matters.
#[derive(Debug)]
enum Of {
    Stored(Option<BodyId>),
    Fetch(Weak<Flight>),
}

impl Making {
    fn new(source: &Source, coding: Coding) -> Making {
        let of = match source {
            Source::Stored(entry) => Of::Stored(entry.body.id()),
            Source::Fetch(flight) => Of::Fetch(Arc::downgrade(flight)),
        };
        Making { coding, of }
    }

    /// Whether it is this form of this. A fetch and what it has become are the same.
    fn is_of(&self, source: &Source, coding: Coding) -> bool {
        if self.coding != coding {
            return false;
        }
        let id = match (&self.of, source) {
            (Of::Fetch(own), Source::Fetch(other)) if own.as_ptr() == Arc::as_ptr(other) => {
                return true;
            }
            (Of::Fetch(own), _) => own.upgrade().map(Source::Fetch).and_then(|own| own.id()),
            (Of::Stored(id), _) => *id,
        };
        id.is_some() && id == source.id()
    }
}

/// What somebody does who wants a form.
pub(super) enum Role {
    Lead(Maker),
    Follow(Reader),
    Ready(Arc<Entry>),
}

/// Takes part in making this form.
pub(super) fn derive(core: &Arc<Core>, key: &Arc<Key>, source: Source, coding: Coding) -> Role {
    let joins = |flight: &Arc<Flight>| {
        let Kind::Making(making) = &flight.kind else {
            return None;
        };
        if !making.is_of(&source, coding) {
            return None;
        }
        let number = flight.with(|flow| flow.enter_late())?;
        Some(Role::Follow(Reader::new(core, flight, number)))
    };
    // Who made it has put it there before it left.
    let instead = || {
        let entry = stored(core, key, &source.body()?)?;
        (entry.form(coding).is_some()).then_some(Role::Ready(entry))
    };
    let kind = Kind::Making(Making::new(&source, coding));
    match Feed::or_join(core, Arc::clone(key), kind, joins, instead) {
        Part::Joins(role) => role,
        Part::Feeds(feed) => Role::Lead(Maker {
            feed,
            source,
            coding,
        }),
    }
}

/// The entry that is stored under this key with this body.
fn stored(core: &Core, key: &Key, body: &Body) -> Option<Arc<Entry>> {
    let slot = core.shelf.peek(key)?;
    let entry = slot.entries().iter().find(|e| e.body.is_same(body))?;
    Some(Arc::clone(entry))
}

/// Whether a form of this length is worth having. What came encoded is of no use at all to who does not take it so.
fn gains(entry: &Entry, length: u64) -> bool {
    entry.head.coding() != Some(Coding::Identity) || length < entry.body.len()
}

/// Puts a form of a body beside it and returns the entry as it is stored then. `None`: the body is not stored any more,
/// or there is no room.
fn put(core: &Core, key: &Key, body: &Body, made: impl Fn() -> Form) -> Option<Arc<Entry>> {
    for _ in 0..TRIES {
        let old = stored(core, key, body)?;
        let Some(forms) = with_form(old.forms(), made()) else {
            return Some(old);
        };
        let new = Arc::new(pack::with_forms(core, &old, forms).ok()?);
        // Under the shelf's door: a purge is either in what is shared here, or finds the new one.
        let may = || {
            let may = core.epochs.spares(&old);
            new.share_purges(&old);
            may
        };
        match core.shelf.replace(&old, &new, may) {
            Replaced::Done => return Some(new),
            Replaced::Refused => return None,
            Replaced::Missing => {} // it was confirmed, or got another form
        }
    }
    None
}

/// Puts a form of these bytes beside an entry's body.
pub(super) fn put_form(
    core: &Core,
    entry: &Entry,
    coding: Coding,
    pieces: &[Bytes],
    is_final: bool,
) -> Option<Arc<Entry>> {
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    if !gains(entry, length) {
        return put_no_gain(core, entry, coding, is_final);
    }
    if length > core.max_object() {
        return None;
    }
    let blocks = pack::blocks(core, pieces).ok()?;
    let body = pack::form(core, &blocks).ok()?;
    let made = || Form::new(coding, Some(body.clone()), is_final);
    put(core, &entry.key, &entry.body, made)
}

/// Notes beside an entry's body that this form is not worth having.
pub(super) fn put_no_gain(
    core: &Core,
    entry: &Entry,
    coding: Coding,
    is_final: bool,
) -> Option<Arc<Entry>> {
    let made = || Form::new(coding, None, is_final);
    put(core, &entry.key, &entry.body, made)
}

/// The one who makes a form. Dropped without an end, that failed.
#[derive(Debug)]
pub struct Maker {
    feed: Feed,
    source: Source,
    coding: Coding,
}

impl Maker {
    /// The coding it makes.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Reads the form, from its beginning. To be asked for before anything is written.
    pub fn reader(&self) -> Reader {
        self.feed.reader()
    }

    /// Whether anybody reads it.
    pub fn has_readers(&self) -> bool {
        self.feed.has_readers()
    }

    /// Why it will not be stored, if that is known by now: it is too large, there is no room, or the answer it is of
    /// will not be stored either.
    pub fn degraded(&self) -> Option<Why> {
        self.feed.degraded().or_else(|| self.source.degraded())
    }

    /// Appends a piece of the form; as [`super::Filler::write`].
    pub async fn write(&mut self, piece: Bytes) {
        if let Some(why) = self.source.degraded() {
            self.feed.degrade(why);
        }
        self.feed.write(piece).await;
    }

    /// The form is whole, made of a source that was read to its end: it is put beside the body, and readers come to a
    /// clean end. `is_final`: no more effort will ever be spent on it. Returns the entry as it is stored then; `None`:
    /// it is not, or there is no room, and readers have the form all the same. Made of a fetch that has not come to a
    /// clean end, it fails.
    pub fn finish(self, is_final: bool) -> Option<Arc<Entry>> {
        if !self.source.is_whole() {
            self.feed.end(End::Failed(Why::Incomplete));
            return None;
        }
        let (body, entry) = self.store(is_final);
        self.feed.flight.tell(|flow| {
            if let Some(body) = body {
                flow.set_pieces(body.pieces());
            }
            flow.end(End::Whole);
        });
        entry
    }

    /// The form as a body, and the entry it is beside.
    fn store(&self, is_final: bool) -> (Option<Body>, Option<Arc<Entry>>) {
        let (core, flight) = (&*self.feed.core, &self.feed.flight);
        let of = self.source.body();
        let entry = of.and_then(|of| stored(core, &flight.key, &of));
        let Some(entry) = entry else {
            return (None, None);
        };
        let (length, degraded) = flight.with(|flow| (flow.written(), flow.degraded));
        if !gains(&entry, length) {
            let entry = put_no_gain(core, &entry, self.coding, is_final);
            return (None, entry);
        }
        if degraded.is_some() {
            return (None, None);
        }
        let pieces = flight.with(|flow| flow.pieces());
        let Ok(body) = pack::form(core, &pieces) else {
            return (None, None);
        };
        let made = || Form::new(self.coding, Some(body.clone()), is_final);
        let entry = put(core, &flight.key, &entry.body, made);
        (Some(body), entry)
    }

    /// What it is made of, if that is stored.
    pub fn stored(&self) -> Option<Arc<Entry>> {
        let body = self.source.body()?;
        stored(&self.feed.core, &self.feed.flight.key, &body)
    }

    /// It cannot be made: its readers fail.
    pub fn fails(self, why: Why) {
        self.feed.end(End::Failed(why));
    }
}
