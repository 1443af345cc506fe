//! `shutdown:` how the process ends.
//!
//! Shapes only: durations are read in `config/validate`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `shutdown:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// Not ready, but still accepting, for this long.
    pub pre_stop: Option<String>,
    /// How long requests in flight may take.
    pub grace: Option<String>,
    /// How long connections may take to end by themselves once another process has taken over.
    pub handover: Option<String>,
}

/// The keys of [`Shutdown`].
pub const SHUTDOWN: Shape = Shape::Map(&[
    Key::new("pre_stop", Shape::Word, "pre_stop: 5s"),
    Key::new("grace", Shape::Word, "grace: 30s"),
    Key::new("handover", Shape::Word, "handover: 5m"),
]);
