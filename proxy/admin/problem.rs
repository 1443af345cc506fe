//! Errors of the stats port, as RFC 9457 says.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

use crate::live::control::VerbError;

/// A problem as it is told (RFC 9457 §3).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemView {
    /// What kind it is: a title is all there is to know of it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong and what to do.
    detail: String,
    /// One by one, where there are several: the mistakes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Value>,
    /// What would have to change, by hand, as `diff -u` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

/// A question or a body that cannot be read.
#[derive(Debug, IntoResponses)]
#[response(
    status = 400,
    description = "it cannot be read",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "a word of the document")]
pub struct Wrong(ProblemView);

/// No such upstream, node or verb.
#[derive(Debug, IntoResponses)]
#[response(
    status = 404,
    description = "there is no such thing",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "a word of the document")]
pub struct NotThere(ProblemView);

/// Something else stands in its way.
#[derive(Debug, IntoResponses)]
#[response(
    status = 409,
    description = "it exists already, or something changed meanwhile; nothing was changed",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "a word of the document")]
pub struct InTheWay(ProblemView);

/// It can be read and cannot be done.
#[derive(Debug, IntoResponses)]
#[response(
    status = 422,
    description = "it cannot be done; nothing was changed",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "a word of the document")]
pub struct CannotBe(ProblemView);

/// A problem for the caller.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    errors: Option<Value>,
    fields: Vec<(HeaderName, HeaderValue)>,
    patch: Option<String>,
}

/// What is wrong, beside the answer that says so: for the audit.
#[derive(Debug, Clone)]
pub struct Why(pub String);

impl Problem {
    /// A problem with this status, in these words.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem {
            status,
            detail: detail.into(),
            errors: None,
            fields: Vec::new(),
            patch: None,
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Adds a field to the answer's head.
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Adds a list of what is wrong.
    pub fn with_errors(mut self, errors: Value) -> Self {
        self.errors = Some(errors);
        self
    }

    /// Adds what to change by hand.
    pub fn with_patch(mut self, patch: String) -> Self {
        self.patch = Some(patch);
        self
    }

    /// As it is told (RFC 9457 §3).
    pub fn told(self) -> ProblemView {
        ProblemView {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            patch: self.patch,
        }
    }
}

impl From<VerbError> for Problem {
    fn from(e: VerbError) -> Self {
        let status = match e {
            VerbError::UnknownUpstream(_) | VerbError::UnknownNode(_) | VerbError::Unchanged(_) => {
                StatusCode::NOT_FOUND
            }
            VerbError::Exists(_) | VerbError::HandsOver => StatusCode::CONFLICT,
            VerbError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            VerbError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            VerbError::OtherGeneration { .. } => StatusCode::PRECONDITION_FAILED,
        };
        Problem::new(status, e.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let why = Why(self.detail.clone());
        let fields = std::mem::take(&mut self.fields);
        let mut response = (self.status, Json(self.told())).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        for (name, value) in fields {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(why);
        response
    }
}

/// For a path nobody answers.
pub async fn unknown_path(uri: axum::http::Uri) -> Problem {
    let detail = format!(
        "there is nothing at {}; the README lists what there is",
        uri.path()
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// For a method a path does not answer.
pub async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let detail = format!(
        "{} does not answer {method}; reading is GET, changing is POST, PATCH or DELETE",
        uri.path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
