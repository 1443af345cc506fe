//! The operator's verbs: reload, drain, weight. Signals, jobs and the stats port all come through here.
//!
//! Every change is "build the next generation, swap it in", one at a time. A change that fails leaves everything as
//! it was. Nothing here is on a request's way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::build::{self, Parts, Resolved};
use super::hold::Hold;
use super::lifecycle::Lifecycle;
use super::overlay::{Change, Overlay};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::balance::node::{Input, Node, Transition};
use crate::base::node::{Health, Intent};
use crate::config::Loaded;
use crate::config::checked::{Config, NodeAddr};
use crate::config::diff::diff;
use crate::config::effective::effective;
use crate::config::problem::{Place, Problem};
use crate::telemetry::metrics::{Metrics, NodeGauges};

/// A node that no generation names any more, with requests left on it.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Its state.
    pub node: Arc<Node>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// When what is left will be cut.
    pub ends: Instant,
}

/// What came of a reload.
#[derive(Debug)]
pub enum Reloaded {
    /// A new generation is in use.
    Applied {
        /// Its number.
        generation: u64,
        /// What changed, in words.
        notes: Vec<String>,
        /// What the operator should look at.
        warnings: Vec<Problem>,
    },
    /// The files say what is in use already.
    Unchanged,
    /// The files are wrong: everything stays as it was.
    Refused(Vec<Problem>),
}

/// How the last reload went, for the stats port.
#[derive(Debug, Clone)]
pub struct LastReload {
    /// When.
    pub at: SystemTime,
    /// What was wrong; empty when it was accepted.
    pub problems: Vec<Problem>,
}

/// Why a verb could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerbError {
    /// No upstream of this name.
    UnknownUpstream(String),
    /// No node of this id there.
    UnknownNode(String),
    /// The next generation could not be built.
    Failed(String),
}

impl std::fmt::Display for VerbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VerbError::UnknownUpstream(name) => write!(f, "there is no upstream \"{name}\""),
            VerbError::UnknownNode(name) => write!(f, "there is no node \"{name}\""),
            VerbError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for VerbError {}

/// Holds what is in use and changes it.
#[derive(Debug)]
pub struct Control {
    /// The generation in use.
    pub hold: Arc<Hold>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// How far the process is in its life.
    pub lifecycle: Arc<Lifecycle>,
    source: Source,
    inner: Mutex<Inner>,
    /// Moves when requests on some node are to be cut.
    cut: watch::Sender<u64>,
    /// Carries the generation in use, for jobs that follow it.
    generation: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    /// What the files in use look like, and what the last look at them found.
    in_use: u64,
    last_seen: u64,
    files: Vec<std::path::PathBuf>,
    effective: String,
    watch: Vec<std::path::PathBuf>,
    overlay: Overlay,
    resolved: Resolved,
    leaving: Vec<Leaving>,
    last_reload: LastReload,
}

impl Control {
    /// Puts the first generation in use.
    ///
    /// # Errors
    /// When `loaded` has no configuration (its problems say why) the caller must not come here; an access log that
    /// cannot be opened is an `io::Error`.
    pub fn start(
        source: Source,
        config: Config,
        loaded: &Loaded,
        metrics: Arc<Metrics>,
        now: Instant,
    ) -> io::Result<Self> {
        let at = SystemTime::now();
        let (overlay, resolved) = (Overlay::default(), Resolved::new());
        let parts = Parts {
            config: Arc::new(config),
            loaded_at: at,
            overlay: &overlay,
            resolved: &resolved,
            leaving: &[],
            previous: None,
        };
        let first = build::build(&parts, &metrics, now)?;
        let generation = first.generation;
        metrics.reloads.succeeded("applied", unix_seconds(at));
        metrics.reloads.in_use(generation, 0);
        Ok(Control {
            hold: Arc::new(Hold::new(first)),
            metrics,
            lifecycle: Arc::new(Lifecycle::new(now)),
            source,
            inner: Mutex::new(Inner {
                in_use: loaded.fingerprint,
                last_seen: loaded.fingerprint,
                files: loaded.files.clone(),
                effective: effective(loaded).unwrap_or_default(),
                watch: loaded.watch.clone(),
                overlay,
                resolved,
                leaving: Vec::new(),
                last_reload: LastReload {
                    at,
                    problems: Vec::new(),
                },
            }),
            cut: watch::Sender::new(0),
            generation: watch::Sender::new(generation),
        })
    }

