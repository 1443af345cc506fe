//! Two at random, the one that will probably answer first: how quickly it answered lately, times what it has to do.
//!
//! Counts alone meet a slow node again and again, because it is idle whenever its few requests are done; its answer
//! times do not forget that quickly. Two are drawn rather than the best of all taken: the best of all would get
//! everything until it is the worst.
//!
//! Source: Finagle's `p2cPeakEwma`; see `super::super::ewma` for the number. It must never read the clock.

use super::p2c::two;
use super::{Ask, Candidate, Pick};
use crate::base::node_set::NodeSet;

/// What a node that is busy and never answered counts for, in seconds: one request finds out how quick it is, and the
/// others do not wait to learn it.
const UNKNOWN_AND_BUSY: f32 = 60.0;

/// Chooses the one of two that will probably answer first.
#[derive(Debug)]
pub(super) struct PeakEwma;

impl Pick for PeakEwma {
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        _first_try: bool,
    ) -> Option<usize> {
        let (first, second) = two(nodes, usable, ask.random)?;
        let Some(second) = second else {
            return Some(first);
        };
        // The heavier of the two is the measure of what one request more is.
        let one = nodes[first].scaled().max(nodes[second].scaled());
        let cost = |i: usize| cost(&nodes[i], one, ask);
        Some(if cost(second) < cost(first) {
            second
        } else {
            first
        })
    }
}

/// What one more request on the node would probably take: what it has to do, for its weight, and the request itself. That
/// counts alike for light and heavy nodes: how often either is drawn follows the weights already.
fn cost(candidate: &Candidate, one: u64, ask: &Ask) -> f32 {
    let node = &candidate.node;
    let (seconds, in_flight) = (node.answers_in(ask.now), node.in_flight());
    let each = match (seconds, in_flight) {
        (0.0, 1..) => UNKNOWN_AND_BUSY,
        _ => seconds,
    };
    each * (in_flight as f32 / candidate.scaled() as f32 + 1.0 / one as f32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::laws::{ask, pool};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn shares(nodes: &[Candidate], ask: Ask) -> Vec<usize> {
        let usable = NodeSet::full(nodes.len());
        let mut random = fastrand::Rng::with_seed(7);
        let mut seen = vec![0; nodes.len()];
        for _ in 0..1_000 {
            let ask = Ask {
                random: random.u64(..),
                ..ask
            };
            seen[PeakEwma.pick(nodes, &usable, &ask, true).unwrap()] += 1;
        }
        seen
    }

    #[test]
    fn a_slow_node_is_left_alone_until_its_time_is_forgotten() {
        let nodes = pool(&[1, 1, 1]);
        let now = ask(0, 0);
        for (node, took) in nodes.iter().zip([200 * MS, 3 * MS, 3 * MS]) {
            node.node.answered_in(took, now.now);
        }
        assert_eq!(shares(&nodes, now)[0], 0);
        // The others answer all the time.
        let later = now.now + Duration::from_secs(10);
        for node in &nodes[1..] {
            node.node.answered_in(3 * MS, later);
        }
        assert!(shares(&nodes, Ask { now: later, ..now })[0] > 300);
    }

    #[test]
    fn a_node_nobody_knows_gets_one_request_to_show_itself() {
        let nodes = pool(&[1, 1]);
        let now = ask(0, 0);
        nodes[1].node.answered_in(3 * MS, now.now);
        assert_eq!(shares(&nodes, now), [1_000, 0]);
        let _first = nodes[0].node.begin();
        assert_eq!(shares(&nodes, now), [0, 1_000]);
    }

    #[test]
    fn a_light_node_that_is_as_quick_has_about_its_share() {
        let nodes = pool(&[1, 5, 5, 5]);
        let now = ask(0, 0);
        for node in &nodes {
            node.node.answered_in(3 * MS, now.now);
        }
        let seen = shares(&nodes, now);
        assert!((40..=90).contains(&seen[0]), "a sixteenth is 62: {seen:?}");
    }

    #[test]
    fn what_a_node_has_to_do_counts_and_its_weight_too() {
        let nodes = pool(&[2, 1]);
        let now = ask(0, 0);
        for node in &nodes {
            node.node.answered_in(3 * MS, now.now);
        }
        let _held: Vec<_> = (0..2).map(|_| nodes[0].node.begin()).collect();
        assert_eq!(shares(&nodes, now), [0, 1_000], "3/2 to 1/2");
        let _more: Vec<_> = (0..2).map(|_| nodes[1].node.begin()).collect();
        assert_eq!(shares(&nodes, now), [1_000, 0], "3/2 to 5/2");
    }
}
