//! What others may know of what is in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::{Control, LastReload, Leaving};
use crate::balance::node::Node;
use crate::base::node::{Health, Intent};
use crate::config::checked::{Listen, NodeAddr};
use crate::live::overlay::Drift;
use crate::live::source::Source;
use crate::telemetry::metrics::{NodeGauges, UpstreamGauges};

impl Control {
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

    /// Nodes that no generation names any more, with requests left on them.
    pub fn leaving(&self) -> Vec<Leaving> {
        self.inner.lock().leaving.clone()
    }

    /// Number of differences from the file.
    pub fn drift(&self) -> usize {
        self.inner.lock().overlay.len()
    }

    /// Every difference from the file, and the generation in which they are in use.
    pub fn drifted(&self) -> (u64, Vec<Drift>) {
        let inner = self.inner.lock();
        (
            self.hold.load().generation,
            inner.overlay.drift(&inner.file),
        )
    }

    /// What the file says but only a restart puts in use, in words.
    pub fn waits_for_restart(&self) -> Vec<String> {
        let (config, old) = (&self.hold.load().config, &self.started_with);
        let port = |l: &Listen| l.addr;
        let same_ports = config
            .listen
            .iter()
            .map(port)
            .eq(old.listen.iter().map(port));
        [
            (!same_ports, "listen"),
            (config.admin != old.admin, "admin"),
            (config.threads != old.threads, "threads"),
        ]
        .into_iter()
        .filter(|(changed, _)| *changed)
        .map(|(_, key)| format!("`{key}` was changed in the file: takes effect after a restart"))
        .collect()
    }

    /// How the last reload went.
    pub fn last_reload(&self) -> LastReload {
        self.inner.lock().last_reload.clone()
    }

    /// Files the configuration in use was read from.
    pub fn files(&self) -> Vec<PathBuf> {
        self.inner.lock().files.clone()
    }

    /// The whole configuration in use, as a file that loads again.
    pub fn effective(&self) -> String {
        self.inner.lock().effective.clone()
    }

    /// Files and folders whose change may matter.
    pub fn watched(&self) -> Vec<PathBuf> {
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
        self.mirror_cache();
        let snapshot = self.hold.load();
        let leaving = self.leaving();
        let read =
            |node: &Arc<Node>, circuit, weight| (node.clone(), node.view(now), circuit, weight);
        let members = snapshot.upstreams.iter().flat_map(|u| {
            let all = u.pool.candidates().iter().enumerate();
            all.map(move |(at, c)| (&c.node, &u.pool, at))
        });
        let nodes: Vec<_> = members
            .map(|(node, pool, at)| {
                let weight = pool.effective_weight(at, now);
                read(node, pool.circuit(at, now), weight)
            })
            .chain(leaving.iter().map(|l| read(&l.node, None, 0.0)))
            .collect();
        self.metrics.mirror(
            nodes
                .iter()
                .map(|(node, view, circuit, weight)| NodeGauges {
                    upstream: &node.upstream,
                    node: &node.id,
                    intent: view.intent,
                    health: view.health,
                    in_flight: node.in_flight(),
                    circuit: *circuit,
                    weight: match view.health {
                        Health::Healthy => *weight,
                        _ => 0.0,
                    },
                    draining: view.intent != Intent::Up,
                }),
            snapshot.upstreams.iter().map(|u| UpstreamGauges {
                upstream: &u.name,
                available: u.pool.available(now),
                fails_open: u.pool.fails_open(now),
                waiting: u.pool.commons().queue.len(),
            }),
        );
    }
}
