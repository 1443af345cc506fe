//! The places of a chain that are remembered: the last ones, without a gap.

use std::collections::{HashMap, VecDeque};

use super::{Concern, Position};

/// A purge on its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) uid: u64,
    pub(super) concern: Concern,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// The place before the first that is remembered.
    begin: Position,
    cells: VecDeque<Cell>,
    /// Of the purges that concern more than a URL: number, and the lowest sequence of the store before it or any later
    /// one. Both rise; one that is not lower than a later one's is left out.
    begun: VecDeque<(u64, u64)>,
    /// The last purge of each URL.
    urls: HashMap<u128, u64>,
}

impl Ring {
    /// No purge yet behind this place.
    pub(super) fn new(begin: Position) -> Ring {
        Ring {
            begin,
            cells: VecDeque::new(),
            begun: VecDeque::new(),
            urls: HashMap::new(),
        }
    }

    pub(super) fn last(&self) -> Position {
        Position {
            n: self.begin.n + self.cells.len() as u64,
            uid: self.cells.back().map_or(self.begin.uid, |cell| cell.uid),
        }
    }

    pub(super) fn has(&self, at: Position) -> bool {
        let uid = match at.n.checked_sub(self.begin.n) {
            None => return false,
            Some(0) => Some(self.begin.uid),
            Some(later) => usize::try_from(later - 1)
                .ok()
                .and_then(|at| self.cells.get(at))
                .map(|cell| cell.uid),
        };
        uid == Some(at.uid)
    }

    /// Takes the next place. `begun`: the store's sequence before the purge, if it concerns more than a URL.
    pub(super) fn push(&mut self, cell: Cell, begun: Option<u64>, most: usize) {
        self.cells.push_back(cell);
        let n = self.last().n;
        if let Concern::Url(url) = cell.concern {
            self.urls.insert(url, n);
        }
        if let Some(begun) = begun {
            while self.begun.back().is_some_and(|(_, other)| *other >= begun) {
                self.begun.pop_back();
            }
            self.begun.push_back((n, begun));
        }
        while self.cells.len() > most.max(1) {
            self.pop();
        }
    }

    /// Forgets the oldest place.
    fn pop(&mut self) {
        let Some(cell) = self.cells.pop_front() else {
            return;
        };
        self.begin = Position {
            n: self.begin.n + 1,
            uid: cell.uid,
        };
        let n = self.begin.n;
        if let Concern::Url(url) = cell.concern
            && self.urls.get(&url) == Some(&n)
        {
            self.urls.remove(&url);
        }
        while self.begun.front().is_some_and(|(at, _)| *at <= n) {
            self.begun.pop_front();
        }
    }

    /// The number of the last purge of this URL.
    pub(super) fn purged(&self, url: u128) -> Option<u64> {
        self.urls.get(&url).copied()
    }

    /// The lowest sequence before any purge after this number that concerns more than a URL.
    pub(super) fn begun_after(&self, n: u64) -> Option<u64> {
        let at = self.begun.partition_point(|(at, _)| *at <= n);
        self.begun.get(at).map(|(_, begun)| *begun)
    }
}
