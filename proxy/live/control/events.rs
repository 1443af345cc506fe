//! What is noted of what happens, for the page and the API; the log tells the same.
//!
//! Rare things only. Each is one event of bounded length: what does not fit is in the log.

use std::time::SystemTime;

use super::Control;
use super::nodes::{is_worse, said};
use crate::balance::node::{Node, Transition};
use crate::base::node::Health;
use crate::config::problem::Problem;
use crate::kv::{self, Address};
use crate::live::certificates::State;
use crate::live::lifecycle::Successor;
use crate::telemetry::events::{Event, Kind, Level};

/// Characters of an event's text.
const LONGEST: usize = 1_000;

impl Control {
    fn note(&self, event: Event) {
        self.events.note(Event {
            text: shortened(event.text),
            ..event
        });
    }

    pub(super) fn note_start(&self, generation: u64) {
        let said = format!(
            "started: version {}, process {}, generation {generation} of {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            self.source.name()
        );
        self.note(event(Kind::Process, Level::Info, said).to_generation(generation));
    }

    /// The process is on its way out: not ready any more, and every answer closes its connection.
    pub fn begin_stopping(&self) {
        self.lifecycle.begin_stopping();
        self.note(event(
            Kind::Process,
            Level::Info,
            "stopping: not ready any more",
        ));
    }

    /// Another process serves from now on; this one finishes what it has.
    pub fn hand_over(&self, to: Successor) {
        let said = format!(
            "upgrade: process {} (version {}) serves from now on, this one finishes what it has",
            to.pid, to.version
        );
        self.lifecycle.hand_over(to);
        self.note(event(Kind::Process, Level::Info, said));
    }

    /// Another process was to take over and did not.
    pub fn note_no_successor(&self, why: &str) {
        let said = format!("upgrade failed, this process serves on: {why}");
        self.note(event(Kind::Process, Level::Error, said));
    }

    pub(super) fn note_transition(&self, node: &Node, t: &Transition) {
        let rests = |health| health == Health::Ejected;
        let kind = if t.ejected.is_some() || rests(t.from.health) != rests(t.to.health) {
            Kind::Ejection
        } else if t.from.circuit != t.to.circuit {
            Kind::Breaker
        } else {
            Kind::Node
        };
        let level = match is_worse(t) {
            true => Level::Warning,
            false => Level::Info,
        };
        self.note(event(kind, level, said(t)).of_node(&node.upstream, &node.id));
    }

    pub(super) fn note_cut(&self, node: &Node, said: String) {
        let event = event(Kind::Node, Level::Warning, said);
        self.note(event.of_node(&node.upstream, &node.id));
    }

    pub(super) fn note_fail_open(&self, upstream: &str, open: bool, said: String) {
        let level = match open {
            true => Level::Warning,
            false => Level::Info,
        };
        self.note(event(Kind::FailOpen, level, said).of_upstream(upstream));
    }

    pub(super) fn note_reload(&self, why: &str, generation: u64, notes: &[String]) {
        let said = match notes.is_empty() {
            true => format!("{why}: generation {generation} in use, which behaves as before"),
            false => format!(
                "{why}: generation {generation} in use: {}",
                notes.join("; ")
            ),
        };
        self.note(event(Kind::Reload, Level::Info, said).to_generation(generation));
    }

    pub(super) fn note_refusal(&self, why: &str, generation: u64, problems: &[Problem]) {
        let mut said = format!("{why}: refused, generation {generation} stays in use");
        if let Some(first) = problems.first() {
            let (file, line) = (&first.place.file, first.place.line);
            said.push_str(&match line {
                0 => format!(": {file}: {}", first.message),
                _ => format!(": {file}:{line}: {}", first.message),
            });
        }
        if let more @ 1.. = problems.len().saturating_sub(1) {
            said.push_str(&format!(" (and {more} more)"));
        }
        self.note(event(Kind::Reload, Level::Error, said));
    }

    pub(super) fn note_purge(&self, said: String) {
        self.note(event(Kind::Purge, Level::Info, said));
    }

    /// Redis is used from now on, or no longer.
    pub fn note_redis(&self, address: &Address, is: &kv::State) {
        let (level, said) = match is {
            kv::State::Unknown => return,
            kv::State::Up => (Level::Info, format!("redis {address} is used")),
            kv::State::Down(why) => (
                Level::Warning,
                format!("redis {address} is not used: {why}"),
            ),
        };
        self.note(event(Kind::Redis, level, said));
    }

    /// A certificate was issued, or was not.
    pub fn note_certificate(&self, is_issued: bool, said: String) {
        let level = match is_issued {
            true => Level::Info,
            false => Level::Error,
        };
        self.note(event(Kind::Acme, level, said));
    }

    /// A certificate comes to its end.
    pub(super) fn note_expiry(&self, state: State, said: String) {
        let level = match state {
            State::Expired => Level::Error,
            State::Ok | State::Soon => Level::Warning,
        };
        self.note(event(Kind::Certificate, level, said));
    }

    pub(super) fn note_addresses(&self, said: String) {
        self.note(event(Kind::Dns, Level::Info, said));
    }
}

fn event(kind: Kind, level: Level, said: impl Into<String>) -> Event {
    Event::new(SystemTime::now(), kind, level, said)
}

/// A text of bounded length; one that is cut says so.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str("… (the log has all of it)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        assert_eq!(shortened("ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        let cut = shortened("ä".repeat(LONGEST + 1));
        assert_eq!(cut, "ä".repeat(LONGEST) + "… (the log has all of it)");
    }
}
