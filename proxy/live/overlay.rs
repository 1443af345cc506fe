//! What the operator changed at run time: an overlay on the file, shown as drift.
//!
//! It lives as long as the process and the node's entry: a reload that changes the entry drops it, because the file
//! has had the last word. It never changes the file: who wants that saves it (`live/control/save`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::base::node::Intent;
use crate::config::checked::{Config, Node};

/// Its way into the next process.
mod carry;
/// What differs from the file, told.
mod drift;
/// Ids and addresses that are not free.
mod taken;

pub use carry::asked;
pub use drift::{Drift, What};
pub use taken::Taken;

/// The most nodes that may be added at run time: more belong into a file.
pub const MAX_ADDED: usize = 10_000;

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

/// Upstream and id of an entry, or of one address of a name.
type Key = (String, String);

/// Everything changed at run time, by upstream and id of the entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    entries: BTreeMap<Key, Override>,
    /// Nodes that the file does not name, by upstream, in the order in which they came.
    added: BTreeMap<String, Vec<Node>>,
    /// Entries of the file that are as if they were not there.
    removed: BTreeSet<Key>,
}

/// Why a node cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoom {
    /// There is one of this id or address, which is called so.
    Exists(String),
    /// There are [`MAX_ADDED`] already.
    Full,
}

impl Overlay {
    /// Number of differences from the file.
    pub fn len(&self) -> usize {
        let set = |over: &Override| {
            usize::from(over.intent.is_some()) + usize::from(over.weight.is_some())
        };
        let added: usize = self.added.values().map(Vec::len).sum();
        self.entries.values().map(set).sum::<usize>() + added + self.removed.len()
    }

    /// Whether everything is as the file says.
    pub fn is_empty(&self) -> bool {
        *self == Overlay::default()
    }

    /// The configuration that runs: the file's, with the nodes that were added and without those removed.
    pub fn over(&self, file: &Arc<Config>) -> Arc<Config> {
        if self.added.is_empty() && self.removed.is_empty() {
            return file.clone();
        }
        let mut config = Config::clone(file);
        for upstream in &mut config.upstreams {
            upstream.nodes = self
                .nodes(&upstream.name, &upstream.nodes)
                .cloned()
                .collect();
        }
        Arc::new(config)
    }

    /// The entries of an upstream that run, given those of the file.
    fn nodes<'a>(&'a self, upstream: &str, file: &'a [Node]) -> impl Iterator<Item = &'a Node> {
        let added = self.added.get(upstream).into_iter().flatten();
        self.shown(upstream, file).chain(added)
    }

    /// The entries of the file that run.
    fn shown<'a>(&'a self, upstream: &str, file: &'a [Node]) -> impl Iterator<Item = &'a Node> {
        let gone: BTreeSet<&str> = self
            .removed
            .iter()
            .filter(|(of, _)| of == upstream)
            .map(|(_, id)| id.as_str())
            .collect();
        file.iter()
            .filter(move |node| !gone.contains(node.id.as_str()))
    }

    /// The entry that runs and is called so, given those of the file.
    pub fn entry<'a>(&'a self, upstream: &str, file: &'a [Node], id: &str) -> Option<&'a Node> {
        let called = |id: &str| {
            let added = self.added.get(upstream).into_iter().flatten();
            let hidden = self
                .removed
                .contains(&(upstream.to_string(), id.to_string()));
            let of_file = file.iter().filter(|_| !hidden);
            of_file.chain(added).find(|node| node.id == id)
        };
        called(id).or_else(|| called(entry_of(id)))
    }

    /// Ids and addresses of the nodes of an upstream that run, given those of the file.
    pub fn taken(&self, upstream: &str, file: &[Node]) -> Taken {
        self.nodes(upstream, file).collect()
    }

    /// Whether this entry, or the one of this address, was added at run time.
    pub fn is_added(&self, upstream: &str, id: &str) -> bool {
        let added = self.added.get(upstream);
        added.is_some_and(|nodes| entry_named(nodes, id).is_some())
    }

    /// Whether this entry of the file, or the one of this address, was removed at run time.
    pub fn is_removed(&self, upstream: &str, id: &str) -> bool {
        let is = |id: &str| {
            self.removed
                .contains(&(upstream.to_string(), id.to_string()))
        };
        is(id) || is(entry_of(id))
    }