    /// Reads the files again and puts them in use, unless they are wrong.
    ///
    /// `why` is who asked, for the log. With `only_if_new`, files that look as they did at the last look are left
    /// alone, even when they were refused then: a watcher asks that way, so that one mistake is told once.
    pub fn reload(&self, why: &str, only_if_new: bool) -> Reloaded {
        let mut inner = self.inner.lock();
        let loaded = self.source.load();
        if only_if_new && loaded.fingerprint == inner.last_seen {
            return Reloaded::Unchanged;
        }
        inner.last_seen = loaded.fingerprint;
        inner.watch.clone_from(&loaded.watch);
        let at = SystemTime::now();
        let warnings: Vec<Problem> = loaded.warnings().cloned().collect();
        let problems: Vec<Problem> = loaded.errors().cloned().collect();
        let effective = effective(&loaded).unwrap_or_default();
        let Some(config) = loaded.config else {
            return self.refuse(&mut inner, why, problems, at);
        };
        if loaded.fingerprint == inner.in_use {
            inner.last_reload = LastReload {
                at,
                problems: Vec::new(),
            };
            self.metrics
                .reloads
                .succeeded("unchanged", unix_seconds(at));
            return Reloaded::Unchanged;
        }
        let old = self.hold.load();
        let config = Arc::new(config);
        let mut overlay = inner.overlay.clone();
        let mut notes: Vec<String> = diff(&old.config, &config)
            .into_iter()
            .map(|change| change.to_string())
            .collect();
        notes.extend(overlay.drop_changed(&old.config, &config));
        let saved = std::mem::replace(&mut inner.overlay, overlay);
        match self.next_generation(&mut inner, config, at) {
            Ok(generation) => {
                inner.in_use = loaded.fingerprint;
                inner.files = loaded.files;
                inner.effective = effective;
                inner.last_reload = LastReload {
                    at,
                    problems: Vec::new(),
                };
                self.metrics.reloads.succeeded("applied", unix_seconds(at));
                tracing::info!("{why}: configuration generation {generation} in use");
                for note in &notes {
                    tracing::info!("generation {generation}: {note}");
                }
                for warning in &warnings {
                    tracing::warn!("configuration:\n{warning}");
                }
                Reloaded::Applied {
                    generation,
                    notes,
                    warnings,
                }
            }
            Err(e) => {
                inner.overlay = saved;
                let place = Place::file(&self.source.name());
                let problem = Problem::error(place, format!("cannot open the access log: {e}"))
                    .help("look at `access_log.path`: its folder must exist and be writable");
                self.refuse(&mut inner, why, vec![problem], at)
            }
        }
    }

    fn refuse(
        &self,
        inner: &mut Inner,
        why: &str,
        problems: Vec<Problem>,
        at: SystemTime,
    ) -> Reloaded {
        self.metrics.reloads.refused();
        let generation = self.hold.load().generation;
        tracing::error!(
            "{why}: the configuration was refused, generation {generation} stays in use"
        );
        for problem in &problems {
            tracing::error!("configuration:\n{problem}");
        }
        inner.last_reload = LastReload {
            at,
            problems: problems.clone(),
        };
        Reloaded::Refused(problems)
    }

    /// Changes a node at run time. `target` is the id of a node or of an entry (a name with several addresses).
    ///
    /// # Errors
    /// When there is no such upstream or node.
    pub fn change(
        &self,
        upstream: &str,
        target: &str,
        change: Change,
    ) -> Result<Arc<Snapshot>, VerbError> {
        let mut inner = self.inner.lock();
        let snapshot = self.hold.load();
        let config = snapshot
            .config
            .upstreams
            .iter()
            .find(|u| u.name == upstream)
            .ok_or_else(|| VerbError::UnknownUpstream(upstream.into()))?;
        let entry = config
            .nodes
            .iter()
            .find(|n| is_target(n, target))
            .ok_or_else(|| VerbError::UnknownNode(format!("{upstream}/{target}")))?;
        let saved = inner.overlay.clone();
        inner.overlay.set(upstream, entry, change);
        let config = snapshot.config.clone();
        if let Err(e) = self.next_generation(&mut inner, config, snapshot.loaded_at) {
            inner.overlay = saved;
            return Err(VerbError::Failed(e.to_string()));
        }
        Ok(self.hold.load())
    }

