//! Words about a node that several stages share.
//!
//! Values only: what they lead to is decided in `balance/node`.

/// What the operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Intent {
    /// Takes requests.
    #[default]
    Up,
    /// Takes no new requests; those in flight finish.
    Drain,
    /// Takes no requests and is not probed.
    Down,
}

impl Intent {
    /// Every value, in the order of the documentation.
    pub const ALL: [Intent; 3] = [Intent::Up, Intent::Drain, Intent::Down];

    /// The word of the file, the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Intent::Up => "up",
            Intent::Drain => "drain",
            Intent::Down => "down",
        }
    }
}

/// What we see of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Probes pass, or there are none and nothing speaks against it.
    Healthy,
    /// Probes fail.
    Unhealthy,
    /// No probe has answered yet.
    Checking,
    /// Refused connections a moment ago; tried again when its time is over.
    Ejected,
}

impl Health {
    /// Every value, in the order of the documentation.
    pub const ALL: [Health; 4] = [
        Health::Healthy,
        Health::Unhealthy,
        Health::Checking,
        Health::Ejected,
    ];

    /// The word of the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
            Health::Checking => "checking",
            Health::Ejected => "ejected",
        }
    }
}

/// The state of a node's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Circuit {
    /// Requests go through.
    #[default]
    Closed,
    /// None does.
    Open,
    /// A few at a time do, to try the node.
    HalfOpen,
}

impl Circuit {
    /// Every value, in the order of the documentation.
    pub const ALL: [Circuit; 3] = [Circuit::Closed, Circuit::Open, Circuit::HalfOpen];

    /// The word of the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Circuit::Closed => "closed",
            Circuit::Open => "open",
            Circuit::HalfOpen => "half_open",
        }
    }
}

/// What is said of a node: what the operator wants, what we see, whether its breaker lets requests through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// What the operator wants.
    pub intent: Intent,
    /// What we see.
    pub health: Health,
    /// Its breaker.
    pub circuit: Circuit,
}
