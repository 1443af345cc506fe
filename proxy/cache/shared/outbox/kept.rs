//! Purges that are kept in case Redis forgets them: the last ones, whatever their age.
//!
//! Bounded. What is not on the stream that there is now is told again, once for each time that it was lost; whoever knows
//! it already passes over it.

use std::collections::{HashSet, VecDeque};

use crate::cache::policy::life::Millis;

/// The last purges.
#[derive(Debug)]
pub struct Kept<T> {
    most: usize,
    all: VecDeque<One<T>>,
    ids: HashSet<u64>,
}

#[derive(Debug)]
struct One<T> {
    purge: u64,
    what: T,
    /// When it was kept.
    at: Millis,
    /// How many of ours had been told when we told it; `None`: others did.
    told: Option<u64>,
    /// The stream on which it has a place.
    stream: Option<u64>,
}

/// Which of them are told again.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// Those that are not on this stream: how many were begun to be read before it.
    pub stream: u64,
    /// Which have been kept since then.
    pub since: Millis,
    /// Of ours, the first so many that were told: a later one may be on its way.
    pub told: u64,
    /// Those of others, too: who told them may have ended.
    pub others: bool,
}

impl<T> Kept<T> {
    /// None yet, and never more than so many.
    pub fn new(most: usize) -> Kept<T> {
        Kept {
            most,
            all: VecDeque::new(),
            ids: HashSet::new(),
        }
    }

    /// Keeps one, unless it is kept already. `told`: how many of ours had been told with it; `None`: it was read.
    pub fn keep(&mut self, purge: u64, what: T, at: Millis, told: Option<u64>) {
        if !self.ids.insert(purge) {
            let mut latest = self.all.iter_mut().rev();
            if let (Some(_), Some(one)) = (told, latest.find(|one| one.purge == purge)) {
                one.told = told;
            }
            return;
        }
        self.all.push_back(One {
            purge,
            what,
            at,
            told,
            stream: None,
        });
        while self.all.len() > self.most {
            if let Some(oldest) = self.all.pop_front() {
                self.ids.remove(&oldest.purge);
            }
        }
    }

    /// Takes out those that are lost, at most so many. `is_placed`: whether a purge has a place on the stream as that is
    /// known by now; one that had is not lost while the stream is the same.
    pub fn take(&mut self, lost: Lost, most: usize, is_placed: impl Fn(u64) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for _ in 0..self.all.len() {
            let Some(mut one) = self.all.pop_front() else {
                break;
            };
            if one.stream != Some(lost.stream) && is_placed(one.purge) {
                one.stream = Some(lost.stream);
            }
            let is_due = one.told.map_or(lost.others, |told| told <= lost.told);
            let is_lost = one.stream != Some(lost.stream) && one.at >= lost.since && is_due;
            if is_lost && taken.len() < most {
                self.ids.remove(&one.purge);
                taken.push(one.what);
            } else {
                self.all.push_back(one);
            }
        }
        taken
    }

    /// Whether this one is kept.
    #[cfg(test)]
    pub fn has(&self, purge: u64) -> bool {
        self.ids.contains(&purge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Lost = Lost {
        stream: 1,
        since: 0,
        told: u64::MAX,
        others: true,
    };

    #[test]
    fn what_has_a_place_is_lost_with_the_stream_and_not_before() {
        let mut kept = Kept::new(4);
        kept.keep(7, "a", 0, None);
        assert!(kept.take(LOST, 9, |_| true).is_empty());
        // It is no longer remembered that it has a place.
        assert!(kept.take(LOST, 9, |_| false).is_empty());
        let next = Lost { stream: 2, ..LOST };
        assert_eq!(kept.take(next, 9, |_| false), ["a"]);
        assert!(kept.take(next, 9, |_| false).is_empty(), "once");
    }

    #[test]
    fn those_of_others_wait_until_it_is_their_turn() {
        let mut kept = Kept::new(4);
        kept.keep(7, "theirs", 0, None);
        kept.keep(8, "read before it was told", 0, None);
        kept.keep(8, "ours", 0, Some(3));
        let ours = Lost {
            others: false,
            ..LOST
        };
        let early = Lost { told: 2, ..ours };
        assert!(kept.take(early, 9, |_| false).is_empty());
        assert_eq!(
            kept.take(ours, 9, |_| false),
            ["read before it was told"],
            "it is the same"
        );
        assert_eq!(kept.take(LOST, 9, |_| false), ["theirs"]);
    }

    #[test]
    fn the_last_ones_are_kept_in_their_order_and_too_old_ones_are_not_told() {
        let mut kept = Kept::new(3);
        for n in 0..5 {
            kept.keep(n, n, n, None);
        }
        assert!(!kept.has(1) && kept.has(2));
        let late = Lost { since: 3, ..LOST };
        assert_eq!(kept.take(late, 1, |_| false), [3]);
        assert_eq!(kept.take(late, 9, |_| false), [4]);
        assert!(kept.has(2));
    }
}
