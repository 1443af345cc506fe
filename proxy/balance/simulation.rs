//! What each way of choosing makes of one node that becomes slow and recovers, in virtual time and without a socket.
//!
//! Tests only. Seeded, so that a failure is the same failure again. It must never be tuned until it passes: the
//! numbers are those measured with other balancers on real sockets, where every policy ends at the slow node's time.
//!
//! `TIDEGATE_GRAPH=FILE cargo test --lib simulation` draws the graph of the README.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commons::Commons;
use super::node::{InFlight, Node};
use super::pick::{Ask, Candidate};
use super::pool::{How, Pool};
use crate::base::node::{Health, Intent};
use crate::config::checked::Balance;
use crate::config::defaults;

const SEED: u64 = 42;
/// Requests a second, arriving at random (a Poisson process).
const RATE: f64 = 1_000.0;
const SECOND: f64 = 1_000.0;
/// Milliseconds: the first node is slow from here to there, and it all ends.
const SLOW_FROM: f64 = 10.0 * SECOND;
const SLOW_TO: f64 = 40.0 * SECOND;
/// So long after it recovered its share must be fair again.
const RECOVERED: f64 = SLOW_TO + 10.0 * SECOND;
const END: f64 = 70.0 * SECOND;
/// Every answer takes at least this, and a random time (exponentially distributed) of this mean.
const SERVICE: f64 = 2.0;
const NOISE: f64 = 1.0;
const SLOW_BY: f64 = 200.0;

/// What came of one policy.
#[derive(Debug)]
struct Outcome {
    /// Share of requests that met the slow node while it was slow.
    met_slow: f64,
    /// Milliseconds within which 99 of 100 requests were answered then.
    p99: f64,
    /// Its share from ten seconds after it recovered, over the fair one.
    fairness: f64,
}

/// A request that will be answered.
struct Answer {
    at: u64,
    node: usize,
    took: f64,
    _in_flight: InFlight,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Answer {}
impl PartialOrd for Answer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Answer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

fn simulate(balance: Balance, n: usize) -> Outcome {
    let begun = Instant::now();
    let at = |ms: f64| begun + Duration::from_secs_f64(ms / 1_000.0);
    let nodes: Vec<Arc<Node>> = (0..n)
        .map(|i| {
            let id = format!("n{i}");
            Node::new("web".into(), id.into(), Intent::Up, Health::Healthy, begun).into()
        })
        .collect();
    let candidate = |(i, node): (usize, &Arc<Node>)| Candidate::new(node.clone(), 1, i as u64);
    let how = How {
        balance,
        most: None,
        fail_open_below: 0,
        outlier: None,
        breaker: None,
        slow_start: None,
        queue: defaults::QUEUE,
        has_way_out: false,
    };
    let members = nodes.iter().enumerate().map(candidate).collect();
    let commons = Arc::new(Commons::new(begun));
    let pool = Pool::new(how, members, None, commons, 0);
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut answers: BinaryHeap<Reverse<Answer>> = BinaryHeap::new();
    let (mut times, mut met_slow) = (Vec::new(), 0);
    let (mut after, mut after_on_it) = (0, 0);
    let mut now = 0.0;
    loop {
        now += -(1.0 - random.f64()).ln() * SECOND / RATE;
        if now >= END {
            break;
        }
        while let Some(Reverse(next)) = answers.peek()
            && next.at as f64 <= now * 1_000.0
        {
            let Some(Reverse(done)) = answers.pop() else {
                break;
            };
            let took = Duration::from_secs_f64(done.took / 1_000.0);
            nodes[done.node].answered_in(took, at(done.at as f64 / 1_000.0));
        }
        let ask = Ask {
            key: random.u64(..),
            random: random.u64(..),
            now: at(now),
        };
        let node = pool.pick(&ask, &[]).expect("everybody is healthy");
        let is_slow = (SLOW_FROM..SLOW_TO).contains(&now);
        let mut took = SERVICE - NOISE * (1.0 - random.f64()).ln();
        if is_slow {
            if node == 0 {
                took += SLOW_BY;
                met_slow += 1;
            }
            times.push(took);
        }
        if now >= RECOVERED {
            after += 1;
            after_on_it += usize::from(node == 0);
        }
        answers.push(Reverse(Answer {
            at: ((now + took) * 1_000.0) as u64,
            node,
            took,
            _in_flight: nodes[node].begin(),
        }));
    }
    drop(answers);
    assert!(nodes.iter().all(|n| n.in_flight() == 0));
    times.sort_by(f64::total_cmp);
    Outcome {
        met_slow: f64::from(met_slow) / times.len() as f64,
        p99: times[times.len() * 99 / 100],
        fairness: after_on_it as f64 * n as f64 / after as f64,
    }
}

const POLICIES: [Balance; 6] = [
    Balance::RoundRobin,
    Balance::Random,
    Balance::WeightedRandom,
    Balance::LeastConn,
    Balance::P2c,
    Balance::PeakEwma,
];

#[test]
fn a_slow_node_costs_hardly_anybody_time_with_peak_ewma() {
    let mut graph = Vec::new();
    for n in [4, 32] {
        for balance in POLICIES {
            let outcome = simulate(balance, n);
            println!("{n:>3} nodes {:<16} {outcome:?}", balance.as_str());
            // Recovered, it is neither shunned nor overrun.
            let fair = 0.8..=1.2;
            assert!(
                fair.contains(&outcome.fairness),
                "{balance:?} {n}: {outcome:?}"
            );
            match balance {
                Balance::PeakEwma => {
                    assert!(outcome.met_slow < 0.01, "{n}: {outcome:?}");
                    assert!(outcome.p99 < 50.0, "{n}: {outcome:?}");
                }
                Balance::P2c => assert!(outcome.met_slow < 0.02, "{n}: {outcome:?}"),
                // So that it is a slow node that the others avoid.
                Balance::RoundRobin => assert!(outcome.p99 > SLOW_BY, "{n}: {outcome:?}"),
                _ => {}
            }
            graph.push((n, balance, outcome));
        }
    }
    if let Some(file) = std::env::var_os("TIDEGATE_GRAPH") {
        std::fs::write(file, draw(&graph)).expect("the graph can be written");
    }
}

/// Bars: the time within which 99 of 100 requests were answered, and how many met the slow node.
fn draw(outcomes: &[(usize, Balance, Outcome)]) -> String {
    const PIXELS_A_MS: f64 = 1.8;
    let height = 70 + outcomes.len() * 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\">One node is {SLOW_BY} ms slow: 99 of 100 requests are answered within</text>\n\
         <text x=\"16\" y=\"42\" fill=\"#555\">Simulated, {RATE} requests a second, answers of about {} ms otherwise; in brackets the share that met it</text>\n",
        SERVICE + NOISE
    );
    for (row, (n, balance, outcome)) in outcomes.iter().enumerate() {
        let y = 58 + row * 24;
        let width = outcome.p99 * PIXELS_A_MS;
        let color = if *balance == Balance::PeakEwma {
            "#0a7d5a"
        } else {
            "#9ab"
        };
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{base}\">{n} nodes, {name}</text>\
             <rect x=\"190\" y=\"{y}\" width=\"{width:.0}\" height=\"18\" fill=\"{color}\"/>\
             <text x=\"{end:.0}\" y=\"{base}\">{p99:.0} ms ({met:.2} %)</text>",
            base = y + 14,
            name = balance.as_str(),
            end = 196.0 + width,
            p99 = outcome.p99,
            met = outcome.met_slow * 100.0,
        );
    }
    svg + "</svg>\n"
}
