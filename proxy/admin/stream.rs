//! What is going on, told once a second to everybody who watches: one tick, made and written once, however many they are.
//!
//! Made only while somebody watches. A viewer that reads slowly is given the latest tick when it is ready for one, and
//! none of those between: nothing queues up for it. The process never waits for viewers; they end with it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::known::Known;
use super::problem::{Problem, ProblemView};
use super::tick::TickView;
use crate::live::control::Control;

/// Viewers at a time.
const VIEWERS: usize = 64;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    let shared = Arc::new(Viewers::default());
    let routes = OpenApiRouter::new().routes(routes!(stream));
    routes.layer(Extension(shared))
}

/// Everybody who watches.
#[derive(Debug)]
pub struct Viewers {
    places: Arc<Semaphore>,
    /// The last tick, as it is sent.
    ticks: watch::Sender<Bytes>,
    making: Mutex<Making>,
}

/// Who makes ticks.
#[derive(Debug, Default)]
struct Making {
    /// Whether somebody does.
    runs: bool,
    /// The last event that was told.
    last_event: u64,
}

impl Default for Viewers {
    fn default() -> Self {
        Viewers {
            places: Arc::new(Semaphore::new(VIEWERS)),
            ticks: watch::Sender::new(Bytes::new()),
            making: Mutex::default(),
        }
    }
}

impl Viewers {
    /// Another one watches: the last tick is there at once, the next ones follow.
    fn join(self: &Arc<Self>, control: &Arc<Control>) -> watch::Receiver<Bytes> {
        let mut making = self.making.lock();
        let mut ticks = self.ticks.subscribe();
        if !making.runs {
            making.runs = true;
            making.last_event = control.events.last();
            self.tick(&mut making, control);
            tokio::spawn(self.clone().make(control.clone()));
        }
        ticks.mark_changed();
        ticks
    }

    /// Makes a tick each second, until nobody watches.
    async fn make(self: Arc<Self>, control: Arc<Control>) {
        let mut sampled = control.sampled.subscribe();
        while sampled.changed().await.is_ok() {
            let mut making = self.making.lock();
            if self.ticks.receiver_count() == 0 {
                making.runs = false;
                return;
            }
            self.tick(&mut making, &control);
        }
    }

    fn tick(&self, making: &mut Making, control: &Control) {
        let tick = TickView::of(control, making.last_event, Instant::now());
        making.last_event = tick.last_event;
        match serde_json::to_string(&tick) {
            Ok(data) => {
                let text = format!("event: tick\ndata: {data}\n\n");
                self.ticks.send_replace(text.into());
            }
            Err(e) => tracing::error!("a tick of the stream cannot be written: {e}"),
        }
    }
}

/// `GET /api/v1/stream`: server-sent events, one `tick` a second; a viewer that is slow misses some.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "read",
    responses(
        (status = 200, description = "events named `tick`, each with this as its data", body = TickView, content_type = "text/event-stream"),
        (status = 503, description = "64 watch already", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn stream(
    State(control): State<Arc<Control>>,
    Extension(viewers): Extension<Arc<Viewers>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let Ok(place) = viewers.places.clone().try_acquire_owned() else {
        let detail = format!(
            "{VIEWERS} viewers watch already; close one, or ask /api/v1/status now and then instead"
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let ticks = viewers.join(&control);
    let whom = Known::new(control, caller);
    let told = unfold(
        (ticks, place, whom),
        |(mut ticks, place, mut whom)| async move {
            ticks.changed().await.ok()?;
            if !whom.may_go_on() {
                return None;
            }
            let tick = ticks.borrow_and_update().clone();
            Some((Ok::<_, Infallible>(tick), (ticks, place, whom)))
        },
    );
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::from_stream(told)).into_response())
}