    /// Notes the addresses of a name. Does nothing when they are the ones in use.
    pub fn resolved(&self, name: &str, mut addresses: Vec<SocketAddr>) {
        addresses.sort();
        addresses.dedup();
        let mut inner = self.inner.lock();
        if inner.resolved.get(name) == Some(&addresses) {
            return;
        }
        tracing::info!("{name} has the addresses {addresses:?}");
        let before = inner.resolved.insert(name.to_string(), addresses);
        let snapshot = self.hold.load();
        if let Err(e) =
            self.next_generation(&mut inner, snapshot.config.clone(), snapshot.loaded_at)
        {
            tracing::error!("the addresses of {name} cannot be used: {e}");
            match before {
                Some(old) => inner.resolved.insert(name.to_string(), old),
                None => inner.resolved.remove(name),
            };
        }
    }

    /// Names that want resolving.
    pub fn names(&self) -> Vec<(String, u16)> {
        let snapshot = self.hold.load();
        let nodes = snapshot.config.upstreams.iter().flat_map(|u| &u.nodes);
        nodes
            .filter_map(|n| match &n.addr {
                NodeAddr::Name { host, port } => Some((host.clone(), *port)),
                NodeAddr::Socket(_) => None,
            })
            .collect()
    }

    /// Builds and swaps in the next generation, then tells its nodes what is wanted of them.
    fn next_generation(
        &self,
        inner: &mut Inner,
        config: Arc<Config>,
        loaded_at: SystemTime,
    ) -> io::Result<u64> {
        let now = Instant::now();
        let old = self.hold.load();
        let leaving: Vec<_> = inner.leaving.iter().map(|l| l.node.clone()).collect();
        let parts = Parts {
            config,
            loaded_at,
            overlay: &inner.overlay,
            resolved: &inner.resolved,
            leaving: &leaving,
            previous: Some(&old),
        };
        let next = build::build(&parts, &self.metrics, now)?;
        let generation = next.generation;
        self.hold.swap(next);
        let next = self.hold.load();
        self.settle_nodes(&old, &next, now);
        inner.leaving.retain(|l| !has_node(&next, &l.node));
        inner.leaving.extend(self.dismiss(&old, &next, now));
        self.metrics.reloads.in_use(generation, inner.overlay.len());
        self.generation.send_replace(generation);
        Ok(generation)
    }

