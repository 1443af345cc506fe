//! The process at a glance: how it is, what it runs on, how much it does.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::acme::AcmeView;
use super::certificates::CertificateView;
use super::figures::{self, PointView};
use super::shared::SharedView;
use super::views::stamp;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;

/// `/api/v1/status`
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    version: &'static str,
    pid: u32,
    uptime_seconds: f64,
    state: &'static str,
    ready: bool,
    not_ready: Vec<String>,
    generation: u64,
    drift: usize,
    config: ConfigStatus,
    waits_for_restart: Vec<String>,
    requests: Requests,
    connections: Connections,
    upstreams: Vec<UpstreamSummary>,
    /// The last second; none: it was not looked at in time.
    second: Option<PointView>,
    /// The last sixty seconds together; none: nothing is known of them yet.
    minute: Option<PointView>,
    history: HistorySize,
    /// The Redis that proxies share; none: the file names none.
    redis: Option<SharedView>,
    /// Certificates that are got from a CA.
    acme: Vec<AcmeView>,
    /// Certificates in use, of the file or from a CA, that have expired or are about to.
    certificates: Vec<CertificateView>,
}

/// How much of the past is kept.
#[derive(Debug, Serialize, ToSchema)]
struct HistorySize {
    /// Series kept.
    series: usize,
    /// Memory they take.
    bytes: usize,
    /// Memory they may take.
    capacity_bytes: usize,
    /// Series that are not kept, for want of memory.
    not_kept: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConfigStatus {
    path: String,
    loaded_at: String,
    last_reload: LastReload,
}

/// How the last reload went.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastReload {
    ok: bool,
    at: String,
    errors: Vec<String>,
}

impl LastReload {
    /// How it went.
    pub fn of(control: &Control) -> Self {
        let last = control.last_reload();
        LastReload {
            ok: last.problems.is_empty(),
            at: stamp(last.at),
            errors: last.problems.iter().map(|p| p.told_to_all()).collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Requests {
    total: u64,
    in_flight: i64,
    /// Those of them that are tunnels, WebSockets.
    tunnels: usize,
}

/// Client connections.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connections {
    /// Open now.
    pub active: i64,
    /// Opened so far.
    pub total: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct UpstreamSummary {
    name: String,
    nodes: usize,
    available: usize,
}

impl Status {
    /// The process now.
    pub fn of(control: &Control, now: Instant) -> Self {
        let snapshot = control.hold.load();
        let not_ready = not_ready(control, &snapshot, now);
        let (active, total) = control.metrics.connection_totals();
        let (second, minute) = figures::total(control);
        let history = control.history.lock().size();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime_seconds: now
                .duration_since(control.lifecycle.started())
                .as_secs_f64(),
            state: state(control),
            ready: not_ready.is_empty(),
            not_ready,
            generation: snapshot.generation,
            drift: control.drift(),
            config: ConfigStatus {
                path: control.source().name(),
                loaded_at: stamp(snapshot.loaded_at),
                last_reload: LastReload::of(control),
            },
            waits_for_restart: control.waits_for_restart(),
            requests: Requests {
                total: control.metrics.requests_total(),
                in_flight: control.metrics.in_flight(),
                tunnels: control.tunnels.count(),
            },
            connections: Connections { active, total },
            upstreams: snapshot
                .upstreams
                .iter()
                .map(|u| UpstreamSummary {
                    name: u.name.to_string(),
                    nodes: u.members.len(),
                    available: u.pool.available(now),
                })
                .collect(),
            second,
            minute,
            history: HistorySize {
                series: history.series,
                bytes: history.bytes,
                capacity_bytes: history.capacity,
                not_kept: history.not_kept,
            },
            redis: SharedView::of(control),
            acme: AcmeView::all(control),
            certificates: CertificateView::ending(control),
        }
    }
}

/// Running or stopping.
pub fn state(control: &Control) -> &'static str {
    match control.lifecycle.is_stopping() {
        true => "stopping",
        false => "running",
    }
}

/// Why the process is not ready; empty when it is.
pub fn not_ready(control: &Control, snapshot: &Snapshot, now: Instant) -> Vec<String> {
    let mut why = snapshot.not_ready(now);
    if control.lifecycle.is_stopping() {
        why.insert(0, "stopping".into());
    }
    why
}
