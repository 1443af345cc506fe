//! What comes with a change: JSON, of a bounded size, within a bounded time, or nothing.
//!
//! Taken in whole before the handler begins. Only JSON, because a form is what a page of another site can make a
//! browser send without being asked.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::admin::problem::Problem;

/// Bytes of a body: a thousand changes fit.
pub const MOST: usize = 1024 * 1024;
/// How long one may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request with all of its body at hand.
///
/// # Errors
/// When it is too large (413), does not come (408), or is no JSON by its own word (415).
pub async fn whole(request: Request) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|n| n > MOST as u64) {
        return Err(too_large());
    }
    let taken = tokio::time::timeout(PATIENCE, Limited::new(body, MOST).collect()).await;
    let body: Bytes = match taken {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(e)) if e.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(e)) => {
            let detail = format!("the body cannot be read: {e}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Err(_) => {
            let detail = format!("the body did not come within {} s", PATIENCE.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        }
    };
    if !body.is_empty() && !is_json(&head.headers) {
        let detail = "a body is JSON here: send it with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(Request::from_parts(head, Body::from(body)))
}

fn too_large() -> Problem {
    let detail = "a body has 1 MiB at most here; send the changes in parts";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn is_json(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use hyper::body::Frame;

    use super::*;

    /// A body of which nothing ever comes.
    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    fn request(kind: &str, body: &'static str) -> Request {
        let request = Request::post("/").header(header::CONTENT_TYPE, kind);
        request.body(Body::from(body)).expect("a request")
    }

    #[tokio::test]
    async fn a_body_is_json_by_its_own_word_or_empty() {
        for (kind, body, fits) in [
            ("application/json", "{}", true),
            ("Application/JSON; charset=utf-8", "{}", true),
            ("text/plain", "{}", false),
            ("application/x-www-form-urlencoded", "a=b", false),
            ("application/jsonp", "{}", false),
            ("text/plain", "", true),
        ] {
            let taken = whole(request(kind, body)).await;
            let status = taken.map_err(|problem| problem.status()).err();
            let expected = (!fits).then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(status, expected, "{kind} {body}");
        }
    }

    #[tokio::test]
    async fn a_large_body_is_refused_whether_it_says_so_or_not() {
        for (size, fits) in [(MOST, true), (MOST + 1, false)] {
            let plain = Request::post("/").header(header::CONTENT_TYPE, "application/json");
            let silent = plain.body(Body::from(vec![b' '; size])).expect("a request");
            assert_eq!(whole(silent).await.is_ok(), fits, "{size}");
            let said = Request::post("/").header(header::CONTENT_LENGTH, size);
            let said = said.body(Body::empty()).expect("a request");
            assert_eq!(whole(said).await.is_ok(), fits, "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends() {
        let request = Request::post("/")
            .body(Body::new(Never))
            .expect("a request");
        let problem = whole(request).await.expect_err("it never comes");
        assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
