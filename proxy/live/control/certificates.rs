//! The certificates in use, and who is told that one of them comes to its end.

use std::time::SystemTime;

use super::Control;
use crate::live::certificates::{Shown, shown};

impl Control {
    /// The certificates that clients are shown, each once. Reads those that a CA gave: for a thread that may be busy for
    /// a moment.
    pub fn certificates(&self) -> Vec<Shown> {
        let snapshot = self.hold.load();
        shown(&snapshot.tls, &self.issued, &self.acme)
    }

    /// Tells the log and the events of certificates that have come near their end, or to it, since it was last asked.
    pub fn watch_certificates(&self, now: SystemTime) {
        let all = self.certificates();
        for (state, said) in self.expiry.lock().news(&all, now) {
            tracing::warn!("{said}");
            self.note_expiry(state, said);
        }
    }
}
