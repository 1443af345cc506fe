//! What the program believes of failing nodes: who is rested, who is asked again, who waits.
//!
//! Values with a meaning, whatever was written. Shares are in hundredths.

use std::time::Duration;

/// When a node that fails is rested for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row; `None`: they do not matter.
    pub consecutive: Option<u32>,
    /// Share of failures within `window`; `None`: it does not matter.
    pub failure_rate: Option<u32>,
    /// Fewer answers within `window` say nothing of a share.
    pub min_requests: u32,
    /// How far back answers count.
    pub window: Duration,
    /// How long it rests the first time; the n-th time in a row n times as long.
    pub eject: Duration,
    /// The longest rest.
    pub max_eject: Duration,
    /// The share of an upstream's nodes that may rest at a time.
    pub max_ejected: u32,
}

/// When a node is asked nothing at all until it had time to recover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Share of failures within `window` that opens it.
    pub failure_rate: u32,
    /// Fewer answers within `window` never open it.
    pub min_requests: u32,
    /// How far back answers count.
    pub window: Duration,
    /// How long it stays open.
    pub open: Duration,
    /// Then so many requests at a time try it, and so many good answers close it.
    pub trials: u32,
}

/// When a request is sent again, to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent in all; a node that refused the connection was sent nothing. 1: never again.
    pub tries: u32,
    /// After which failures.
    pub on: RetryOn,
    /// The share of recent requests that may be sent again.
    pub budget: u32,
    /// How long a node may take to begin its answer before another one is asked; `None`: as long as `timeouts.read`.
    pub try_timeout: Option<Duration>,
    /// At most so long is waited before the first repetition, and twice as long before each further one.
    pub backoff: Duration,
    /// A POST or PATCH with an `Idempotency-Key` counts as one that may be sent twice.
    pub idempotency_key: bool,
    /// When a second node is asked beside the first.
    pub hedge: Option<Hedge>,
}

/// After which failures a request is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be made.
    pub connect: bool,
    /// The connection broke before an answer.
    pub reset: bool,
    /// No answer in time.
    pub timeout: bool,
    /// Status codes, in order.
    pub statuses: Vec<u16>,
    /// A gRPC call that the node answered UNAVAILABLE before anything of its result.
    pub grpc_unavailable: bool,
}

/// When a second node is asked beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After so long without an answer.
    After(Duration),
    /// After as long as this share of recent answers, in hundredths, took to begin.
    Percentile(u32),
}

/// How a node that is new or has recovered comes to its share of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    /// How long that takes.
    pub time: Duration,
    /// The share it begins with.
    pub floor: u32,
    /// The exponent of the curve, in hundredths: 100 is a straight line, 200 begins slower, 50 quicker.
    pub curve: u32,
}

/// Where requests wait while every node is at its `max_conns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait; 0: nobody.
    pub size: u32,
    /// How long.
    pub timeout: Duration,
}
