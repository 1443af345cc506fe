//! Status codes, each counter resolved when its code is first seen.
//!
//! Codes outside 100–599 are not counted: no node and no client may make up labels.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::{IntCounter, IntCounterVec};

/// Codes that are counted.
const SLOTS: usize = 500;

/// Status codes 100–599, each counter resolved when its code is first seen.
#[derive(Debug)]
pub(super) struct CodeCounters {
    family: IntCounterVec,
    labels: Vec<String>,
    slots: Box<[OnceLock<IntCounter>]>,
    /// Which slots are taken, a bit each: most never are, and who reads the rest often need not look at them.
    taken: [AtomicU64; SLOTS.div_ceil(64)],
}

impl CodeCounters {
    pub(super) fn new(family: &IntCounterVec, labels: &[&str]) -> Self {
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
            let code = code.to_string();
            let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
            labels.push(&code);
            self.family.with_label_values(&labels)
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

    pub(super) fn forget(&self) {
        for (i, slot) in self.slots.iter().enumerate() {
            if slot.get().is_some() {
                let code = (i + 100).to_string();
                let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
                labels.push(&code);
                let _ = self.family.remove_label_values(&labels);
            }
        }
    }
}
