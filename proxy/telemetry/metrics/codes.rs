//! Counters whose last label is a word of ours, each resolved when its word is first seen.
//!
//! Status codes outside 100–599 are not counted: no node and no client may make up labels.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;
use prometheus::IntCounter;

use super::family::Counters;

/// Codes that are counted.
const SLOTS: usize = 500;

/// Status codes 100–599, each counter resolved when its code is first seen.
#[derive(Debug)]
pub(super) struct CodeCounters {
    family: Counters,
    labels: Vec<String>,
    slots: Box<[OnceLock<IntCounter>]>,
    /// Which slots are taken, a bit each: most never are, and who reads the rest often need not look at them.
    taken: [AtomicU64; SLOTS.div_ceil(64)],
}

impl CodeCounters {
    pub(super) fn new(family: &Counters, labels: &[&str]) -> Self {
        CodeCounters {
            family: family.clone(),
            labels: labels.iter().map(|l| (*l).to_string()).collect(),
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            taken: Default::default(),
        }
    }

    pub(super) fn inc(&self, code: u16) {
        let at = usize::from(code).wrapping_sub(100);
        let Some(slot) = self.slots.get(at) else {
            return;
        };
        slot.get_or_init(|| {
            self.taken[at / 64].fetch_or(1 << (at % 64), Relaxed);
            resolve(&self.family, &self.labels, &code.to_string())
        })
        .inc();
    }

    pub(super) fn total(&self) -> u64 {
        self.seen().map(|(_, n)| n).sum()
    }

    /// The codes that were seen, and how often.
    pub(super) fn seen(&self) -> impl Iterator<Item = (u16, u64)> {
        let words = self.taken.iter().zip((0_u16..).step_by(64));
        let slots = words.flat_map(|(word, first)| {
            let mut left = word.load(Relaxed);
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as u16)?;
                left &= left - 1;
                Some(first + bit)
            })
        });
        slots.filter_map(|at| {
            let counter = self.slots.get(usize::from(at))?.get()?;
            Some((at + 100, counter.get()))
        })
    }
}

/// A few words, each counter resolved when its word is first seen. Words are literals, so there is a bound.
#[derive(Debug)]
pub(super) struct WordCounters {
    family: Counters,
    labels: Vec<String>,
    seen: RwLock<Vec<(&'static str, IntCounter)>>,
}

impl WordCounters {
    pub(super) fn new(family: &Counters, labels: &[&str]) -> Self {
        WordCounters {
            family: family.clone(),
            labels: labels.iter().map(|l| (*l).to_string()).collect(),
            seen: RwLock::default(),
        }
    }

    pub(super) fn inc(&self, word: &'static str) {
        if let Some((_, counter)) = self.seen.read().iter().find(|(w, _)| *w == word) {
            return counter.inc();
        }
        // Another thread may have been here meanwhile: both get the same counter, and the second entry is never read.
        let counter = resolve(&self.family, &self.labels, word);
        counter.inc();
        self.seen.write().push((word, counter));
    }
}

fn resolve(family: &Counters, labels: &[String], last: &str) -> IntCounter {
    let mut all: Vec<&str> = labels.iter().map(String::as_str).collect();
    all.push(last);
    family.with_label_values(&all)
}