    /// Adds a node. One of the file that was removed comes back where it stood, when it is the same but for state and
    /// weight. `taken` is of this upstream, and has it from then on.
    ///
    /// # Errors
    /// When it exists.
    pub fn add(
        &mut self,
        upstream: &str,
        file: &[Node],
        node: Node,
        taken: &mut Taken,
    ) -> Result<(), NoRoom> {
        if let Some(other) = taken.by(&node) {
            return Err(NoRoom::Exists(other.to_string()));
        }
        let key = (upstream.to_string(), node.id.clone());
        let hidden = self.removed.contains(&key);
        let was = file.iter().filter(|_| hidden).find(|e| e.id == node.id);
        let back = was.filter(|was| {
            let alike = Node {
                weight: was.weight,
                state: was.state,
                ..node.clone()
            };
            alike == **was
        });
        if let Some(entry) = back {
            taken.comes(&node);
            self.removed.remove(&key);
            self.set(upstream, &node.id, entry, Change::Intent(node.state));
            self.set(upstream, &node.id, entry, Change::Weight(node.weight));
            return Ok(());
        }
        if self.added.values().map(Vec::len).sum::<usize>() >= MAX_ADDED {
            return Err(NoRoom::Full);
        }
        taken.comes(&node);
        self.added.entry(key.0).or_default().push(node);
        Ok(())
    }

    /// Removes the entry `id`, which runs, and what was set of it: takes an addition back, or hides an entry of the file.
    pub fn remove(&mut self, upstream: &str, id: &str) {
        self.forget_set(upstream, id);
        if !self.take_added(upstream, id) {
            self.removed.insert((upstream.to_string(), id.to_string()));
        }
    }

    /// Forgets what was changed of the entry `id`, or of one address of a name; whether there was anything.
    pub fn forget(&mut self, upstream: &str, id: &str) -> bool {
        let before = self.len();
        self.forget_set(upstream, id);
        self.take_added(upstream, id);
        self.removed.remove(&(upstream.to_string(), id.to_string()));
        self.len() != before
    }

    /// A node that was added and has the id or address of another one that runs.
    pub fn clash(&self, file: &Config) -> Option<String> {
        self.added.iter().find_map(|(name, added)| {
            let upstream = file.upstreams.iter().find(|u| u.name == *name)?;
            let mut taken = self.shown(name, &upstream.nodes).collect::<Taken>();
            let clashes = |node: &&Node| {
                let clashes = taken.by(node).is_some();
                taken.comes(node);
                clashes
            };
            let node = added.iter().find(clashes)?;
            Some(format!("{name}/{}", node.id))
        })
    }

    fn forget_set(&mut self, upstream: &str, id: &str) {
        self.entries
            .retain(|(u, its), _| u != upstream || (its != id && entry_of(its) != id));
    }

