//! The stats port: what is going on, and the verbs to change it.
//!
//! Reading never changes anything. Changing is for callers on this machine, until tokens exist. Nothing of it is
//! reachable through a data port.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::live::control::Control;

/// What the verbs do.
mod actions;
/// The cache, and what would become of a request.
mod cache;
/// Who may use a verb.
mod door;
/// The status table.
mod page;
/// Errors as RFC 9457 says.
mod problem;
/// What is stored and no longer right.
mod purge;
/// Reading.
mod reads;
mod slow;
/// Shapes of the answers.
pub mod views;

/// Serves the stats port until the process ends.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, control: Arc<Control>) -> std::io::Result<()> {
    let service = router(control).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}

fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/", get(page::status))
        .route("/healthz", get(reads::healthz))
        .route("/readyz", get(reads::readyz))
        .route("/metrics", get(reads::metrics))
        .route("/api/v1/status", get(reads::status))
        .route("/api/v1/config", get(reads::config))
        .route("/api/v1/slow", get(reads::slow))
        .route("/api/v1/upstreams", get(reads::upstreams))
        .route("/api/v1/upstreams/{upstream}", get(reads::upstream))
        .route(
            "/api/v1/upstreams/{upstream}/nodes/{node}",
            get(reads::node),
        )
        .route("/api/v1/cache", get(cache::cache))
        .route("/api/v1/cache/explain", get(cache::explain))
        .route("/api/v1/purge", post(purge::purge))
        .route("/api/v1/reload", post(actions::reload))
        .route(
            "/api/v1/upstreams/{upstream}/nodes/{node}/weight",
            post(actions::weight),
        )
        .route(
            "/api/v1/upstreams/{upstream}/nodes/{node}/{verb}",
            post(actions::state),
        )
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::unknown_path)
        .layer(axum::middleware::from_fn(door::guard))
        .with_state(control)
}
