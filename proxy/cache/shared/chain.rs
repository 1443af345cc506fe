//! The chain of purges: which of all proxies' purges are known here, in which order, and what that says of an answer
//! that another proxy stored.
//!
//! Redis keeps one stream of purges. Each has a place on it: a number, and a uid that is drawn anew for every place. So
//! whoever has the same uid at a number has the same purges up to there, whatever Redis forgot in between. An answer
//! tells the place that its proxy knew when its fetch began; what comes after that place may concern it.
//!
//! A purge that is known here is never forgotten because Redis forgot it: it is *loose* until it has a place again, or
//! until nothing it could concern is left. Pure: it knows neither Redis nor a clock. It must never say of an answer
//! that it began later than it did; that it began earlier costs a fetch.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;

use self::ring::{Cell, Ring};
use crate::cache::policy::life::Millis;

/// The places that are remembered.
mod ring;
#[cfg(test)]
mod tests;

/// Purges that may be known beyond as many as have a place: our own on their way, and those that Redis forgot.
const LOOSE: usize = 16_384;

/// A place on the chain. The place before the first purge has the number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Its number.
    pub n: u64,
    /// Drawn when the place was taken; never 0.
    pub uid: u64,
}

/// How far the chain goes, as Redis has it beside the stream: `N:UID:N:UID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last purge.
    pub last: Position,
    /// The last one that concerns more than a URL; where there is none, the place before the first.
    pub epochal: Position,
}

impl Head {
    /// Reads what Redis has; `None`: it is none of ours.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        let mut parts = std::str::from_utf8(bytes).ok()?.split(':');
        let mut position = || {
            let n = parts.next()?.parse().ok()?;
            let uid = u64::from_str_radix(parts.next()?, 16).ok()?;
            Some(Position { n, uid })
        };
        let (last, epochal) = (position()?, position()?);
        parts.next().is_none().then_some(Head { last, epochal })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { last, epochal } = self;
        write!(
            f,
            "{}:{:016x}:{}:{:016x}",
            last.n, last.uid, epochal.n, epochal.uid
        )
    }
}

/// What a purge may concern, as far as the chain has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// One URL; the hash of its key that is the same everywhere.
    Url(u128),
    /// More than that: the store's epochs know what.
    Epochal,
}

/// A purge on the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its place.
    pub at: Position,
    /// The uid of the place before.
    pub previous: u64,
    /// What the purge itself is known by, on whatever place it is.
    pub purge: u64,
    /// What it may concern.
    pub concern: Concern,
}

impl Link {
    /// The place before.
    pub fn before(&self) -> Position {
        Position {
            n: self.at.n.saturating_sub(1),
            uid: self.previous,
        }
    }
}

/// A purge that took effect here.
#[derive(Debug, Clone, Copy)]
struct Known {
    concern: Concern,
    /// The store's sequence before it.
    begun: u64,
    /// When that was.
    at: Millis,
    /// The stream on which it has a place.
    stream: Option<u64>,
}

/// How to go on with a stream that was lost sight of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With what follows our last place.
    GoOn,
    /// With all that is on it; the place before its first.
    Restart(Position),
}

/// Why nothing can be said of an answer that another proxy stored: it is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// There are purges that are not known here yet: the stream has to be read.
    Behind,
    /// Where its fetch began is not known (any more), or a purge of its URL came after.
    Past,
}

/// The chain as it is known here.
#[derive(Debug)]
pub struct Chain {
    /// Places that are remembered at the most.
    most: usize,
    /// Milliseconds after which nothing is left in Redis that was there when a purge took effect.
    keep: Millis,
    is_settled: bool,
    ring: Ring,
    /// Which stream this is.
    stream: u64,
    /// Its first purge is the first of all.
    is_new: bool,
    /// The last purge on the chain that concerns more than a URL.
    epochal: Position,
    /// The chain that was followed before a restart, until it is settled whether something was missed.
    past: Option<Ring>,
    /// The new one goes on from the past one, or begins with its first purge.
    is_joined: bool,
    /// Purges that took effect here, the oldest first.
    known: HashMap<u64, Known>,
    order: VecDeque<u64>,
    loose: Loose,
}

impl Chain {
    /// Nothing is known yet. It remembers `most` places, and what Redis forgot for `keep` milliseconds.
    pub fn new(most: usize, keep: Millis) -> Chain {
        let nowhere = Position { n: 0, uid: 0 };
        Chain {
            most,
            keep,
            is_settled: false,
            ring: Ring::new(nowhere),
            stream: 0,
            is_new: false,
            epochal: nowhere,
            past: None,
            is_joined: false,
            known: HashMap::new(),
            order: VecDeque::new(),
            loose: Loose::default(),
        }
    }

