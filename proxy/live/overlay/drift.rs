//! What differs from the file, told: what it says and what runs.

use super::{Overlay, find};
use crate::config::checked::{Config, Node};
use crate::config::validate::node::show;

/// What of a node differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its state.
    State,
    /// Its weight.
    Weight,
    /// The file does not name it.
    Added,
    /// The file names it.
    Removed,
}

impl What {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            What::State => "state",
            What::Weight => "weight",
            What::Added => "added",
            What::Removed => "removed",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The upstream.
    pub upstream: String,
    /// The entry, or one address of a name.
    pub node: String,
    /// What of it.
    pub what: What,
    /// As the file says.
    pub file: String,
    /// As it runs.
    pub now: String,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Drift {
            upstream,
            node,
            file,
            now,
            ..
        } = self;
        write!(f, "{upstream}/{node}: ")?;
        match self.what {
            What::State | What::Weight => {
                write!(
                    f,
                    "the file says {} {file}, it runs with {now}",
                    self.what.as_str()
                )
            }
            What::Added => write!(f, "added at run time ({now}); the file does not name it"),
            What::Removed => write!(f, "removed at run time; the file names it ({file})"),
        }
    }
}

impl Overlay {
    /// Every difference from the file, by upstream and node.
    pub fn drift(&self, file: &Config) -> Vec<Drift> {
        let one = |upstream: &str, node: &str, what, file: String, now: String| Drift {
            upstream: upstream.into(),
            node: node.into(),
            what,
            file,
            now,
        };
        let absent = || "absent".to_string();
        let mut all = Vec::new();
        for ((upstream, id), over) in &self.entries {
            let added = self.added.get(upstream);
            let added = added.and_then(|nodes| super::entry_named(nodes, id));
            let Some(entry) = added.or_else(|| find(file, upstream, id)) else {
                continue;
            };
            if let Some(now) = over.intent {
                let (was, is) = (entry.state.as_str(), now.as_str());
                all.push(one(upstream, id, What::State, was.into(), is.into()));
            }
            if let Some(now) = over.weight {
                let (was, is) = (entry.weight.to_string(), now.to_string());
                all.push(one(upstream, id, What::Weight, was, is));
            }
        }
        for (upstream, nodes) in &self.added {
            let added = nodes.iter();
            all.extend(added.map(|n| one(upstream, &n.id, What::Added, absent(), about(n))));
        }
        for (upstream, id) in &self.removed {
            let was = find(file, upstream, id).map_or_else(absent, about);
            all.push(one(upstream, id, What::Removed, was, absent()));
        }
        all.sort_by(|a, b| (&a.upstream, &a.node).cmp(&(&b.upstream, &b.node)));
        all
    }
}

fn about(node: &Node) -> String {
    format!(
        "{}, weight {}, {}",
        show(&node.addr),
        node.weight,
        node.state.as_str()
    )
}
