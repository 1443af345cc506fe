//! What is purged, and how a lookup knows.
//!
//! A purge by tag, prefix, host or of everything is an epoch: a number, written down in no time whatever is stored. Who
//! was begun before it and bears the tag is concerned. An entry remembers up to which epoch it was judged, so that a
//! lookup compares two numbers and asks the tables once for each entry and purge at most.
//!
//! The tables are bounded. When one is full its oldest epoch becomes one of everything, which purges more than was asked
//! and never less; whatever had been judged by then is not touched by that, and the walk that follows every purge judges
//! all that is stored. So it can only concern fetches that began before that old purge and have not ended since.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

use parking_lot::RwLock;

use crate::cache::entry::Entry;
use crate::cache::key::Key;
use crate::cache::policy::life::Millis;

/// What is purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// All variants of one URL.
    Url(Key),
    /// All answers with this tag (`Cache-Tag`, `Surrogate-Key`, `xkey`).
    Tag(Box<[u8]>),
    /// All answers whose path begins so, byte by byte, of one host or of all.
    Prefix {
        /// The host as in keys; its letter case makes no difference.
        host: Option<Box<str>>,
        /// How the path begins.
        path: Box<str>,
    },
    /// All answers of this host, as in keys: with its port, unless that is the scheme's; its letter case makes no
    /// difference.
    Host(Box<str>),
    /// Everything.
    All,
}

/// Tags that are remembered as purged.
const TAGS: usize = 4096;
/// Prefixes; each is compared with every entry once.
const PREFIXES: usize = 256;
/// Hosts.
const HOSTS: usize = 1024;

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be used.
    Spared,
    /// It is stale since then, by the purge with this number.
    Stale(Millis, u64),
    /// It may not be used.
    Gone,
}

impl Verdict {
    /// The harder one; of two soft ones the earlier time and the later purge.
    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Gone, _) | (_, Verdict::Gone) => Verdict::Gone,
            (Verdict::Spared, it) | (it, Verdict::Spared) => it,
            (Verdict::Stale(at, by), Verdict::Stale(other, later)) => {
                Verdict::Stale(at.min(other), by.max(later))
            }
        }
    }
}

/// The purges of one thing.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Number of the last hard one; 0 is none.
    hard: u64,
    /// Number of the last soft one.
    soft: u64,
    /// When that was. Those before it were written into all entries by their walks.
    at: Millis,
}

impl Mark {
    fn note(&mut self, number: u64, hard: bool, now: Millis) {
        if hard {
            self.hard = number;
        } else {
            (self.soft, self.at) = (number, now);
        }
    }

    /// What it says of what was begun after so many purges.
    fn judge(&self, begun: u64) -> Verdict {
        if self.hard > begun {
            Verdict::Gone
        } else if self.soft > begun {
            Verdict::Stale(self.at, self.soft)
        } else {
            Verdict::Spared
        }
    }

    fn latest(&self) -> u64 {
        self.hard.max(self.soft)
    }

    /// This one for what both were of.
    fn fold(&mut self, other: Mark) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            (self.soft, self.at) = (other.soft, other.at);
        }
    }
}

#[derive(Debug, Default)]
struct Tables {
    all: Mark,
    hosts: HashMap<Box<str>, Mark>,
    tags: HashMap<u64, Mark>,
    prefixes: HashMap<Prefix, Mark>,
    /// Number of the last purge of a tag.
    tagged: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Prefix {
    host: Option<Box<str>>,
    path: Box<str>,
}

impl Prefix {
    fn covers(&self, key: &Key) -> bool {
        key.path().starts_with(&*self.path) && self.host.as_ref().is_none_or(|h| **h == *key.host())
    }
}

/// All purges there have been.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// How many purges there have been, of URLs too.
    count: AtomicU64,
    /// Number of the last one that is in the tables.
    last: AtomicU64,
    tables: RwLock<Tables>,
}

impl Epochs {
    /// How many purges there have been.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Acquire)
    }

    /// Number of the last one that concerns more than a URL.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Acquire)
    }

    /// Writes a purge down and returns its number. `tag` is the hash of a tag. One of a URL is only counted.
    pub(super) fn note(
        &self,
        what: &Purge,
        hard: bool,
        now: Millis,
        tag: impl Fn(&[u8]) -> u64,
    ) -> u64 {
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let number = self.count() + 1;
        let all = &mut tables.all;
        match what {
            Purge::Url(_) => {}
            Purge::Tag(name) => {
                tables.tagged = number;
                place(&mut tables.tags, tag(name), TAGS, all).note(number, hard, now);
            }
            Purge::Prefix { host, path } => {
                let host = host.as_ref().map(|h| h.to_ascii_lowercase().into());
                let path = path.clone();
                let prefix = Prefix { host, path };
                place(&mut tables.prefixes, prefix, PREFIXES, all).note(number, hard, now);
            }
            Purge::Host(host) => {
                let host = host.to_ascii_lowercase().into();
                place(&mut tables.hosts, host, HOSTS, all).note(number, hard, now);
            }
            Purge::All => all.note(number, hard, now),
        }
        self.count.store(number, Release);
        if !matches!(what, Purge::Url(_)) {
            self.last.store(number, Release);
        }
        number
    }

    /// What became of what was begun after so many purges. Tags that are not known yet (`None`) may be any.
    pub(super) fn judge(&self, key: &Key, tags: Option<&[u64]>, begun: u64) -> Verdict {
        if self.last() <= begun {
            return Verdict::Spared;
        }
        self.tables.read().judge(key, tags, begun)
    }

    /// Whether an entry may be used; writes down what it learned.
    pub(super) fn spares(&self, entry: &Entry) -> bool {
        if self.last() <= entry.judged() {
            return true;
        }
        let tables = self.tables.read();
        // Nothing is written to the tables meanwhile: the verdict is of all up to this one.
        let last = self.last();
        let verdict = tables.judge(&entry.key, Some(&entry.tags), entry.judged());
        drop(tables);
        match verdict {
            Verdict::Gone => return false,
            Verdict::Stale(at, by) => entry.expire_by(at, by),
            Verdict::Spared => {}
        }
        entry.set_judged(last);
        true
    }
}

impl Tables {
    fn judge(&self, key: &Key, tags: Option<&[u64]>, begun: u64) -> Verdict {
        let of = |mark: Option<&Mark>| mark.map_or(Verdict::Spared, |mark| mark.judge(begun));
        let mut verdict = self.all.judge(begun).and(of(self.hosts.get(key.host())));
        match tags {
            Some(tags) => {
                for tag in tags {
                    verdict = verdict.and(of(self.tags.get(tag)));
                }
            }
            None if self.tagged > begun => return Verdict::Gone,
            None => {}
        }
        let prefixes = self.prefixes.iter();
        prefixes
            .filter(|(prefix, mark)| mark.latest() > begun && prefix.covers(key))
            .fold(verdict, |verdict, (_, mark)| verdict.and(mark.judge(begun)))
    }
}

/// The place of a name; a full table gives its oldest mark to `all` for it.
fn place<'a, K: Hash + Eq>(
    table: &'a mut HashMap<K, Mark>,
    name: K,
    most: usize,
    all: &mut Mark,
) -> &'a mut Mark {
    if table.len() >= most && !table.contains_key(&name) {
        let oldest = table.values().map(Mark::latest).min().unwrap_or(0);
        table.retain(|_, mark| {
            let stays = mark.latest() != oldest;
            if !stays {
                all.fold(*mark);
            }
            stays
        });
    }
    table.entry(name).or_default()
}
