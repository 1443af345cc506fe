//! The process in a line, as `systemctl status` shows it.

use std::time::{Duration, Instant};

use crate::live::control::Control;

/// What was counted at a moment.
#[derive(Debug, Clone)]
pub struct Count {
    at: Instant,
    requests: u64,
}

impl Count {
    /// Now.
    pub fn of(control: &Control) -> Self {
        Count {
            at: Instant::now(),
            requests: control.metrics.requests_total(),
        }
    }

    /// Requests a second since then.
    pub fn since(&self, then: &Count) -> u64 {
        let time = (self.at - then.at).max(Duration::from_millis(1));
        let requests = self.requests.saturating_sub(then.requests) as f64;
        (requests / time.as_secs_f64()).round() as u64
    }
}

/// The process now; `rate`: requests a second, where it is known.
pub fn line(control: &Control, rate: Option<u64>) -> String {
    let snapshot = control.hold.load();
    let upstreams = || snapshot.upstreams.iter();
    let now = Instant::now();
    let up: usize = upstreams().map(|u| u.pool.available(now)).sum();
    let all: usize = upstreams().map(|u| u.members.len()).sum();
    let mut line = format!("generation {}, {up} of {all} nodes up", snapshot.generation);
    if let Some(rate) = rate {
        line.push_str(&format!(", {rate} requests/s"));
    }
    if !control.last_reload().problems.is_empty() {
        line.push_str("; the last reload was refused, see the log");
    }
    line
}
