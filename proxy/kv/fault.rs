//! Why Redis gave no answer. Never holds what was asked: keys may be somebody's secret.

use std::fmt;
use std::sync::Arc;

use super::stats::Op;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no connection.
    Away,
    /// The breaker is open: it was not asked.
    Open,
    /// It took too long.
    Timeout,
    /// The connection was refused or cut, or what came is no answer; in words.
    Broken(Arc<str>),
    /// It answers with an error, in its own words.
    Refused(Arc<str>),
}

impl Fault {
    /// The label of the metric.
    pub fn as_str(&self) -> &'static str {
        match self {
            Fault::Away => "away",
            Fault::Open => "breaker_open",
            Fault::Timeout => "timeout",
            Fault::Broken(_) => "connection",
            Fault::Refused(_) => "error_reply",
        }
    }

    /// Whether it says that the next operation would fail too. An error that only this one operation gets (a right that is
    /// missing, a Redis that is full) comes at once, and keeps nobody waiting. Whether it answers at all is what the probe
    /// asks: that nothing but an error comes back always counts.
    pub(super) fn counts(&self, op: Op) -> bool {
        match self {
            Fault::Away | Fault::Open => false,
            Fault::Timeout | Fault::Broken(_) => true,
            Fault::Refused(words) => op == Op::Probe || serves_nobody(words),
        }
    }
}

/// Whether an error says that nobody is served at the moment.
fn serves_nobody(words: &str) -> bool {
    const CODES: [&str; 5] = ["LOADING", "BUSY", "NOAUTH", "MASTERDOWN", "CLUSTERDOWN"];
    let code = words.split(' ').next().unwrap_or_default();
    CODES.contains(&code)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Away => f.write_str("there is no connection"),
            Fault::Open => f.write_str("it is not asked since it failed too often"),
            Fault::Timeout => f.write_str("it does not answer in time"),
            Fault::Broken(words) => write!(f, "the connection failed: {words}"),
            Fault::Refused(words) => write!(f, "it answers with an error: {words}"),
        }
    }
}
