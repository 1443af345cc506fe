//! Finished requests as they end, to who listens: the access log's lines as server-sent events.
//!
//! Whatever the file says of the access log. A reader that vanished is noticed by what it is sent now and then; none
//! holds up a request, nor the end of the process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::known::Known;
use super::problem::{Problem, Wrong};
use crate::live::control::Control;
use crate::telemetry::tap::{Filter, Heard, MOST_READERS, Reader};

/// How often a reader is sent something when there is nothing to tell.
const BREATH: Duration = Duration::from_secs(10);

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(log))
}

/// Which requests are wanted; all of it must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct LogAsk {
    /// They took at least so long: `500ms`.
    min_time: Option<String>,
    /// Their status: `503`, `5xx`, `500-504`, several with commas between them; 0: no answer was sent.
    status: Option<String>,
    /// The route they took.
    route: Option<String>,
    /// The upstream that was asked.
    upstream: Option<String>,
    /// A node that was tried.
    node: Option<String>,
    /// Their host, with its port or without.
    host: Option<String>,
    /// Their path begins so.
    path: Option<String>,
    /// Their method, or several with commas between them.
    method: Option<String>,
    /// How they ended, as the log has it, or several; `refused` is any refusal.
    end: Option<String>,
    /// What the cache did, or several: `hit`, `miss`, …
    cache: Option<String>,
}

impl LogAsk {
    fn filter(&self) -> Result<Filter, Problem> {
        let asked = [
            &self.min_time,
            &self.status,
            &self.route,
            &self.upstream,
            &self.node,
            &self.host,
            &self.path,
            &self.method,
            &self.end,
            &self.cache,
        ];
        let mut filter = Filter::default();
        for (name, value) in Filter::NAMES.iter().zip(asked) {
            if let Some(value) = value {
                filter.add(name, value).map_err(wrong)?;
            }
        }
        Ok(filter)
    }

    /// Refuses a name that nothing has: nothing would ever be heard of it.
    fn is_of(&self, control: &Control) -> Result<(), Problem> {
        let snapshot = control.hold.load();
        let config = &snapshot.config;
        let routes = config.routes.iter().map(|route| &*route.name);
        there_is("route", self.route.as_deref(), routes)?;
        let upstreams = config.upstreams.iter().map(|upstream| &*upstream.name);
        there_is("upstream", self.upstream.as_deref(), upstreams)
    }
}

fn there_is<'a>(
    what: &str,
    asked: Option<&str>,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Problem> {
    let Some(asked) = asked else { return Ok(()) };
    let names: Vec<_> = names.collect();
    match names.contains(&asked) {
        true => Ok(()),
        false => Err(wrong(format!(
            "there is no {what} {asked:?}; there are {}",
            names.join(", ")
        ))),
    }
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// `GET /api/v1/log`: requests as they end. `event: line` has the JSON line of the access log; `event: lost` says how
/// many lines the reader was too slow for, as `{"count": 12}`.
#[utoipa::path(
    get, path = "/api/v1/log", tag = "read",
    params(LogAsk),
    responses(
        (status = 200, description = "server-sent events: `line`, `lost`", content_type = "text/event-stream", body = String),
        Wrong,
        (status = 503, description = "as many as may listen do already", content_type = "application/problem+json", body = super::problem::ProblemView),
    )
)]
pub async fn log(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<LogAsk>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Query(asked) = asked.map_err(|e| wrong(e.body_text()))?;
    let filter = asked.filter()?;
    asked.is_of(&control)?;
    let reader = control.tap.listen(filter).ok_or_else(|| {
        let detail = format!(
            "{MOST_READERS} readers follow the log already; end one, or read the access log itself"
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let breath = KeepAlive::new().interval(BREATH);
    let whom = Known::new(control.clone(), caller);
    Ok(Sse::new(told(reader, whom)).keep_alive(breath))
}

fn told(reader: Reader, whom: Known) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold((reader, whom), async |(mut reader, mut whom)| {
        let heard = tokio::select! {
            heard = reader.next() => heard,
            () = whom.is_unknown() => return None,
        };
        if !whom.may_go_on() {
            return None;
        }
        let event = match heard {
            Heard::Line(line) => {
                // The log's own writer makes nothing but UTF-8 of it.
                let line = String::from_utf8_lossy(&line);
                Event::default().event("line").data(line)
            }
            Heard::Lost(count) => {
                let count = serde_json::json!({ "count": count });
                Event::default().event("lost").data(count.to_string())
            }
        };
        Some((Ok(event), (reader, whom)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_can_be_asked_for() {
        let asked: LogAsk = serde_json::from_value(serde_json::json!({
            "min_time": "1s", "status": "5xx", "route": "a", "upstream": "a", "node": "a", "host": "a",
            "path": "/", "method": "GET", "end": "ok", "cache": "hit",
        }))
        .expect("its own words");
        assert!(asked.filter().is_ok());
        let wrong = LogAsk {
            cache: Some("hits".into()),
            ..LogAsk::default()
        };
        assert!(wrong.filter().is_err(), "names and values stay together");
    }
}