    /// Tells the nodes of `next` what the operator wants of them, and starts their health anew where what was seen
    /// no longer counts: another address, or no probe any more that could bring an unhealthy node back.
    fn settle_nodes(&self, old: &Snapshot, next: &Snapshot, now: Instant) {
        for (upstream, config) in next.upstreams.iter().zip(&next.config.upstreams) {
            let before = old.upstreams.iter().position(|u| u.name == upstream.name);
            let had_probes = before.is_some_and(|i| old.config.upstreams[i].health.is_some());
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                let node = &candidate.node;
                self.apply(node, Input::Intend(member.intent), now);
                let moved = before
                    .and_then(|i| address_of(&old.upstreams[i], node))
                    .is_some_and(|addr| addr != member.addr);
                if moved || (had_probes && config.health.is_none()) {
                    let health = build::initial_health(config.health.as_ref());
                    self.apply(node, Input::Restart(health), now);
                }
            }
        }
    }

    /// Nodes of `old` that `next` does not name drain from now on.
    fn dismiss(&self, old: &Snapshot, next: &Snapshot, now: Instant) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        for (upstream, config) in old.upstreams.iter().zip(&old.config.upstreams) {
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                if !has_node(next, &candidate.node) {
                    self.apply(&candidate.node, Input::Intend(Intent::Drain), now);
                    leaving.push(Leaving {
                        node: candidate.node.clone(),
                        addr: member.addr,
                        ends: now + config.drain_timeout,
                    });
                }
            }
        }
        leaving
    }

    /// Lets something happen to a node, and tells what changed.
    pub fn apply(&self, node: &Arc<Node>, input: Input, now: Instant) {
        if let Some(transition) = node.apply(input, now) {
            tell(node, &transition, &self.metrics);
        }
    }

    /// Ends drains whose time is over and forgets nodes that have left. Called several times a second.
    pub fn tick(&self, now: Instant) {
        let mut inner = self.inner.lock();
        let mut cut = false;
        inner.leaving.retain(|l| {
            if l.node.in_flight() > 0 && now >= l.ends {
                cut |= cut_rest(&l.node);
            }
            l.node.in_flight() > 0
        });
        drop(inner);
        let snapshot = self.hold.load();
        for (upstream, config) in snapshot.upstreams.iter().zip(&snapshot.config.upstreams) {
            for candidate in upstream.pool.candidates() {
                let node = &candidate.node;
                if candidate.weight == 0
                    && node.in_flight() > 0
                    && node
                        .view(now)
                        .draining_since
                        .is_some_and(|since| now >= since + config.drain_timeout)
                {
                    cut |= cut_rest(node);
                }
            }
        }
        if cut {
            self.cut.send_modify(|epoch| *epoch += 1);
        }
    }

    /// Nodes that no generation names any more, with requests left on them.
    pub fn leaving(&self) -> Vec<Leaving> {
        self.inner.lock().leaving.clone()
    }

    /// Number of entries changed at run time.
    pub fn drift(&self) -> usize {
        self.inner.lock().overlay.len()
    }

    /// How the last reload went.
    pub fn last_reload(&self) -> LastReload {
        self.inner.lock().last_reload.clone()
    }

    /// Files the configuration in use was read from.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        self.inner.lock().files.clone()
    }

    /// The whole configuration in use, as a file that loads again.
    pub fn effective(&self) -> String {
        self.inner.lock().effective.clone()
    }

    /// Files and folders whose change may matter.
    pub fn watched(&self) -> Vec<std::path::PathBuf> {
        self.inner.lock().watch.clone()
    }

    /// Where the configuration comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Moves when requests on some node are to be cut.
    pub fn cuts(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    /// Carries the generation in use.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Sets the gauges that mirror state.
    pub fn mirror(&self, now: Instant) {
        let snapshot = self.hold.load();
        let leaving = self.leaving();
        let gauges = |node: &Arc<Node>, weight| {
            let view = node.view(now);
            (node.clone(), view.intent, view.health, weight)
        };
        let nodes: Vec<_> = snapshot
            .upstreams
            .iter()
            .flat_map(|u| u.pool.candidates())
            .map(|c| gauges(&c.node, c.weight))
            .chain(leaving.iter().map(|l| gauges(&l.node, 0)))
            .collect();
        self.metrics.mirror(
            nodes
                .iter()
                .map(|(node, intent, health, weight)| NodeGauges {
                    upstream: &node.upstream,
                    node: &node.id,
                    intent: *intent,
                    health: *health,
                    in_flight: node.in_flight(),
                    weight: if *health == Health::Healthy {
                        *weight
                    } else {
                        0
                    },
                    draining: *intent != Intent::Up,
                }),
            snapshot
                .upstreams
                .iter()
                .map(|u| (&*u.name, u.pool.available(now))),
            now,
        );
    }
}

/// Tells a change of a node's state: one line, one count.
pub fn tell(node: &Node, t: &Transition, metrics: &Metrics) {
    let (upstream, id) = (&node.upstream, &node.id);
    let (from, to) = (words(t.from), words(t.to));
    if t.to.1 == Health::Unhealthy || t.to.1 == Health::Ejected {
        tracing::warn!("node {upstream}/{id}: {from} -> {to}: {}", t.reason);
    } else {
        tracing::info!("node {upstream}/{id}: {from} -> {to}: {}", t.reason);
    }
    metrics.node(upstream, id).changed(t.from, t.to);
}

fn words((intent, health): (Intent, Health)) -> String {
    format!("{} {}", intent.as_str(), health.as_str())
}

fn cut_rest(node: &Arc<Node>) -> bool {
    if node.is_cut() {
        return false;
    }
    tracing::warn!(
        "node {}/{}: its drain is over, {} requests are cut",
        node.upstream,
        node.id,
        node.in_flight()
    );
    node.cut_in_flight();
    true
}

fn is_target(entry: &crate::config::checked::Node, target: &str) -> bool {
    entry.id == target
        || target
            .strip_prefix(entry.id.as_str())
            .is_some_and(|rest| rest.starts_with('@'))
}

fn has_node(snapshot: &Snapshot, node: &Arc<Node>) -> bool {
    snapshot
        .upstreams
        .iter()
        .flat_map(|u| u.pool.candidates())
        .any(|c| Arc::ptr_eq(&c.node, node))
}

fn address_of(upstream: &super::snapshot::Upstream, node: &Arc<Node>) -> Option<SocketAddr> {
    let at = upstream
        .pool
        .candidates()
        .iter()
        .position(|c| Arc::ptr_eq(&c.node, node))?;
    Some(upstream.members[at].addr)
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}
