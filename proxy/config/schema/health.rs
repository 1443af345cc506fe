//! `health:` of an upstream.
//!
//! Shapes only: the words are read in `config/validate/health`.

use serde::Deserialize;

use super::Named;
use super::shape::{Key, Shape};

/// `health:`, a mapping or the word `off`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Health {
    /// `health: off`
    Word(String),
    /// `health: { path: … }`
    Keys(Box<HealthKeys>),
}

/// The mapping of `health:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthKeys {
    /// What is asked: `http`, `https`, `tcp` or `grpc`.
    pub r#type: Option<String>,
    /// Method of an HTTP probe.
    pub method: Option<String>,
    /// Path of an HTTP probe.
    pub path: Option<String>,
    /// `Host` of an HTTP probe, and the name in the certificate.
    pub host: Option<String>,
    /// Further fields of an HTTP or gRPC probe.
    pub headers: Option<Named<Option<String>>>,
    /// Whose health a gRPC probe asks for.
    pub service: Option<String>,
    /// Another port of the node.
    pub port: Option<String>,
    /// Whether TLS is spoken.
    pub tls: Option<String>,
    /// Whether the node's certificate must be good.
    pub verify: Option<String>,
    /// File of those who may have signed it.
    pub ca: Option<String>,
    /// From one probe to the next.
    pub interval: Option<String>,
    /// The same while the node is unhealthy.
    pub unhealthy_interval: Option<String>,
    /// One probe's limit.
    pub timeout: Option<String>,
    /// Passed probes that make a node healthy.
    pub rise: Option<String>,
    /// Failed probes that make it unhealthy.
    pub fall: Option<String>,
    /// Accepted status codes.
    pub expect: Option<Vec<Option<String>>>,
    /// Text that the body must have.
    pub body: Option<String>,
    /// Expression that must be found in the body.
    pub body_regex: Option<String>,
    /// Whether the answer's `X-Tidegate-State` is obeyed.
    pub agent: Option<String>,
    /// What a node is before its first probe.
    pub initial: Option<String>,
}

/// The keys of [`Health`].
pub const HEALTH: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("type", Shape::Word, "type: http"),
    Key::new("method", Shape::Word, "method: HEAD"),
    Key::new("path", Shape::Word, "path: /healthz"),
    Key::new("host", Shape::Word, "host: app.internal"),
    Key::new(
        "headers",
        Shape::Named(&Shape::Word),
        "headers: { X-Probe: \"1\" }",
    ),
    Key::new("service", Shape::Word, "service: shop.Orders"),
    Key::new("port", Shape::Word, "port: 8081"),
    Key::new("tls", Shape::Word, "tls: true"),
    Key::new("verify", Shape::Word, "verify: true"),
    Key::new("ca", Shape::Word, "ca: ca.pem"),
    Key::new("interval", Shape::Word, "interval: 5s"),
    Key::new("unhealthy_interval", Shape::Word, "unhealthy_interval: 1s"),
    Key::new("timeout", Shape::Word, "timeout: 2s"),
    Key::new("rise", Shape::Word, "rise: 2"),
    Key::new("fall", Shape::Word, "fall: 3"),
    Key::new("expect", Shape::Words, "expect: [200, 204]"),
    Key::new("body", Shape::Word, "body: \"ok\""),
    Key::new("body_regex", Shape::Word, "body_regex: '^ok$'"),
    Key::new("agent", Shape::Word, "agent: true"),
    Key::new("initial", Shape::Word, "initial: probe"),
]));
