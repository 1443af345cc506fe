//! What goes on beside the requests: watching files, probing nodes, resolving names, ending drains, noting figures.
//!
//! Runs on a thread of its own, so that a slow disk or resolver never delays a request. Jobs change things only
//! through `live/control`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

use crate::live::control::Control;

/// Certificates from a CA.
pub mod acme;
/// Certificates that come to their end.
mod expiry;
/// Active health checks.
mod probes;
/// What is compressed better behind the answers.
pub mod recompress;
/// Names to addresses.
mod resolve;
/// What was counted, second by second.
mod sample;
/// What proxies share by Redis.
pub mod shared;
/// Spans on their way to the collector.
#[cfg(feature = "otlp")]
pub mod traces;
/// Changed files.
mod watch;

/// How often drains are looked at. Well below the second within which a drain must be felt.
const TICK: Duration = Duration::from_millis(100);

/// A flood of refusals is told every so many ticks: once a second.
const TICKS_OF_A_FLOOD: u32 = 10;

/// After a fault of its own, a job starts again this much later.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(1);

/// Runs every job until the process ends.
///
/// `probes` nodes are asked at the same time, at most.
pub async fn run(control: Arc<Control>, probes: usize) {
    let turns = Arc::new(Semaphore::new(probes));
    tokio::join!(
        for_ever("watching files", &control, |c| async move {
            watch::run(&c).await
        }),
        for_ever("probing nodes", &control, |c| {
            let turns = turns.clone();
            async move { probes::run(&c, &turns).await }
        }),
        for_ever("resolving names", &control, |c| async move {
            resolve::run(&c).await
        }),
        for_ever(
            "ending drains",
            &control,
            |c| async move { ticks(&c).await }
        ),
        for_ever("watching certificates", &control, |c| async move {
            expiry::run(&c).await
        }),
        for_ever("noting figures", &control, |c| async move {
            sample::run(&c).await
        }),
    );
}

/// Runs a job; one that panics is started again, and takes no other with it.
async fn for_ever<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    control: &Arc<Control>,
    job: impl Fn(Arc<Control>) -> F,
) {
    while let Err(fault) = tokio::spawn(job(control.clone())).await {
        tracing::error!("{what} failed: {fault}; it is started again");
        tokio::time::sleep(PAUSE_AFTER_FAULT).await;
    }
}

async fn ticks(control: &Control) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: u32 = 0;
    loop {
        ticks.tick().await;
        control.tick(Instant::now());
        told = told.wrapping_add(1);
        if told.is_multiple_of(TICKS_OF_A_FLOOD) {
            tell_flood(control);
        }
    }
}

fn tell_flood(control: &Control) {
    let withheld = control.flood.take_withheld();
    if withheld > 0 {
        tracing::warn!(
            "{withheld} more requests were refused than the access log tells one by one; \
             tidegate_requests_refused_total counts all of them, by reason"
        );
    }
}
