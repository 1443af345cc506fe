//! Status codes, each counter resolved when its code is first seen.
//!
//! Codes outside 100–599 are not counted: no node and no client may make up labels.

use std::sync::OnceLock;

use prometheus::{IntCounter, IntCounterVec};

/// Status codes 100–599, each counter resolved when its code is first seen.
#[derive(Debug)]
pub(super) struct CodeCounters {
    family: IntCounterVec,
    labels: Vec<String>,
    slots: Box<[OnceLock<IntCounter>]>,
}

impl CodeCounters {
    pub(super) fn new(family: &IntCounterVec, labels: &[&str]) -> Self {
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
        slot.get_or_init(|| {
            let code = code.to_string();
            let mut labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
            labels.push(&code);
            self.family.with_label_values(&labels)
        })
        .inc();
    }

    pub(super) fn total(&self) -> u64 {
        self.slots
            .iter()
            .filter_map(|s| s.get())
            .map(IntCounter::get)
            .sum()
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
