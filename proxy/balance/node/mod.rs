//! A node's life: what we see of it (health) crossed with what the operator wants of it (intent).
//!
//! Both axes change in one function, `Node::apply`, which says what changed; everything else (metrics, log lines,
//! the stats page) is derived from its answer. A node outlives the snapshots that name it, so its health and its
//! requests in flight survive a reload. It never knows its address or weight: those belong to a generation of the
//! configuration and live in `live/snapshot`.
//!
//! | intent \ health | healthy | checking | ejected | unhealthy |
//! |---|---|---|---|---|
//! | up    | `Fitness::Good` | `Fitness::Untried` | `Fitness::LastResort` | `Fitness::Unfit` |
//! | drain | no new requests, those in flight finish, probed | as left | as left | as left |
//! | down  | no new requests, those in flight finish, not probed | as left | as left | as left |
//!
//! Beside them stands the circuit breaker (`super::breaker`): while it is open the node is `Fitness::Unfit` whatever its
//! health.
//!
//! The intent reaches the picks through the generation (a node that is not `up` has no weight there), not through
//! this shared state: a request that started on the previous generation still finds that generation's nodes, so
//! even a reload that replaces every node loses nothing.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::breaker::Breaker;
use super::ewma::PeakEwma;
use super::outlier::{Record, Why};
use crate::base::node::{Circuit, Health, Intent, Standing};

mod apply;
mod in_flight;
mod words;

pub use in_flight::InFlight;
pub use words::{Fitness, Input, Rest, Transition, View};

/// Bits of `glance` that hold the fitness.
const FITNESS: u8 = 0b11;
/// Bit of `glance`: the breaker is not closed.
const CIRCUIT: u8 = 0b100;
/// Bit of `glance`: it may not have its whole share yet.
const WARMING: u8 = 0b1000;

/// What a node gets that asks for nothing else, in percent of its weight.
pub const WHOLE_SHARE: u32 = 100;

/// The state of one node, shared by every generation that names it.
#[derive(Debug)]
pub struct Node {
    /// Upstream it belongs to.
    pub upstream: Arc<str>,
    /// Its identity there.
    pub id: Arc<str>,
    in_flight: AtomicUsize,
    /// Those of them that are tunnels.
    tunnels: AtomicUsize,
    /// [`Fitness`] as a number and what hinders it: what picks read without the lock.
    glance: AtomicU8,
    /// When an ejection ends, on the node's clock; 0 when there is none.
    ejected_until: AtomicU64,
    /// When it began to start slowly, on the node's clock; 0 when it has its whole share.
    warm_from: AtomicU64,
    /// Since when it asks for no new requests, on the node's clock; 0: it does not.
    leaves_since: AtomicU64,
    /// Until when it wants no request that was sent before, on the node's clock.
    paused_until: AtomicU64,
    /// Whether the operator wants it up, whatever generation a request sees.
    up: AtomicBool,
    /// Requests still in flight are to be cut: its drain is over.
    cut: AtomicBool,
    /// The share of its weight that it wants, in percent.
    agent: AtomicU32,
    /// How quickly it answered lately.
    answers: PeakEwma,
    /// How it answered lately.
    pub record: Record,
    /// Its circuit breaker.
    pub breaker: Breaker,
    born: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// What the health was before an ejection, to return to.
    before_ejection: Health,
    /// Why it was ejected last.
    ejected_for: Why,
    passes: u32,
    fails: u32,
    /// Ejections in a row, less what it has made good since.
    ejections: u32,
    /// When it came back from the last one.
    returned: Option<Instant>,
    /// The first rest of the longest kind among those ejections.
    rested_at_least: Duration,
    /// Whether it was ever seen to be down.
    was_down: bool,
    /// Whether it ever took its share of requests.
    has_served: bool,
    /// It is to start slowly as soon as it may serve.
    starts_slowly: bool,
    since: Instant,
    reason: String,
    last_check: Option<(Instant, Option<String>)>,
    draining_since: Option<Instant>,
}

impl Node {
    /// A node nobody has asked anything yet.
    pub fn new(
        upstream: Arc<str>,
        id: Arc<str>,
        intent: Intent,
        health: Health,
        now: Instant,
    ) -> Self {
        Node {
            upstream,
            id,
            in_flight: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            glance: AtomicU8::new(Fitness::from(health) as u8),
            ejected_until: AtomicU64::new(0),
            warm_from: AtomicU64::new(0),
            leaves_since: AtomicU64::new(0),
            paused_until: AtomicU64::new(0),
            up: AtomicBool::new(intent == Intent::Up),
            cut: AtomicBool::new(false),
            agent: AtomicU32::new(WHOLE_SHARE),
            answers: PeakEwma::default(),
            record: Record::default(),
            breaker: Breaker::default(),
            born: now,
            state: Mutex::new(State {
                standing: Standing {
                    intent,
                    health,
                    circuit: Circuit::Closed,
                },
                before_ejection: health,
                ejected_for: Why::Connect,
                passes: 0,
                fails: 0,
                ejections: 0,
                returned: None,
                rested_at_least: Duration::ZERO,
                was_down: false,
                has_served: intent == Intent::Up && health == Health::Healthy,
                starts_slowly: false,
                since: now,
                reason: "added".into(),
                last_check: None,
                draining_since: (intent == Intent::Drain).then_some(now),
            }),
        }
    }

