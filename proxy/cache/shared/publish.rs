//! Tells our purges to the others, in their order.
//!
//! What cannot be told waits until it can. One that may have been told or not is told again: it is known by its number.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::timeout;

use super::chain::Concern;
use super::purges::{Local, Purges};
use super::purges_stats::{add, set};
use super::record::Record;
use crate::kv::{Fault, Op, Reply, State};

/// Purges that are told in one round trip.
const AT_ONCE: usize = 64;
/// Until it is tried again to tell what a Redis did not take that is there.
const PAUSE: Duration = Duration::from_millis(500);

impl Purges {
    /// Tells what there is to tell, for as long as it runs.
    pub async fn publish(&self, local: &impl Local) {
        let mut is_refused = false;
        let mut state = self.kv.state();
        loop {
            let some = self.outbox.lock().first(self.at_once());
            if some.is_empty() {
                self.told.notify_waiters();
                self.news.notified().await;
                continue;
            }
            let done = self.publish_some(&some, local).await;
            self.tell_change(&mut is_refused, &done);
            if done.is_err() {
                // Where it is there and did not take it, a moment; where it is away, until it is back and no longer.
                if state.borrow_and_update().is_up() {
                    let _ = timeout(PAUSE, state.changed()).await;
                }
                let _ = state.wait_for(State::is_up).await;
            }
        }
    }

    /// In a cluster commands of one round trip may overtake each other.
    fn at_once(&self) -> usize {
        match self.kv.address().cluster {
            true => 1,
            false => AT_ONCE,
        }
    }

    async fn publish_some(&self, some: &[Arc<Record>], local: &impl Local) -> Result<(), Fault> {
        let (history, is_cluster) = (self.history(), self.kv.address().cluster);
        let marks = if is_cluster { 0 } else { self.marks() };
        let command = |record: &Arc<Record>| {
            let uids = [self.draw(), self.draw()];
            self.stream.publish(record, uids, history, marks)
        };
        let commands: Vec<_> = some.iter().map(command).collect();
        let replies = self.kv.ask_patiently(Op::Purge, &commands).await?;
        for (record, reply) in some.iter().zip(replies) {
            let n = match reply {
                Reply::Error(words) => return Err(Fault::Refused(words)),
                other => other.int().unwrap_or(0),
            };
            if let (Concern::Url(url), true) = (record.deed.concern(), is_cluster) {
                let mark = [self.stream.mark(url, n, self.marks())];
                self.kv.ask_patiently(Op::Purge, &mark).await?;
            }
            let mut outbox = self.outbox.lock();
            outbox.told(record, local.now());
            set(&self.stats().queued, outbox.waiting() as u64);
            add(&self.stats().sent, 1);
        }
        Ok(())
    }

    /// Says once that Redis takes no purges though it answers, and once that it does again.
    fn tell_change(&self, was_refused: &mut bool, done: &Result<(), Fault>) {
        let queued = self.stats().queued.load(Relaxed);
        match done {
            Err(Fault::Refused(words)) if !*was_refused => {
                *was_refused = true;
                tracing::warn!(
                    "Redis at {} takes no purges: {words}. {queued} wait; they are in effect here, and other proxies learn of \
                     them when it takes them (it has to be Redis 7 or Valkey, and no replica)",
                    self.kv.address()
                );
            }
            Ok(()) if *was_refused => {
                *was_refused = false;
                tracing::info!("Redis at {} takes purges again", self.kv.address());
            }
            _ => {}
        }
    }
}
