//! Our own purges on their way to the others, and those that may have to be told again.
//!
//! Bounded: when Redis was away for too long for one by one, all of them become one of everything, which is more than
//! was asked and never less.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use self::kept::{Kept, Lost};
use super::chain::Concern;
use super::record::{Deed, Record};
use crate::cache::policy::life::Millis;
use crate::cache::store::Purge;

/// Purges that are kept in case Redis forgets them.
pub mod kept;

/// Purges that wait.
pub const WAITING: usize = 4_096;
/// Purges that are kept, should Redis forget them: so many that somebody asked for, ours and those of others, and so many
/// of our own that writes brought about, which may be very many.
pub const KEPT: usize = 1_024;

/// Purges on their way.
#[derive(Debug)]
pub struct Outbox {
    waiting: VecDeque<Arc<Record>>,
    /// How many are through: the number of the first that waits.
    through: u64,
    /// From this number on nobody has tried to tell them. One that was tried may have been told, and says nothing of what
    /// happened after that.
    untried: u64,
    /// The number of the last one of each URL that waits for the first time.
    urls: HashMap<u128, u64>,
    /// What somebody asked for, anywhere.
    asked: Kept<Arc<Record>>,
    /// What our own writes brought about.
    writes: Kept<Arc<Record>>,
    /// How many were told so far.
    count: u64,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox {
            waiting: VecDeque::new(),
            through: 0,
            untried: 0,
            urls: HashMap::new(),
            asked: Kept::new(KEPT),
            writes: Kept::new(KEPT),
            count: 0,
        }
    }
}

/// What came of a new purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It waits for its turn.
    Waits,
    /// One that waits says as much: this one need not be told.
    Said,
    /// There were too many: so many became one of everything.
    Folded(usize),
}

impl Outbox {
    /// One more. Where there is no room, all that wait and this one become one purge of everything, known by the number
    /// of this one; hard only if somebody purged hard.
    pub fn put(&mut self, record: Record) -> Put {
        let url = match record.deed.concern() {
            Concern::Url(url) => Some(url),
            Concern::Epochal => None,
        };
        if url.is_some_and(|url| self.says(url, &record.deed)) {
            return Put::Said;
        }
        if self.waiting.len() < WAITING {
            let number = self.through + self.waiting.len() as u64;
            self.urls.extend(url.map(|url| (url, number)));
            self.waiting.push_back(Arc::new(record));
            return Put::Waits;
        }
        let hard = |record: &Record| record.deed.is_hard_purge();
        let hard = hard(&record) || self.waiting.iter().any(|record| hard(record));
        let folded = self.waiting.len() + 1;
        self.through += self.waiting.len() as u64;
        self.waiting.clear();
        self.urls.clear();
        let what = Purge::All;
        let deed = Deed::Purge { what, hard };
        self.waiting.push_back(Arc::new(Record { deed, ..record }));
        Put::Folded(folded)
    }