    /// How far its health and its breaker let it be used now. Lock-free, and changes nothing: a rest whose time is over
    /// counts as over, and the next [`Input::Settle`] tells so.
    pub fn fitness(&self, now: Instant) -> Fitness {
        let glance = self.glance.load(Relaxed);
        if glance & CIRCUIT != 0 && self.breaker.state(self.millis(now)) == Circuit::Open {
            return Fitness::Unfit;
        }
        match Fitness::from_u8(glance & FITNESS) {
            // Whatever it was before, it was not unhealthy.
            Fitness::LastResort if self.rest_is_over(now) => Fitness::Good,
            fitness => fitness,
        }
    }

    /// Whether its breaker is to be asked before a request begins.
    pub fn is_hindered(&self) -> bool {
        self.glance.load(Relaxed) & CIRCUIT != 0
    }

    /// How long it has been starting slowly; `None`: it has its whole share.
    pub fn warming_for(&self, now: Instant) -> Option<Duration> {
        if self.glance.load(Relaxed) & WARMING == 0 {
            return None;
        }
        let from = Duration::from_millis(self.warm_from.load(Relaxed));
        Some(
            now.saturating_duration_since(self.born)
                .saturating_sub(from),
        )
    }

    /// The share of its weight that it asks for, in percent: 100 when it said nothing, 0 when it wants no new requests.
    /// Lock-free.
    pub fn agent_share(&self) -> u32 {
        self.agent.load(Relaxed)
    }

    /// For how long it has asked for no new requests; `None`: it does not.
    pub fn leaves_for(&self, now: Instant) -> Option<Duration> {
        let since = self.leaves_since.load(Relaxed);
        let for_so_long = self.millis(now).saturating_sub(since);
        (since > 0).then(|| Duration::from_millis(for_so_long))
    }

    /// It asked for a pause, with `Retry-After`: until it is over no request is sent again to it.
    ///
    /// It goes on to get requests that are new: one address of an app that says so must not take the whole node away.
    pub fn asks_for_a_pause(&self, pause: Duration, now: Instant) {
        self.paused_until
            .fetch_max(self.millis(now + pause), Relaxed);
    }

    /// Whether it wants no request that was sent before.
    pub fn pauses(&self, now: Instant) -> bool {
        self.millis(now) < self.paused_until.load(Relaxed)
    }

    /// Requests in flight on it.
    pub fn in_flight(&self) -> usize {
        // In one order with who waits for a place: see `in_flight` and `super::queue`.
        self.in_flight.load(SeqCst)
    }

    /// Those of them that are tunnels.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Relaxed)
    }

    /// An answer took so long to begin.
    pub fn answered_in(&self, took: Duration, now: Instant) {
        self.answers.observe(took.as_secs_f32(), self.clock(now));
    }

    /// How long its next answer will probably take to begin, in seconds; 0 when nobody knows.
    pub fn answers_in(&self, now: Instant) -> f32 {
        self.answers.at(self.clock(now))
    }

    /// Milliseconds since it was added; wraps.
    fn clock(&self, now: Instant) -> u32 {
        self.millis(now) as u32
    }

    /// The node's clock: milliseconds since it was added.
    pub fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_millis() as u64
    }

    /// Whether the operator wants it up now. A request that goes on to another node asks this too: its own generation
    /// may be seconds old.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Whether requests in flight on it are to be cut.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    /// A request connected. Free unless the node is ejected.
    pub fn connected(&self, now: Instant) -> Option<Transition> {
        if self.ejected_until.load(Relaxed) == 0 {
            return None;
        }
        self.apply(Input::Connected, now)
    }

    /// What the stats port shows.
    pub fn view(&self, now: Instant) -> View {
        let s = self.state.lock();
        let rests = s.standing.health == Health::Ejected;
        let until = Duration::from_millis(self.ejected_until.load(Relaxed));
        View {
            intent: s.standing.intent,
            health: s.standing.health,
            circuit: s.standing.circuit,
            since: s.since,
            reason: s.reason.clone(),
            rests_until: Some(self.born + until).filter(|at| rests && *at > now),
            last_check: s.last_check.clone(),
            draining_since: s.draining_since,
            agent_share: self.agent_share(),
        }
    }

    /// Whether it rests because a rule says so, and not only because it refuses connections.
    ///
    /// One whose time is over counts until it is settled, so that never more rest than may.
    pub fn rests_by_rule(&self) -> bool {
        let s = self.state.lock();
        s.standing.health == Health::Ejected && s.ejected_for != Why::Connect
    }

    /// Since when the operator does not want it up, if that is so.
    pub fn draining_since(&self) -> Option<Instant> {
        match self.is_up() {
            true => None,
            false => self.state.lock().draining_since,
        }
    }

    fn rest_is_over(&self, now: Instant) -> bool {
        self.millis(now) >= self.ejected_until.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
