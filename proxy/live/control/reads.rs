//! What others may know of what is in use.

use std::path::PathBuf;

use tokio::sync::watch;

use super::{Control, LastReload, Leaving};
use crate::config::checked::{Admin, Config, Listen, NodeAddr};
use crate::config::diff::{Change, diff};
use crate::config::problem::Problem;
use crate::live::overlay::Drift;
use crate::live::source::Source;

impl Control {
    /// Names that want resolving.
    pub fn names(&self) -> Vec<(String, u16)> {
        let snapshot = self.hold.load();
        let nodes = snapshot.config.upstreams.iter().flat_map(|u| &u.nodes);
        nodes
            .filter_map(|n| match &n.addr {
                NodeAddr::Name { host, port } => Some((host.clone(), *port)),
                NodeAddr::Socket(_) => None,
            })
            .collect()
    }

    /// Nodes that no generation names any more, with requests left on them.
    pub fn leaving(&self) -> Vec<Leaving> {
        self.inner.lock().leaving.clone()
    }

    /// Number of differences from the file.
    pub fn drift(&self) -> usize {
        self.inner.lock().overlay.len()
    }

    /// Every difference from the file, and the generation in which they are in use.
    pub fn drifted(&self) -> (u64, Vec<Drift>) {
        let inner = self.inner.lock();
        (
            self.hold.load().generation,
            inner.overlay.drift(&inner.file),
        )
    }

    /// What the file says but only a restart puts in use, in words.
    pub fn waits_for_restart(&self) -> Vec<String> {
        let (config, old) = (&self.hold.load().config, &self.started_with);
        let port = |l: &Listen| l.addr;
        let addr = |admin: Option<&Admin>| admin.map(|admin| admin.addr);
        let same_ports = config
            .listen
            .iter()
            .map(port)
            .eq(old.listen.iter().map(port));
        [
            (!same_ports, "listen"),
            (
                addr(config.admin.as_ref()) != addr(old.admin.as_ref()),
                "admin",
            ),
            (config.threads != old.threads, "threads"),
        ]
        .into_iter()
        .filter(|(changed, _)| *changed)
        .map(|(_, key)| {
            format!("`{key}` was changed in the file: takes effect after a restart or an upgrade")
        })
        .collect()
    }

    /// What a reload would change: the difference between what is in use and the files. Reads them, so it waits for the
    /// disk.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn pending(&self) -> Result<Vec<Change>, Vec<Problem>> {
        let loaded = self.source.load();
        match &loaded.config {
            Some(config) => {
                let in_use = self.inner.lock().file.clone();
                Ok(diff(&in_use, config))
            }
            None => Err(loaded.errors().cloned().collect()),
        }
    }

    /// The stats port as `config` says; where that turns it off, which takes a restart, as it was when the process
    /// started: who needed a token then needs it to the end.
    pub fn admin<'a>(&'a self, config: &'a Config) -> Option<&'a Admin> {
        config.admin.as_ref().or(self.started_with.admin.as_ref())
    }

    /// How the last reload went.
    pub fn last_reload(&self) -> LastReload {
        self.inner.lock().last_reload.clone()
    }

    /// Files the configuration in use was read from.
    pub fn files(&self) -> Vec<PathBuf> {
        self.inner.lock().files.clone()
    }

    /// The whole configuration in use, as a file that loads again.
    pub fn effective(&self) -> String {
        self.inner.lock().effective.clone()
    }

    /// Files and folders whose change may matter.
    pub fn watched(&self) -> Vec<PathBuf> {
        self.inner.lock().watch.clone()
    }

    /// Where the configuration comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Moves when requests on some node are to be cut.
    pub fn cuts(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    /// Carries the generation in use.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}
