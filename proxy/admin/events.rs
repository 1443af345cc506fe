//! What happened of late, and who changed what: two lists, the latest first.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::Page;
use super::problem::{Problem, Wrong};
use super::views::stamp;
use crate::live::control::Control;
use crate::telemetry::audit::Deed;
use crate::telemetry::events::{Event, Kind};

type Asked = Result<Query<Page>, QueryRejection>;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(audit))
}

/// `GET /api/v1/events`
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// The latest first.
    pub events: Vec<EventView>,
    /// The `cursor` of what comes after these; none: that was all.
    pub next_cursor: Option<String>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Its number; later ones have higher numbers.
    pub id: u64,
    /// When.
    pub at: String,
    /// What it is about: `process`, `node`, `breaker`, `ejection`, `fail_open`, `reload`, `purge`, `admin`, `dns`.
    pub kind: &'static str,
    /// `info`, `warning` or `error`.
    pub level: &'static str,
    /// What happened, in words.
    pub text: String,
    /// The upstream it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The node it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The generation it led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl From<(u64, Event)> for EventView {
    fn from((id, event): (u64, Event)) -> Self {
        EventView {
            id,
            at: stamp(event.at),
            kind: event.kind.as_str(),
            level: event.level.as_str(),
            text: event.text,
            upstream: event.upstream,
            node: event.node,
            generation: event.generation,
        }
    }
}

/// `GET /api/v1/audit`
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditList {
    /// The latest first.
    pub audit: Vec<DeedView>,
    /// The `cursor` of what comes after these; none: that was all.
    pub next_cursor: Option<String>,
}

/// Somebody changed something, or tried to.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeedView {
    /// Its number; later ones have higher numbers.
    pub id: u64,
    /// When.
    pub at: String,
    /// The name of the token; none: there was none.
    pub who: Option<String>,
    /// Where the caller is.
    pub from: String,
    /// The verb.
    pub action: String,
    /// What it was about.
    pub target: String,
    /// What it was before, in words.
    pub before: String,
    /// What it was after.
    pub after: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The status that the caller was given.
    pub status: u16,
}

impl From<(u64, Deed)> for DeedView {
    fn from((id, deed): (u64, Deed)) -> Self {
        DeedView {
            id,
            at: stamp(deed.at),
            outcome: deed.outcome(),
            who: deed.who,
            from: deed.from,
            action: deed.action,
            target: deed.target,
            before: deed.before,
            after: deed.after,
            status: deed.status,
        }
    }
}

/// `GET /api/v1/events`: what happened, the latest first.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "read",
    params(Page, ("kind" = Option<String>, Query, description = "only these kinds, with commas between them")),
    responses(
        (status = 200, body = EventList),
        Wrong,
    )
)]
pub async fn events(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Result<Json<EventList>, Problem> {
    let page = Page::asked(asked)?;
    let kinds = kinds(page.kind.as_deref())?;
    let piece = page.of(&control.events, |event| {
        kinds.is_empty() || kinds.contains(&event.kind)
    })?;
    Ok(Json(EventList {
        events: piece.ones.into_iter().map(Into::into).collect(),
        next_cursor: piece.next,
    }))
}

/// `GET /api/v1/audit`: who changed what, the latest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "read", params(Page),
    responses(
        (status = 200, body = AuditList),
        Wrong,
    )
)]
pub async fn audit(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Result<Json<AuditList>, Problem> {
    let page = Page::asked(asked)?;
    if page.kind.is_some() {
        let detail = "the audit has no kinds; leave `kind` out";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let piece = page.of(&control.audit, |_| true)?;
    Ok(Json(AuditList {
        audit: piece.ones.into_iter().map(Into::into).collect(),
        next_cursor: piece.next,
    }))
}

fn kinds(words: Option<&str>) -> Result<Vec<Kind>, Problem> {
    let words = words.unwrap_or_default().split(',').map(str::trim);
    let kind = |word: &str| {
        Kind::from_word(word).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            let detail = format!("there is no kind {word:?}; the kinds are {known}");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    };
    words.filter(|word| !word.is_empty()).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words_with_commas_between_them() {
        assert_eq!(kinds(None).expect("kinds"), []);
        assert_eq!(
            kinds(Some("node, reload")).expect("kinds"),
            [Kind::Node, Kind::Reload]
        );
        assert!(kinds(Some("node,nodes")).is_err());
    }
}
