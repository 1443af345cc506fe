//! `POST /api/v1/purge`: what is stored and no longer right is stale from now on, or goes.
//!
//! One purge or a list of them. A wrong one in a list says so in its place and stops none of the others.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::deeds::Deeds;
use super::problem::{CannotBe, Problem, ProblemView, Wrong};
use crate::live::control::{Control, PurgeWhat, mode};

/// Purges in one request; each that is not of a URL walks over all that is stored.
const AT_ONCE: usize = 1_000;
/// Requests that are carried out at a time.
static WALKS: Semaphore = Semaphore::const_new(2);
/// What to send.
const SEND: &str = "send one of {\"url\": \"http://HOST/PATH\"}, {\"tag\": \"TAG\"}, {\"prefix\": \"/PATH\"} (with \"host\" or without), {\"host\": \"HOST\"}, {\"all\": true}, or a list of such; with \"hard\": true it is removed instead of validated";

/// A purge that was carried out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Purged {
    /// Answers it concerned.
    purged: u64,
    /// `soft`: they are stale from now on; `hard`: they are gone.
    mode: &'static str,
    /// Whether Redis has taken it, and the proxies that share it learn of it now (`sent`), or once Redis is back (`queued`);
    /// missing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'static str>,
}

/// What came of one purge of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PurgeResult {
    /// It was carried out.
    Done(Purged),
    /// It was not.
    Wrong(ProblemView),
}

/// What came of a purge: of one, or of each of a list in its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PurgeAnswer {
    /// Of one.
    One(Purged),
    /// Of each.
    Each(Vec<PurgeResult>),
}

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(purge))
}

/// What may be sent: one purge, or a list of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "told in the document; read one by one, so that a wrong one stops none of the others"
)]
enum PurgeBody {
    One(Asked),
    Each(Vec<Asked>),
}

/// A purge as it is asked for: one of `url`, `tag`, `prefix` (with `host` or without), `host` and `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    url: Option<String>,
    tag: Option<String>,
    prefix: Option<String>,
    host: Option<String>,
    all: Option<bool>,
    #[serde(default)]
    hard: bool,
}

/// `POST /api/v1/purge`
#[utoipa::path(
    post, path = "/api/v1/purge", tag = "change", request_body = PurgeBody,
    responses(
        (status = 200, body = PurgeAnswer),
        Wrong,
        CannotBe,
    )
)]
pub async fn purge(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(deeds): Extension<Deeds>,
    body: Bytes,
) -> Result<Json<PurgeAnswer>, Problem> {
    let wrong = |why: String| Problem::new(StatusCode::BAD_REQUEST, format!("{why}; {SEND}"));
    let asked: Value =
        serde_json::from_slice(&body).map_err(|e| wrong(format!("the body is no JSON ({e})")))?;
    let who = caller.to_string();
    let others = control.clone();
    let purging = move || match asked {
        Value::Array(list) if list.len() > AT_ONCE => Err(wrong(format!(
            "{} purges are more than {AT_ONCE} at once",
            list.len()
        ))),
        Value::Array(list) => {
            let told = |asked: Value| match one(&control, &asked, (&who, &deeds)) {
                Ok(purged) => PurgeResult::Done(purged),
                Err(e) => {
                    deeds.refused("purge", asked.to_string(), e.status(), e.detail());
                    PurgeResult::Wrong(e.told())
                }
            };
            Ok(PurgeAnswer::Each(list.into_iter().map(told).collect()))
        }
        asked => one(&control, &asked, (&who, &deeds)).map(PurgeAnswer::One),
    };
    // It walks over all that is stored: not on the thread that answers everybody else, and a few at a time.
    let _turn = WALKS.acquire().await;
    let purged = tokio::task::spawn_blocking(purging).await;
    let mut purged = purged.unwrap_or_else(|e| {
        let detail = format!("the purge took effect, but its count failed: {e}");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
    })?;
    purged.reaches(others.purge_reaches().await);
    Ok(Json(purged))
}

impl PurgeAnswer {
    /// Says of each purge that was carried out whether the others are told.
    fn reaches(&mut self, word: Option<&'static str>) {
        match self {
            PurgeAnswer::One(purged) => purged.cluster = word,
            PurgeAnswer::Each(all) => {
                for result in all {
                    if let PurgeResult::Done(purged) = result {
                        purged.cluster = word;
                    }
                }
            }
        }
    }
}

/// Carries out one purge.
fn one(control: &Control, asked: &Value, (who, deeds): (&str, &Deeds)) -> Result<Purged, Problem> {
    let wrong = |why: &dyn std::fmt::Display| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("nothing was purged: {why}"),
        )
    };
    let target = asked.to_string();
    let asked = Asked::deserialize(asked).map_err(|e| wrong(&format!("{e}; {SEND}")))?;
    let hard = asked.hard;
    let what = what(asked).ok_or_else(|| wrong(&SEND))?;
    let what = control.meaning(&what).map_err(|e| wrong(&e))?;
    let purged = control.purge(&what, hard, who);
    let mode = mode(hard);
    deeds.done("purge", target, "", format!("{purged} answers, {mode}"));
    Ok(Purged {
        purged,
        mode,
        cluster: None,
    })
}

/// What is named; `None`: nothing, or several things.
fn what(asked: Asked) -> Option<PurgeWhat> {
    let Asked {
        url,
        tag,
        prefix,
        host,
        all,
        hard: _,
    } = asked;
    match (url, tag, prefix, host, all) {
        (Some(url), None, None, None, None) => Some(PurgeWhat::Url(url)),
        (None, Some(tag), None, None, None) => Some(PurgeWhat::Tag(tag)),
        (None, None, Some(prefix), host, None) => Some(PurgeWhat::Prefix { prefix, host }),
        (None, None, None, Some(host), None) => Some(PurgeWhat::Host(host)),
        (None, None, None, None, Some(true)) => Some(PurgeWhat::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(asked: Value) -> Option<PurgeWhat> {
        what(serde_json::from_value(asked).ok()?)
    }

    #[test]
    fn a_purge_names_one_thing() {
        let host = PurgeWhat::Host("a".into());
        assert_eq!(named(json!({ "host": "a" })), Some(host));
        let prefix = PurgeWhat::Prefix {
            prefix: "/x".into(),
            host: Some("a".into()),
        };
        assert_eq!(named(json!({ "prefix": "/x", "host": "a" })), Some(prefix));
        assert_eq!(
            named(json!({ "all": true, "hard": true })),
            Some(PurgeWhat::All)
        );
        for none in [
            json!({}),
            json!({ "all": false }),
            json!({ "url": "http://a/", "tag": "b" }),
            json!({ "url": "http://a/", "host": "a" }),
            json!({ "all": true, "host": "a" }),
            json!({ "urls": ["http://a/"] }),
            json!("http://a/"),
        ] {
            assert_eq!(named(none.clone()), None, "{none}");
        }
    }
}
