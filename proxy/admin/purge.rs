//! `POST /api/v1/purge`: what is stored and no longer right is stale from now on, or goes.
//!
//! One purge or a list of them. A wrong one in a list says so in its place and stops none of the others.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::live::control::{Control, PurgeWhat, mode};

/// Purges in one request; each that is not of a URL walks over all that is stored.
const AT_ONCE: usize = 1_000;
/// What to send.
const SEND: &str = "send one of {\"url\": \"http://HOST/PATH\"}, {\"tag\": \"TAG\"}, {\"prefix\": \"/PATH\"} (with \"host\" or without), {\"host\": \"HOST\"}, {\"all\": true}, or a list of such; with \"hard\": true it is removed instead of validated";

/// A purge as it is asked for.
#[derive(Debug, Deserialize)]
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
pub async fn purge(
    State(control): State<Arc<Control>>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let wrong = |why: String| Problem::new(StatusCode::BAD_REQUEST, format!("{why}; {SEND}"));
    let asked: Value =
        serde_json::from_slice(&body).map_err(|e| wrong(format!("the body is no JSON ({e})")))?;
    let who = caller.to_string();
    let purging = move || match asked {
        Value::Array(list) if list.len() > AT_ONCE => Err(wrong(format!(
            "{} purges are more than {AT_ONCE} at once",
            list.len()
        ))),
        Value::Array(list) => {
            let told = |asked| one(&control, asked, &who).unwrap_or_else(|e| e.told());
            Ok(list.into_iter().map(told).collect())
        }
        asked => one(&control, asked, &who),
    };
    // It walks over all that is stored: not on the thread that answers everybody else.
    let purged = tokio::task::spawn_blocking(purging).await;
    purged
        .unwrap_or_else(|e| {
            let detail = format!("the purge took effect, but its count failed: {e}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        })
        .map(Json)
}

/// Carries out one purge.
fn one(control: &Control, asked: Value, who: &str) -> Result<Value, Problem> {
    let wrong = |why: &dyn std::fmt::Display| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("nothing was purged: {why}"),
        )
    };
    let asked: Asked = serde_json::from_value(asked).map_err(|e| wrong(&format!("{e}; {SEND}")))?;
    let hard = asked.hard;
    let what = what(asked).ok_or_else(|| wrong(&SEND))?;
    let what = control.meaning(&what).map_err(|e| wrong(&e))?;
    let purged = control.purge(&what, hard, who);
    Ok(json!({ "purged": purged, "mode": mode(hard) }))
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
