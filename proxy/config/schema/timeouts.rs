//! `timeouts:` limits towards clients.
//!
//! Shapes only: durations are read in `config/validate`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `timeouts:` at the top of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// A whole request head.
    pub header: Option<String>,
    /// A connection without a request.
    pub idle: Option<String>,
    /// Between two reads of a request body.
    pub body: Option<String>,
    /// One write of an answer.
    pub write: Option<String>,
    /// The whole request.
    pub request: Option<String>,
}

/// The keys of [`Timeouts`].
pub const TIMEOUTS: Shape = Shape::Map(&[
    Key::new("header", Shape::Word, "header: 10s"),
    Key::new("idle", Shape::Word, "idle: 60s"),
    Key::new("body", Shape::Word, "body: 30s"),
    Key::new("write", Shape::Word, "write: 30s"),
    Key::new("request", Shape::Word, "request: 60s"),
]);
