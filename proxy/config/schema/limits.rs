//! `limits:` how much a client may take.
//!
//! Shapes only: sizes and counts are read in `config/validate/limits`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `limits:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request head.
    pub header_bytes: Option<String>,
    /// Header fields of a request.
    pub headers: Option<String>,
    /// Bytes of a request target.
    pub uri_bytes: Option<String>,
    /// Bytes of a request body.
    pub body: Option<String>,
    /// Client connections.
    pub connections: Option<String>,
    /// Connections of one client.
    pub connections_per_ip: Option<String>,
    /// Requests that wait behind another.
    pub pipeline: Option<String>,
    /// Requests on one connection.
    pub requests_per_connection: Option<String>,
    /// Bytes a second of a request body.
    pub body_rate: Option<String>,
    /// Bytes a second of an answer.
    pub send_rate: Option<String>,
    /// What one connection of HTTP/2 may do.
    pub h2: Option<H2>,
}

/// `limits.h2:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct H2 {
    /// Requests at the same time.
    pub streams: Option<String>,
    /// Requests that are reset.
    pub resets: Option<String>,
    /// Frames that ask for nothing.
    pub frames: Option<String>,
}

/// The keys of [`Limits`].
pub const LIMITS: Shape = Shape::Map(&[
    Key::new("header_bytes", Shape::Word, "header_bytes: 32KiB"),
    Key::new("headers", Shape::Word, "headers: 100"),
    Key::new("uri_bytes", Shape::Word, "uri_bytes: 8KiB"),
    Key::new("body", Shape::Word, "body: 100MiB"),
    Key::new("connections", Shape::Word, "connections: 10000"),
    Key::new("connections_per_ip", Shape::Word, "connections_per_ip: 100"),
    Key::new("pipeline", Shape::Word, "pipeline: 16"),
    Key::new(
        "requests_per_connection",
        Shape::Word,
        "requests_per_connection: 10000",
    ),
    Key::new("body_rate", Shape::Word, "body_rate: 512B"),
    Key::new("send_rate", Shape::Word, "send_rate: 2KiB"),
    Key::new("h2", H2_KEYS, "h2: { streams: 100 }"),
]);

/// The keys of [`H2`].
const H2_KEYS: Shape = Shape::Map(&[
    Key::new("streams", Shape::Word, "streams: 100").aka("max_concurrent_streams"),
    Key::new("resets", Shape::Word, "resets: 1000/30s"),
    Key::new("frames", Shape::Word, "frames: 2000/10s"),
]);
