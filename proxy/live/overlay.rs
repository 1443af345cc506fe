//! What the operator changed at run time: an overlay on the file, shown as drift.
//!
//! It lives as long as the process and the node's entry: a reload that changes the entry drops it, because the file
//! has had the last word. It never changes the file.

use std::collections::BTreeMap;

use crate::base::node::Intent;
use crate::config::checked::{Config, Node};

/// What was changed of one entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Override {
    /// State instead of the entry's.
    pub intent: Option<Intent>,
    /// Weight instead of the entry's.
    pub weight: Option<u32>,
}

/// One change an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another state.
    Intent(Intent),
    /// Another weight.
    Weight(u32),
}

/// Everything changed at run time, by upstream and id of the entry.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    entries: BTreeMap<(String, String), Override>,
}

impl Overlay {
    /// Number of entries that differ from the file.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether everything is as the file says.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was changed of `entry`.
    pub fn of(&self, upstream: &str, entry: &str) -> Override {
        self.entries
            .get(&(upstream.to_string(), entry.to_string()))
            .copied()
            .unwrap_or_default()
    }

    /// Notes a change. One that says what the file says removes the difference instead.
    pub fn set(&mut self, upstream: &str, entry: &Node, change: Change) {
        let key = (upstream.to_string(), entry.id.clone());
        let slot = self.entries.entry(key.clone()).or_default();
        match change {
            Change::Intent(intent) => slot.intent = (intent != entry.state).then_some(intent),
            Change::Weight(weight) => slot.weight = (weight != entry.weight).then_some(weight),
        }
        if *slot == Override::default() {
            self.entries.remove(&key);
        }
    }

    /// Drops what concerns entries that `new` changed or no longer has; says which, in words.
    pub fn drop_changed(&mut self, old: &Config, new: &Config) -> Vec<String> {
        let mut notes = Vec::new();
        self.entries.retain(|(upstream, id), _| {
            let before = find(old, upstream, id);
            let after = find(new, upstream, id);
            let keep = after.is_some() && before == after;
            if !keep {
                notes.push(format!(
                    "{upstream}/{id}: its entry changed in the file, so what was set at run time no longer holds"
                ));
            }
            keep
        });
        notes
    }
}

fn find<'a>(config: &'a Config, upstream: &str, id: &str) -> Option<&'a Node> {
    config
        .upstreams
        .iter()
        .find(|u| u.name == upstream)?
        .nodes
        .iter()
        .find(|n| n.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::NodeAddr;

    fn entry() -> Node {
        Node {
            id: "a".into(),
            addr: NodeAddr::Socket("127.0.0.1:1".parse().unwrap()),
            weight: 1,
            state: Intent::Up,
            backup: false,
        }
    }

    #[test]
    fn saying_what_the_file_says_is_no_drift() {
        let mut overlay = Overlay::default();
        overlay.set("web", &entry(), Change::Intent(Intent::Drain));
        overlay.set("web", &entry(), Change::Weight(5));
        assert_eq!(overlay.len(), 1);
        assert_eq!(overlay.of("web", "a").weight, Some(5));
        overlay.set("web", &entry(), Change::Weight(1));
        overlay.set("web", &entry(), Change::Intent(Intent::Up));
        assert!(overlay.is_empty());
    }
}
