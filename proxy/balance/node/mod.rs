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
//! The intent reaches the picks through the generation (a node that is not `up` has no weight there), not through
//! this shared state: a request that started on the previous generation still finds that generation's nodes, so
//! even a reload that replaces every node loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ewma::PeakEwma;
use crate::base::node::{Health, Intent};

mod words;

pub use words::{Fitness, Input, Transition, View};

/// How long a node that refused a connection rests the first time. Each further refusal doubles it.
///
/// One second is long enough that a dead node costs a request a second instead of every third one, and short enough
/// that a restarted node without health checks is back before anybody looks.
pub const FIRST_EJECTION: Duration = Duration::from_secs(1);
/// The longest rest: a node that came back must not wait longer than an operator would.
pub const LONGEST_EJECTION: Duration = Duration::from_secs(10);

/// The state of one node, shared by every generation that names it.
#[derive(Debug)]
pub struct Node {
    /// Upstream it belongs to.
    pub upstream: Arc<str>,
    /// Its identity there.
    pub id: Arc<str>,
    in_flight: AtomicUsize,
    /// [`Fitness`] as a number: what picks read without the lock.
    fitness: AtomicU8,
    /// Milliseconds after `born` at which an ejection ends; 0 when there is none.
    ejected_until_ms: AtomicU64,
    /// Whether the operator wants it up, whatever generation a request sees.
    up: AtomicBool,
    /// Requests still in flight are to be cut: its drain is over.
    cut: AtomicBool,
    /// How quickly it answered lately.
    answers: PeakEwma,
    born: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    intent: Intent,
    health: Health,
    /// What the health was before an ejection, to return to.
    before_ejection: Health,
    passes: u32,
    fails: u32,
    ejections: u32,
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
            fitness: AtomicU8::new(Fitness::from(health) as u8),
            ejected_until_ms: AtomicU64::new(0),
            up: AtomicBool::new(intent == Intent::Up),
            cut: AtomicBool::new(false),
            answers: PeakEwma::default(),
            born: now,
            state: Mutex::new(State {
                intent,
                health,
                before_ejection: health,
                passes: 0,
                fails: 0,
                ejections: 0,
                since: now,
                reason: "added".into(),
                last_check: None,
                draining_since: (intent == Intent::Drain).then_some(now),
            }),
        }
    }

    /// How far its health lets it be used now. Lock-free; an ejection whose time is over already counts as over.
    pub fn fitness(&self, now: Instant) -> Fitness {
        let fitness = Fitness::from_u8(self.fitness.load(Relaxed));
        if fitness == Fitness::LastResort && self.ejection_is_over(now) {
            self.apply(Input::Settle, now);
            return Fitness::from_u8(self.fitness.load(Relaxed));
        }
        fitness
    }

    /// Requests in flight on it.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request in; it is counted out when the guard drops, whatever happened to it.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
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
        now.saturating_duration_since(self.born).as_millis() as u32
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

    /// A request connected. Free unless the node was ejected before.
    pub fn connected(&self, now: Instant) -> Option<Transition> {
        if self.ejected_until_ms.load(Relaxed) == 0 {
            return None;
        }
        self.apply(Input::Connected, now)
    }

    /// The one place where a node's state changes. Says what changed, or `None` when nothing did.
    pub fn apply(&self, input: Input, now: Instant) -> Option<Transition> {
        let mut s = self.state.lock();
        let from = (s.intent, s.health);
        let (to, reason) = match input {
            Input::Intend(intent) => {
                s.draining_since = match intent {
                    Intent::Up => None,
                    Intent::Drain | Intent::Down => s.draining_since.or(Some(now)),
                };
                self.up.store(intent == Intent::Up, Relaxed);
                if intent == Intent::Up {
                    self.cut.store(false, Relaxed);
                }
                ((intent, s.health), format!("set to {}", intent.as_str()))
            }
            Input::ProbePassed { rise } => {
                s.last_check = Some((now, None));
                s.fails = 0;
                s.passes = s.passes.saturating_add(1);
                let health = match s.health {
                    // A probe that connects outweighs a refusal a moment ago.
                    Health::Ejected => s.before_ejection,
                    Health::Checking => Health::Healthy,
                    Health::Unhealthy if s.passes >= rise => Health::Healthy,
                    other => other,
                };
                ((s.intent, health), passed_reason(s.passes))
            }
            Input::ProbeFailed { fall, why } => {
                s.passes = 0;
                s.fails = s.fails.saturating_add(1);
                let health = match s.health {
                    Health::Checking => Health::Unhealthy,
                    Health::Healthy | Health::Ejected if s.fails >= fall => Health::Unhealthy,
                    other => other,
                };
                let reason = format!("{} failed in a row: {why}", probes(s.fails));
                s.last_check = Some((now, Some(why)));
                ((s.intent, health), reason)
            }
            Input::ConnectFailed { why } => match s.health {
                Health::Unhealthy => return None,
                Health::Ejected if !self.ejection_is_over(now) => return None,
                health => {
                    if health != Health::Ejected {
                        s.before_ejection = health;
                    }
                    let rest = rest_after(s.ejections);
                    s.ejections = s.ejections.saturating_add(1);
                    let until = (now.duration_since(self.born) + rest).as_millis() as u64;
                    self.ejected_until_ms.store(until.max(1), Relaxed);
                    (
                        (s.intent, Health::Ejected),
                        format!("{why}; rests {rest:?}"),
                    )
                }
            },
            Input::Connected => {
                s.ejections = 0;
                self.ejected_until_ms.store(0, Relaxed);
                let health = match s.health {
                    Health::Ejected => s.before_ejection,
                    other => other,
                };
                ((s.intent, health), "accepts connections again".into())
            }
            Input::Settle => match s.health {
                Health::Ejected if self.ejection_is_over(now) => {
                    ((s.intent, s.before_ejection), "rest is over".into())
                }
                _ => return None,
            },
            Input::DrainIsOver { limit } => {
                let over = s.draining_since.is_some_and(|since| now >= since + limit);
                if s.intent != Intent::Up && over {
                    self.cut.store(true, Relaxed);
                }
                return None;
            }
            Input::Restart(health) => {
                (s.passes, s.fails, s.ejections) = (0, 0, 0);
                s.last_check = None;
                self.ejected_until_ms.store(0, Relaxed);
                ((s.intent, health), "its entry changed".into())
            }
        };
        (s.intent, s.health) = to;
        if to.1 == Health::Healthy {
            s.before_ejection = Health::Healthy;
        }
        self.fitness.store(Fitness::from(to.1) as u8, Relaxed);
        (from != to).then(|| {
            s.since = now;
            s.reason.clone_from(&reason);
            Transition { from, to, reason }
        })
    }

    /// What the stats port shows.
    pub fn view(&self, now: Instant) -> View {
        self.apply(Input::Settle, now);
        let s = self.state.lock();
        View {
            intent: s.intent,
            health: s.health,
            since: s.since,
            reason: s.reason.clone(),
            last_check: s.last_check.clone(),
            draining_since: s.draining_since,
        }
    }

    fn ejection_is_over(&self, now: Instant) -> bool {
        let until = Duration::from_millis(self.ejected_until_ms.load(Relaxed));
        now.duration_since(self.born) >= until
    }
}

fn rest_after(ejections: u32) -> Duration {
    FIRST_EJECTION
        .saturating_mul(1 << ejections.min(8))
        .min(LONGEST_EJECTION)
}

fn passed_reason(passes: u32) -> String {
    format!("{} passed", probes(passes))
}

fn probes(n: u32) -> String {
    if n == 1 {
        "1 probe".into()
    } else {
        format!("{n} probes")
    }
}

/// A request in flight on a node; counted out when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Node>);

impl InFlight {
    /// The node it is on.
    pub fn node(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
