//! What the metrics are told of the live world: its state when somebody asks, and who is in use.

use std::collections::HashSet;
use std::time::Instant;

use super::Control;
use crate::base::node::{Health, Intent};
use crate::live::build::NO_ROUTE;
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::metrics::{CacheGauges, InUse, NodeGauges, State, UpstreamGauges};

impl Control {
    /// The Prometheus text. Takes milliseconds where there are a thousand nodes: for a thread that may be busy.
    pub fn exposition(&self, now: Instant) -> String {
        let snapshot = self.hold.load();
        let leaving = self.leaving();
        let known = leaving.iter().filter_map(|l| {
            let metrics = self.metrics.known_node(&l.node.upstream, &l.node.id)?;
            Some((&l.node, metrics))
        });
        let left: Vec<_> = known.collect();
        let left = left.iter().map(|(node, metrics)| {
            let view = node.view(now);
            NodeGauges {
                metrics,
                intent: view.intent,
                health: view.health,
                in_flight: node.in_flight(),
                circuit: None,
                weight: 0.0,
                draining: view.intent != Intent::Up,
            }
        });
        let nodes = snapshot.upstreams.iter().flat_map(|u| members(u, now));
        let stats = self.cache.stats();
        let history = self.history.lock().size().bytes;
        let history = i64::try_from(history).unwrap_or(i64::MAX);
        self.metrics.history_size.set(history);
        self.metrics.exposition(&State {
            nodes: nodes.chain(left).collect(),
            upstreams: (snapshot.upstreams.iter())
                .map(|u| UpstreamGauges {
                    metrics: &u.metrics,
                    available: u.pool.available(now),
                    fails_open: u.pool.fails_open(now),
                    waiting: u.pool.commons().queue.len(),
                })
                .collect(),
            cache: Some(CacheGauges {
                entries: stats.entries,
                bytes: stats.bytes,
                capacity: stats.capacity,
                evicted: stats.evicted,
            }),
        })
    }
}

fn members(upstream: &Upstream, now: Instant) -> impl Iterator<Item = NodeGauges<'_>> {
    let pool = &upstream.pool;
    let all = pool.candidates().iter().zip(&upstream.members).enumerate();
    all.map(move |(at, (candidate, member))| {
        let view = candidate.node.view(now);
        NodeGauges {
            metrics: &member.metrics,
            intent: view.intent,
            health: view.health,
            in_flight: candidate.node.in_flight(),
            circuit: pool.circuit(at, now),
            weight: match view.health {
                Health::Healthy => pool.effective_weight(at, now),
                _ => 0.0,
            },
            draining: view.intent != Intent::Up,
        }
    })
}

/// Who has series by this generation.
pub(super) fn in_use(snapshot: &Snapshot) -> InUse<'_> {
    let (routes, upstreams) = (&snapshot.config.routes, &snapshot.upstreams);
    let limited = routes.iter().filter(|route| route.rate_limit.is_some());
    let sticky = upstreams.iter().filter(|u| u.sticky.is_some());
    let names = routes.iter().map(|route| route.name.as_str());
    InUse {
        routes: names.chain([NO_ROUTE]).collect(),
        rate_limits: limited.map(|route| route.name.as_str()).collect(),
        upstreams: upstreams.iter().map(|u| &*u.name).collect(),
        sticky: sticky.map(|u| &*u.name).collect::<HashSet<_>>(),
    }
}
