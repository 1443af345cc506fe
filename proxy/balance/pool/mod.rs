//! The nodes of one upstream in one generation, and who of them may be chosen now.
//!
//! The pool decides eligibility (health, breaker, tier, weight, places, already tried; a draining node has weight 0); the
//! picker decides among the eligible. What becomes of nodes that fail is in `failing`. It never tells of a change: it
//! returns it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::commons::Commons;
use super::node::{Fitness, InFlight, WHOLE_SHARE};
use super::pick::{self, Ask, Candidate, Pick};
use super::slow_start::{self, FULL};
use crate::base::node::Circuit;
use crate::base::node_set::NodeSet;
use crate::config::checked::{Balance, Breaker, Outlier, Queue, SlowStart};

mod failing;

/// How a pool balances and what it does about nodes that fail.
#[derive(Debug, Clone)]
pub struct How {
    /// How a node is chosen.
    pub balance: Balance,
    /// The balance factor of `hash`, in hundredths.
    pub most: Option<u32>,
    /// Below this share of healthy nodes, in hundredths, health is ignored; 0: never.
    pub fail_open_below: u32,
    /// When a node that fails rests.
    pub outlier: Option<Outlier>,
    /// When a node that fails is asked nothing at all.
    pub breaker: Option<Breaker>,
    /// How a node comes to its share.
    pub slow_start: Option<SlowStart>,
    /// Who may wait when all are full.
    pub queue: Queue,
    /// Whether its requests may go to another upstream when nobody here is left.
    pub has_way_out: bool,
}

/// The nodes of one upstream in one generation.
#[derive(Debug)]
pub struct Pool {
    how: How,
    candidates: Vec<Candidate>,
    /// Whether places are counted on any node.
    has_places: bool,
    commons: Arc<Commons>,
    picker: Arc<dyn Pick>,
}

/// Why no node may take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nobody {
    /// None is fit, or all were tried.
    Fit,
    /// Those that are fit have no place: one may become free.
    Free,
    /// The breakers of those that are left are open, for so long at least.
    Open(Duration),
}

impl Pool {
    /// A pool over these nodes.
    ///
    /// When `previous` balanced the same nodes with the same weights in the same way, its picker goes on where it
    /// was: a reload that changes something else does not disturb the sequence. Otherwise `seed` says where the new
    /// sequence starts. `commons` is what the upstream had before.
    pub fn new(
        how: How,
        candidates: Vec<Candidate>,
        previous: Option<&Pool>,
        commons: Arc<Commons>,
        seed: u64,
    ) -> Self {
        let (balance, most) = (how.balance, how.most);
        let picker = previous
            .filter(|p| {
                (p.how.balance, p.how.most) == (balance, most)
                    && same_members(&p.candidates, &candidates)
            })
            .map_or_else(
                || pick::build(balance, most, &candidates, seed),
                |p| p.picker.clone(),
            );
        Pool {
            how,
            has_places: candidates.iter().any(|c| c.most.is_some()),
            candidates,
            commons,
            picker,
        }
    }

    /// Every node, in the order of the configuration.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// How it balances.
    pub fn how(&self) -> &How {
        &self.how
    }

    /// What it shares with other generations of the upstream.
    pub fn commons(&self) -> &Arc<Commons> {
        &self.commons
    }

