//! Who was let in to what has no end: a stream ends when its caller would not be let in any more.
//!
//! A token is taken away by a reload; whoever has it must not go on listening to what was opened with it.

use std::sync::Arc;

use tokio::sync::watch;

use super::caller::Caller;
use super::door::is_still_known;
use crate::live::control::Control;

/// A caller that goes on listening.
#[derive(Debug)]
pub struct Known {
    control: Arc<Control>,
    caller: Caller,
    generations: watch::Receiver<u64>,
}

impl Known {
    /// One that was let in just now.
    pub fn new(control: Arc<Control>, caller: Caller) -> Self {
        let mut generations = control.generations();
        generations.mark_changed(); // it may have lost its token since it passed the door
        Known {
            control,
            caller,
            generations,
        }
    }

    /// Whether it may go on; looks only when there is a new generation.
    pub fn may_go_on(&mut self) -> bool {
        if !self.generations.has_changed().unwrap_or(false) {
            return true;
        }
        self.generations.mark_unchanged();
        self.control.hold.look(|snapshot| {
            let admin = self.control.admin(&snapshot.config);
            let tokens = admin.map_or(&[][..], |admin| &admin.tokens);
            is_still_known(&self.caller, tokens)
        })
    }

    /// Waits until it may not go on.
    pub async fn is_unknown(&mut self) {
        while self.may_go_on() {
            if self.generations.changed().await.is_err() {
                return;
            }
            self.generations.mark_changed();
        }
    }
}
