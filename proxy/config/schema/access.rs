//! `allow` and `deny`, of a port and of a route.
//!
//! Shapes only: ranges are read in `config/validate/nets`.

use super::shape::{Key, Shape};

/// `allow`: only these clients.
pub const ALLOW: Key = Key::new("allow", Shape::Words, "allow: [10.0.0.0/8]");

/// `deny`: not these clients.
pub const DENY: Key = Key::new("deny", Shape::Words, "deny: [10.0.0.13]");
