//! `access_log:` where requests are told.
//!
//! Shapes only: the words are read in `config/validate`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `access_log:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// `-` or a file.
    pub path: Option<String>,
    /// Shape of a line, or `off`.
    pub format: Option<String>,
    /// Share of requests told.
    pub sample: Option<String>,
}

/// The keys of [`AccessLog`].
pub const ACCESS_LOG: Shape = Shape::Map(&[
    Key::new("path", Shape::Word, "path: /var/log/tidegate/access.log"),
    Key::new("format", Shape::Word, "format: json"),
    Key::new("sample", Shape::Word, "sample: 0.1"),
]);
