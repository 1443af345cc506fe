//! What can happen to a node, and what is said of it.
//!
//! Values only: what they lead to is decided in `super::Node::apply`.

use std::time::{Duration, Instant};

use crate::balance::outlier::Why;
use crate::base::node::{Circuit, Health, Intent, Standing};

/// How far a node's health lets it be used for new requests. Lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fitness {
    /// Known to be fine.
    Good = 0,
    /// Not yet probed: used when no node is known to be fine.
    Untried = 1,
    /// Rests because it failed a moment ago: used when nobody else is left.
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

/// How long a node rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The first time.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
    /// The n-th time in a row: twice as long as the one before, or `first` longer.
    pub doubles: bool,
}

impl Rest {
    /// After a refused connection. One second is long enough that a dead node costs a request a second instead of every
    /// third one, and short enough that a restarted node without health checks is back before anybody looks; and one
    /// that came back must not wait longer than an operator would.
    pub const AFTER_A_REFUSAL: Rest = Rest {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(10),
        doubles: true,
    };

    /// So long, the `n`-th time in a row; the first is 1.
    pub fn of(self, n: u32) -> Duration {
        let times = match self.doubles {
            true => 1u32 << n.saturating_sub(1).min(16),
            false => n.max(1),
        };
        self.first.saturating_mul(times).min(self.longest)
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
    /// What it says of itself: the share of its weight that it wants, in percent; 0: no new requests.
    Agent {
        /// In percent; more than 100 counts as 100.
        share: u32,
    },
    /// It failed and rests.
    Eject {
        /// In which way it failed.
        kind: Why,
        /// What went wrong, for people.
        why: String,
        /// How long it rests.
        rest: Rest,
    },
    /// A request did connect to it.
    Connected,
    /// Its breaker opens, for so long.
    Open {
        /// How long.
        rest: Duration,
        /// What went wrong, for people.
        why: String,
    },
    /// Its breaker closes.
    Close {
        /// Why, for people.
        why: String,
    },
    /// Nobody probes it any more: after a rest it is taken for healthy.
    Unprobed,
    /// The rule that it rests by is gone.
    Release,
    /// Time passed: a rest may be over.
    Settle,
    /// It came into a pool that others carry: it starts slowly.
    Warm,
    /// It carries the pool alone, or may have its share at once.
    IsWarm,
    /// Its drain has lasted too long, if it began `limit` ago or earlier: what is left on it is to be cut.
    DrainIsOver {
        /// How long a drain may take.
        limit: Duration,
    },
    /// Its address or its health check changed: what was seen of it no longer counts.
    Restart(Health),
}

/// One change of a node's state, as `Node::apply` reports it. Where `from` is `to` and nothing was
/// ejected, only what it says of itself changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: Standing,
    /// After.
    pub to: Standing,
    /// Why it was ejected, when it was.
    pub ejected: Option<Why>,
    /// Whether it takes its share of requests again, after a time when it did not.
    pub returned: bool,
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
    /// Its breaker.
    pub circuit: Circuit,
    /// When any of them last changed.
    pub since: Instant,
    /// Why it did.
    pub reason: String,
    /// When its rest is over, while it is ejected.
    pub rests_until: Option<Instant>,
    /// The last probe: when, and what went wrong (`None`: it passed).
    pub last_check: Option<(Instant, Option<String>)>,
    /// When the operator (or its removal) began to drain it.
    pub draining_since: Option<Instant>,
    /// The share of its weight that it wants, in percent.
    pub agent_share: u32,
}
