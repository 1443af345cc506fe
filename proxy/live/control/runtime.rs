//! Changes of nodes at run time: states, weights, nodes that come and nodes that go.
//!
//! One change or a thousand of them are one new generation. What cannot be changed is told one by one and stops none of
//! the others.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Control, Inner, VerbError};
use crate::base::node::Intent;
use crate::config::checked::{Node, NodeAddr};
use crate::live::overlay::{Change, MAX_ADDED, NoRoom, Overlay, Taken};
use crate::live::snapshot::Snapshot;

/// What is to become of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Another state, another weight, or both.
    Set {
        /// The state.
        intent: Option<Intent>,
        /// The weight.
        weight: Option<u32>,
    },
    /// It comes to its upstream.
    Add(Box<Node>),
    /// It drains, and is gone.
    Remove,
}

impl Verb {
    /// Its word in the audit.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verb::Set { intent, weight } => match (intent, weight) {
                (Some(Intent::Drain), None) => "drain",
                (Some(Intent::Up), None) => "undrain",
                (Some(Intent::Down), None) => "down",
                (None, Some(_)) => "weight",
                _ => "change",
            },
            Verb::Add(_) => "add",
            Verb::Remove => "remove",
        }
    }
}

/// A change that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The upstream.
    pub upstream: String,
    /// The id of a node or of an entry (a name with several addresses).
    pub node: String,
    /// What is to become of it.
    pub verb: Verb,
}

impl Control {
    /// Changes a node at run time. `target` is the id of a node or of an entry (a name with several addresses).
    ///
    /// # Errors
    /// When there is no such upstream or node.
    pub fn change(
        &self,
        upstream: &str,
        target: &str,
        change: Change,
        expected: Option<u64>,
    ) -> Result<Arc<Snapshot>, VerbError> {
        let verb = match change {
            Change::Intent(intent) => Verb::Set {
                intent: Some(intent),
                weight: None,
            },
            Change::Weight(weight) => Verb::Set {
                intent: None,
                weight: Some(weight),
            },
        };
        let asked = Asked {
            upstream: upstream.into(),
            node: target.into(),
            verb,
        };
        self.ask(asked, expected)
    }

    /// Carries out one change. `expected`: the generation that the caller has seen; none: any will do.
    ///
    /// # Errors
    /// When it cannot be done, or another generation is in use; nothing was changed then.
    pub fn ask(&self, asked: Asked, expected: Option<u64>) -> Result<Arc<Snapshot>, VerbError> {
        let done = self.ask_all(&[asked], expected)?;
        done.into_iter().collect::<Result<(), VerbError>>()?;
        Ok(self.hold.load())
    }

    /// Carries out changes in their order, all of them in one generation; says of each how it ended. `expected`: the
    /// generation that the caller has seen; none: any will do.
    ///
    /// # Errors
    /// When another generation is in use, or another process takes over; nothing was changed then.
    pub fn ask_all(
        &self,
        asked: &[Asked],
        expected: Option<u64>,
    ) -> Result<Vec<Result<(), VerbError>>, VerbError> {
        let mut inner = self.inner.lock();
        self.still(&inner, expected)?;
        let mut overlay = inner.overlay.clone();
        let mut taken = HashMap::new();
        let ended: Vec<_> = asked
            .iter()
            .map(|one| one.change(&mut overlay, &inner, &mut taken))
            .collect();
        // What says what is so already makes no generation: nobody's `If-Match` is spoilt by it.
        if ended.iter().all(Result::is_err) || overlay == inner.overlay {
            return Ok(ended);
        }
        if let Err(e) = self.use_overlay(&mut inner, overlay) {
            let failed = |one: Result<(), VerbError>| one.and(Err(e.clone()));
            return Ok(ended.into_iter().map(failed).collect());
        }
        drop(inner);
        self.warn_of_empty(asked);
        Ok(ended)
    }

    /// Whether anything may be changed, and the generation in use is the one that the caller has seen. Holds as long as `inner` is locked: each new
    /// generation is made under it.
    pub(super) fn still(&self, inner: &Inner, expected: Option<u64>) -> Result<(), VerbError> {
        if inner.frozen {
            return Err(VerbError::HandsOver);
        }
        let is = self.hold.load().generation;
        match expected {
            Some(expected) if expected != is => Err(VerbError::OtherGeneration { expected, is }),
            _ => Ok(()),
        }
    }

