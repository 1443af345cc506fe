//! Whether the threads that serve requests still do: looked at from outside, since one that hangs cannot say so.
//!
//! Two looks. A task given to them must be done in time: somebody takes work. And no thread may be awake without having
//! come back to its loop since the last look: the others could take its work, but not the connections it holds. Costs
//! nobody anything: the counters are kept anyway.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

/// What one thread had done at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// How often it went to sleep or woke up; even: it is awake.
    turns: u64,
    busy: Duration,
}

impl Seen {
    fn is_awake(self) -> bool {
        self.turns.is_multiple_of(2)
    }
}

/// The pulse of the data threads.
#[derive(Debug)]
pub struct Pulse {
    threads: Handle,
    seen: Vec<Seen>,
}

impl Pulse {
    /// Of the threads of this runtime.
    pub fn of(threads: Handle) -> Self {
        Pulse {
            threads,
            seen: Vec::new(),
        }
    }

    /// Whether all of them work; a task has `patience`, a thread the time since the last look.
    ///
    /// # Errors
    /// What hangs.
    pub async fn feel(&mut self, patience: Duration) -> Result<(), String> {
        let now = self.look();
        let before = std::mem::replace(&mut self.seen, now);
        let done = timeout(patience, self.threads.spawn(async {})).await;
        if !matches!(done, Ok(Ok(()))) {
            return Err(format!("no data thread took any work for {patience:?}"));
        }
        let hangs = |(was, is): (&Seen, &Seen)| is.is_awake() && was == is;
        match before.iter().zip(&self.seen).position(hangs) {
            Some(thread) => Err(format!(
                "data thread {thread} has been at the same piece of work since the last look"
            )),
            None => Ok(()),
        }
    }

    fn look(&self) -> Vec<Seen> {
        let metrics = self.threads.metrics();
        let threads = 0..metrics.num_workers();
        let seen = threads.map(|thread| Seen {
            turns: metrics.worker_park_unpark_count(thread),
            busy: metrics.worker_total_busy_duration(thread),
        });
        seen.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_hangs_is_felt_though_the_others_work_and_idle_ones_are_well() {
        let data = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let here = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut pulse = Pulse::of(data.handle().clone());
        let mut feel = || here.block_on(pulse.feel(Duration::from_secs(5)));
        for _ in 0..3 {
            assert_eq!(feel(), Ok(()), "nothing to do is no fault");
        }
        let (hangs, is_held) = mpsc::sync_channel(1);
        let (free, held) = mpsc::sync_channel::<()>(1);
        data.spawn(async move {
            hangs.send(()).unwrap();
            let _ = held.recv();
        });
        is_held.recv().unwrap();
        let _ = feel();
        let second = feel().unwrap_err();
        assert!(second.contains("same piece of work"), "{second}");
        drop(free);
        let mut well = feel();
        for _ in 0..100 {
            if well.is_ok() {
                break;
            }
            well = feel();
        }
        assert_eq!(well, Ok(()));
    }
}
