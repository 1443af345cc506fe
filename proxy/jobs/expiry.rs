//! Looks at the certificates in use once a minute, and at each generation's when it begins.
//!
//! What is told, and that it is told once, is for `live/certificates` to say.

use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use crate::live::control::Control;

/// How often: one that a CA gave is known of as late as this, and what is told is days before anything happens.
const EVERY: Duration = Duration::from_secs(60);

/// Runs until the process ends.
pub async fn run(control: &Control) {
    let mut minutes = interval(EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut generations = control.generations();
    loop {
        tokio::select! {
            _ = minutes.tick() => {}
            changed = generations.changed() => if changed.is_err() { return },
        }
        control.watch_certificates(SystemTime::now());
    }
}