    /// Whether what waits says as much of this URL, and nobody can have heard it yet.
    fn says(&self, url: u128, deed: &Deed) -> bool {
        let last = self.urls.get(&url).filter(|n| **n >= self.untried);
        let at = last.and_then(|n| usize::try_from(n.checked_sub(self.through)?).ok());
        let waits = at.and_then(|at| self.waiting.get(at));
        waits.is_some_and(|waits| waits.deed.says(deed))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The first ones, at most so many, to be told now; they stay until they are.
    pub fn first(&mut self, most: usize) -> Vec<Arc<Record>> {
        let tried = most.min(self.waiting.len()) as u64;
        self.untried = self.untried.max(self.through + tried);
        self.waiting.iter().take(most).cloned().collect()
    }

    /// The first one was told; it still is the first one unless all were folded meanwhile.
    pub fn told(&mut self, record: &Arc<Record>, now: Millis) {
        let is_it = |first: &Arc<Record>| Arc::ptr_eq(first, record);
        if !self.waiting.front().is_some_and(is_it) {
            return;
        }
        self.waiting.pop_front();
        if let Concern::Url(url) = record.deed.concern()
            && self.urls.get(&url) == Some(&self.through)
        {
            self.urls.remove(&url);
        }
        self.through += 1;
        self.count += 1;
        let kept = match record.deed {
            Deed::Purge { .. } => &mut self.asked,
            Deed::Invalidate(_) => &mut self.writes,
        };
        kept.keep(record.purge, record.clone(), now, Some(self.count));
    }

    /// This one was read on the stream, ours or not. Kept is what somebody asked for.
    pub fn heard(&mut self, record: &Record, now: Millis) {
        if matches!(record.deed, Deed::Purge { .. }) {
            let kept = Arc::new(record.clone());
            self.asked.keep(record.purge, kept, now, None);
        }
    }

    /// How many were told so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Tells those again that are lost; what writes brought about only if it was told after `since`. Returns how many.
    pub fn again(&mut self, lost: Lost, since: Millis, is_placed: impl Fn(u64) -> bool) -> usize {
        let room = |waiting: &VecDeque<_>| WAITING.saturating_sub(waiting.len());
        let before = self.waiting.len();
        let asked = self.asked.take(lost, room(&self.waiting), &is_placed);
        self.waiting.extend(asked);
        let lost = Lost { since, ..lost };
        let writes = self.writes.take(lost, room(&self.waiting), &is_placed);
        self.waiting.extend(writes);
        self.waiting.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::{Key, Target};

    fn record(purge: u64, hard: bool) -> Record {
        let what = Purge::Host("a".into());
        Record {
            purge,
            deed: Deed::Purge { what, hard },
            by: "me".into(),
            at: "here".into(),
        }
    }

    fn full(hard: bool) -> Outbox {
        let mut outbox = Outbox::default();
        for n in 0..WAITING as u64 {
            assert_eq!(outbox.put(record(n, hard && n == 9)), Put::Waits);
        }
        outbox
    }

    #[test]
    fn they_are_told_in_their_order() {
        let mut outbox = Outbox::default();
        for n in 0..3 {
            outbox.put(record(n, false));
        }
        let first = outbox.first(2);
        assert_eq!([first[0].purge, first[1].purge], [0, 1]);
        outbox.told(&first[0], 5);
        assert_eq!(outbox.first(1)[0].purge, 1);
    }

    #[test]
    fn too_many_become_one_of_everything_that_is_hard_only_if_one_was() {
        for hard in [false, true] {
            let mut outbox = full(hard);
            let first = outbox.first(1);
            let put = outbox.put(record(77, false));
            assert_eq!(put, Put::Folded(WAITING + 1));
            let left = outbox.first(9);
            let what = Purge::All;
            assert_eq!((left.len(), left[0].purge), (1, 77));
            assert_eq!(left[0].deed, Deed::Purge { what, hard });
            outbox.told(&first[0], 5);
            assert_eq!(outbox.waiting(), 1, "what was on its way is another one");
        }
    }

    #[test]
    fn what_redis_forgot_is_told_again_unless_it_is_too_old() {
        let mut outbox = Outbox::default();
        for n in 0..4 {
            outbox.put(record(n, false));
            let first = outbox.first(1);
            outbox.told(&first[0], 10 * n);
        }
        let lost = |told| Lost {
            stream: 1,
            since: 10,
            told,
            others: true,
        };
        assert_eq!(outbox.again(lost(9), 0, |purge| purge == 2), 2);
        let again: Vec<u64> = outbox.first(9).iter().map(|r| r.purge).collect();
        assert_eq!(again, [1, 3]);
        let next = |told| Lost {
            stream: 2,
            ..lost(told)
        };
        assert_eq!(
            outbox.again(next(2), 0, |_| false),
            0,
            "it may be on its way"
        );
        assert_eq!(outbox.again(next(9), 0, |_| false), 1);
        assert_eq!(outbox.again(next(9), 0, |_| false), 0, "once");
    }

    const ALL: Lost = Lost {
        stream: 1,
        since: 0,
        told: u64::MAX,
        others: true,
    };

    #[test]
    fn of_those_that_were_told_the_last_ones_are_kept() {
        let mut outbox = Outbox::default();
        for n in 0..KEPT as u64 + 10 {
            outbox.put(record(n, false));
            let first = outbox.first(1);
            outbox.told(&first[0], 0);
        }
        assert_eq!(outbox.again(ALL, 0, |_| false), KEPT);
        assert_eq!(outbox.first(1)[0].purge, 10);
    }

    fn key(path: &str) -> Key {
        let target = Target {
            scheme: "http",
            host: "a",
            path,
            query: None,
        };
        Key::new(target, 1)
    }

    fn write(purge: u64, path: &str) -> Record {
        Record {
            deed: Deed::Invalidate(key(path)),
            ..record(purge, false)
        }
    }

    fn of_url(purge: u64, path: &str, hard: bool) -> Record {
        let what = Purge::Url(key(path));
        Record {
            deed: Deed::Purge { what, hard },
            ..record(purge, hard)
        }
    }

    #[test]
    fn writes_crowd_out_nothing_that_somebody_asked_for() {
        let mut outbox = Outbox::default();
        outbox.put(record(7, false));
        outbox.heard(&record(8, true), 0);
        outbox.heard(&write(9, "/theirs"), 0);
        for n in 0..2 * KEPT as u64 {
            outbox.put(write(100 + n, &format!("/{n}")));
        }
        while let [first] = &outbox.first(1)[..] {
            outbox.told(first, 0);
        }
        assert_eq!(outbox.again(ALL, 1, |_| false), 2, "writes are too old");
        let again: Vec<u64> = outbox.first(9).iter().map(|r| r.purge).collect();
        assert_eq!(again, [8, 7]);
        assert_eq!(outbox.again(ALL, 0, |_| false), KEPT);
    }

    #[test]
    fn what_waits_already_for_the_same_url_is_not_told_twice() {
        let mut outbox = Outbox::default();
        for n in 0..3 * WAITING as u64 {
            let put = outbox.put(write(n, &format!("/{}", n % 10)));
            let is_first = n < 10;
            assert_eq!(put == Put::Waits, is_first, "{n}: {put:?}");
        }
        assert_eq!(outbox.waiting(), 10);
        // An operator's is one of its own, unless one like it waits.
        let mut put = |purge, hard| outbox.put(of_url(purge, "/1", hard));
        assert_eq!([put(90, false), put(91, false)], [Put::Waits, Put::Said]);
        assert_eq!([put(92, true), put(93, false)], [Put::Waits, Put::Said]);
        assert_eq!(outbox.put(write(94, "/1")), Put::Said, "hard removes, too");
    }

    #[test]
    fn what_may_have_been_heard_says_nothing_of_what_comes_after() {
        let mut outbox = Outbox::default();
        outbox.put(write(1, "/"));
        let first = outbox.first(1);
        assert_eq!(outbox.put(write(2, "/")), Put::Waits);
        assert_eq!(outbox.put(write(3, "/")), Put::Said);
        outbox.told(&first[0], 0);
        assert_eq!(outbox.put(write(4, "/")), Put::Said);
        let second = outbox.first(1);
        outbox.told(&second[0], 0);
        assert_eq!(outbox.again(ALL, 0, |_| false), 2);
        let put = outbox.put(write(5, "/"));
        assert_eq!(put, Put::Waits, "who knows those passes over them");
    }
}