    /// Goes on with other bounds.
    pub fn set_bounds(&mut self, most: usize, keep: Millis) {
        (self.most, self.keep) = (most, keep);
    }

    /// What a fetch that begins now knows. `None`: we do not know that ourselves, and nobody else can use its answer.
    pub fn position(&self) -> Option<Position> {
        self.is_settled.then(|| self.ring.last())
    }

    /// The last place that is known, settled or not.
    pub fn last(&self) -> Position {
        self.ring.last()
    }

    /// Whether this place is on the chain, as far as that is remembered.
    pub fn has(&self, at: Position) -> bool {
        self.ring.has(at)
    }

    /// Whether this purge took effect here.
    pub fn knows(&self, purge: u64) -> bool {
        self.known.contains_key(&purge)
    }

    /// Which stream this is: how many were begun to be read before it.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// Whether this stream began anew: nobody can tell from it what was purged before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether this purge has a place on this stream, as far as that is remembered.
    pub fn is_placed(&self, purge: u64) -> bool {
        let known = self.known.get(&purge);
        known.is_some_and(|known| known.stream == Some(self.stream))
    }

    /// A purge is about to take effect here: our own, or one that was just read. To be told before the store is;
    /// `sequence` is the store's by now. It is loose until it is placed.
    pub fn begin(&mut self, purge: u64, concern: Concern, sequence: u64, now: Millis) {
        let known = Known {
            concern,
            begun: sequence,
            at: now,
            stream: None,
        };
        if self.known.insert(purge, known).is_none() {
            self.order.push_back(purge);
        }
        while self.order.len() > self.most.saturating_add(LOOSE) {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        let until = now.saturating_add(self.keep);
        self.loose.add(purge, known, until, self.most);
    }

    /// It took effect, and right before it the store's sequence was this. Need not be told.
    pub fn began_at(&mut self, purge: u64, sequence: u64) {
        if let Some(known) = self.known.get_mut(&purge) {
            known.begun = known.begun.max(sequence);
        }
    }

    /// It took effect and will never be told, since another one, of the same URL at least, took effect before and will be
    /// told from now on.
    pub fn withdraw(&mut self, purge: u64) {
        self.known.remove(&purge); // its number goes when its turn comes
        self.loose.remove(purge);
    }

    /// Puts a purge that took effect here on its place, behind the last one. `false`: it does not follow that, or has not
    /// taken effect; the chain is lost sight of then.
    #[must_use]
    pub fn place(&mut self, link: &Link) -> bool {
        let follows = self.ring.last() == link.before();
        let Some(known) = self.known.get_mut(&link.purge).filter(|_| follows) else {
            self.lose();
            return false;
        };
        known.stream = Some(self.stream);
        let known = *known;
        self.loose.remove(link.purge);
        self.is_joined |= self.past.as_ref().is_some_and(|past| past.has(link.at));
        // One that was too much to tell one by one is more to others than it is here.
        let is_epochal = link.concern == Concern::Epochal;
        if is_epochal {
            self.epochal = link.at;
        }
        let begun = is_epochal.then_some(known.begun);
        let cell = Cell {
            uid: link.at.uid,
            concern: known.concern,
        };
        self.ring.push(cell, begun, self.most);
        true
    }

    /// The chain is not the one on the stream any more, or what is between is not known.
    pub fn lose(&mut self) {
        self.is_settled = false;
    }

    /// Whether this head shows that the stream has to be read again from its beginning: it went back, or is another.
    pub fn is_other(&self, head: &Head) -> bool {
        let last = self.ring.last();
        !self.is_settled || head.last.n < last.n || (head.last.n == last.n && head.last != last)
    }

    /// Whether this head tells of purges that are not known here yet.
    pub fn is_behind(&self, head: &Head) -> bool {
        head.last.n > self.ring.last().n
    }

    /// How to go on. `first`: the first purge on the stream; `there`: the uid of the place on the stream with the number
    /// of our last one.
    pub fn way(&self, head: &Head, first: Option<&Link>, there: Option<u64>) -> Way {
        let last = self.ring.last();
        let begin = first.map_or(head.last, Link::before);
        if last == head.last || last == begin || there == Some(last.uid) {
            Way::GoOn
        } else {
            Way::Restart(begin)
        }
    }

    /// Follows another stream, whose first purge comes after this place.
    pub fn restart(&mut self, begin: Position, now: Millis) {
        let old = std::mem::replace(&mut self.ring, Ring::new(begin));
        self.is_settled = false;
        self.stream += 1;
        self.is_new = begin.n == 0;
        for purge in self.order.iter().rev() {
            let Some(known) = self.known.get(purge) else {
                continue;
            };
            let until = known.at.saturating_add(self.keep);
            if until <= now {
                break; // nor can what came before it
            }
            self.loose.add(*purge, *known, until, self.most);
        }
        // One that was never settled says nothing of what we have seen.
        let past = self.past.get_or_insert(old);
        self.is_joined = begin.n == 0 || past.has(begin);
        self.epochal = Position { n: 0, uid: 0 };
    }

    /// Whether there may have been purges between what we knew and the first one on the stream. They cannot be known any
    /// more; all that is stored here may be wrong.
    pub fn has_missed(&self) -> bool {
        self.past.is_some() && !self.is_joined
    }

    /// All that this head tells of is known, and what was missed is made good. `false`: it is not; the stream lacks
    /// purges that the head knows.
    #[must_use]
    pub fn settle(&mut self, head: &Head) -> bool {
        if !self.ring.has(head.last) {
            return false;
        }
        if self.epochal.n == 0 {
            self.epochal = head.epochal; // from before what is on the stream
        }
        self.past = None;
        self.is_settled = true;
        true
    }

    /// Forgets what can concern nothing any more. To be called now and then.
    pub fn forget(&mut self, now: Millis) {
        self.loose.forget(now);
    }

    /// The store's sequence at which the fetch of an answer counts as begun that another proxy, or this one, stored in
    /// Redis. `url` is the hash of its key, `began` what its fetch knew, `head` what Redis had in the same moment as
    /// the answer, `sequence` the store's by now. Where marks cannot be relied on, nobody who [`Chain::is_behind`] may ask.
    ///
    /// # Errors
    /// When the answer must not be used.
    pub fn begun(
        &self,
        url: u128,
        began: Position,
        head: &Head,
        sequence: u64,
    ) -> Result<u64, Unusable> {
        // Ahead of us there may be purges of URLs: each left its mark where the answer was.
        let is_known = match self.is_behind(head) {
            true => head.epochal == self.epochal,
            false => self.ring.has(head.last),
        };
        if !self.is_settled || !is_known {
            return Err(Unusable::Behind);
        }
        let purged = self.ring.purged(url).is_some_and(|n| n > began.n);
        if purged || self.loose.bars(url) || !self.ring.has(began) {
            return Err(Unusable::Past);
        }
        let limits = [self.ring.begun_after(began.n), self.loose.begun()];
        Ok(limits.into_iter().flatten().fold(sequence, u64::min))
    }
}

/// Purges that are known here and have no place on the chain.
#[derive(Debug, Default)]
struct Loose {
    /// Each with the time after which it can concern nothing any more.
    all: HashMap<u64, (Known, Millis)>,
    /// The same by that time.
    ends: BTreeSet<(Millis, u64)>,
    /// Those that concern more than a URL, by the store's sequence before them.
    epochal: BTreeSet<(u64, u64)>,
    /// The others.
    urls: HashMap<u128, usize>,
    /// There were more than can be remembered: until then anything may be concerned.
    bars_all: Option<Millis>,
}

impl Loose {
    fn add(&mut self, purge: u64, known: Known, until: Millis, most: usize) {
        // As it was added it is found again.
        if self.all.contains_key(&purge) {
            return;
        }
        if self.all.len() >= most.saturating_add(LOOSE) {
            self.bars_all = self.bars_all.max(Some(until));
            return;
        }
        self.all.insert(purge, (known, until));
        self.ends.insert((until, purge));
        match known.concern {
            Concern::Url(url) => *self.urls.entry(url).or_default() += 1,
            Concern::Epochal => drop(self.epochal.insert((known.begun, purge))),
        }
    }

    fn remove(&mut self, purge: u64) {
        let Some((known, until)) = self.all.remove(&purge) else {
            return;
        };
        self.ends.remove(&(until, purge));
        match known.concern {
            Concern::Epochal => drop(self.epochal.remove(&(known.begun, purge))),
            Concern::Url(url) => {
                if let Some(count) = self.urls.get_mut(&url) {
                    *count -= 1;
                    if *count == 0 {
                        self.urls.remove(&url);
                    }
                }
            }
        }
    }

    fn forget(&mut self, now: Millis) {
        self.bars_all = self.bars_all.filter(|until| *until > now);
        while let Some((_, purge)) = self.ends.first().filter(|(until, _)| *until <= now) {
            self.remove(*purge);
        }
    }

    fn bars(&self, url: u128) -> bool {
        self.bars_all.is_some() || self.urls.contains_key(&url)
    }

    fn begun(&self) -> Option<u64> {
        self.epochal.first().map(|(begun, _)| *begun)
    }
}
