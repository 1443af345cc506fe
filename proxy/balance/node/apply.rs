//! The one place where a node's state changes.
//!
//! Everything that can happen to a node comes through [`Node::apply`], which says what changed. It never logs or counts:
//! whoever applied tells.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::words::{Fitness, Input, Rest, Transition};
use super::{Node, State, WHOLE_SHARE};
use crate::balance::outlier::Why;
use crate::base::node::{Circuit, Health, Intent, Standing};

impl Node {
    /// Lets something happen to it. Says what changed, or `None` when nothing did.
    pub fn apply(&self, input: Input, now: Instant) -> Option<Transition> {
        let mut guard = self.state.lock();
        let s = &mut *guard;
        // A rest or an open breaker whose time is over is over, whatever comes next.
        let from = s.standing;
        let settled = self.settle(s, now);
        let (mut ejected, mut asks) = (None, false);
        let reason = match input {
            Input::Intend(intent) => self.intend(s, intent, now),
            Input::ProbePassed { rise } => Some(self.probe_passed(s, rise, now)),
            Input::ProbeFailed { fall, why } => Some(probe_failed(s, fall, why, now)),
            Input::Agent { share } => {
                let told = self.wants(share.min(WHOLE_SHARE), now);
                asks = told.is_some();
                told
            }
            Input::Eject { kind, why, rest } => {
                let rested = self.eject(s, kind, rest, now);
                ejected = rested.map(|_| kind);
                rested.map(|rest| format!("{why}; rests {rest:?}"))
            }
            Input::Connected => self.connected_at(s, now),
            Input::Open { rest, why } => {
                s.standing.circuit = Circuit::Open;
                self.breaker.open(self.millis(now + rest));
                Some(format!("{why}; no request for {rest:?}"))
            }
            Input::Close { why } => {
                s.standing.circuit = Circuit::Closed;
                self.breaker.close();
                Some(why)
            }
            Input::Unprobed => {
                s.before_ejection = Health::Healthy;
                None
            }
            Input::Release => self.release(s, now),
            Input::Settle => None,
            Input::Warm => {
                // One that has to be probed first begins when it may serve.
                s.starts_slowly = !serves(s.standing);
                self.warm_from.store(self.millis(now).max(1), Relaxed);
                None
            }
            Input::IsWarm => {
                // One that does not serve yet has not begun.
                if !s.starts_slowly {
                    self.warm_from.store(0, Relaxed);
                }
                None
            }
            Input::DrainIsOver { limit } => {
                let over = s.draining_since.is_some_and(|since| now >= since + limit);
                if s.standing.intent != Intent::Up && over {
                    self.cut.store(true, Relaxed);
                }
                None
            }
            Input::Restart(health) => Some(self.restart(s, health)),
        };
        let to = s.standing;
        if from.health == Health::Ejected && to.health != Health::Ejected {
            self.ejected_until.store(0, Relaxed);
        }
        s.was_down |= to != from && matches!(to.health, Health::Unhealthy | Health::Ejected);
        let returned = self.begins_to_serve(s, from, now);
        if to.health == Health::Healthy {
            s.before_ejection = Health::Healthy;
        }
        self.show(to);
        let changed = from != to || ejected.is_some();
        (changed || asks).then(|| {
            let reason = reason.or(settled).unwrap_or_default();
            if changed {
                s.since = now;
                s.reason.clone_from(&reason);
            }
            Transition {
                from,
                to,
                ejected,
                returned,
                reason,
            }
        })
    }

    /// Notes that it may serve from now on; says whether it comes back, and did not just come.
    fn begins_to_serve(&self, s: &mut State, from: Standing, now: Instant) -> bool {
        if !serves(s.standing) || serves(from) {
            return false;
        }
        if std::mem::take(&mut s.starts_slowly) {
            self.warm_from.store(self.millis(now).max(1), Relaxed);
        }
        // A first good probe is no return, unless it was seen to be down before.
        let was_away = s.has_served || s.was_down || from.intent != Intent::Up;
        s.has_served = true;
        was_away
    }

    /// What picks read without the lock.
    fn show(&self, standing: Standing) {
        let open = u8::from(standing.circuit != Circuit::Closed) * super::CIRCUIT;
        let warm = u8::from(self.warm_from.load(Relaxed) != 0) * super::WARMING;
        let fitness = Fitness::from(standing.health) as u8;
        self.glance.store(fitness | open | warm, Relaxed);
    }

    /// Ends what time has ended; says so.
    fn settle(&self, s: &mut State, now: Instant) -> Option<String> {
        let mut told = None;
        if s.standing.health == Health::Ejected && self.rest_is_over(now) {
            self.end_rest(s, now);
            told = Some("rest is over".to_owned());
        }
        let circuit = self.breaker.state(self.millis(now));
        if s.standing.circuit == Circuit::Open && circuit == Circuit::HalfOpen {
            s.standing.circuit = Circuit::HalfOpen;
            self.breaker.half_open();
            told = Some("open long enough: a few requests try it".to_owned());
        }
        told
    }