    fn take_added(&mut self, upstream: &str, id: &str) -> bool {
        let Some(nodes) = self.added.get_mut(upstream) else {
            return false;
        };
        let before = nodes.len();
        nodes.retain(|node| node.id != id);
        let found = nodes.len() != before;
        self.added.retain(|_, nodes| !nodes.is_empty());
        found
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
    /// removes the difference instead. A node that was added is changed itself.
    pub fn set(&mut self, upstream: &str, target: &str, entry: &Node, change: Change) {
        if target == entry.id {
            // What is said of a name holds for each of its addresses, whatever was said of them before.
            self.entries
                .retain(|(u, id), _| u != upstream || id == target || entry_of(id) != target);
        }
        let added = self.added.get_mut(upstream).into_iter().flatten();
        if let Some(node) = added.into_iter().find(|node| node.id == target) {
            match change {
                Change::Intent(intent) => node.state = intent,
                Change::Weight(weight) => node.weight = weight,
            }
            return;
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

    /// Drops what concerns entries that `new`, the file from now on, changed or no longer has; says which, in words.
    pub fn drop_changed(&mut self, old: &Arc<Config>, new: &Arc<Config>) -> Vec<String> {
        let mut notes = Vec::new();
        let ran = self.over(old);
        self.removed.retain(|(upstream, id)| {
            let (before, after) = (find(old, upstream, id), find(new, upstream, id));
            let keep = after.is_some() && before == after;
            if !keep {
                notes.push(match after {
                    Some(_) => format!("{upstream}/{id}: its entry changed in the file, so it is no longer removed"),
                    None => format!("{upstream}/{id}: the file no longer names it, which was removed at run time"),
                });
            }
            keep
        });
        let named: BTreeMap<String, Taken> = (new.upstreams.iter())
            .filter(|u| self.added.contains_key(&u.name))
            .map(|u| (u.name.clone(), self.shown(&u.name, &u.nodes).collect()))
            .collect();
        self.added.retain(|name, nodes| {
            let upstream = named.get(name);
            nodes.retain(|node| {
                let named = upstream.is_some_and(|taken| taken.by(node).is_some());
                if named {
                    notes.push(format!("{name}/{}: the file names it now, so the file says how it is", node.id));
                } else if upstream.is_none() {
                    notes.push(format!("{name}/{}: its upstream is gone, and the node that was added at run time with it", node.id));
                }
                !named && upstream.is_some()
            });
            !nodes.is_empty()
        });
        let runs = self.over(new);
        self.entries.retain(|(upstream, id), _| {
            let (before, after) = (find(&ran, upstream, id), find(&runs, upstream, id));
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

    /// What the file has to say so that nothing is left of this: it, with every change.
    ///
    /// # Errors
    /// What no file can say, in words.
    pub fn wanted(&self, file: &Arc<Config>) -> Result<Config, String> {
        let mut config = Config::clone(&self.over(file));
        for upstream in &mut config.upstreams {
            for node in &mut upstream.nodes {
                let key = (upstream.name.clone(), node.id.clone());
                let over = self.entries.get(&key).copied().unwrap_or_default();
                node.state = over.intent.unwrap_or(node.state);
                node.weight = over.weight.unwrap_or(node.weight);
            }
            if upstream.nodes.is_empty() {
                return Err(format!(
                    "upstream {} has no node left, and a file must name one",
                    upstream.name
                ));
            }
        }
        let whole =
            |(upstream, id): &&Key| find(&config, upstream, id).is_some_and(|n| n.id == *id);
        match self.entries.keys().find(|key| !whole(key)) {
            Some((upstream, id)) => Err(format!(
                "{upstream}/{id} is one address of a name, and the file says the same of all of them: drop what was set of it, or set it of the name"
            )),
            None => Ok(config),
        }
    }

    /// What is left of this when `file` says what `saved` did: nothing, unless there were changes meanwhile.
    pub fn without(&self, saved: &Overlay, file: &Arc<Config>, old: &Arc<Config>) -> Overlay {
        if self == saved {
            return Overlay::default();
        }
        let mut rest = Overlay::default();
        for (was, upstream) in old.upstreams.iter().zip(&file.upstreams) {
            let name = &upstream.name;
            let runs: Vec<&Node> = self.nodes(name, &was.nodes).collect();
            let by_id: HashMap<&str, &Node> = runs.iter().map(|n| (n.id.as_str(), *n)).collect();
            for entry in &upstream.nodes {
                let same = by_id.get(entry.id.as_str());
                let Some(node) = same.filter(|node| node.addr == entry.addr) else {
                    rest.remove(name, &entry.id);
                    continue;
                };
                let over = self.entries.get(&(name.clone(), node.id.clone())).copied();
                let over = over.unwrap_or_default();
                let state = over.intent.unwrap_or(node.state);
                let weight = over.weight.unwrap_or(node.weight);
                rest.set(name, &entry.id, entry, Change::Intent(state));
                rest.set(name, &entry.id, entry, Change::Weight(weight));
            }
            let mut taken = rest.taken(name, &upstream.nodes);
            for node in runs {
                // Those that exist are the ones above.
                let _ = rest.add(name, &upstream.nodes, node.clone(), &mut taken);
            }
        }
        let runs = rest.over(file);
        for ((upstream, id), over) in &self.entries {
            let Some(entry) = find(&runs, upstream, id).filter(|entry| entry.id != *id) else {
                continue;
            };
            rest.set(
                upstream,
                id,
                entry,
                Change::Intent(over.intent.unwrap_or(entry.state)),
            );
            rest.set(
                upstream,
                id,
                entry,
                Change::Weight(over.weight.unwrap_or(entry.weight)),
            );
        }
        rest
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
mod tests;
