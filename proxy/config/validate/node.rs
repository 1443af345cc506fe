//! `nodes:` of an upstream.
//!
//! A node's identity is decided here: its `id`, else its address as written. State carries over a reload by it, so
//! that two nodes must never share one.

use std::collections::HashMap;

use super::addr;
use super::words::{self, Choices};
use crate::base::node::Intent;
use crate::config::checked::{MAX_PRIORITY, MAX_WEIGHT, Node, NodeAddr};
use crate::config::defaults;
use crate::config::files::RawUpstream;
use crate::config::index::At;
use crate::config::problem::{Place, Problem, Problems};
use crate::config::schema::node::{Node as Entry, NodeKeys};

/// `state` of a node.
pub const STATES: Choices<Intent> = Choices {
    what: "node state",
    words: &[
        ("up", Intent::Up),
        ("drain", Intent::Drain),
        ("down", Intent::Down),
    ],
    aka: &[("maint", "down"), ("ready", "up"), ("draining", "drain")],
    later: &[],
};

/// The most requests a node may be allowed at a time: more than any machine can hold.
const MAX_CONNS: u32 = 1_000_000;

/// Reads the nodes of an upstream, with their places.
pub fn check_all(raw: &RawUpstream, problems: &mut Problems) -> (Vec<Node>, Vec<At>) {
    let mut seen = Seen::default();
    let mut out = (Vec::new(), Vec::new());
    for (entry, at) in &raw.nodes {
        let Some(entry) = entry else { continue };
        if let Some(node) = check_one(entry, at, problems) {
            seen.add(&node, at, &raw.name, problems);
            out.0.push(node);
            out.1.push(at.clone());
        }
    }
    out
}

/// Reads one entry, whichever its form; `None` when it has no usable address.
pub fn check_one(entry: &Entry, at: &At, problems: &mut Problems) -> Option<Node> {
    match entry {
        Entry::Short(word) => {
            let short = NodeKeys {
                addr: Some(word.clone()),
                ..NodeKeys::default()
            };
            check(&short, at, at, problems)
        }
        Entry::Long(keys) => check(keys, at, &at.key("addr"), problems),
    }
}

/// Reads one node; `None` when it has no usable address.
fn check(keys: &NodeKeys, at: &At, addr_at: &At, problems: &mut Problems) -> Option<Node> {
    let weight = words::whole(
        keys.weight.as_deref(),
        &at.key("weight"),
        0..=MAX_WEIGHT,
        defaults::WEIGHT,
        problems,
    );
    let state = STATES.read(
        keys.state.as_deref(),
        &at.key("state"),
        Intent::Up,
        problems,
    );
    let backup = words::flag(keys.backup.as_deref(), &at.key("backup"), false, problems);
    let priority = words::whole(
        keys.priority.as_deref(),
        &at.key("priority"),
        0..=u32::from(MAX_PRIORITY),
        0,
        problems,
    ) as u8;
    if backup && keys.priority.is_some() {
        let what = "`priority` does nothing beside `backup: true`: a backup comes after all others";
        let here = at.key("priority").key_place();
        problems.push(Problem::warning(here, what).help("remove one of the two"));
    }
    let max_conns = words::whole(
        keys.max_conns.as_deref(),
        &at.key("max_conns"),
        0..=MAX_CONNS,
        0,
        problems,
    );
    if let Some(id) = &keys.id {
        words::name(id, "a node", at.key("id").place(), problems);
    }
    let Some(written) = &keys.addr else {
        if !addr_at.given() {
            let problem = Problem::error(at.place(), "this node has no `addr`");
            problems.missing("addr", problem.help("write `addr: 10.0.0.12:3000`"));
        }
        return None;
    };
    let addr = addr::node(written)
        .map_err(|(what, help)| problems.push(Problem::error(addr_at.place(), what).help(help)))
        .ok()?;
    Some(Node {
        id: keys.id.clone().unwrap_or_else(|| written.clone()),
        addr,
        weight,
        state,
        backup,
        priority,
        max_conns: (max_conns > 0).then_some(max_conns),
    })
}

/// What the nodes before this one took.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, Place>,
    addrs: HashMap<String, Place>,
}

impl Seen {
    fn add(&mut self, node: &Node, at: &At, upstream: &str, problems: &mut Problems) {
        let own = |key: &str| {
            Some(at.key(key))
                .filter(At::given)
                .unwrap_or_else(|| at.clone())
        };
        let addr = show(&node.addr);
        let here = own("addr").place();
        // A node given twice shares both; the address says it best.
        if let Some(first) = self.addrs.insert(addr.clone(), here.clone()) {
            let problem = Problem::error(
                here,
                format!("the node {addr} is given twice in upstream `{upstream}`"),
            )
            .also(first, "first given here")
            .help("remove one; for a larger share of the traffic give it a `weight`");
            problems.push(problem);
            return;
        }
        let here = own("id").place();
        if let Some(first) = self.ids.insert(node.id.clone(), here.clone()) {
            let problem = Problem::error(
                here,
                format!(
                    "the id \"{}\" is given twice in upstream `{upstream}`",
                    node.id
                ),
            )
            .also(first, "first given here")
            .help("an id names one node, also across reloads: change one of the two");
            problems.push(problem);
        }
    }
}

/// An address as it is written in the file.
pub fn show(addr: &NodeAddr) -> String {
    match addr {
        NodeAddr::Socket(addr) => addr.to_string(),
        NodeAddr::Name { host, port } => format!("{host}:{port}"),
    }
}
