//! Our own purges on their way to the others, and those that may have to be told again.
//!
//! Bounded: when Redis was away for too long for one by one, all of them become one of everything, which is more than
//! was asked and never less.

use std::collections::VecDeque;
use std::sync::Arc;

use super::record::{Deed, Record};
use crate::cache::policy::life::Millis;
use crate::cache::store::Purge;

/// Purges that wait.
pub const WAITING: usize = 4_096;
/// Purges that were told and are kept, should Redis forget them.
pub const KEPT: usize = 1_024;

/// Purges on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Arc<Record>>,
    /// Told before.
    told: VecDeque<ToldOnce>,
    /// How many were told so far.
    count: u64,
}

/// A purge that was told.
#[derive(Debug)]
struct ToldOnce {
    record: Arc<Record>,
    /// When.
    at: Millis,
    /// How many had been told by then.
    count: u64,
}

/// What came of a new purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It waits for its turn.
    Waits,
    /// There were too many: so many became one of everything.
    Folded(usize),
}

impl Outbox {
    /// One more. Where there is no room, all that wait and this one become one purge of everything, known by the number
    /// of this one; hard only if somebody purged hard.
    pub fn put(&mut self, record: Record) -> Put {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(Arc::new(record));
            return Put::Waits;
        }
        let hard = |record: &Record| record.deed.is_hard_purge();
        let hard = hard(&record) || self.waiting.iter().any(|record| hard(record));
        let folded = self.waiting.len() + 1;
        self.waiting.clear();
        let what = Purge::All;
        let deed = Deed::Purge { what, hard };
        self.waiting.push_back(Arc::new(Record { deed, ..record }));
        Put::Folded(folded)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The first ones, at most so many; they stay until they are told.
    pub fn first(&self, most: usize) -> Vec<Arc<Record>> {
        self.waiting.iter().take(most).cloned().collect()
    }

    /// The first one was told; it still is the first one unless all were folded meanwhile.
    pub fn told(&mut self, record: &Arc<Record>, now: Millis) {
        let is_it = |first: &Arc<Record>| Arc::ptr_eq(first, record);
        if !self.waiting.front().is_some_and(is_it) {
            return;
        }
        self.waiting.pop_front();
        self.count += 1;
        self.told.push_back(ToldOnce {
            record: record.clone(),
            at: now,
            count: self.count,
        });
        while self.told.len() > KEPT {
            self.told.pop_front();
        }
    }

    /// How many were told so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Tells those again that are `lost`, if they were told after `since` and among the first `count`. Returns how many.
    pub fn again(&mut self, since: Millis, count: u64, lost: impl Fn(u64) -> bool) -> usize {
        self.told.retain(|told| told.at >= since);
        let is_lost = |told: &ToldOnce| told.count <= count && lost(told.record.purge);
        let room = WAITING - self.waiting.len();
        let mut again = Vec::new();
        self.told.retain(|told| {
            let goes = again.len() < room && is_lost(told);
            if goes {
                again.push(told.record.clone());
            }
            !goes
        });
        let many = again.len();
        self.waiting.extend(again);
        many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(outbox.again(10, 9, |purge| purge != 2), 2);
        let again: Vec<u64> = outbox.first(9).iter().map(|r| r.purge).collect();
        assert_eq!(again, [1, 3]);
        assert_eq!(outbox.again(10, 2, |_| true), 0, "it may be on its way");
        assert_eq!(outbox.again(10, 9, |_| true), 1, "each is told again once");
    }

    #[test]
    fn of_those_that_were_told_the_last_ones_are_kept() {
        let mut outbox = Outbox::default();
        for n in 0..KEPT as u64 + 10 {
            outbox.put(record(n, false));
            let first = outbox.first(1);
            outbox.told(&first[0], 0);
        }
        assert_eq!(outbox.again(0, u64::MAX, |_| true), KEPT);
        assert_eq!(outbox.first(1)[0].purge, 10);
    }
}
