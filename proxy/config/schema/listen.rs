//! `listen:` the data ports.
//!
//! Shapes only: addresses are read in `config/validate`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// An entry of `listen:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address to bind.
    pub addr: Option<String>,
}

/// The keys of [`Listen`].
pub const LISTEN: Shape = Shape::Map(&[
    Key::new("addr", Shape::Word, "addr: \"0.0.0.0:8080\""),
    Key::later("tls"),
    Key::later("proxy_protocol"),
    Key::later("h2c"),
]);
