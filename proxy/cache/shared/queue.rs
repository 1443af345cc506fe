//! Answers that wait to be written, and words that wait to be told.
//!
//! Bounded both ways; who is too many pushes out who has waited longest. Nobody waits here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::chain::Position;
use super::lease::{Ticket, Word};
use super::stats::{Dropped, Stats};
use crate::cache::entry::Entry;

/// Answers that may wait.
const ANSWERS: usize = 4_096;
/// Words that may wait. A lease that is not given back ends by itself.
const WORDS: usize = 4_096;
/// Answers that are written together.
const BATCH: usize = 32;
/// Bytes of answers that are written together; one that is larger goes alone.
const BATCH_BYTES: u64 = 1024 * 1024;

/// An answer that waits to be written.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: Arc<Entry>,
    /// Which purges its fetch knew of.
    pub(super) position: Position,
    /// Milliseconds that it stays at the most.
    pub(super) ttl_max: u64,
    /// To be given back when it is written, or not.
    pub(super) lease: Option<Ticket>,
}

impl Job {
    fn bytes(&self) -> u64 {
        self.entry.body.len() + self.entry.head.lines().len() as u64
    }
}

/// What waits to be told.
#[derive(Debug)]
pub(super) enum Note {
    /// A lease is given back with a word for those who wait.
    Release(Ticket, Word),
    /// What is stored at this place is over.
    Forget(String),
}

#[derive(Debug, Default)]
struct Waiting {
    answers: VecDeque<Job>,
    bytes: u64,
    notes: VecDeque<Note>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Queue {
    /// Puts an answer behind the others, of which as many go as it takes for `most` bytes to be enough.
    pub(super) fn push(&self, job: Job, most: u64, stats: &Stats) {
        let mut thrown = Vec::new();
        let mut guard = self.waiting.lock();
        let waiting = &mut *guard;
        waiting.bytes += job.bytes();
        waiting.answers.push_back(job);
        while waiting.answers.len() > ANSWERS || waiting.bytes > most {
            let Some(oldest) = waiting.answers.pop_front() else {
                break;
            };
            waiting.bytes -= oldest.bytes();
            thrown.push(oldest);
        }
        for job in &mut thrown {
            if let Some(ticket) = job.lease.take() {
                waiting.note(Note::Release(ticket, Word::Go));
            }
        }
        waiting.tell(stats);
        drop(guard);
        stats.dropped(Dropped::Full, thrown.len());
        self.news.notify_one();
    }

    /// Puts a word behind the others; the oldest goes for it.
    pub(super) fn note(&self, note: Note) {
        self.waiting.lock().note(note);
        self.news.notify_one();
    }

    /// Waits until something waits.
    pub(super) async fn news(&self) {
        loop {
            let news = self.news.notified();
            {
                let waiting = self.waiting.lock();
                if !waiting.answers.is_empty() || !waiting.notes.is_empty() {
                    return;
                }
            }
            news.await;
        }
    }

    /// What is told and written next: all words, and some answers.
    pub(super) fn take(&self, stats: &Stats) -> (Vec<Note>, Vec<Job>) {
        let mut guard = self.waiting.lock();
        let waiting = &mut *guard;
        let notes = waiting.notes.drain(..).collect();
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while let Some(next) = waiting.answers.front() {
            bytes += next.bytes();
            if !jobs.is_empty() && (jobs.len() == BATCH || bytes > BATCH_BYTES) {
                break;
            }
            waiting.bytes -= next.bytes();
            jobs.extend(waiting.answers.pop_front());
        }
        waiting.tell(stats);
        (notes, jobs)
    }
}

impl Waiting {
    fn note(&mut self, note: Note) {
        if self.notes.len() >= WORDS {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    fn tell(&self, stats: &Stats) {
        stats.queued.store(self.answers.len() as u64, Relaxed);
        stats.queued_bytes.store(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::cache::entry::{Body, Head};
    use crate::cache::key::{Key, Target};
    use crate::cache::policy::life::{Life, Source};
    use crate::cache::policy::vary::Selection;

    fn job(path: &str, bytes: usize) -> Job {
        let target = Target {
            scheme: "http",
            host: "a",
            path,
            query: None,
        };
        let life = Life {
            received: 0,
            initial_age: 0,
            lifetime: 1_000,
            source: Source::MaxAge,
            stale_while_revalidate: 0,
            stale_if_error: None,
            no_cache: false,
            must_revalidate: false,
            has_validator: false,
        };
        let body = Body::One(Bytes::from(vec![0; bytes]));
        let what = (life, Head::new(StatusCode::OK, []), body);
        let key = Arc::new(Key::new(target, 0));
        let entry = Entry::new(key, what, Selection::default(), Box::default(), 0);
        let place = path.to_owned();
        Job {
            entry: Arc::new(entry),
            position: Position { n: 0, uid: 0 },
            ttl_max: 1_000,
            lease: Some(Ticket {
                place,
                token: String::new(),
            }),
        }
    }

    #[test]
    fn what_is_too_much_pushes_out_the_oldest_whose_lease_is_given_back() {
        let (queue, stats) = (Queue::default(), Stats::default());
        for path in ["/a", "/b", "/c"] {
            queue.push(job(path, 400), 1_000, &stats);
        }
        assert_eq!(stats.queued.load(Relaxed), 2);
        assert_eq!(stats.queued_bytes.load(Relaxed), 800);
        assert_eq!(stats.dropped[Dropped::Full as usize].load(Relaxed), 1);
        let (notes, jobs) = queue.take(&stats);
        let paths: Vec<&str> = jobs.iter().map(|job| job.entry.key.path()).collect();
        assert_eq!(paths, ["/b", "/c"]);
        let [Note::Release(ticket, Word::Go)] = &notes[..] else {
            panic!("{notes:?}");
        };
        assert_eq!(ticket.place, "/a");
        assert_eq!(stats.queued_bytes.load(Relaxed), 0);
        // One that is larger than all that may wait is not kept for that.
        queue.push(job("/d", 1_001), 1_000, &stats);
        assert_eq!(stats.queued.load(Relaxed), 0);
    }

    #[test]
    fn answers_are_taken_in_order_and_a_few_at_a_time() {
        let (queue, stats) = (Queue::default(), Stats::default());
        for n in 0..ANSWERS + 10 {
            queue.push(job(&format!("/{n}"), 1), u64::MAX, &stats);
        }
        assert_eq!(stats.dropped[Dropped::Full as usize].load(Relaxed), 10);
        let (_, jobs) = queue.take(&stats);
        assert_eq!((jobs.len(), jobs[0].entry.key.path()), (BATCH, "/10"));
        let large = usize::try_from(BATCH_BYTES).unwrap();
        while !queue.take(&stats).1.is_empty() {}
        queue.push(job("/large", large + 1), u64::MAX, &stats);
        queue.push(job("/next", 1), u64::MAX, &stats);
        assert_eq!(queue.take(&stats).1.len(), 1);
        assert_eq!(queue.take(&stats).1.len(), 1);
    }
}
