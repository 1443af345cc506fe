//! `dns:` how names of nodes are resolved.
//!
//! Shapes only: the words are read in `config/validate/dns`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `dns:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// From one look-up to the next.
    pub interval: Option<String>,
    /// Who is asked.
    pub servers: Option<Vec<Option<String>>>,
    /// Whether the time that an answer holds is followed.
    pub ttl: Option<String>,
    /// Which addresses are wanted.
    pub family: Option<String>,
    /// The shortest time that an answer holds.
    pub min_ttl: Option<String>,
    /// The longest.
    pub max_ttl: Option<String>,
}

/// The keys of [`Dns`].
pub const DNS: Shape = Shape::Map(&[
    Key::new("interval", Shape::Word, "interval: 10s"),
    Key::new("servers", Shape::Words, "servers: [10.0.0.2:53]"),
    Key::new("ttl", Shape::Word, "ttl: true"),
    Key::new("family", Shape::Word, "family: any"),
    Key::new("min_ttl", Shape::Word, "min_ttl: 1s"),
    Key::new("max_ttl", Shape::Word, "max_ttl: 5m"),
]);
