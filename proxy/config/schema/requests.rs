//! `requests:` what is done to requests before anybody looks at them.
//!
//! Shapes only: the words are read in `config/validate/limits`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `requests:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// Whether `//` in a path counts as `/`.
    pub merge_slashes: Option<String>,
    /// What becomes of fields with a `_` in their name.
    pub underscores: Option<String>,
    /// Fields that no client may send.
    pub drop: Option<Vec<Option<String>>>,
    /// What a client meant that shut its sending side.
    pub half_close: Option<String>,
}

/// The keys of [`Requests`].
pub const REQUESTS: Shape = Shape::Map(&[
    Key::new("merge_slashes", Shape::Word, "merge_slashes: true"),
    Key::new("underscores", Shape::Word, "underscores: drop"),
    Key::new("drop", Shape::Words, "drop: [X-Original-URL]"),
    Key::new("half_close", Shape::Word, "half_close: 5s"),
]);
