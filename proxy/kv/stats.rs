//! What was asked of Redis, and how it went: plain numbers, for whoever tells them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::command::{Command, Reply};
use super::fault::Fault;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A stored answer.
    Read,
    /// An answer is stored.
    Write,
    /// Who fetches.
    Lease,
    /// A purge is told.
    Purge,
    /// The node of a session.
    Session,
    /// How often a client asked.
    Rate,
    /// Who else is there.
    View,
    /// Certificates.
    Acme,
    /// Whether it is there.
    Probe,
}

impl Op {
    /// Every value.
    pub const ALL: [Op; 9] = [
        Op::Read,
        Op::Write,
        Op::Lease,
        Op::Purge,
        Op::Session,
        Op::Rate,
        Op::View,
        Op::Acme,
        Op::Probe,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Read => "read",
            Op::Write => "write",
            Op::Lease => "lease",
            Op::Purge => "purge",
            Op::Session => "session",
            Op::Rate => "rate",
            Op::View => "view",
            Op::Acme => "acme",
            Op::Probe => "probe",
        }
    }
}

/// Upper bounds of the buckets of durations, in microseconds; what took longer is beyond the last.
pub const BUCKETS: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// The kinds of faults, in the order of their counters.
pub const FAULTS: [&str; 5] = [
    "away",
    "breaker_open",
    "timeout",
    "connection",
    "error_reply",
];

/// What was asked, by what for.
#[derive(Debug, Default)]
pub struct Stats {
    ops: [OfOp; Op::ALL.len()],
}

/// What was asked for one thing.
#[derive(Debug, Default)]
pub struct OfOp {
    /// Round trips that were answered, by how long they took; those beyond the last bound at the end.
    pub buckets: [AtomicU64; BUCKETS.len() + 1],
    /// Microseconds they took together.
    pub micros: AtomicU64,
    /// Faults, in the order of [`FAULTS`].
    pub faults: [AtomicU64; FAULTS.len()],
    /// Bytes of arguments that were sent.
    pub sent: AtomicU64,
    /// Bytes that came.
    pub came: AtomicU64,
}

impl Stats {
    /// What was asked for this.
    pub fn of(&self, op: Op) -> &OfOp {
        &self.ops[op as usize]
    }

    /// Notes a round trip.
    pub(super) fn note(
        &self,
        op: Op,
        commands: &[Command],
        done: &Result<Vec<Reply>, Fault>,
        took: Duration,
    ) {
        let of = self.of(op);
        let is_sent = !matches!(done, Err(Fault::Away | Fault::Open));
        if is_sent {
            let bytes = commands.iter().map(Command::size).sum();
            of.sent.fetch_add(bytes, Relaxed);
        }
        match done {
            Ok(replies) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let at = BUCKETS.partition_point(|bound| *bound < micros);
                of.buckets[at].fetch_add(1, Relaxed);
                of.micros.fetch_add(micros, Relaxed);
                let bytes = replies.iter().map(Reply::size).sum();
                of.came.fetch_add(bytes, Relaxed);
            }
            Err(fault) => {
                let at = FAULTS.iter().position(|name| *name == fault.as_str());
                if let Some(at) = at {
                    of.faults[at].fetch_add(1, Relaxed);
                }
            }
        }
    }
}
