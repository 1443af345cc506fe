//! `admin:` the stats port.
//!
//! Shapes only: addresses, names and roles are read in `config/validate`.

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
    /// Who may come in.
    pub tokens: Option<Vec<Option<Token>>>,
    /// Names it may be called by.
    pub hosts: Option<Vec<Option<String>>>,
}

/// An entry of `tokens:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// Whose it is.
    pub name: Option<String>,
    /// What it is good for.
    pub role: Option<String>,
    /// The file it is in.
    pub token_file: Option<String>,
}

/// The keys of [`Admin`].
pub const ADMIN: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("addr", Shape::Word, "addr: 127.0.0.1:9900"),
    Key::new(
        "tokens",
        Shape::List(&TOKEN),
        "tokens: [{ name: deploy, role: ops, token_file: deploy.token }]",
    ),
    Key::new("hosts", Shape::Words, "hosts: [stats.example.com]"),
]));

/// The keys of [`Token`].
const TOKEN: Shape = Shape::Map(&[
    Key::new("name", Shape::Word, "name: deploy"),
    Key::new("role", Shape::Word, "role: ops"),
    Key::new("token_file", Shape::Word, "token_file: deploy.token"),
]);
