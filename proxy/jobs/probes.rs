//! Active health checks: one task for each way in which an address is asked, in parallel, each at its own moment.
//!
//! The first probe goes out at once. Later ones are spread by a tenth of the interval, so that two hundred nodes
//! are not asked in the same millisecond for ever; and no more are asked at once than there are descriptors for.
//! Nodes of several upstreams that are asked alike at one address share a task: the answer is one, the counting is
//! each node's own. A task lives as long as there is a node for it, whichever generation names it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::balance::node::{Input, Node, WHOLE_SHARE};
use crate::base::node::{self, Intent};
use crate::config::checked::{self, Asking, Health, NodeAddr, NodeTls};
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::metrics::NodeMetrics;
use crate::upstream::probe::agent::Said;
use crate::upstream::probe::{Outcome, Prober};

/// A node that counts the answers of a task.
#[derive(Clone)]
struct Asked {
    node: Arc<Node>,
    metrics: Arc<NodeMetrics>,
    rise: u32,
    fall: u32,
    agent: bool,
}

/// Nodes at one address that are asked alike.
struct Group {
    asking: Asking,
    nodes: Vec<Asked>,
}

/// The task of a group.
struct Running {
    asking: Asking,
    nodes: watch::Sender<Vec<Asked>>,
    task: AbortHandle,
}

/// Probes what the generation in use wants probed, for as long as the process lives.
pub async fn run(control: &Arc<Control>, turns: &Arc<Semaphore>) {
    let mut generations = control.generations();
    let mut running: HashMap<SocketAddr, Vec<Running>> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        generations.borrow_and_update();
        let mut before = std::mem::take(&mut running);
        let snapshot = control.hold.load();
        forget_words(control, &snapshot);
        for (addr, groups) in groups(&snapshot) {
            let mut old = before.remove(&addr).unwrap_or_default();
            let now = running.entry(addr).or_default();
            for group in groups {
                let same = |r: &Running| r.asking == group.asking && !r.task.is_finished();
                if let Some(at) = old.iter().position(same) {
                    let kept = old.swap_remove(at);
                    kept.nodes.send_replace(group.nodes);
                    now.push(kept);
                    continue;
                }
                let (nodes, seen) = watch::channel(group.nodes);
                let asking = group.asking.clone();
                let task = keep_probing(control.clone(), turns.clone(), addr, asking, seen);
                now.push(Running {
                    asking: group.asking,
                    nodes,
                    task: tasks.spawn(task),
                });
            }
            old.iter().for_each(|gone| gone.task.abort());
        }
        before.values().flatten().for_each(|gone| gone.task.abort());
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

/// The nodes of a generation that are to be probed, by address and by how they are asked.
fn groups(snapshot: &Snapshot) -> HashMap<SocketAddr, Vec<Group>> {
    let mut all: HashMap<SocketAddr, Vec<Group>> = HashMap::new();
    for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
        let Some(health) = &config.health else {
            continue;
        };
        for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
            if member.intent != Intent::Down {
                let asked = asked(candidate.node.clone(), member.metrics.clone(), health);
                let asking = asking(health, &config.nodes[member.entry]);
                add(all.entry(member.addr).or_default(), asked, &asking);
            }
        }
    }
    all
}

/// How this node is asked: its certificate must name what the file says, else the name that it is reached by, as for
/// requests.
fn asking<'a>(health: &'a Health, node: &checked::Node) -> Cow<'a, Asking> {
    let mut asking = Cow::Borrowed(&health.asking);
    let NodeAddr::Name { host, .. } = &node.addr else {
        return asking;
    };
    let is_named = |tls: &NodeTls| tls.sni.is_some() || health.asking.host.is_some();
    if health.asking.tls.as_ref().is_some_and(|tls| !is_named(tls))
        && let Some(tls) = &mut asking.to_mut().tls
    {
        tls.sni = Some(host.clone());
    }
    asking
}

fn asked(node: Arc<Node>, metrics: Arc<NodeMetrics>, health: &Health) -> Asked {
    Asked {
        node,
        metrics,
        rise: health.rise,
        fall: health.fall,
        agent: health.agent,
    }
}

