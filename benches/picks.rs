//! What it costs to choose a node, alone and in a crowd.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use tidegate::balance::commons::Commons;
use tidegate::balance::node::Node;
use tidegate::balance::pick::{Ask, Candidate, build};
use tidegate::balance::pool::{How, Pool};
use tidegate::base::node::{Health, Intent};
use tidegate::base::node_set::NodeSet;
use tidegate::config::checked::Balance;
use tidegate::config::defaults;

const ALGORITHMS: [(&str, Balance); 8] = [
    ("round_robin", Balance::RoundRobin),
    ("least_conn", Balance::LeastConn),
    ("weighted_random", Balance::WeightedRandom),
    ("random", Balance::Random),
    ("ip_hash", Balance::IpHash),
    ("hash_bounded", Balance::Hash),
    ("p2c", Balance::P2c),
    ("peak_ewma", Balance::PeakEwma),
];

/// What a choice costs one thread, by the number of nodes.
pub fn alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    for (name, balance) in ALGORITHMS {
        for n in [4, 32, 256] {
            let nodes = pool(n);
            let usable = NodeSet::full(n);
            let picker = build(balance, Some(125), &nodes, 1);
            let mut random = fastrand::Rng::with_seed(7);
            let now = Instant::now();
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| {
                    let ask = Ask {
                        key: random.u64(..),
                        random: random.u64(..),
                        now,
                    };
                    picker.pick(&nodes, black_box(&usable), &ask, true)
                });
            });
        }
    }
    group.finish();
}

/// What it costs to choose, begin, note the answer and end when sixteen threads do it at once: wall time of all of them
/// over the number of requests. On two cores a perfect one takes half of what one thread needs.
pub fn by_many(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick_by_threads");
    for (name, balance) in ALGORITHMS {
        for threads in [1, 16] {
            let how = How {
                balance,
                most: Some(125),
                fail_open_below: 0,
                outlier: Some(defaults::OUTLIER),
                breaker: Some(defaults::BREAKER),
                slow_start: None,
                queue: defaults::QUEUE,
                has_way_out: false,
            };
            let now = Instant::now();
            let pool = Pool::new(how, pool(32), None, Arc::new(Commons::new(now)), 1);
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter_custom(|n| {
                    let begun = Instant::now();
                    std::thread::scope(|scope| {
                        for thread in 0..threads {
                            let pool = &pool;
                            scope.spawn(move || requests(pool, n / threads + 1, thread, now));
                        }
                    });
                    begun.elapsed()
                });
            });
        }
    }
    group.finish();
}

fn requests(pool: &Pool, times: u64, seed: u64, now: Instant) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..times {
        let ask = Ask {
            key: random.u64(..),
            random: random.u64(..),
            now,
        };
        let (at, in_flight) = pool.take(&ask, &[]).expect("nobody is full");
        pool.note(at, false, false, now);
        black_box(in_flight);
    }
}

/// Idle nodes with weights from 1 to 4: idle is the dearest case of `least_conn`, since all are tied.
fn pool(n: usize) -> Vec<Candidate> {
    let now = Instant::now();
    let mut hash = fastrand::Rng::with_seed(1);
    let mut candidate = |i: usize| {
        let id = format!("n{i}");
        let node = Node::new("web".into(), id.into(), Intent::Up, Health::Healthy, now);
        Candidate::new(node.into(), 1 + i as u32 % 4, hash.u64(..))
    };
    (0..n).map(&mut candidate).collect()
}
