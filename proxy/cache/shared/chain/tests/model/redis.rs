//! What Redis has in the model: the head, the stream, and answers or marks where answers are.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;

use super::super::super::{Head, Link, Position};
use super::What;

#[derive(Debug, Clone, Copy)]
pub(super) enum Stored {
    /// An answer: what its fetch knew, and when that really began.
    Answer(Position, u64),
    /// The mark of a purge of its URL, and when it was left.
    Tombstone(u64, u64),
}

#[derive(Clone, Default)]
pub(super) struct Redis {
    pub(super) head: Option<Head>,
    pub(super) log: Vec<Link>,
    /// Purges of this stream from its first on, kept or not, that a look-up can see.
    pub(super) told: HashSet<u64>,
    pub(super) stored: HashMap<u8, Stored>,
}

impl Redis {
    pub(super) fn head(&mut self, rng: &mut Rng) -> Head {
        if self.head.is_none() {
            let genesis = Position {
                n: 0,
                uid: rng.u64(1..),
            };
            self.log.clear();
            self.told.clear();
            self.head = Some(Head {
                last: genesis,
                epochal: genesis,
            });
        }
        self.head.unwrap()
    }

    pub(super) fn publish(&mut self, purge: u64, what: What, time: u64, rng: &mut Rng) {
        let mut head = self.head(rng);
        let at = Position {
            n: head.last.n + 1,
            uid: rng.u64(1..),
        };
        self.log.push(Link {
            at,
            previous: head.last.uid,
            purge,
            concern: what.concern(),
        });
        head.last = at;
        match what {
            What::Url(url) => drop(self.stored.insert(url, Stored::Tombstone(at.n, time))),
            What::Tag(_) | What::All => head.epochal = at,
        }
        self.head = Some(head);
        self.told.insert(purge);
    }

    /// Stores an answer unless it is older than what is there, by what their fetches knew.
    pub(super) fn write(&mut self, url: u8, began: Position, time: u64) {
        let is_older = match self.stored.get(&url) {
            Some(Stored::Tombstone(n, _)) => began.n < *n,
            Some(Stored::Answer(other, _)) => began.n < other.n,
            None => false,
        };
        if !is_older {
            self.stored.insert(url, Stored::Answer(began, time));
        }
    }

    /// Marks do not stay.
    pub(super) fn forget_marks_before(&mut self, time: u64) {
        let stays = |stored: &Stored| !matches!(stored, Stored::Tombstone(_, left) if *left < time);
        self.stored.retain(|_, stored| stays(stored));
    }

    pub(super) fn links_after(&self, n: u64) -> Vec<Link> {
        let after = self.log.iter().filter(|link| link.at.n > n);
        after.copied().collect()
    }
}
