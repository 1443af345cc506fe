//! Counters whose last label is a word of ours, each resolved when its word is first seen.
//!
//! Status codes outside 100–599 are not counted: no node and no client may make up labels.

use std::sync::OnceLock;

use parking_lot::RwLock;
use prometheus::IntCounter;

use super::family::Counters;

/// Status codes 100–599, each counter resolved when its code is first seen.
#[derive(Debug)]
pub(super) struct CodeCounters {
    family: Counters,
    labels: Vec<String>,
    slots: Box<[OnceLock<IntCounter>]>,
}

impl CodeCounters {
    pub(super) fn new(family: &Counters, labels: &[&str]) -> Self {
        CodeCounters {
            family: family.clone(),
            labels: labels.iter().map(|l| (*l).to_string()).collect(),
            slots: (0..500).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn inc(&self, code: u16) {
        let Some(slot) = usize::from(code)
            .checked_sub(100)
            .and_then(|i| self.slots.get(i))
        else {
            return;
        };
        slot.get_or_init(|| resolve(&self.family, &self.labels, &code.to_string()))
            .inc();
    }

    pub(super) fn total(&self) -> u64 {
        self.slots
            .iter()
            .filter_map(|s| s.get())
            .map(IntCounter::get)
            .sum()
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
