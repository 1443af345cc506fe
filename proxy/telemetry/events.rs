//! What happened to the proxy: nodes that came and went, reloads, purges, what operators did.
//!
//! The log tells the same and for ever; these are kept at hand for the page and the API. Bounded, and never on a
//! request's way: a change of a node's state is rare.

use std::time::SystemTime;

use super::ring::Ring;

/// How many are kept.
pub const KEPT: usize = 1_000;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process started, or begins to stop.
    Process,
    /// A node's state or health changed.
    Node,
    /// A node's circuit breaker changed.
    Breaker,
    /// A node was given a rest.
    Ejection,
    /// Health is ignored because too few nodes are healthy, or counts again.
    FailOpen,
    /// A reload was applied or refused.
    Reload,
    /// Stored answers were purged.
    Purge,
    /// An operator changed something.
    Admin,
    /// The addresses of a name changed.
    Dns,
    /// The Redis that proxies share is used, or not used any more.
    Redis,
    /// A certificate was issued by the CA, or was not.
    Acme,
    /// A certificate in use comes to its end.
    Certificate,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 12] = [
        Kind::Process,
        Kind::Node,
        Kind::Breaker,
        Kind::Ejection,
        Kind::FailOpen,
        Kind::Reload,
        Kind::Purge,
        Kind::Admin,
        Kind::Dns,
        Kind::Redis,
        Kind::Acme,
        Kind::Certificate,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Node => "node",
            Kind::Breaker => "breaker",
            Kind::Ejection => "ejection",
            Kind::FailOpen => "fail_open",
            Kind::Reload => "reload",
            Kind::Purge => "purge",
            Kind::Admin => "admin",
            Kind::Dns => "dns",
            Kind::Redis => "redis",
            Kind::Acme => "acme",
            Kind::Certificate => "certificate",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub level: Level,
    /// What happened, in words.
    pub text: String,
    /// The upstream it is about.
    pub upstream: Option<String>,
    /// The node it is about.
    pub node: Option<String>,
    /// The generation it led to.
    pub generation: Option<u64>,
}

impl Event {
    /// Something that happened now, about no node in particular.
    pub fn new(at: SystemTime, kind: Kind, level: Level, text: impl Into<String>) -> Self {
        Event {
            at,
            kind,
            level,
            text: text.into(),
            upstream: None,
            node: None,
            generation: None,
        }
    }

    /// It is about this node.
    pub fn of_node(mut self, upstream: &str, node: &str) -> Self {
        self.upstream = Some(upstream.to_string());
        self.node = Some(node.to_string());
        self
    }

    /// It is about this upstream.
    pub fn of_upstream(mut self, upstream: &str) -> Self {
        self.upstream = Some(upstream.to_string());
        self
    }

    /// It led to this generation.
    pub fn to_generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }
}

/// The last events.
pub type Events = Ring<Event>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::from_word("nodes"), None);
    }
}
