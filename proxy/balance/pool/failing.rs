//! What becomes of nodes that fail: they rest, or their breaker opens.
//!
//! A failure that all nodes share rests nobody: then it is not the node. Changes nothing but nodes, and returns what
//! changed: whoever asked tells it.

use std::time::Instant;

use super::Pool;
use crate::balance::node::{Fitness, Input, Rest, Transition};
use crate::balance::outlier::Why;
use crate::balance::pick::Candidate;
use crate::base::node::Circuit;
use crate::base::window::Counts;

/// A node must have answered so often within the window to be a better one.
const A_FEW: u64 = 3;

impl Pool {
    /// Node `at` answered well or failed, in a request that was let through to try it (`trial`) or in another.
    /// Says what changed.
    pub fn note(
        &self,
        at: usize,
        failed: bool,
        trial: bool,
        now: Instant,
    ) -> [Option<Transition>; 2] {
        [
            self.judge(at, failed, now),
            self.breaks(at, failed, trial, now),
        ]
    }

    /// Notes it for the outlier ejection.
    fn judge(&self, at: usize, failed: bool, now: Instant) -> Option<Transition> {
        let rules = self.how.outlier.as_ref()?;
        let node = &self.candidates[at].node;
        let clock = node.millis(now);
        node.record.note(failed, rules, clock);
        if !failed {
            return None;
        }
        let kind = node.record.verdict(rules, clock)?;
        let counts = node.record.counts(clock);
        if self.all_fail_alike(at, counts, now) {
            return None;
        }
        let why = match kind {
            Why::Rate => format!(
                "{} of {} requests failed within {:?}",
                counts.failed,
                counts.all(),
                rules.window
            ),
            _ => format!("{} requests failed in a row", node.record.in_a_row()),
        };
        let rest = Rest {
            first: rules.eject,
            longest: rules.max_eject,
            doubles: false,
        };
        self.rest(at, kind, why, rest, now)
    }

    /// Node `at` could not be connected to. No cap: it serves nobody, so resting it takes nothing away.
    pub fn refused(&self, at: usize, why: &str, now: Instant) -> Option<Transition> {
        let input = Input::Eject {
            kind: Why::Connect,
            why: why.into(),
            rest: Rest::AFTER_A_REFUSAL,
        };
        self.candidates[at].node.apply(input, now)
    }

    /// Rests a node, unless too many rest already. With somebody outside of its tier to go to, all of it may rest: that is
    /// what they are for.
    fn rest(
        &self,
        at: usize,
        kind: Why,
        why: String,
        rest: Rest,
        now: Instant,
    ) -> Option<Transition> {
        let _one_at_a_time = self.commons.ejecting.lock();
        let share = self.how.outlier.as_ref().map_or(0, |r| r.max_ejected);
        let serving = || self.candidates.iter().filter(|c| c.takes_new());
        let most = match (serving().count(), share) {
            (_, 0) => 0,
            (serving, _) if self.has_way_out(at, 1.0, now) => serving,
            (0 | 1, _) => 0,
            // A small share of few nodes means one of them, not none.
            (serving, share) => (serving * share as usize / 100).max(1),
        };
        if serving().filter(|c| c.node.rests_by_rule()).count() >= most {
            return None;
        }
        self.candidates[at]
            .node
            .apply(Input::Eject { kind, why, rest }, now)
    }

    /// Whether the other nodes of its tier are seen to fail as much as this one, and there is nobody else: then it is not
    /// the node. Those that were asked nothing may well be better.
    fn all_fail_alike(&self, at: usize, own: Counts, now: Instant) -> bool {
        let own = failing_share(own);
        if self.has_way_out(at, own, now) {
            return false;
        }
        let tier = self.candidates[at].tier;
        let (mut peers, mut alike) = (0, 0);
        for peer in self.others(at, now).filter(|c| c.tier == tier) {
            let counts = counts(peer, now);
            let is_better = failing_share(counts) * 2.0 <= own;
            if is_better && counts.all() >= A_FEW {
                return false;
            }
            peers += 1;
            alike += usize::from(!is_better && counts.all() > 0);
        }
        alike > 0 || peers == 0
    }

    /// Whether requests could go on outside of the tier of node `at`: to a later one that is not seen to fail as much, or
    /// to where its users turn when nobody here is left.
    fn has_way_out(&self, at: usize, own: f64, now: Instant) -> bool {
        let tier = self.candidates[at].tier;
        let is_better = |c: &Candidate| {
            let counts = counts(c, now);
            let fails_alike = counts.all() > 0 && failing_share(counts) * 2.0 > own;
            c.tier > tier && !fails_alike
        };
        self.how.has_way_out || self.others(at, now).any(is_better)
    }

    /// The other nodes that could be asked.
    fn others(&self, at: usize, now: Instant) -> impl Iterator<Item = &Candidate> {
        let serves = move |c: &Candidate| c.takes_new() && c.node.fitness(now) <= Fitness::Untried;
        let all = self.candidates.iter().enumerate();
        all.filter(move |(i, c)| *i != at && serves(c))
            .map(|(_, c)| c)
    }

    /// Notes it for the breaker.
    fn breaks(&self, at: usize, failed: bool, trial: bool, now: Instant) -> Option<Transition> {
        let rules = self.how.breaker.as_ref()?;
        let node = &self.candidates[at].node;
        let input = match node.breaker.note(failed, trial, rules, node.millis(now))? {
            Circuit::Closed => Input::Close {
                why: format!("{} good answers", rules.trials),
            },
            Circuit::Open | Circuit::HalfOpen => Input::Open {
                rest: rules.open,
                why: match trial {
                    true => "it still fails".into(),
                    false => format!(
                        "at least {} % of its requests failed within {:?}",
                        rules.failure_rate, rules.window
                    ),
                },
            },
        };
        node.apply(input, now)
    }
}

/// How a node answered lately.
fn counts(candidate: &Candidate, now: Instant) -> Counts {
    let node = &candidate.node;
    node.record.counts(node.millis(now))
}

/// The share that failed, of 1.
fn failing_share(counts: Counts) -> f64 {
    counts.failed as f64 / counts.all().max(1) as f64
}