    fn intend(&self, s: &mut State, intent: Intent, now: Instant) -> Option<String> {
        s.draining_since = match intent {
            Intent::Up => None,
            Intent::Drain | Intent::Down => s.draining_since.or(Some(now)),
        };
        self.up.store(intent == Intent::Up, Relaxed);
        if intent == Intent::Up {
            self.cut.store(false, Relaxed);
        }
        s.standing.intent = intent;
        Some(format!("set to {}", intent.as_str()))
    }

    fn probe_passed(&self, s: &mut State, rise: u32, now: Instant) -> String {
        s.last_check = Some((now, None));
        s.fails = 0;
        s.passes = s.passes.saturating_add(1);
        match s.standing.health {
            // A probe that connects outweighs a refusal a moment ago. It says nothing of a node that fails requests.
            Health::Ejected if s.ejected_for == Why::Connect => self.end_rest(s, now),
            Health::Checking => s.standing.health = Health::Healthy,
            Health::Unhealthy if s.passes >= rise => {
                s.standing.health = Health::Healthy;
                s.returned = Some(now);
            }
            _ => {}
        }
        format!("{} passed", probes(s.passes))
    }

    /// Notes the share that it asks for; says what is new about it.
    fn wants(&self, share: u32, now: Instant) -> Option<String> {
        let before = self.agent.swap(share, Relaxed);
        if share != before {
            let leaves = if share == 0 {
                self.millis(now).max(1)
            } else {
                0
            };
            self.leaves_since.store(leaves, Relaxed);
        }
        Some(match share {
            _ if share == before => return None,
            0 => "it asks for no new requests".into(),
            WHOLE_SHARE => "it takes requests as the file says again".into(),
            _ => format!("it asks for {share}% of its weight"),
        })
    }

    /// Rests it; says for how long. Not one that is out anyway.
    fn eject(&self, s: &mut State, kind: Why, rest: Rest, now: Instant) -> Option<Duration> {
        match s.standing.health {
            Health::Unhealthy | Health::Ejected => return None,
            health => s.before_ejection = health,
        }
        // Every `first` that it was well since forgives one.
        let well = s
            .returned
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        // A refusal, whose rests are short, does not forgive what has long ones.
        let each = rest.first.max(s.rested_at_least);
        s.rested_at_least = each;
        let forgiven = well.as_millis() / each.as_millis().max(1);
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        s.ejections = s.ejections.saturating_sub(forgiven).saturating_add(1);
        if s.ejections == 1 {
            s.rested_at_least = rest.first;
        }
        let rest = rest.of(s.ejections);
        self.ejected_until
            .store(self.millis(now + rest).max(1), Relaxed);
        s.standing.health = Health::Ejected;
        s.ejected_for = kind;
        self.record.clear();
        Some(rest)
    }

    fn connected_at(&self, s: &mut State, now: Instant) -> Option<String> {
        // It may still let every request hang.
        if s.standing.health != Health::Ejected || s.ejected_for != Why::Connect {
            return None;
        }
        self.end_rest(s, now);
        Some("accepts connections again".into())
    }

    fn release(&self, s: &mut State, now: Instant) -> Option<String> {
        if s.standing.health != Health::Ejected || s.ejected_for == Why::Connect {
            return None;
        }
        self.end_rest(s, now);
        Some("failing nodes do not rest any more".into())
    }

    fn end_rest(&self, s: &mut State, now: Instant) {
        self.ejected_until.store(0, Relaxed);
        s.standing.health = s.before_ejection;
        s.returned = Some(now);
    }

    fn restart(&self, s: &mut State, health: Health) -> String {
        (s.passes, s.fails, s.ejections) = (0, 0, 0);
        (s.last_check, s.returned) = (None, None);
        s.rested_at_least = Duration::ZERO;
        self.answers.forget();
        self.ejected_until.store(0, Relaxed);
        self.agent.store(WHOLE_SHARE, Relaxed);
        self.paused_until.store(0, Relaxed);
        self.leaves_since.store(0, Relaxed);
        self.record.clear();
        self.breaker.close();
        s.standing.health = health;
        s.standing.circuit = Circuit::Closed;
        "its entry changed".into()
    }
}

/// Whether it takes its share of new requests.
fn serves(standing: Standing) -> bool {
    standing.intent == Intent::Up
        && standing.health == Health::Healthy
        && standing.circuit != Circuit::Open
}

fn probe_failed(s: &mut State, fall: u32, why: String, now: Instant) -> String {
    s.passes = 0;
    s.fails = s.fails.saturating_add(1);
    match s.standing.health {
        Health::Checking => s.standing.health = Health::Unhealthy,
        Health::Healthy | Health::Ejected if s.fails >= fall => {
            s.standing.health = Health::Unhealthy;
        }
        _ => {}
    }
    let reason = format!("{} failed in a row: {why}", probes(s.fails));
    s.last_check = Some((now, Some(why)));
    reason
}

fn probes(n: u32) -> String {
    if n == 1 {
        "1 probe".into()
    } else {
        format!("{n} probes")
    }
}
