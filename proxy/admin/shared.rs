//! The tier that proxies share, as the stats port shows it.
//!
//! The names are a contract with tools outside; fields are added, never renamed. The password is nowhere in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;
use utoipa::ToSchema;

use crate::cache::shared::stats as entries;
use crate::config::checked::Redis;
use crate::kv::stats::{FAULTS, Op, Stats};
use crate::kv::{Kv, State};
use crate::live::control::Control;
use crate::live::shared::Shared;

/// How the Redis is that proxies share.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// Where it is, without a password.
    pub address: String,
    /// `up`: it is used; `down`: requests are served without it; `unknown`: it was not tried yet.
    pub state: &'static str,
    /// Why it is not used.
    pub why: Option<String>,
    /// For how long it has been so.
    pub since_seconds: f64,
}

impl StandingView {
    /// How that of the generation in use is; `None`: there is none.
    pub fn of(control: &Control) -> Option<Self> {
        let snapshot = control.hold.load();
        snapshot.shared.as_ref().map(|shared| standing(&shared.kv))
    }
}

fn standing(kv: &Kv) -> StandingView {
    let (state, why) = match &*kv.state().borrow() {
        State::Unknown => ("unknown", None),
        State::Up => ("up", None),
        State::Down(why) => ("down", Some(why.to_string())),
    };
    StandingView {
        address: kv.address().to_string(),
        state,
        why,
        since_seconds: kv.since().as_secs_f64(),
    }
}

/// The Redis that proxies share.
#[derive(Debug, Serialize, ToSchema)]
pub struct SharedView {
    /// Where it is, without a password.
    pub address: String,
    /// `up`: it is used; `down`: requests are served without it; `unknown`: it was not tried yet.
    pub state: &'static str,
    /// Why it is not used.
    pub why: Option<String>,
    /// For how long it has been so.
    pub since_seconds: f64,
    /// What all keys begin with.
    pub prefix: String,
    /// How long an operation on a request's way may take.
    pub timeout_seconds: f64,
    /// How quickly it answered within the last minute; none: it did not.
    pub latency: Option<LatencyView>,
    /// Round trips that were answered since the start, by what for.
    pub operations: BTreeMap<&'static str, u64>,
    /// Operations without an answer since the start, by why. `away` and `breaker_open`: it was not asked.
    pub errors: BTreeMap<&'static str, u64>,
    /// Bytes of keys and values sent since the start.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
    /// What became of answers there; none: the file keeps them out (`entries: false`).
    pub entries: Option<EntriesView>,
}

/// What became of answers in the tier, since the start unless it is said otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntriesView {
    /// Look-ups that found an answer to use.
    pub found: u64,
    /// Look-ups that found none.
    pub missed: u64,
    /// Answers that were there and not used, by why; they are among those missed.
    pub refused: BTreeMap<&'static str, u64>,
    /// Answers written.
    pub written: u64,
    /// Answers that were to be written and were not, by why.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Answers that wait to be written, now.
    pub queued: u64,
    /// Bytes of those.
    pub queued_bytes: u64,
    /// Bytes that may wait.
    pub queue_capacity_bytes: u64,
    /// Fetches for all proxies, by how it was settled who makes them: `won` here, `waited` for another's, `lost` when that
    /// brought nothing.
    pub leases: BTreeMap<&'static str, u64>,
}

/// How quickly it answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatencyView {
    /// Half of the round trips took no longer.
    pub p50_seconds: f64,
    /// 99 of 100 took no longer.
    pub p99_seconds: f64,
}

impl SharedView {
    /// The tier of the generation in use; `None`: there is none.
    pub fn of(control: &Control) -> Option<Self> {
        let snapshot = control.hold.load();
        let (shared, redis) = (
            snapshot.shared.as_deref()?,
            snapshot.config.cache.redis.as_ref()?,
        );
        Some(view(shared, redis))
    }
}

fn view(shared: &Shared, redis: &Redis) -> SharedView {
    let kv = &shared.kv;
    let standing = standing(kv);
    let (stats, latency) = (kv.stats(), kv.latency());
    let answered = |op: Op| stats.of(op).buckets.iter().map(|n| n.load(Relaxed)).sum();
    let sum = |of: &dyn Fn(Op) -> u64| Op::ALL.into_iter().map(of).sum();
    SharedView {
        address: standing.address,
        state: standing.state,
        why: standing.why,
        since_seconds: standing.since_seconds,
        prefix: shared.prefix.to_string(),
        timeout_seconds: kv.limit().as_secs_f64(),
        latency: latency.map(|latency| LatencyView {
            p50_seconds: latency.p50.as_secs_f64(),
            p99_seconds: latency.p99.as_secs_f64(),
        }),
        operations: (Op::ALL.into_iter())
            .map(|op| (op.as_str(), answered(op)))
            .collect(),
        errors: errors(stats),
        bytes_sent: sum(&|op| stats.of(op).sent.load(Relaxed)),
        bytes_received: sum(&|op| stats.of(op).came.load(Relaxed)),
        entries: (redis.entries).then(|| answers(shared.entries.stats(), redis.queue)),
    }
}

fn answers(stats: &entries::Stats, most: u64) -> EntriesView {
    let read = |count: &AtomicU64| count.load(Relaxed);
    let named = |words: &[&'static str], counts: &[AtomicU64]| {
        let all = words.iter().copied().zip(counts.iter().map(read));
        all.collect::<BTreeMap<_, _>>()
    };
    EntriesView {
        found: read(&stats.found),
        missed: read(&stats.missed),
        refused: named(&entries::REFUSED, &stats.refused),
        written: read(&stats.written),
        dropped: named(&entries::DROPPED, &stats.dropped),
        queued: read(&stats.queued),
        queued_bytes: read(&stats.queued_bytes),
        queue_capacity_bytes: most,
        leases: [
            ("won", read(&stats.leases_won)),
            ("waited", read(&stats.leases_waited)),
            ("lost", read(&stats.leases_lost)),
        ]
        .into(),
    }
}

fn errors(stats: &Stats) -> BTreeMap<&'static str, u64> {
    let of = |at: usize| -> u64 {
        let all = Op::ALL.into_iter();
        all.map(|op| stats.of(op).faults[at].load(Relaxed)).sum()
    };
    let all = FAULTS.iter().enumerate();
    all.map(|(at, name)| (*name, of(at))).collect()
}
