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

    /// What was changed of node `id`, by its own id or by that of its entry.
    pub fn of(&self, upstream: &str, id: &str) -> Override {
        let by = |id: &str| self.entries.get(&(upstream.to_string(), id.to_string()));
        by(id)
            .or_else(|| by(entry_of(id)))
            .copied()
            .unwrap_or_default()
    }

    /// Notes a change of `target`: the id of an entry, or of one address of a name. One that says what the file says
    /// removes the difference instead.
    pub fn set(&mut self, upstream: &str, target: &str, entry: &Node, change: Change) {
        if target == entry.id {
            // What is said of a name holds for each of its addresses, whatever was said of them before.
            self.entries
                .retain(|(u, id), _| u != upstream || id == target || entry_of(id) != target);
        }
        let inherited = if target == entry.id {
            Override::default()
        } else {
            self.of(upstream, &entry.id)
        };
        let key = (upstream.to_string(), target.to_string());
        let slot = self.entries.entry(key.clone()).or_insert(inherited);
        match change {
            Change::Intent(intent) => slot.intent = (intent != entry.state).then_some(intent),
            Change::Weight(weight) => slot.weight = (weight != entry.weight).then_some(weight),
        }
        if *slot == inherited && (target != entry.id || *slot == Override::default()) {
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

/// The entry of a node: the id itself, or what stands before the `@` of one address of a name.
fn entry_of(id: &str) -> &str {
    id.rsplit_once('@').map_or(id, |(entry, _)| entry)
}

fn find<'a>(config: &'a Config, upstream: &str, id: &str) -> Option<&'a Node> {
    let upstream = config.upstreams.iter().find(|u| u.name == upstream)?;
    entry_named(&upstream.nodes, id)
}

/// The entry a node or an entry is called by.
pub fn entry_named<'a>(nodes: &'a [Node], id: &str) -> Option<&'a Node> {
    let called = |id: &str| nodes.iter().find(|n| n.id == id);
    called(id).or_else(|| called(entry_of(id)))
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
            priority: 0,
            max_conns: None,
        }
    }

    #[test]
    fn saying_what_the_file_says_is_no_drift() {
        let mut overlay = Overlay::default();
        overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
        overlay.set("web", "a", &entry(), Change::Weight(5));
        assert_eq!(overlay.len(), 1);
        assert_eq!(overlay.of("web", "a").weight, Some(5));
        overlay.set("web", "a", &entry(), Change::Weight(1));
        overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
        assert!(overlay.is_empty());
    }

    #[test]
    fn one_address_of_a_name_is_changed_alone_and_the_name_for_all() {
        let mut overlay = Overlay::default();
        let drain = Some(Intent::Drain);
        overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Drain));
        assert_eq!(overlay.of("web", "a@10.0.0.1").intent, drain);
        assert_eq!(overlay.of("web", "a@10.0.0.2").intent, None);
        overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
        assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
        overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Up));
        assert_eq!(
            overlay.of("web", "a@10.0.0.1").intent,
            None,
            "as the file says"
        );
        assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
        overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
        assert!(overlay.is_empty());
    }
}