    /// Chooses a node as [`Pool::pick`] does, and begins a request on it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(&self, ask: &Ask, tried: &[usize]) -> Result<(usize, InFlight), Nobody> {
        self.take_by(|| self.pick(ask, tried), ask.now)
    }

    /// Chooses the node that draws the best lot for the key of `ask`, and begins a request on it. Who of the nodes may be
    /// chosen is as for [`Pool::pick`]; how the pool balances is not asked, nor how far a node has come that starts
    /// slowly: proxies to which the same nodes are fine choose alike.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take_by_lot(&self, ask: &Ask, tried: &[usize]) -> Result<(usize, InFlight), Nobody> {
        let draw = || {
            let eligible = self.eligible(tried, ask.now);
            let drawn = pick::by_lot(&self.candidates, &eligible.set, ask);
            drawn.ok_or_else(|| eligible.nobody())
        };
        self.take_by(draw, ask.now)
    }

    fn take_by(
        &self,
        choose: impl Fn() -> Result<usize, Nobody>,
        now: Instant,
    ) -> Result<(usize, InFlight), Nobody> {
        // Another request may take the last place between the choice and the beginning; then it is chosen again.
        for _ in 0..=self.candidates.len() {
            let at = choose()?;
            if let Some(in_flight) = self.begin(at, now) {
                return Ok((at, in_flight));
            }
        }
        Err(Nobody::Free)
    }

    /// Begins a request on node `at`, if it has a place and its breaker lets it.
    pub fn begin(&self, at: usize, now: Instant) -> Option<InFlight> {
        let Candidate { node, most, .. } = &self.candidates[at];
        let in_flight = match most {
            None => node.begin(),
            Some(most) => node
                .begin_within(*most)?
                .with_queue(self.commons.queue.clone()),
        };
        match &self.how.breaker {
            Some(rules) if node.is_hindered() => {
                let trial = node.breaker.begin(rules, node.millis(now))?;
                Some(if trial {
                    in_flight.into_trial()
                } else {
                    in_flight
                })
            }
            _ => Some(in_flight),
        }
    }

    /// Whether requests have to line up: places are counted, and others wait already.
    pub fn has_a_line(&self) -> bool {
        self.has_places && !self.commons.queue.is_empty()
    }

    /// The position of the node a request goes to.
    ///
    /// `tried` are positions the request has already tried: they are never chosen again. Among the rest the best
    /// class wins: known good of the first tier, then those of it not yet probed, then the next tier, then backups, then
    /// nodes that rest. That the best have no place is no reason to take others.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, ask: &Ask, tried: &[usize]) -> Result<usize, Nobody> {
        let eligible = self.eligible(tried, ask.now);
        let first_try = tried.is_empty();
        let chosen = if eligible.partial {
            let scaled = self.scaled(ask.now);
            self.picker.pick(&scaled, &eligible.set, ask, first_try)
        } else {
            self.picker
                .pick(&self.candidates, &eligible.set, ask, first_try)
        };
        chosen.ok_or_else(|| eligible.nobody())
    }

    /// Whether there is a node that could be chosen. Chooses none: no turn is taken.
    pub fn has_one(&self, tried: &[usize], now: Instant) -> bool {
        !self.eligible(tried, now).set.is_empty()
    }

    /// Who may be chosen.
    fn eligible(&self, tried: &[usize], now: Instant) -> Eligible {
        let mut eligible = match self.fails_open(now) {
            true => self.everybody(tried, now),
            false => Eligible::none(self.candidates.len()),
        };
        if eligible.best == u16::MAX {
            for (i, candidate) in self.candidates.iter().enumerate() {
                if candidate.takes_new() && !tried.contains(&i) {
                    let fitness = candidate.node.fitness(now);
                    self.consider(i, fitness, &mut eligible, now);
                }
            }
        }
        eligible
    }

    /// Adds node `i` to the eligible, where none is of a better class.
    fn consider(&self, i: usize, fitness: Fitness, eligible: &mut Eligible, now: Instant) {
        let Candidate {
            node, most, tier, ..
        } = &self.candidates[i];
        if let Some(rules) = self.how.breaker.as_ref().filter(|_| node.is_hindered()) {
            let clock = node.millis(now);
            if !node.breaker.lets_in(rules, clock) {
                let left = Duration::from_millis(node.breaker.closed_for(clock));
                let least = eligible.open.map_or(left, |least| least.min(left));
                return eligible.open = Some(least);
            }
        }
        let rank = rank(fitness, *tier);
        if fitness == Fitness::Unfit || rank > eligible.best {
            return;
        }
        if rank < eligible.best {
            eligible.best = rank;
            eligible.set = NodeSet::with_len(self.candidates.len());
            eligible.partial = false;
        }
        if most.is_none_or(|most| node.in_flight() < most as usize) {
            eligible.set.insert(i);
            eligible.partial |= node.warming_for(now).is_some() || node.agent_share() < WHOLE_SHARE;
        }
    }

    /// All nodes of good times but those `tried`, when so few are healthy that health is ignored: the few would be
    /// overrun, and that most nodes are down at once is more likely a fault of the checks.
    fn everybody(&self, tried: &[usize], now: Instant) -> Eligible {
        let mut everybody = Eligible::none(self.candidates.len());
        self.primaries()
            .filter(|i| !tried.contains(i))
            .for_each(|i| self.consider(i, Fitness::Good, &mut everybody, now));
        everybody
    }

    /// The nodes with the part of their weights that counts while they start slowly, or ask for less.
    fn scaled(&self, now: Instant) -> Vec<Candidate> {
        let scale = |candidate: &Candidate| Candidate {
            share: self.share(candidate, now),
            ..candidate.clone()
        };
        self.candidates.iter().map(scale).collect()
    }

    /// The part of its weight that counts now, in hundredths.
    fn share(&self, candidate: &Candidate, now: Instant) -> u32 {
        // At least a little: whether it gets any was decided before, and what it asks for may have changed since.
        let share = self.warmth(candidate, now) * candidate.node.agent_share();
        share.div_ceil(WHOLE_SHARE).max(1)
    }

    /// How far it has come while it starts slowly, in hundredths.
    fn warmth(&self, candidate: &Candidate, now: Instant) -> u32 {
        match (&self.how.slow_start, candidate.node.warming_for(now)) {
            (Some(rules), Some(since)) => slow_start::share(rules, since),
            _ => FULL,
        }
    }

    /// The share of new requests that node `i` is given now: its weight, as far as it counts already, or nothing while it
    /// is not known to be fine.
    pub fn effective_weight(&self, i: usize, now: Instant) -> f64 {
        let candidate = &self.candidates[i];
        match candidate.node.fitness(now) {
            Fitness::Good if candidate.takes_new() => {
                f64::from(candidate.weight) * f64::from(self.share(candidate, now))
                    / f64::from(FULL)
            }
            _ => 0.0,
        }
    }

    /// Whether node `i` has its whole share, or nothing says that it should start slowly.
    pub fn is_warm(&self, i: usize, now: Instant) -> bool {
        self.warmth(&self.candidates[i], now) == FULL
    }

    /// Positions of nodes that take requests in good times: the first tier.
    fn primaries(&self) -> impl Iterator<Item = usize> {
        let takes = |c: &&Candidate| c.takes_new() && !c.is_backup();
        let tiers = self.candidates.iter().filter(takes).map(|c| c.tier);
        let first = tiers.min().unwrap_or(0);
        (0..self.candidates.len())
            .filter(move |&i| self.candidates[i].takes_new() && self.candidates[i].tier == first)
    }

    /// Whether so few nodes are healthy that health is ignored. One that was not probed yet is not known to be ill.
    pub fn fails_open(&self, now: Instant) -> bool {
        if self.how.fail_open_below == 0 {
            return false;
        }
        let well = |&i: &usize| {
            let fitness = self.candidates[i].node.fitness(now);
            matches!(fitness, Fitness::Good | Fitness::Untried)
        };
        let healthy = self.primaries().filter(well).count();
        healthy * 100 < self.primaries().count() * self.how.fail_open_below as usize
    }

    /// Whether health began to be ignored (`true`) or to count again since this was last asked.
    pub fn noticed(&self, now: Instant) -> Option<bool> {
        let is = self.fails_open(now);
        (self.commons.fails_open.swap(is, Relaxed) != is).then_some(is)
    }

    /// Number of nodes that may take new requests without reserve (known good, weight above 0).
    pub fn available(&self, now: Instant) -> usize {
        self.candidates
            .iter()
            .filter(|c| c.takes_new() && c.node.fitness(now) == Fitness::Good)
            .count()
    }

    /// Whether any node at all would be tried.
    pub fn is_usable(&self, now: Instant) -> bool {
        self.candidates
            .iter()
            .any(|c| c.takes_new() && c.node.fitness(now) != Fitness::Unfit)
            || self.fails_open(now)
    }

    /// The state of node `i`'s breaker, where there is one.
    pub fn circuit(&self, i: usize, now: Instant) -> Option<Circuit> {
        let node = &self.candidates[i].node;
        let state = |_: &Breaker| node.breaker.state(node.millis(now));
        self.how.breaker.as_ref().map(state)
    }
}

