//! What was changed at run time, on its way into the process that takes over.
//!
//! A node that somebody drained this morning must not get requests because of an upgrade in the afternoon. What cannot
//! be carried on is told, one by one, and stops nothing else.

use serde_json::Value;

use super::{Control, Reloaded, VerbError};
use crate::config::checked::Secret;
use crate::live::overlay;

impl Control {
    /// What was changed at run time, as data for the next process.
    pub fn changes_told(&self) -> Value {
        self.inner.lock().overlay.told()
    }

    /// The same for the last time: until [`thaw`](Self::thaw) nothing is changed any more, and who asks is told so. What
    /// is answered with success is in what is returned, or is done by the next process.
    pub fn freeze(&self) -> Value {
        let mut inner = self.inner.lock();
        inner.frozen = true;
        inner.overlay.told()
    }

    /// A reload that comes too late. As if the files had not been looked at: should this process serve on, its watcher
    /// finds them.
    pub(super) fn hands_over(why: &str) -> Reloaded {
        tracing::warn!("{why}: {}", VerbError::HandsOver);
        Reloaded::NotNow(VerbError::HandsOver)
    }

    /// The next process does not serve: changes are ours again.
    pub fn thaw(&self) {
        self.inner.lock().frozen = false;
    }

    /// The key that this process, or one before it, made for itself.
    pub fn own_key(&self) -> Secret {
        self.hold.load().own_key.clone()
    }

    /// Makes the changes again that the process before told; how many were made, and what could not be, in words.
    pub fn carry_on(&self, told: &Value) -> (usize, Vec<String>) {
        let (asked, unread) = overlay::asked(told);
        let mut lost = Vec::new();
        if unread > 0 {
            lost.push(format!("{unread} changes that this version cannot read"));
        }
        let ended = match self.ask_all(&asked, None) {
            Ok(ended) => ended,
            Err(why) => vec![Err(why); asked.len()],
        };
        let mut made = 0;
        for (one, ended) in asked.iter().zip(ended) {
            match ended {
                Ok(()) => made += 1,
                Err(why) => lost.push(format!(
                    "{} of {}/{}: {why}",
                    one.verb.as_str(),
                    one.upstream,
                    one.node
                )),
            }
        }
        (made, lost)
    }
}