fn add(groups: &mut Vec<Group>, asked: Asked, asking: &Asking) {
    match groups.iter_mut().find(|group| group.asking == *asking) {
        Some(group) => group.nodes.push(asked),
        None => groups.push(Group {
            asking: asking.clone(),
            nodes: vec![asked],
        }),
    }
}

/// What a node said of itself holds no longer than somebody listens.
fn forget_words(control: &Control, snapshot: &Snapshot) {
    for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
        if config.health.as_ref().is_some_and(|health| health.agent) {
            continue;
        }
        for candidate in upstream.pool.candidates() {
            let share = WHOLE_SHARE;
            control.apply(&candidate.node, Input::Agent { share }, Instant::now());
        }
    }
}

async fn keep_probing(
    control: Arc<Control>,
    turns: Arc<Semaphore>,
    addr: SocketAddr,
    asking: Asking,
    mut nodes: watch::Receiver<Vec<Asked>>,
) {
    let prober = Prober::new(addr, &asking);
    let mut told = None;
    loop {
        // Each has a descriptor while it waits. The semaphore is never closed.
        let turn = turns.acquire().await;
        let asked = Instant::now();
        let outcome = prober.probe().await;
        drop(turn);
        let known = nodes.borrow_and_update().clone();
        for one in &known {
            note(&control, one, &outcome);
        }
        tell_unknown(addr, outcome.said.as_ref(), &known, &mut told);
        let pause = jittered(interval(&asking, &known), fastrand::f64());
        let rest = tokio::time::sleep(pause.saturating_sub(asked.elapsed()));
        tokio::select! {
            () = rest => {}
            () = newcomer(&mut nodes, &known) => {}
        }
    }
}

/// How long until the next probe: as the nodes that ask for it wait to be found well again or ill, whichever comes first.
fn interval(asking: &Asking, nodes: &[Asked]) -> Duration {
    let now = Instant::now();
    let ill = |one: &Asked| one.node.view(now).health == node::Health::Unhealthy;
    let (some, all) = (nodes.iter().any(ill), nodes.iter().all(ill));
    match (some, all) {
        (false, _) => asking.interval,
        (true, true) => asking.unhealthy_interval,
        (true, false) => asking.unhealthy_interval.min(asking.interval),
    }
}

/// Waits until there is a node that was not asked yet: its first probe goes out at once.
async fn newcomer(nodes: &mut watch::Receiver<Vec<Asked>>, known: &[Asked]) {
    let is_known = |one: &Asked| known.iter().any(|k| Arc::ptr_eq(&k.node, &one.node));
    let some_new = |nodes: &Vec<Asked>| !nodes.iter().all(is_known);
    if nodes.wait_for(some_new).await.is_err() {
        std::future::pending::<()>().await; // nobody is left to ask for: the task is about to be ended
    }
}

/// What an answer means for one node.
fn note(control: &Control, one: &Asked, outcome: &Outcome) {
    let said = outcome.said.as_ref().filter(|_| one.agent);
    let down = said.is_some_and(|said| said.down);
    let input = match &outcome.verdict {
        // Its own word needs no second probe to confirm it.
        _ if down => Input::ProbeFailed {
            fall: 1,
            why: "it says that it is down".into(),
        },
        Ok(()) => Input::ProbePassed { rise: one.rise },
        Err(why) => Input::ProbeFailed {
            fall: one.fall,
            why: why.clone(),
        },
    };
    let passed = matches!(input, Input::ProbePassed { .. });
    let now = Instant::now();
    // Only a probe that passed takes back what was said before. First, so that a node that comes back and asks for
    // less never gets more.
    if let Some(said) = said.filter(|said| passed || !said.is_plain()) {
        let share = said.share();
        control.apply(&one.node, Input::Agent { share }, now);
    }
    one.metrics.probed(passed);
    control.apply(&one.node, input, now);
}

/// Tells a word that nobody knows, once.
fn tell_unknown(addr: SocketAddr, said: Option<&Said>, nodes: &[Asked], told: &mut Option<String>) {
    let unknown = said.and_then(|said| said.unknown.as_ref());
    let Some(word) = unknown.filter(|_| nodes.iter().any(|one| one.agent)) else {
        return;
    };
    if told.as_ref() != Some(word) {
        tracing::debug!("{addr}: X-Tidegate-State has the word {word:?}, which means nothing here");
        *told = Some(word.clone());
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
