//! Compresses again, better, what is asked for again and again.
//!
//! On threads of the lowest priority that rest between slices, so that requests come first wherever there are any.
//! Never holds more than one answer at a time, and gives up one that takes too long.

use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;

use crate::cache::entry::{Body, Entry};
use crate::config::checked;
use crate::live::control::Control;
use crate::live::recompress::Job;
use crate::transform::compress::decode::Fault;
use crate::transform::pipe::Pipe;

/// Those that wait, shared by the threads.
pub type Line = Arc<Mutex<Receiver<Job>>>;

/// Works on what waits until the process ends. For a thread of its own.
pub async fn run(control: Arc<Control>, line: Line) {
    let mut gives_way = false;
    loop {
        let next = line.lock().await.recv().await;
        let Some(job) = next else { return };
        // Not before: a thread that gives way also ends last, when the process does.
        if !std::mem::replace(&mut gives_way, true) {
            give_way();
        }
        control.metrics.compression.queued(-1);
        let config = control.hold.load().config.clone();
        if let Some(rules) = &config.cache.recompress {
            work(&control, &job, rules).await;
        }
        control.recompress.finished();
    }
}

/// From now on this thread runs only when no other wants to. Where the system has no such thing, it still rests between
/// slices.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let done = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        if let Err(why) = done {
            tracing::debug!("compressing behind the answers at usual priority: {why:?}");
        }
    }
}

/// Makes one form.
async fn work(control: &Control, job: &Job, rules: &checked::Recompress) {
    // Whatever is stored by now: it may have been confirmed, or got other forms.
    let Some(entry) = control.cache.most_used(&job.key, job.coding) else {
        return;
    };
    let Some(from) = entry.head.coding() else {
        return;
    };
    let length = Some(entry.body.len());
    let pipe = Pipe::new((from, job.coding), job.level, length, job.limits);
    let mut work = Work {
        pipe,
        took: Duration::ZERO,
        rules,
    };
    let made = work.through(&entry).await;
    let metrics = &control.metrics.compression;
    if let Some(coding) = work.pipe.makes() {
        let (bytes_in, bytes_out) = work.pipe.counts;
        metrics.compressed(coding, bytes_in, bytes_out, work.took);
    }
    let Ok(Some(made)) = made else { return };
    let length = |entry: &Entry| {
        let form = entry.form(job.coding);
        form.and_then(|form| form.body.as_ref().map(Body::len))
    };
    let kept = (control.cache).put_form(&entry, job.coding, &[made.into()], true);
    let smaller = kept.and_then(|kept| length(&kept).filter(|new| length(&entry) != Some(*new)));
    if smaller.is_some() {
        metrics.stored(job.coding, true);
    }
}

/// How long this thread has run. Time in which others did does not count: there may be much of it.
fn ran() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

struct Work<'a> {
    pipe: Pipe,
    took: Duration,
    rules: &'a checked::Recompress,
}

impl Work<'_> {
    /// The whole body in the new form. `None`: it takes too long.
    async fn through(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, Fault> {
        let mut out = Vec::new();
        for piece in entry.body.pieces() {
            let mut piece = piece.clone();
            let mut more = !piece.is_empty();
            while more {
                let begun = ran();
                more = self.pipe.step(&mut piece, &mut out)?;
                self.rest(begun).await;
                if self.took > self.rules.time {
                    return Ok(None);
                }
            }
        }
        let begun = ran();
        self.pipe.finish(&mut out)?;
        self.rest(begun).await;
        Ok(Some(out))
    }

    /// Leaves the others their share of the time the thread has run since it had for `begun`.
    async fn rest(&mut self, begun: Duration) {
        let worked = ran().saturating_sub(begun);
        self.took += worked;
        let share = self.rules.cpu.clamp(1, 100);
        tokio::time::sleep(worked * (100 - share) / share).await;
    }
}
