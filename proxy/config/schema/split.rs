//! `split:` of a route.
//!
//! Shapes only: the words are read in `config/validate/split`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `split:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Split {
    /// The upstream that reads go to.
    pub reads: Option<String>,
    /// How long a client reads from where it wrote.
    pub pin_after_write: Option<String>,
    /// Whether reads go to the primary when no replica can be used.
    pub fallback: Option<String>,
    /// Name of the cookie that says until when.
    pub cookie: Option<String>,
}

/// The keys of [`Split`].
pub const SPLIT: Shape = Shape::Map(&[
    Key::new("reads", Shape::Word, "reads: web-replicas"),
    Key::new("pin_after_write", Shape::Word, "pin_after_write: 2s"),
    Key::new("fallback", Shape::Word, "fallback: true"),
    Key::new("cookie", Shape::Word, "cookie: tg_pin"),
]);
