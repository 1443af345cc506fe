//! What is asked for again and again waits here to be compressed better.
//!
//! Bounded: what finds no place is asked for again later, if it is. Keeps nothing alive: an answer that is evicted
//! meanwhile is not worth it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::base::coding::Coding;
use crate::cache::entry::{Entry, Form};
use crate::cache::key::Key;
use crate::config::checked::{self, Compress, Decode};
use crate::telemetry::metrics::CompressionMetrics;

/// A stored answer that one of its forms is worth more time of.
#[derive(Debug)]
pub struct Job {
    /// What the answer is stored under.
    pub key: Arc<Key>,
    /// Which of its forms.
    pub coding: Coding,
    /// The level it is made at.
    pub level: u32,
    /// How far its own body is decoded.
    pub limits: Decode,
}

/// Those that wait.
#[derive(Debug)]
pub struct Recompress {
    /// How many threads work on them.
    threads: usize,
    waiting: Sender<Job>,
    next: Mutex<Option<Receiver<Job>>>,
    /// Those that wait and those that are worked on.
    unfinished: AtomicU64,
}

impl Recompress {
    /// Nobody waits yet. How many threads there are and how many may wait is settled when the process starts.
    pub fn new(rules: Option<checked::Recompress>) -> Self {
        let (waiting, next) = channel(rules.map_or(1, |rules| rules.queue));
        Recompress {
            threads: rules.map_or(0, |rules| rules.threads),
            waiting,
            next: Mutex::new(Some(next)),
            unfinished: AtomicU64::new(0),
        }
    }

    /// How many threads are to work on them.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A form that could be smaller was sent. The one time that makes it worth it puts it in line.
    pub fn used(
        &self,
        entry: &Arc<Entry>,
        form: &Form,
        (rules, route): (Option<&checked::Recompress>, &Compress),
        metrics: &CompressionMetrics,
    ) {
        let Some(rules) = rules.filter(|_| self.threads > 0) else {
            return;
        };
        // Where there was no place in line it comes round again after as many.
        if !form.hit().is_multiple_of(rules.after) || entry.body.len() > rules.max_size {
            return;
        }
        let Some(level) = route.stored_level.get(form.coding) else {
            return;
        };
        let job = Job {
            key: entry.key.clone(),
            coding: form.coding,
            level: *level,
            limits: route.decode.unwrap_or_default(),
        };
        self.unfinished.fetch_add(1, Relaxed);
        match self.waiting.try_send(job) {
            Ok(()) => metrics.queued(1),
            Err(_) => {
                self.finished();
                metrics.dropped();
            }
        }
    }

    /// One of them is done with, whatever came of it.
    pub fn finished(&self) {
        self.unfinished.fetch_sub(1, Relaxed);
    }

    /// How many wait or are worked on.
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Relaxed)
    }

    /// The line, for the one who works on it.
    pub fn take_line(&self) -> Option<Receiver<Job>> {
        self.next.lock().take()
    }
}
