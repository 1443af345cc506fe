//! One step of smooth weighted round robin, shared by the pickers that need a fair order.
//!
//! nginx's algorithm (Igor Sysoev, `ngx_http_upstream_get_peer`, nginx 1.3.1, 2012): every eligible node earns its
//! weight, the richest is chosen and pays what all earned together. Weights 5, 1, 1 give `a a b a c a a` rather than
//! five `a` in a row.
//!
//! Why it is exact: with one constant eligible set and W the sum of its weights, after `k` steps a node holds
//! `k·weight − W·times_chosen`, and the richest holds more than 0 before it pays, so no node ever falls to −W. After W
//! steps therefore nobody was chosen more often than its weight, and as there were W choices, nobody less often: all
//! credits are back at 0 and the order repeats.
//!
//! It must never decide who is eligible, and never restart by itself: its users own that.

use super::Candidate;

/// What the nodes of a pool have earned and not yet paid.
#[derive(Debug)]
pub(super) struct Swrr {
    credits: Vec<i64>,
}

impl Swrr {
    /// Nobody has earned anything.
    pub(super) fn new(nodes: usize) -> Self {
        Swrr {
            credits: vec![0; nodes],
        }
    }

    /// Forgets what was earned.
    pub(super) fn reset(&mut self) {
        self.credits.fill(0);
    }

    /// The next of `eligible`, or `None` when nobody is. Among equally rich the first is chosen.
    ///
    /// Credits are exact integers; the largest weight (65,535) times any pool that fits in memory is far from overflow.
    pub(super) fn step(
        &mut self,
        nodes: &[Candidate],
        eligible: impl Iterator<Item = usize>,
    ) -> Option<usize> {
        let mut earned_by_all = 0;
        let mut richest: Option<(usize, i64)> = None;
        for i in eligible {
            let earned = nodes[i].scaled() as i64;
            earned_by_all += earned;
            let credit = self.credits[i] + earned;
            self.credits[i] = credit;
            if richest.is_none_or(|(_, most)| credit > most) {
                richest = Some((i, credit));
            }
        }
        let (chosen, _) = richest?;
        self.credits[chosen] -= earned_by_all;
        Some(chosen)
    }

    /// Moves to a position of the order that follows from `seed`, by steps whose choice nobody gets.
    ///
    /// At most one round, and at most four steps a node: that spreads the starts over the nodes in about the right
    /// shares, and bounds the work when weights are in the thousands.
    pub(super) fn advance<I>(&mut self, nodes: &[Candidate], eligible: impl Fn() -> I, seed: u64)
    where
        I: Iterator<Item = usize>,
    {
        let (count, round) = eligible().fold((0u64, 0u64), |(count, round), i| {
            (count + 1, round + u64::from(nodes[i].weight))
        });
        let positions = round.min(4 * count);
        if positions == 0 {
            return;
        }
        for _ in 0..seed % positions {
            self.step(nodes, eligible());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::laws::pool;
    use super::*;

    fn order(weights: &[u32], steps: usize, seed: u64) -> Vec<usize> {
        let nodes = pool(weights);
        let mut swrr = Swrr::new(nodes.len());
        swrr.advance(&nodes, || 0..weights.len(), seed);
        (0..steps)
            .filter_map(|_| swrr.step(&nodes, 0..weights.len()))
            .collect()
    }

    #[test]
    fn the_order_nginx_documents() {
        assert_eq!(order(&[5, 1, 1], 7, 0), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_seed_starts_the_same_order_elsewhere() {
        for seed in 0..7 {
            let mut expected = [0, 0, 1, 0, 2, 0, 0];
            expected.rotate_left(seed);
            assert_eq!(order(&[5, 1, 1], 7, seed as u64), expected);
        }
    }

    #[test]
    fn nobody_eligible_nobody_chosen() {
        let nodes = pool(&[1, 2]);
        let mut swrr = Swrr::new(2);
        swrr.advance(&nodes, std::iter::empty, 9);
        assert_eq!(swrr.step(&nodes, std::iter::empty()), None);
        assert_eq!(swrr.credits, [0, 0]);
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let weights = [crate::config::checked::MAX_WEIGHT; 300];
        let chosen = order(&weights, 600, u64::MAX);
        assert_eq!(chosen[..300].iter().sum::<usize>(), (0..300).sum::<usize>());
    }
}
