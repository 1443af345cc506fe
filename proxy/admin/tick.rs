//! One tick of the stream: everything that a page shows at a glance.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use serde::Serialize;
use utoipa::ToSchema;

use super::acme::AcmeView;
use super::certificates::CertificateView;
use super::events::EventView;
use super::figures::{self, NodePointView, PointView};
use super::shared::StandingView;
use super::status::{self, Connections, LastReload};
use super::views::{self, NodeView, UpstreamView, stamp};
use crate::config::checked::Route;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::events;
use crate::telemetry::history;

/// What is going on.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickView {
    /// When.
    pub at: String,
    /// Generation in use.
    pub generation: u64,
    /// Version of the program.
    pub version: &'static str,
    /// `running` or `stopping`.
    pub state: &'static str,
    /// Whether it can serve.
    pub ready: bool,
    /// Why not, a sentence each.
    pub not_ready: Vec<String>,
    /// Entries changed at run time.
    pub drift: usize,
    /// For how long the process runs.
    pub uptime_seconds: f64,
    /// How the last reload went.
    pub reload: LastReload,
    /// Client connections.
    pub connections: Connections,
    /// The last second of all requests; none: it was not looked at in time.
    pub second: Option<PointView>,
    /// Their last sixty seconds together; none: nothing is known of them yet.
    pub minute: Option<PointView>,
    /// Each upstream.
    pub upstreams: Vec<TickUpstream>,
    /// Each route.
    pub routes: Vec<TickRoute>,
    /// The cache.
    pub cache: TickCache,
    /// The Redis that proxies share; none: the file names none.
    pub redis: Option<StandingView>,
    /// Certificates from a CA that somebody should look at: missing, expired, or not renewed.
    pub acme: Vec<AcmeView>,
    /// Certificates in use, of the file or from a CA, that have expired or are about to.
    pub certificates: Vec<CertificateView>,
    /// What happened since the tick before, the oldest first; none in the first one.
    pub events: Vec<EventView>,
    /// The number of the last event there was: who missed ticks asks `/api/v1/events` for those between.
    pub last_event: u64,
}

/// An upstream.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickUpstream {
    /// Its name.
    pub name: String,
    /// How it balances.
    pub balance: &'static str,
    /// Nodes that take new requests without reserve.
    pub available: usize,
    /// Nodes that the file names (or their names resolve to).
    pub total: usize,
    /// Requests that wait for a place on a node.
    pub waiting: usize,
    /// Whether so few are healthy that health is ignored.
    pub fail_open: bool,
    /// Whether its nodes are believed whoever they are (`tls: { verify: false }`).
    pub unverified: bool,
    /// The last second on all its nodes; none: it was not looked at in time.
    pub second: Option<NodePointView>,
    /// Its nodes, those that are leaving last.
    pub nodes: Vec<NodeView>,
}

/// A route.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickRoute {
    /// Its name.
    pub name: String,
    /// Its last second; none: it was not looked at in time.
    pub second: Option<PointView>,
}

/// The cache.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickCache {
    /// Answers stored.
    pub entries: u64,
    /// Memory taken.
    pub bytes: u64,
    /// Memory that may be.
    pub capacity_bytes: u64,
    /// Fetches in flight.
    pub fills: u64,
    /// Answers that left the store since the start, by reason.
    pub evictions: BTreeMap<&'static str, u64>,
    /// Of all requests but `bypass`, the share answered from the store since the start; none: there were none.
    pub hit_ratio: Option<f64>,
}

impl TickView {
    /// What is going on now, with the events after number `after`.
    pub fn of(control: &Control, after: u64, now: Instant) -> Self {
        let snapshot = control.hold.load();
        let not_ready = status::not_ready(control, &snapshot, now);
        let (active, total) = control.metrics.connection_totals();
        let (second, minute) = figures::total(control);
        let upstreams = views::upstreams(control, now).upstreams.into_iter();
        let events = control
            .events
            .latest(events::KEPT, (after, u64::MAX), |_| true);
        TickView {
            at: stamp(SystemTime::now()),
            generation: snapshot.generation,
            version: env!("CARGO_PKG_VERSION"),
            state: status::state(control),
            ready: not_ready.is_empty(),
            not_ready,
            drift: control.drift(),
            uptime_seconds: (now.duration_since(control.lifecycle.started())).as_secs_f64(),
            reload: LastReload::of(control),
            connections: Connections { active, total },
            second,
            minute,
            upstreams: upstreams.map(upstream).collect(),
            routes: routes(control, &snapshot),
            cache: cache(control),
            redis: StandingView::of(control),
            acme: AcmeView::troubled(control),
            certificates: CertificateView::ending(control),
            last_event: events.first().map_or(after, |(id, _)| *id),
            events: events.into_iter().rev().map(Into::into).collect(),
        }
    }
}

fn upstream(view: UpstreamView) -> TickUpstream {
    TickUpstream {
        name: view.name,
        balance: view.balance,
        available: view.available,
        total: view.nodes.iter().filter(|node| !node.removed).count(),
        waiting: view.waiting,
        fail_open: view.fail_open,
        unverified: view.unverified,
        second: view.second,
        nodes: view.nodes,
    }
}

fn routes(control: &Control, snapshot: &Snapshot) -> Vec<TickRoute> {
    let figures = control.history.lock();
    let view = |route: &Route| {
        let second = figures.last_second(&history::route(&route.name));
        TickRoute {
            name: route.name.clone(),
            second: second.map(PointView::of_route),
        }
    };
    snapshot.config.routes.iter().map(view).collect()
}

fn cache(control: &Control) -> TickCache {
    let stats = control.cache_stats();
    TickCache {
        entries: stats.store.entries,
        bytes: stats.store.bytes,
        capacity_bytes: stats.store.capacity,
        fills: stats.store.fills,
        evictions: stats.store.evicted.into_iter().collect(),
        hit_ratio: stats.hit_ratio,
    }
}
