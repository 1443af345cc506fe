//! `health:` of an upstream.
//!
//! Shapes only: the words are read in `config/validate/health`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `health:`, a mapping or the word `off`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Health {
    /// `health: off`
    Word(String),
    /// `health: { path: … }`
    Keys(HealthKeys),
}

/// The mapping of `health:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthKeys {
    /// What is asked: `http` or `tcp`.
    pub r#type: Option<String>,
    /// Path of an HTTP probe.
    pub path: Option<String>,
    /// `Host` of an HTTP probe.
    pub host: Option<String>,
    /// From one probe to the next.
    pub interval: Option<String>,
    /// One probe's limit.
    pub timeout: Option<String>,
    /// Passed probes that make a node healthy.
    pub rise: Option<String>,
    /// Failed probes that make it unhealthy.
    pub fall: Option<String>,
    /// Accepted status codes.
    pub expect: Option<Vec<Option<String>>>,
    /// What a node is before its first probe.
    pub initial: Option<String>,
}

/// The keys of [`Health`].
pub const HEALTH: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("type", Shape::Word, "type: http"),
    Key::new("path", Shape::Word, "path: /healthz"),
    Key::new("host", Shape::Word, "host: app.internal"),
    Key::new("interval", Shape::Word, "interval: 5s"),
    Key::new("timeout", Shape::Word, "timeout: 2s"),
    Key::new("rise", Shape::Word, "rise: 2"),
    Key::new("fall", Shape::Word, "fall: 3"),
    Key::new("expect", Shape::Words, "expect: [200, 204]"),
    Key::new("initial", Shape::Word, "initial: probe"),
]));
