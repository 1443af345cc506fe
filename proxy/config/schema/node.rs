//! `nodes:` in short and long form, in an upstream or in a file of its own.
//!
//! Shapes only: addresses and weights are read in `config/validate/node`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// An entry of `nodes:`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Node {
    /// `10.0.0.11:3000`
    Short(String),
    /// `{ addr: 10.0.0.12:3000, weight: 2 }`
    Long(NodeKeys),
}

/// The long form of a node.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeKeys {
    /// Where it listens.
    pub addr: Option<String>,
    /// What it is called.
    pub id: Option<String>,
    /// Its share of the traffic.
    pub weight: Option<String>,
    /// What the operator wants of it.
    pub state: Option<String>,
    /// Whether it waits for the others to fail.
    pub backup: Option<String>,
    /// Nodes of the lowest number that can be used are used.
    pub priority: Option<String>,
    /// How many requests it may have at a time.
    pub max_conns: Option<String>,
}

/// The forms of [`Node`].
pub const NODE: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("addr", Shape::Word, "addr: 10.0.0.12:3000"),
    Key::new("id", Shape::Word, "id: app-2"),
    Key::new("weight", Shape::Word, "weight: 2"),
    Key::new("state", Shape::Word, "state: drain"),
    Key::new("backup", Shape::Word, "backup: true"),
    Key::new("priority", Shape::Word, "priority: 1"),
    Key::new("max_conns", Shape::Word, "max_conns: 200"),
]));

/// A list of nodes.
pub const NODES: Shape = Shape::List(&NODE);

/// `nodes:` wherever it stands.
pub const NODES_KEY: Key =
    Key::new("nodes", NODES, "nodes: [10.0.0.11:3000, 10.0.0.12:3000]").aka("servers");

/// A file named by `nodes_file`, when it is a mapping.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodesFile {
    /// The nodes.
    pub nodes: Option<Vec<Option<Node>>>,
}

/// The keys of [`NodesFile`].
pub const NODES_FILE: Shape = Shape::Map(&[NODES_KEY]);
