//! `GET /api/v1/cluster`: who shares our Redis, how that is, and whether all are in step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::stamp;
use crate::cache::shared::purges_stats::PurgesStats;
use crate::kv;
use crate::live::control::Control;
use crate::live::peers::{self, Peer, View};
use crate::live::shared::Shared;

/// `GET /api/v1/cluster`
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterView {
    /// Whether the file names a Redis; without one all else is missing.
    pub enabled: bool,
    /// What the others know this proxy by.
    pub id: Option<String>,
    /// What all keys in Redis begin with: proxies with the same one act as one.
    pub prefix: Option<String>,
    /// Redis.
    pub redis: Option<RedisView>,
    /// Proxies that said within fifteen seconds that they are there, this one too; at most 256.
    pub peers: Vec<PeerView>,
    /// How many there are.
    pub peers_total: usize,
    /// Of these, proxies whose configuration says something else than ours.
    pub peers_differing: usize,
    /// How long ago Redis said so; none: never.
    pub seen_seconds_ago: Option<f64>,
    /// Purges that all of them carry out.
    pub purges: Option<PurgesView>,
}

/// How Redis is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedisView {
    /// Where it is.
    pub address: String,
    /// `up`, `down`, or `unknown` before the first try.
    pub state: &'static str,
    /// Why it is down.
    pub why: Option<String>,
}

/// A proxy.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeerView {
    /// What tells it from others of the same name.
    pub id: String,
    /// What its machine is called.
    pub name: String,
    /// It is the one that answers.
    pub is_this: bool,
    /// Where it takes requests, as its file says.
    pub listen: Vec<String>,
    /// Its stats port, as its file says.
    pub admin: Option<String>,
    /// Its version.
    pub version: String,
    /// Its generation of the configuration.
    pub generation: u64,
    /// A hash of what its configuration says, but for what names the machine.
    pub config: String,
    /// Its configuration says something else than ours.
    pub differs: bool,
    /// When it started.
    pub since: String,
}

/// Purges, told and heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct PurgesView {
    /// Number of the last purge of the cluster that is known here.
    pub position: u64,
    /// All that was told is known here.
    pub in_step: bool,
    /// Purges of this proxy that wait to be told.
    pub queued: u64,
    /// Purges of this proxy that were told.
    pub sent: u64,
    /// Purges of others that took effect here.
    pub received: u64,
    /// Purges of this proxy that were told as one of everything, since too many waited.
    pub folded: u64,
    /// Purges of this proxy that were told again, since Redis had lost them.
    pub again: u64,
    /// Entries of the stream that were not understood.
    pub foreign: u64,
    /// Times that the stream was another one than before.
    pub resyncs: u64,
    /// Times that everything here was made stale, since purges may have been missed.
    pub missed: u64,
    /// Milliseconds from when the last purge of others was told to when it had taken effect here.
    pub lag_milliseconds: u64,
}

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(cluster))
}

/// `GET /api/v1/cluster`
#[utoipa::path(
    get, path = "/api/v1/cluster", tag = "read",
    responses((status = 200, body = ClusterView))
)]
pub async fn cluster(State(control): State<Arc<Control>>) -> Json<ClusterView> {
    let shared = control.hold.load().shared.clone();
    Json(match shared {
        None => ClusterView::of(None, None, None),
        Some(shared) => {
            peers::look(&control, &shared).await;
            let own = Peer::own(&control, &shared);
            ClusterView::of(Some(&shared), Some(&own), shared.peers.view())
        }
    })
}

impl ClusterView {
    fn of(
        shared: Option<&Arc<Shared>>,
        own: Option<&Peer>,
        seen: Option<(Arc<View>, Duration)>,
    ) -> ClusterView {
        let view = seen.as_ref().map(|(view, _)| view);
        let known = view.map_or(&[][..], |view| &view.peers);
        let peers: Vec<_> = known.iter().map(|peer| PeerView::of(peer, own)).collect();
        ClusterView {
            enabled: shared.is_some(),
            id: shared.map(|shared| shared.id.to_string()),
            prefix: shared.map(|shared| shared.prefix.to_string()),
            redis: shared.map(|shared| RedisView::of(shared)),
            peers_total: view.map_or(0, |view| view.total),
            peers_differing: peers.iter().filter(|peer| peer.differs).count(),
            peers,
            seen_seconds_ago: seen.as_ref().map(|(_, ago)| ago.as_secs_f64()),
            purges: shared.map(|shared| PurgesView::of(shared.purges.stats())),
        }
    }
}

impl RedisView {
    fn of(shared: &Shared) -> RedisView {
        let state = shared.kv.state().borrow().clone();
        let (word, why) = match state {
            kv::State::Unknown => ("unknown", None),
            kv::State::Up => ("up", None),
            kv::State::Down(why) => ("down", Some(why.to_string())),
        };
        RedisView {
            address: shared.kv.address().to_string(),
            state: word,
            why,
        }
    }
}

impl PeerView {
    fn of(peer: &Peer, own: Option<&Peer>) -> PeerView {
        PeerView {
            id: peer.id.clone(),
            name: peer.name.clone(),
            is_this: own.is_some_and(|own| own.id == peer.id),
            listen: peer.listen.clone(),
            admin: peer.admin.clone(),
            version: peer.version.clone(),
            generation: peer.generation,
            config: peer.config.clone(),
            differs: own.is_some_and(|own| own.config != peer.config),
            since: stamp(peer.started),
        }
    }
}

impl PurgesView {
    fn of(stats: &PurgesStats) -> PurgesView {
        let get = |number: &AtomicU64| number.load(Relaxed);
        PurgesView {
            position: get(&stats.position),
            in_step: get(&stats.in_step) == 1,
            queued: get(&stats.queued),
            sent: get(&stats.sent),
            received: get(&stats.received),
            folded: get(&stats.folded),
            again: get(&stats.again),
            foreign: get(&stats.foreign),
            resyncs: get(&stats.resyncs),
            missed: get(&stats.missed),
            lag_milliseconds: get(&stats.lag),
        }
    }
}
