//! Active health checks: one task a node, in parallel, each at its own moment.
//!
//! The first probe goes out at once. Later ones are spread by a tenth of the interval, so that two hundred nodes
//! are not asked in the same millisecond for ever; and no more are asked at once than there are descriptors for. A task lives as long as its node is to be probed in the same way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::balance::node::{Input, Node};
use crate::base::node::Intent;
use crate::config::checked::Health;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::metrics::NodeMetrics;
use crate::upstream::probe::probe;

/// A node to be probed, and how.
struct Target {
    node: Arc<Node>,
    addr: SocketAddr,
    health: Health,
    metrics: Arc<NodeMetrics>,
}

impl Target {
    fn is_same(&self, other: &Target) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
            && self.addr == other.addr
            && self.health == other.health
    }
}

/// Probes what the generation in use wants probed, for as long as the process lives.
pub async fn run(control: &Arc<Control>, turns: &Arc<Semaphore>) {
    let mut generations = control.generations();
    let mut running: HashMap<(Arc<str>, Arc<str>), (Target, tokio::task::AbortHandle)> =
        HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        generations.borrow_and_update();
        let mut before = std::mem::take(&mut running);
        for target in targets(&control.hold.load()) {
            let key = (target.node.upstream.clone(), target.node.id.clone());
            let kept = before.remove(&key).and_then(|(old, task)| {
                if old.is_same(&target) && !task.is_finished() {
                    return Some(task);
                }
                task.abort();
                None
            });
            let task = kept.unwrap_or_else(|| {
                let (node, metrics) = (target.node.clone(), target.metrics.clone());
                let (addr, health) = (target.addr, target.health.clone());
                let turns = turns.clone();
                tasks.spawn(keep_probing(
                    control.clone(),
                    turns,
                    node,
                    addr,
                    health,
                    metrics,
                ))
            });
            running.insert(key, (target, task));
        }
        for (_, (_, task)) in before {
            task.abort();
        }
        tokio::select! {
            changed = generations.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // Ended by an abort of ours, or by a fault: then it is started again.
            Some(_) = tasks.join_next() => {}
        }
    }
}

fn targets(snapshot: &Snapshot) -> Vec<Target> {
    let mut targets = Vec::new();
    for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
        let Some(health) = &config.health else {
            continue;
        };
        for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
            if member.intent != Intent::Down {
                targets.push(Target {
                    node: candidate.node.clone(),
                    addr: member.addr,
                    health: health.clone(),
                    metrics: member.metrics.clone(),
                });
            }
        }
    }
    targets
}

async fn keep_probing(
    control: Arc<Control>,
    turns: Arc<Semaphore>,
    node: Arc<Node>,
    addr: SocketAddr,
    health: Health,
    metrics: Arc<NodeMetrics>,
) {
    loop {
        // Each has a descriptor while it waits. The semaphore is never closed.
        let turn = turns.acquire().await;
        let asked = Instant::now();
        let answer = probe(addr, &health).await;
        drop(turn);
        let input = match answer {
            Ok(()) => Input::ProbePassed { rise: health.rise },
            Err(why) => Input::ProbeFailed {
                fall: health.fall,
                why,
            },
        };
        metrics.probed(matches!(input, Input::ProbePassed { .. }));
        control.apply(&node, input, Instant::now());
        let pause = jittered(health.interval, fastrand::f64());
        tokio::time::sleep(pause.saturating_sub(asked.elapsed())).await;
    }
}

/// `interval`, a tenth more or less. `dice` is a random number in `0.0..1.0`.
fn jittered(interval: Duration, dice: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * dice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let interval = Duration::from_secs(10);
        assert_eq!(jittered(interval, 0.0), Duration::from_secs(9));
        assert_eq!(jittered(interval, 0.5), interval);
        assert!(jittered(interval, 0.999) <= Duration::from_secs(11));
    }
}