/// Who may be chosen, found one by one.
struct Eligible {
    /// The class of those in the set; lower is better.
    best: u16,
    set: NodeSet,
    /// Whether of any of them only a part of the weight counts.
    partial: bool,
    /// How long the first of the open breakers stays open.
    open: Option<Duration>,
}

impl Eligible {
    fn none(nodes: usize) -> Self {
        Eligible {
            best: u16::MAX,
            set: NodeSet::with_len(nodes),
            partial: false,
            open: None,
        }
    }

    /// Why the set is empty.
    fn nobody(&self) -> Nobody {
        match self.open {
            _ if self.best != u16::MAX => Nobody::Free,
            Some(left) => Nobody::Open(left),
            None => Nobody::Fit,
        }
    }
}

/// The order in which classes of nodes are used. One that was not yet probed comes before the next tier: that is for
/// when none of this one can be used, and this one can.
fn rank(fitness: Fitness, tier: u8) -> u16 {
    let class = match fitness {
        Fitness::Good => 0,
        Fitness::Untried => 1,
        Fitness::LastResort => 1 << 9,
        Fitness::Unfit => return u16::MAX,
    };
    class + 2 * u16::from(tier)
}

fn same_members(a: &[Candidate], b: &[Candidate]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| Arc::ptr_eq(&a.node, &b.node) && a.weight == b.weight)
}

#[cfg(test)]
mod tests;
