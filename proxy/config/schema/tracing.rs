//! `tracing:` which trace requests belong to, and where that is told.
//!
//! Shapes only: the words are read in `config/validate/tracing`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `tracing:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tracing {
    /// What becomes of a request's trace.
    pub context: Option<String>,
    /// Share of traces recorded, or whose word decides.
    pub sample: Option<String>,
    /// What this program is called in traces.
    pub service: Option<String>,
    /// Who is told how long an answer took.
    pub server_timing: Option<String>,
    /// The field with a request's id.
    pub request_id: Option<RequestId>,
    /// Who collects spans.
    pub otlp: Option<Otlp>,
}

/// `request_id:`, the name of the field or a mapping.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// `request_id: X-Request-Id`
    Word(String),
    /// `request_id: { header: X-Request-Id, return: true }`
    Keys(RequestIdKeys),
}

/// The mapping of `request_id:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestIdKeys {
    /// The name of the field.
    pub header: Option<String>,
    /// Whether clients get it too.
    pub r#return: Option<String>,
}

/// `otlp:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// Where spans go.
    pub endpoint: Option<String>,
    /// A file with fields that the collector asks for.
    pub headers_file: Option<String>,
    /// How long one batch may take.
    pub timeout: Option<String>,
    /// Spans that wait.
    pub queue: Option<String>,
}

/// The keys of [`Tracing`].
pub const TRACING: Shape = Shape::Map(&[
    Key::new("context", Shape::Word, "context: create"),
    Key::new("sample", Shape::Word, "sample: 1%"),
    Key::new("service", Shape::Word, "service: tidegate"),
    Key::new("server_timing", Shape::Word, "server_timing: trusted"),
    Key::new(
        "request_id",
        Shape::WordOr(&REQUEST_ID),
        "request_id: X-Request-Id",
    ),
    Key::new(
        "otlp",
        OTLP,
        "otlp: { endpoint: \"http://127.0.0.1:4318\" }",
    ),
]);

/// The keys of [`RequestIdKeys`].
const REQUEST_ID: Shape = Shape::Map(&[
    Key::new("header", Shape::Word, "header: X-Request-Id"),
    Key::new("return", Shape::Word, "return: true"),
]);

/// The keys of [`Otlp`].
const OTLP: Shape = Shape::Map(&[
    Key::new(
        "endpoint",
        Shape::Word,
        "endpoint: \"http://127.0.0.1:4318\"",
    )
    .aka("url"),
    Key::new("headers_file", Shape::Word, "headers_file: otlp.headers"),
    Key::new("timeout", Shape::Word, "timeout: 5s"),
    Key::new("queue", Shape::Word, "queue: 2048"),
]);
