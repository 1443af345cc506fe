//! Which configuration a caller has seen: `ETag` on what shows it, `If-Match` on what changes it (RFC 9110 §13.1.1).
//!
//! The tag is the number of the generation, read before the answer is made: it may be older than what is shown, never
//! newer, so that a change meanwhile is never missed.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::admin::problem::Problem;

/// What shows the generation in use, all below included.
const TAGGED: [&str; 4] = [
    "/api/v1/status",
    "/api/v1/config",
    "/api/v1/upstreams",
    "/api/v1/drift",
];

/// Whether what is at this path shows the generation in use.
pub fn is_tagged(path: &str) -> bool {
    TAGGED.iter().any(|tagged| {
        let rest = path.strip_prefix(tagged);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Says in the answer that it shows this generation.
pub fn tag(response: &mut Response, generation: u64) {
    response
        .headers_mut()
        .insert(header::ETAG, etag(generation));
}

/// Whether the caller has seen what it changes, if it says so; whether it says which one.
///
/// # Errors
/// 412 when it has seen another generation.
pub fn check(fields: &HeaderMap, in_use: u64) -> Result<bool, Problem> {
    if !fields.contains_key(header::IF_MATCH) {
        return Ok(false);
    }
    let lines = fields.get_all(header::IF_MATCH).iter();
    let lines: Vec<&str> = lines.map(|v| v.to_str().unwrap_or("?")).collect();
    let seen = lines.join(", ");
    let ours = format!("\"{in_use}\"");
    // Weak tags never match here (RFC 9110 §8.8.3.2), and no tag of ours has a comma in it.
    if seen.trim() == "*" {
        return Ok(false);
    }
    if seen.split(',').any(|tag| tag.trim() == ours) {
        return Ok(true);
    }
    let seen: String = seen.chars().take(100).collect();
    let detail = format!(
        "generation {ours} is in use, and If-Match names {seen}: something changed meanwhile. Read it again and decide anew"
    );
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, detail);
    Err(problem.with_field(header::ETAG, etag(in_use)))
}

fn etag(generation: u64) -> HeaderValue {
    // Digits between quotes: always a field value.
    HeaderValue::from_str(&format!("\"{generation}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_through_for_who_has_seen_what_is_in_use() {
        for (lines, passes) in [
            (&[][..], true),
            (&["\"7\""], true),
            (&["*"], true),
            (&["\"6\", \"7\""], true),
            (&["\"6\"", "\"7\""], true),
            (&["\"6\""], false),
            (&["7"], false),
            (&["W/\"7\""], false),
            (&["\"77\""], false),
            (&[""], false),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(header::IF_MATCH, HeaderValue::from_static(line));
            }
            let checked = check(&fields, 7);
            assert_eq!(checked.is_ok(), passes, "{lines:?}");
            if let Err(problem) = checked {
                assert_eq!(problem.status(), StatusCode::PRECONDITION_FAILED);
                assert!(problem.detail().contains("\"7\""), "{}", problem.detail());
            }
        }
    }

    #[test]
    fn what_shows_the_generation_is_tagged() {
        for (path, tagged) in [
            ("/api/v1/status", true),
            ("/api/v1/upstreams/web/nodes/a", true),
            ("/api/v1/config/diff", true),
            ("/api/v1/statuses", false),
            ("/api/v1/events", false),
            ("/metrics", false),
        ] {
            assert_eq!(is_tagged(path), tagged, "{path}");
        }
    }
}
