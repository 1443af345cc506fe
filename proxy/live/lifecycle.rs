//! Running, stopping, stopped: one value that everybody who must know reads.
//!
//! It only ever moves forward. A process that handed its ports to the next one stops like any other, but patiently:
//! it does so beside one that serves, and whoever is connected may stay until its next answer.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// How far the process is in its life.
#[derive(Debug)]
pub struct Lifecycle {
    started: Instant,
    stopping: AtomicBool,
    patient: AtomicBool,
    successor: OnceLock<Successor>,
}

/// The process that serves our ports from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Its id.
    pub pid: u32,
    /// What it calls its version.
    pub version: String,
    /// The addresses of the ports that it accepts on, as they are really open.
    pub ports: HashSet<String>,
}

impl Lifecycle {
    /// A process that just started.
    pub fn new(now: Instant) -> Self {
        Lifecycle {
            started: now,
            stopping: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            successor: OnceLock::new(),
        }
    }

    /// When the process started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// From now on: not ready, and every answer closes its connection.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether the process is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// From now on another process serves; idle connections stay until their next answer. The first one holds.
    pub fn hand_over(&self, to: Successor) {
        if self.successor.set(to).is_ok() {
            self.patient.store(true, Relaxed);
            self.begin_stopping();
        }
    }

    /// The process that serves from now on, if there is one.
    pub fn successor(&self) -> Option<&Successor> {
        self.successor.get()
    }

    /// Whether the process that serves from now on accepts on the port of this address: who waits there is its to serve.
    pub fn has_heir_of(&self, port: &str) -> bool {
        let heir = self.successor();
        heir.is_some_and(|successor| successor.ports.contains(port))
    }

    /// Whether idle connections may stay although the process is on its way out.
    pub fn is_patient(&self) -> bool {
        self.patient.load(Relaxed)
    }

    /// Idle connections have had their time: they are closed as in any other stop.
    pub fn lose_patience(&self) {
        self.patient.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hands_over_stops_and_is_patient_until_told_otherwise() {
        let life = Lifecycle::new(Instant::now());
        let next = |pid| Successor {
            pid,
            version: "2".into(),
            ports: HashSet::from(["127.0.0.1:80".to_string()]),
        };
        assert!(!life.is_stopping() && !life.is_patient() && !life.has_heir_of("127.0.0.1:80"));
        life.hand_over(next(7));
        assert!(life.is_stopping() && life.is_patient());
        assert!(life.has_heir_of("127.0.0.1:80") && !life.has_heir_of("127.0.0.1:81"));
        life.lose_patience();
        life.hand_over(next(8));
        assert!(!life.is_patient(), "it does not come back");
        assert_eq!(life.successor().map(|s| s.pid), Some(7));
    }
}
