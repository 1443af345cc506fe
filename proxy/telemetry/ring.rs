//! The last of something that happens now and then, each with a number: what the stats port lists.
//!
//! Bounded: the oldest leave. Numbers only ever grow, so that a reader who kept one can ask for what came since, and can
//! tell that something left meanwhile. Never on a request's way.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// The last ones, each with its number.
#[derive(Debug)]
pub struct Ring<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    next: u64,
    kept: VecDeque<(u64, T)>,
}

impl<T: Clone> Ring<T> {
    /// None yet; `most` are kept. Numbers begin with 1.
    pub fn new(most: usize) -> Self {
        Ring {
            most,
            inner: Mutex::new(Inner {
                next: 1,
                kept: VecDeque::new(),
            }),
        }
    }

    /// Keeps one and says its number.
    pub fn note(&self, one: T) -> u64 {
        self.inner.lock().push(self.most, one)
    }

    /// Keeps one of a kind of which only `few` are kept, and says its number: where there are as many, the oldest of
    /// them leaves, and nobody else.
    pub fn note_few(&self, one: T, few: usize, alike: impl Fn(&T) -> bool) -> u64 {
        let mut inner = self.inner.lock();
        let of_kind = |(_, other): &(u64, T)| alike(other);
        if inner.kept.iter().filter(|one| of_kind(one)).count() >= few
            && let Some(oldest) = inner.kept.iter().position(of_kind)
        {
            inner.kept.remove(oldest);
        }
        inner.push(self.most, one)
    }

    /// Changes the one of this number, if it is still kept.
    pub fn change(&self, id: u64, change: impl FnOnce(&mut T)) {
        let mut inner = self.inner.lock();
        if let Ok(at) = inner.kept.binary_search_by_key(&id, |(id, _)| *id) {
            change(&mut inner.kept[at].1);
        }
    }

    /// The number of the last one; 0: there was none.
    pub fn last(&self) -> u64 {
        self.inner.lock().next - 1
    }

    /// The latest `most` that are `wanted`, the latest first, of those after number `after` and before number `before`.
    pub fn latest(
        &self,
        most: usize,
        (after, before): (u64, u64),
        wanted: impl Fn(&T) -> bool,
    ) -> Vec<(u64, T)> {
        let inner = self.inner.lock();
        let asked = |(id, one): &&(u64, T)| *id > after && *id < before && wanted(one);
        let latest = inner.kept.iter().rev().filter(asked);
        latest.take(most).cloned().collect()
    }
}

impl<T> Inner<T> {
    fn push(&mut self, most: usize, one: T) -> u64 {
        let id = self.next;
        self.next += 1;
        if self.kept.len() == most {
            self.kept.pop_front();
        }
        self.kept.push_back((id, one));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (u64, u64) = (0, u64::MAX);

    #[test]
    fn the_oldest_leave_and_numbers_go_on() {
        let ring = Ring::new(3);
        assert_eq!(ring.last(), 0);
        for n in 1..=5 {
            assert_eq!(ring.note(n * 10), n);
        }
        let all = ring.latest(9, ALL, |_| true);
        assert_eq!(all, [(5, 50), (4, 40), (3, 30)]);
        assert_eq!(ring.last(), 5);
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped_in_either_direction() {
        let ring = Ring::new(9);
        for n in 1..=6_u64 {
            ring.note(n);
        }
        let ids = |range, even: bool| -> Vec<u64> {
            let wanted = |n: &u64| !even || n.is_multiple_of(2);
            ring.latest(2, range, wanted).iter().map(|x| x.0).collect()
        };
        assert_eq!(ids(ALL, false), [6, 5]);
        assert_eq!(ids((0, 5), false), [4, 3], "older ones");
        assert_eq!(ids((5, u64::MAX), false), [6], "newer ones");
        assert_eq!(ids(ALL, true), [6, 4]);
    }

    #[test]
    fn a_kind_of_which_few_are_kept_pushes_out_only_its_own() {
        let ring = Ring::new(4);
        ring.note(1);
        for n in [2, 4, 6, 8] {
            ring.note_few(n, 2, |n| n % 2 == 0);
        }
        assert_eq!(ring.latest(9, ALL, |_| true), [(5, 8), (4, 6), (1, 1)]);
        ring.change(4, |n| *n = 60);
        ring.change(3, |n| *n = 40);
        assert_eq!(ring.latest(9, ALL, |_| true), [(5, 8), (4, 60), (1, 1)]);
    }
}
