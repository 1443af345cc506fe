//! What goes on beside the requests: watching files, probing nodes, resolving names, ending drains.
//!
//! Runs on a thread of its own, so that a slow disk or resolver never delays a request. Jobs change things only
//! through `live/control`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::live::control::Control;

/// Active health checks.
mod probes;
/// Names to addresses.
mod resolve;
/// Changed files.
mod watch;

/// How often drains are looked at. Well below the second within which a drain must be felt.
const TICK: Duration = Duration::from_millis(100);

/// Runs every job until the process ends.
pub async fn run(control: Arc<Control>) {
    tokio::join!(
        watch::run(&control),
        probes::run(&control),
        resolve::run(&control),
        ticks(&control),
    );
}

async fn ticks(control: &Control) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        control.tick(Instant::now());
    }
}
