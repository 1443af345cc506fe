//! What an upstream does about nodes that fail, are new, or are full.
//!
//! Shapes only: the words are read in `config/validate/failure` and `config/validate/retry`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// A section that one word may stand for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum WordOr<T> {
    /// `off`, or the one value that matters.
    Word(String),
    /// The section.
    Keys(T),
}

/// `outlier:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outlier {
    /// Failures in a row that rest a node.
    pub consecutive_failures: Option<String>,
    /// Share of failures that rests a node.
    pub failure_rate: Option<String>,
    /// Fewer answers say nothing of a share.
    pub min_requests: Option<String>,
    /// How far back answers count.
    pub window: Option<String>,
    /// The first rest.
    pub eject: Option<String>,
    /// The longest rest.
    pub max_eject: Option<String>,
    /// Share of the nodes that may rest at a time.
    pub max_ejected: Option<String>,
}

/// `breaker:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Share of failures that opens it.
    pub failure_rate: Option<String>,
    /// Fewer answers never open it.
    pub min_requests: Option<String>,
    /// How far back answers count.
    pub window: Option<String>,
    /// How long it stays open.
    pub open: Option<String>,
    /// Requests that try the node then.
    pub trials: Option<String>,
}

/// `retry:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often a request is sent in all.
    pub tries: Option<String>,
    /// After what.
    pub on: Option<Vec<Option<String>>>,
    /// Share of recent requests that may be sent again.
    pub budget: Option<String>,
    /// How long a node may take to begin its answer.
    pub try_timeout: Option<String>,
    /// The first pause.
    pub backoff: Option<String>,
    /// Whether an `Idempotency-Key` makes a request one that may be sent twice.
    pub idempotency_key: Option<String>,
    /// When a second node is asked beside the first.
    pub hedge: Option<WordOr<Hedge>>,
}

/// `hedge:` of `retry:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// How long the first is waited for.
    pub after: Option<String>,
}

/// `slow_start:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlowStart {
    /// How long it takes.
    pub time: Option<String>,
    /// The share it begins with.
    pub floor: Option<String>,
    /// The exponent of its curve.
    pub curve: Option<String>,
}

/// `queue:` of an upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// How many may wait.
    pub size: Option<String>,
    /// How long.
    pub timeout: Option<String>,
}

/// The forms of [`Outlier`].
pub const OUTLIER: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new(
        "consecutive_failures",
        Shape::Word,
        "consecutive_failures: 5",
    ),
    Key::new("failure_rate", Shape::Word, "failure_rate: 50%"),
    Key::new("min_requests", Shape::Word, "min_requests: 20"),
    Key::new("window", Shape::Word, "window: 10s"),
    Key::new("eject", Shape::Word, "eject: 10s"),
    Key::new("max_eject", Shape::Word, "max_eject: 5m"),
    Key::new("max_ejected", Shape::Word, "max_ejected: 50%"),
]));

/// The forms of [`Breaker`].
pub const BREAKER: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("failure_rate", Shape::Word, "failure_rate: 50%"),
    Key::new("min_requests", Shape::Word, "min_requests: 20"),
    Key::new("window", Shape::Word, "window: 10s"),
    Key::new("open", Shape::Word, "open: 5s"),
    Key::new("trials", Shape::Word, "trials: 3"),
]));

/// The forms of [`Retry`].
pub const RETRY: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("tries", Shape::Word, "tries: 2"),
    Key::new("on", Shape::Words, "on: [connect, reset, 502, 503, 504]"),
    Key::new("budget", Shape::Word, "budget: 20%"),
    Key::new("try_timeout", Shape::Word, "try_timeout: 2s"),
    Key::new("backoff", Shape::Word, "backoff: 25ms"),
    Key::new("idempotency_key", Shape::Word, "idempotency_key: true"),
    Key::new(
        "hedge",
        Shape::WordOr(&Shape::Map(&[Key::new("after", Shape::Word, "after: p95")])),
        "hedge: { after: p95 }",
    ),
]));

/// The forms of [`SlowStart`].
pub const SLOW_START: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("time", Shape::Word, "time: 30s"),
    Key::new("floor", Shape::Word, "floor: 10%"),
    Key::new("curve", Shape::Word, "curve: 1.0"),
]));

/// The forms of [`Queue`].
pub const QUEUE: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("size", Shape::Word, "size: 100"),
    Key::new("timeout", Shape::Word, "timeout: 1s"),
]));
