//! What the metrics are told of the live world: its state when somebody asks, and who is in use.

use std::collections::HashSet;
use std::time::Instant;

use super::{Control, shared};
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
                tunnels: node.tunnels(),
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
            tier: snapshot.shared.as_deref().map(shared::gauges),
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
            tunnels: candidate.node.tunnels(),
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
        shared: snapshot.shared.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::live::control::{Control, Reloaded};
    use crate::live::source::Source;
    use crate::telemetry::metrics::Metrics;

    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);
    const SHOP: &str = "upstreams: { web: { nodes: [\"127.0.0.1:1\"], health: off }, shop: { nodes: [{ addr: \"127.0.0.1:2\", id: app }], \
        health: off, sticky: { cookie: c } } }\n\
        routes:\n  - { name: web, upstream: web }\n  - { name: shop, match: { path: /shop/ }, upstream: shop, cache: true, rate_limit: { rate: 1/s } }\n";
    const NO_SHOP: &str = "upstreams: { web: { nodes: [\"127.0.0.1:1\"], health: off } }\n\
        routes:\n  - { name: web, upstream: web }\n";

    /// A proxy that reads this file again and again.
    struct Stage {
        control: Control,
        path: std::path::PathBuf,
        _dir: tempfile::TempDir,
    }

    impl Stage {
        fn of(upstreams: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("tidegate.yaml");
            std::fs::write(&path, whole(upstreams)).unwrap();
            let source = Source::File(path.clone());
            let loaded = source.load();
            let config = loaded.config.clone().unwrap();
            let metrics = Metrics::new("1");
            let now = Instant::now();
            let control = Control::start(source, config, &loaded, metrics, true, now).unwrap();
            Stage {
                control,
                path,
                _dir: dir,
            }
        }

        fn has(&self, upstreams: &str) {
            std::fs::write(&self.path, whole(upstreams)).unwrap();
            let reloaded = self.control.reload("test", false);
            assert!(matches!(reloaded, Reloaded::Applied { .. }), "{reloaded:?}");
        }

        /// How many samples name the shop.
        fn of_shop(&self, now: Instant) -> usize {
            let text = self.control.exposition(now);
            let named = |line: &&str| line.contains("=\"shop\"");
            text.lines().filter(named).count()
        }
    }

    fn whole(upstreams: &str) -> String {
        format!(
            "listen: [{{ addr: \"127.0.0.1:0\" }}]\naccess_log: {{ format: \"off\" }}\n{upstreams}"
        )
    }

    #[test]
    fn what_a_reload_removes_is_told_for_ten_minutes_and_no_longer() {
        let stage = Stage::of(SHOP);
        let served = &stage.control.hold.load().upstreams[1].members[0]
            .metrics
            .clone();
        served.answered(200, Duration::ZERO);
        assert!(stage.of_shop(Instant::now()) > 40);
        stage.has(NO_SHOP);
        let left = Instant::now() + Duration::from_secs(2); // its node is waited for a moment
        stage.control.tick(left);
        assert!(stage.of_shop(left) > 30, "its counts stay");
        let text = stage.control.exposition(left);
        assert!(
            !text.contains("node_health{health=\"healthy\",node=\"app\""),
            "its state does not"
        );
        stage.control.tick(left + TEN_MINUTES);
        assert_eq!(stage.of_shop(left), 0);
    }

    #[test]
    fn what_a_reload_brings_back_in_time_keeps_its_counts() {
        let stage = Stage::of(SHOP);
        let served = &stage.control.hold.load().upstreams[1].members[0]
            .metrics
            .clone();
        served.answered(200, Duration::ZERO);
        stage.has(NO_SHOP);
        let left = Instant::now() + Duration::from_secs(2);
        stage.control.tick(left);
        stage.has(SHOP);
        stage.control.tick(left + TEN_MINUTES * 2);
        let text = stage.control.exposition(left);
        let line =
            "tidegate_upstream_requests_total{code=\"200\",node=\"app\",upstream=\"shop\"} 1";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_node_that_fails_after_it_was_forgotten_has_no_counts_again() {
        let stage = Stage::of(SHOP);
        let node = stage.control.hold.load().upstreams[1].pool.candidates()[0]
            .node
            .clone();
        stage.has(NO_SHOP);
        let left = Instant::now() + Duration::from_secs(2);
        stage.control.tick(left);
        stage.control.tick(left + TEN_MINUTES);
        let input = crate::balance::node::Input::Intend(Intent::Down);
        stage.control.apply(&node, input, left + TEN_MINUTES);
        assert_eq!(stage.of_shop(left), 0);
    }
}
