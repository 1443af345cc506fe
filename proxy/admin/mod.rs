//! The stats port: what is going on, and the verbs to change it.
//!
//! Reading never changes anything. Nothing of it is reachable through a data port. What it answers and the OpenAPI
//! document that describes the answers come from one table and the same types.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::live::control::Control;

/// Certificates that are got from a CA.
mod acme;
/// What the verbs do.
mod actions;
/// The cache, and what would become of a request.
mod cache;
/// Who is calling.
mod caller;
/// How long certificates hold.
mod certificates;
/// Who shares our Redis.
mod cluster;
/// Who changed what: said by handlers, written in one place.
mod deeds;
/// Who may come in, and do what.
mod door;
/// What differs from the file.
mod drift;
/// What happened, and who changed what.
mod events;
/// Figures as they are told.
mod figures;
/// Figures over time.
mod history;
/// Who listens to what has no end.
mod known;
/// Requests as they end.
mod log;
/// Nodes that come, go and change.
mod nodes;
/// What a person looks at.
mod page;
/// Lists in pieces.
mod paging;
/// What a reload would change.
mod pending;
/// Errors as RFC 9457 says.
mod problem;
/// What is stored and no longer right.
mod purge;
/// Reading.
mod reads;
/// Where requests go.
mod routes;
/// Its connections.
mod serve;
/// The tier that proxies share.
mod shared;
mod slow;
/// The process at a glance.
mod status;
/// What is going on, second by second.
mod stream;
/// One such second.
mod tick;
/// Another process takes over.
mod upgrade;
/// Shapes of the answers.
pub mod views;

/// Serves the stats port until the process ends, or another one serves it (`leaves`).
pub async fn serve(listener: TcpListener, control: Arc<Control>, leaves: watch::Receiver<bool>) {
    let door = Arc::new(door::Door::new(control.clone()));
    serve::run(listener, router(control, door.clone()), door, leaves).await;
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate's stats port",
        description = "What a running Tidegate does, and the verbs to change it. GET never changes anything; errors are RFC 9457 problems."
    ),
    components(schemas(problem::ProblemView))
)]
struct Document;

/// Every path with its handler, and the document made of them.
fn paths() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(reads::routes())
        .merge(events::routes())
        .merge(slow::routes())
        .merge(log::routes())
        .merge(cache::routes())
        .merge(certificates::routes())
        .merge(cluster::routes())
        .merge(purge::routes())
        .merge(actions::routes())
        .merge(history::routes())
        .merge(pending::routes())
        .merge(routes::routes())
        .merge(stream::routes())
        .merge(nodes::routes())
        .merge(drift::routes())
        .merge(upgrade::routes())
}

fn router(control: Arc<Control>, door: Arc<door::Door>) -> Router {
    let (router, mut document) = paths().split_for_parts();
    door::tell(&mut document);
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    let told = move || {
        let document = document.to_string();
        async move {
            let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
            (kind, document).into_response()
        }
    };
    router
        .merge(page::routes())
        .route("/api/openapi.json", get(told))
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::unknown_path)
        .layer(axum::middleware::from_fn_with_state(door, door::guard))
        .with_state(control)
}
