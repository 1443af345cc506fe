//! What is known of the names of nodes: their addresses, since when, and what goes wrong.
//!
//! Addresses change only by an answer that has some: whatever goes wrong, those known before stay in use.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use super::{Control, unix_seconds};
use crate::telemetry::metrics::NameMetrics;

/// What is known of one name.
#[derive(Debug, Clone, Default)]
pub struct NameState {
    /// When it last had an answer.
    pub answered: Option<Instant>,
    /// Why the last look-up failed; `None`: it did not.
    pub failure: Option<String>,
}

/// By `host:port`.
pub(super) type Names = HashMap<String, NameState>;

impl Control {
    /// Notes the addresses of a name. Changes nothing when they are the ones in use.
    pub fn resolved(&self, name: &str, mut addresses: Vec<SocketAddr>) {
        self.metrics.names.ended(name, NameMetrics::OK);
        let now = unix_seconds(SystemTime::now());
        self.metrics.names.resolved(name, now);
        addresses.sort();
        addresses.dedup();
        let mut inner = self.inner.lock();
        let state = inner.names.entry(name.to_string()).or_default();
        // What the process was started with does not start slowly, though it is found a moment later.
        let is_start = state.answered.is_none() && self.started_with.names.contains(name);
        state.answered = Some(Instant::now());
        state.failure = None;
        if inner.resolved.get(name) == Some(&addresses) {
            return;
        }
        let said = format!("{name} has the addresses {addresses:?}");
        tracing::info!("{said}");
        let before = inner.resolved.insert(name.to_string(), addresses);
        let (file, loaded_at) = (inner.file.clone(), self.hold.load().loaded_at);
        if let Err(e) = self.next_generation(&mut inner, file, loaded_at, !is_start) {
            tracing::error!("the addresses of {name} cannot be used: {e}");
            match before {
                Some(old) => inner.resolved.insert(name.to_string(), old),
                None => inner.resolved.remove(name),
            };
            return;
        }
        self.note_addresses(said);
    }

    /// Notes that a look-up failed. `result` is its word in the metrics.
    pub fn not_resolved(&self, name: &str, result: &str, why: &str) {
        self.metrics.names.ended(name, result);
        let mut inner = self.inner.lock();
        let state = inner.names.entry(name.to_string()).or_default();
        state.failure = Some(why.into());
    }

    /// The addresses of a name that are in use.
    pub fn addresses_of(&self, name: &str) -> Vec<SocketAddr> {
        let inner = self.inner.lock();
        inner.resolved.get(name).cloned().unwrap_or_default()
    }

    /// What is known of a name.
    pub fn name_state(&self, name: &str) -> NameState {
        let inner = self.inner.lock();
        inner.names.get(name).cloned().unwrap_or_default()
    }

    /// Forgets all names but these.
    pub fn keep_names(&self, names: &BTreeSet<String>) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.resolved.retain(|name, _| names.contains(name));
        inner.names.retain(|name, _| {
            let stays = names.contains(name);
            if !stays {
                self.metrics.names.left(name, now);
            }
            stays
        });
    }
}
