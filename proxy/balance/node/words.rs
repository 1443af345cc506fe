//! What can happen to a node, and what is said of it.
//!
//! Values only: what they lead to is decided in `super::Node::apply`.

use std::time::{Duration, Instant};

use crate::base::node::{Health, Intent};

/// How far a node's health lets it be used for new requests. Lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fitness {
    /// Known to be fine.
    Good = 0,
    /// Not yet probed: used when no node is known to be fine.
    Untried = 1,
    /// Refused a connection a moment ago: used when nobody else is left, since a refusal costs nothing.
    LastResort = 2,
    /// Not used.
    Unfit = 3,
}

impl From<Health> for Fitness {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Fitness::Good,
            Health::Checking => Fitness::Untried,
            Health::Ejected => Fitness::LastResort,
            Health::Unhealthy => Fitness::Unfit,
        }
    }
}

impl Fitness {
    pub(super) fn from_u8(n: u8) -> Self {
        match n {
            0 => Fitness::Good,
            1 => Fitness::Untried,
            2 => Fitness::LastResort,
            _ => Fitness::Unfit,
        }
    }
}

/// What happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The operator (file or verb) wants this of it.
    Intend(Intent),
    /// A probe passed; `rise` in a row make it healthy.
    ProbePassed {
        /// Passed probes in a row that make it healthy.
        rise: u32,
    },
    /// A probe failed; `fall` in a row make it unhealthy.
    ProbeFailed {
        /// Failed probes in a row that make it unhealthy.
        fall: u32,
        /// What went wrong, for people.
        why: String,
    },
    /// A request could not connect to it.
    ConnectFailed {
        /// What went wrong, for people.
        why: String,
    },
    /// A request did connect to it.
    Connected,
    /// Time passed: an ejection may be over.
    Settle,
    /// Its drain has lasted too long, if it began `limit` ago or earlier: what is left on it is to be cut.
    DrainIsOver {
        /// How long a drain may take.
        limit: Duration,
    },
    /// Its address or its health check changed: what was seen of it no longer counts.
    Restart(Health),
}

/// One change of a node's state, as `Node::apply` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: (Intent, Health),
    /// After.
    pub to: (Intent, Health),
    /// Why, for people.
    pub reason: String,
}

/// What the stats port shows of a node.
#[derive(Debug, Clone)]
pub struct View {
    /// What the operator wants.
    pub intent: Intent,
    /// What we see.
    pub health: Health,
    /// When either last changed.
    pub since: Instant,
    /// Why it did.
    pub reason: String,
    /// The last probe: when, and what went wrong (`None`: it passed).
    pub last_check: Option<(Instant, Option<String>)>,
    /// When the operator (or its removal) began to drain it.
    pub draining_since: Option<Instant>,
}