    /// Forgets what was changed at run time: of one node, or of all. Says what, in words, and the generation from then on.
    /// `expected`: the generation that the caller has seen; none: any will do.
    ///
    /// # Errors
    /// When nothing of that node was changed, the file's entry cannot come back beside one that was added, or another
    /// generation is in use.
    pub fn forget(
        &self,
        node: Option<(&str, &str)>,
        expected: Option<u64>,
    ) -> Result<(Vec<String>, u64), VerbError> {
        let mut inner = self.inner.lock();
        self.still(&inner, expected)?;
        let before = inner.overlay.drift(&inner.file);
        let mut overlay = inner.overlay.clone();
        match node {
            None => overlay = Overlay::default(),
            Some((upstream, id)) => {
                let name = format!("{upstream}/{id}");
                if !overlay.forget(upstream, id) {
                    return Err(VerbError::Unchanged(name));
                }
                if let Some(other) = overlay.clash(&inner.file) {
                    return Err(VerbError::Exists(format!(
                        "{name} cannot come back: {other}, which was added at run time, has its address; drop that first"
                    )));
                }
            }
        }
        if overlay != inner.overlay {
            self.use_overlay(&mut inner, overlay)?;
        }
        let after = inner.overlay.drift(&inner.file);
        let dropped = before.iter().filter(|one| !after.contains(one));
        let texts = dropped.map(ToString::to_string).collect();
        Ok((texts, self.hold.load().generation))
    }

    /// Puts another overlay in use; where that fails, the one before stays.
    fn use_overlay(&self, inner: &mut Inner, overlay: Overlay) -> Result<(), VerbError> {
        let saved = std::mem::replace(&mut inner.overlay, overlay);
        let (file, loaded_at) = (inner.file.clone(), self.hold.load().loaded_at);
        match self.next_generation(inner, file, loaded_at, true) {
            Ok(_) => Ok(()),
            Err(e) => {
                inner.overlay = saved;
                Err(VerbError::Failed(e.to_string()))
            }
        }
    }

    /// Says so when an upstream has no node left.
    fn warn_of_empty(&self, asked: &[Asked]) {
        let snapshot = self.hold.load();
        for upstream in &snapshot.config.upstreams {
            let emptied = |one: &Asked| one.upstream == upstream.name && one.verb == Verb::Remove;
            if upstream.nodes.is_empty() && asked.iter().any(emptied) {
                tracing::warn!(
                    "upstream {}: its last node was removed; requests for it are answered with 503 until one is added",
                    upstream.name
                );
            }
        }
    }
}

impl Asked {
    /// Notes the change; `inner` says what the file is. `taken` is by upstream, of those that nodes came to already.
    fn change<'a>(
        &'a self,
        overlay: &mut Overlay,
        inner: &Inner,
        taken: &mut HashMap<&'a str, Taken>,
    ) -> Result<(), VerbError> {
        let Asked { upstream, node, .. } = self;
        let name = format!("{upstream}/{node}");
        let file = inner.file.upstreams.iter().find(|u| u.name == *upstream);
        let file = file.ok_or_else(|| VerbError::UnknownUpstream(upstream.clone()))?;
        if let Verb::Add(new) = &self.verb {
            let told = |why| match why {
                NoRoom::Exists(other) => VerbError::Exists(format!(
                    "upstream \"{upstream}\" has the node \"{other}\" already, with this id or this address"
                )),
                NoRoom::Full => VerbError::Refused(format!(
                    "{MAX_ADDED} nodes were added at run time; save them, or write them into the file"
                )),
            };
            let anew = || overlay.taken(upstream, &file.nodes);
            let taken = taken.entry(upstream).or_insert_with(anew);
            return overlay
                .add(upstream, &file.nodes, Node::clone(new), taken)
                .map_err(told);
        }
        let entry = overlay.entry(upstream, &file.nodes, node).cloned();
        let entry = entry.ok_or_else(|| VerbError::UnknownNode(name.clone()))?;
        if !is_there(&entry, node, inner) {
            return Err(VerbError::UnknownNode(name));
        }
        match &self.verb {
            Verb::Set { intent, weight } => {
                let changes = [intent.map(Change::Intent), weight.map(Change::Weight)];
                for change in changes.into_iter().flatten() {
                    // The first may have changed an entry that was added.
                    let entry = overlay.entry(upstream, &file.nodes, node).cloned();
                    let entry = entry.ok_or_else(|| VerbError::UnknownNode(name.clone()))?;
                    overlay.set(upstream, node, &entry, change);
                }
            }
            Verb::Remove if entry.id != *node => {
                return Err(VerbError::Refused(format!(
                    "{name} is one address of a name and comes back with its next answer; remove {upstream}/{}, or take this address out with down",
                    entry.id
                )));
            }
            Verb::Remove => {
                if let Some(taken) = taken.get_mut(upstream.as_str()) {
                    taken.goes(&entry);
                }
                overlay.remove(upstream, node);
            }
            Verb::Add(_) => {}
        }
        Ok(())
    }
}

/// Whether `id` is an entry, or one address of it that is known.
fn is_there(entry: &Node, id: &str, inner: &Inner) -> bool {
    let NodeAddr::Name { host, port } = &entry.addr else {
        return entry.id == id;
    };
    let known = inner.resolved.get(&format!("{host}:{port}"));
    let mut ids = known
        .into_iter()
        .flatten()
        .map(|addr| format!("{}@{}", entry.id, addr.ip()));
    entry.id == id || ids.any(|its| its == id)
}

#[cfg(test)]
mod tests;
