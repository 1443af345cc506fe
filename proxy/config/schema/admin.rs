//! `admin:` the stats port.
//!
//! Shapes only: the address is read in `config/validate`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `admin:`, a mapping or the word `off`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Admin {
    /// `admin: off`
    Word(String),
    /// `admin: { addr: … }`
    Keys(AdminKeys),
}

/// The mapping of `admin:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminKeys {
    /// Address to bind.
    pub addr: Option<String>,
}

/// The keys of [`Admin`].
pub const ADMIN: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("addr", Shape::Word, "addr: 127.0.0.1:9900"),
    Key::later("tokens"),
]));
