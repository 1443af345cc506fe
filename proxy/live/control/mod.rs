//! The operator's verbs: reload, drain, weight. Signals, jobs and the stats port all come through here.
//!
//! Every change is "build the next generation, swap it in", one at a time. A change that fails leaves everything as
//! it was. Nothing here is on a request's way.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::cache::key::Key;
use crate::cache::store::Store;
use crate::config::Loaded;
use crate::config::checked::{Admin, Config, Listen, NodeAddr, Secret};
use crate::config::diff::diff;
use crate::config::effective::effective;
use crate::config::problem::{Place, Problem};
use crate::live::acme::Acme;
use crate::live::build::{self, Parts, Resolved};
use crate::live::certificates::Told;
use crate::live::clock::Clock;
use crate::live::handover::Handover;
use crate::live::hold::Hold;
use crate::live::issued::Issued;
use crate::live::lifecycle::Lifecycle;
use crate::live::overlay::Overlay;
use crate::live::recompress::Recompress;
use crate::live::source::Source;
use crate::live::tunnels::Tunnels;
use crate::live::witness::Witness;
use crate::telemetry::audit::{self, Audit};
use crate::telemetry::events::{Events, KEPT as KEPT_EVENTS};
use crate::telemetry::flood::Flood;
use crate::telemetry::history::{self, History};
use crate::telemetry::lately::Lately;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::slow::{self, SlowRing};
use crate::telemetry::tap::Tap;
use crate::telemetry::top::TopUrls;
use crate::telemetry::traces::Spans;

mod cache;
mod carried;
mod certificates;
mod events;
mod names;
mod nodes;
mod purges;
mod reads;
mod runtime;
mod save;
mod shared;
mod target;
mod told;
mod words;

pub use cache::{Ask, CacheStats, Explained, Variant};
pub use names::NameState;
pub use purges::mode;
pub use runtime::{Asked, Verb};
pub use save::{Saved, Unsaved};
pub use target::{PurgeWhat, Unclear};
pub use words::{LastReload, Leaving, Reloaded, VerbError};

use names::Names;
use nodes::nodes_of;

/// Fetches whose clients have all left before a node answered and that go on all the same: enough that a page somebody
/// gave up on is there for the next, few enough that who only comes and goes does not fill the nodes.
const ORPHANS: usize = 64;

/// Holds what is in use and changes it.
#[derive(Debug)]
pub struct Control {
    /// The generation in use.
    pub hold: Arc<Hold>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// How far the process is in its life.
    pub lifecycle: Arc<Lifecycle>,
    /// Wishes to be replaced by the binary on the disk.
    pub handover: Handover,
    /// What happened of late.
    pub events: Events,
    /// Who changed what of late.
    pub audit: Audit,
    /// Figures over time.
    pub history: Mutex<History>,
    /// Keeps a flood of refusals out of the log.
    pub flood: Flood,
    /// The slow requests of late.
    pub slow: SlowRing,
    /// Finished requests, for who listens now.
    pub tap: Arc<Tap>,
    /// Spans that wait for the collector.
    pub spans: Spans,
    /// What is stored, whatever the generation.
    pub cache: Arc<Store>,
    /// Every tunnel that stands.
    pub tunnels: Arc<Tunnels>,
    /// What of it waits to be compressed better.
    pub recompress: Recompress,
    /// What of it is asked for most.
    pub top: TopUrls<Arc<Key>>,
    /// Why answers were lately not stored.
    pub lately: Lately,
    /// The time it goes by.
    pub clock: Clock,
    /// Room for fetches that nobody waits for any more.
    pub orphans: Semaphore,
    /// Certificates that came at run time.
    pub issued: Arc<Issued>,
    /// How it stands with those that are got from a CA.
    pub acme: Acme,
    /// What was told of certificates that expire.
    expiry: Mutex<Told>,
    source: Source,
    /// Whether the express lane is on.
    express: bool,
    /// What only a restart changes.
    started_with: StartedWith,
    /// Held while the files are read.
    reloading: Mutex<()>,
    /// Who is told of reloads. Not before there is one, which is when the process serves.
    pub witness: OnceLock<Arc<dyn Witness>>,
    inner: Mutex<Inner>,
    /// Moves when requests on some node are to be cut.
    cut: watch::Sender<u64>,
    /// Carries the generation in use, for jobs that follow it.
    generation: watch::Sender<u64>,
    /// Moves when the figures over time have another second.
    pub sampled: watch::Sender<u64>,
}

/// What the process was started with and only a restart changes.
#[derive(Debug)]
struct StartedWith {
    listen: Vec<Listen>,
    admin: Option<Admin>,
    threads: usize,
    /// Names among the nodes, as `host:port`.
    names: HashSet<String>,
}

impl StartedWith {
    fn of(config: &Config) -> Self {
        StartedWith {
            listen: config.listen.clone(),
            admin: config.admin.clone(),
            threads: config.threads,
            names: (config.upstreams.iter().flat_map(|u| &u.nodes))
                .filter_map(|node| match &node.addr {
                    NodeAddr::Name { host, port } => Some(format!("{host}:{port}")),
                    NodeAddr::Socket(_) => None,
                })
                .collect(),
        }
    }
}

#[derive(Debug)]
struct Inner {
    /// What the files in use look like, and what the last look at them found.
    in_use: u64,
    last_seen: u64,
    files: Vec<std::path::PathBuf>,
    effective: String,
    /// What the files in use say; what runs is this with the overlay on it.
    file: Arc<Config>,
    watch: Vec<std::path::PathBuf>,
    overlay: Overlay,
    resolved: Resolved,
    names: Names,
    leaving: Vec<Leaving>,
    last_reload: LastReload,
}

impl Control {
    /// Puts the first generation in use. `express`: the express lane is on, in every generation.
    ///
    /// # Errors
    /// When `loaded` has no configuration (its problems say why) the caller must not come here; an access log that
    /// cannot be opened is an `io::Error`.
    pub fn start(
        source: Source,
        config: Config,
        loaded: &Loaded,
        metrics: Arc<Metrics>,
        express: bool,
        now: Instant,
    ) -> io::Result<Self> {
        Control::succeed(source, config, loaded, metrics, express, now, None)
    }

    /// The same in a process that takes over from another one, whose own key it goes on with: what was signed stays
    /// signed.
    ///
    /// # Errors
    /// As [`Control::start`].
    pub fn succeed(
        source: Source,
        config: Config,
        loaded: &Loaded,
        metrics: Arc<Metrics>,
        express: bool,
        now: Instant,
        key: Option<Secret>,
    ) -> io::Result<Self> {
        let at = SystemTime::now();
        let started_with = StartedWith::of(&config);
        let (overlay, resolved) = (Overlay::default(), Resolved::new());
        let (file, issued) = (Arc::new(config), Arc::new(Issued::default()));
        let parts = Parts {
            config: file.clone(),
            loaded_at: at,
            overlay: &overlay,
            resolved: &resolved,
            leaving: &[],
            express,
            issued: &issued,
            previous: None,
            inherited_key: key.as_ref(),
        };
        let first = build::build(&parts, &metrics, now)?;
        let cache = Arc::new(Store::new(&first.config.cache, fastrand::u64(..)));
        let recompress = Recompress::new(first.config.cache.recompress);
        let generation = first.generation;
        metrics.reloads.succeeded("applied", unix_seconds(at));
        metrics.reloads.in_use(generation, 0);
        let control = Control {
            hold: Arc::new(Hold::new(first)),
            metrics,
            lifecycle: Arc::new(Lifecycle::new(now)),
            handover: Handover::default(),
            events: Events::new(KEPT_EVENTS),
            audit: Audit::new(audit::KEPT),
            history: Mutex::new(History::new(history::CAPACITY)),
            flood: Flood::default(),
            slow: SlowRing::new(slow::KEPT),
            tap: Arc::default(),
            spans: Spans::default(),
            cache,
            tunnels: Arc::default(),
            recompress,
            top: TopUrls::default(),
            lately: Lately::default(),
            clock: Clock::default(),
            orphans: Semaphore::new(ORPHANS),
            acme: Acme::default(),
            expiry: Mutex::default(),
            issued,
            source,
            express,
            reloading: Mutex::new(()),
            witness: OnceLock::new(),
            started_with,
            inner: Mutex::new(Inner {
                in_use: loaded.fingerprint,
                last_seen: loaded.fingerprint,
                files: loaded.files.clone(),
                effective: effective(loaded).unwrap_or_default(),
                file,
                watch: loaded.watch.clone(),
                overlay,
                resolved,
                names: Names::new(),
                leaving: Vec::new(),
                last_reload: LastReload {
                    at,
                    problems: Vec::new(),
                },
            }),
            cut: watch::Sender::new(0),
            generation: watch::Sender::new(generation),
            sampled: watch::Sender::new(0),
        };
        control.note_start(generation);
        Ok(control)
    }

    /// Reads the files again and puts them in use, unless they are wrong.
    ///
    /// `why` is who asked, for the log. With `only_if_new`, files that look as they did at the last look are left
    /// alone, even when they were refused then: a watcher asks that way, so that one mistake is told once.
    pub fn reload(&self, why: &str, only_if_new: bool) -> Reloaded {
        let _one_at_a_time = self.reloading.lock();
        // Read before the lock that the stats port needs: a slow disk must not make the process look dead.
        let loaded = self.source.load();
        // Nobody else changes it: who saves waits for us, too.
        if only_if_new && loaded.fingerprint == self.inner.lock().last_seen {
            return Reloaded::Unchanged;
        }
        let witness = self.witness.get();
        if let Some(witness) = witness {
            witness.begins(self);
        }
        let reloaded = self.put_in_use(why, loaded);
        if let Some(witness) = witness {
            witness.ends(self);
        }
        reloaded
    }

    /// Puts files in use that were read, unless they are wrong.
    fn put_in_use(&self, why: &str, loaded: Loaded) -> Reloaded {
        let mut inner = self.inner.lock();
        inner.last_seen = loaded.fingerprint;
        inner.watch.clone_from(&loaded.watch);
        let at = SystemTime::now();
        let warnings: Vec<Problem> = loaded.warnings().cloned().collect();
        let problems: Vec<Problem> = loaded.errors().cloned().collect();
        let effective = effective(&loaded).unwrap_or_default();
        let Some(config) = loaded.config else {
            return self.refuse(&mut inner, why, problems, at);
        };
        if loaded.fingerprint == inner.in_use {
            inner.last_reload = LastReload {
                at,
                problems: Vec::new(),
            };
            self.metrics
                .reloads
                .succeeded("unchanged", unix_seconds(at));
            return Reloaded::Unchanged;
        }
        let old = inner.file.clone();
        let config = Arc::new(config);
        let mut overlay = inner.overlay.clone();
        let mut notes: Vec<String> = diff(&old, &config)
            .into_iter()
            .map(|change| change.to_string())
            .collect();
        notes.extend(overlay.drop_changed(&old, &config));
        let saved = std::mem::replace(&mut inner.overlay, overlay);
        match self.next_generation(&mut inner, config, at, true) {
            Ok(generation) => {
                inner.in_use = loaded.fingerprint;
                inner.files = loaded.files;
                inner.effective = effective;
                inner.last_reload = LastReload {
                    at,
                    problems: Vec::new(),
                };
                self.metrics.reloads.succeeded("applied", unix_seconds(at));
                tracing::info!("{why}: configuration generation {generation} in use");
                for note in &notes {
                    tracing::info!("generation {generation}: {note}");
                }
                self.note_reload(why, generation, &notes);
                for warning in &warnings {
                    tracing::warn!("configuration:\n{}", warning.told_to_all());
                }
                Reloaded::Applied {
                    generation,
                    notes,
                    warnings,
                }
            }
            Err(e) => {
                inner.overlay = saved;
                // The file may be right and the disk wrong: to be tried again.
                inner.last_seen = inner.in_use;
                let place = Place::file(&self.source.name());
                let problem = Problem::error(place, format!("cannot open the access log: {e}"))
                    .help("look at `access_log.path`: its folder must exist and be writable");
                self.refuse(&mut inner, why, vec![problem], at)
            }
        }
    }

    fn refuse(
        &self,
        inner: &mut Inner,
        why: &str,
        problems: Vec<Problem>,
        at: SystemTime,
    ) -> Reloaded {
        self.metrics.reloads.refused();
        let generation = self.hold.load().generation;
        tracing::error!(
            "{why}: the configuration was refused, generation {generation} stays in use"
        );
        for problem in &problems {
            tracing::error!("configuration:\n{}", problem.told_to_all());
        }
        self.note_refusal(why, generation, &problems);
        inner.last_reload = LastReload {
            at,
            problems: problems.clone(),
        };
        Reloaded::Refused(problems)
    }

    /// Builds and swaps in the next generation of what the file says with the overlay on it, then tells its nodes what
    /// is wanted of them. New ones start `slowly`, where the file says so.
    fn next_generation(
        &self,
        inner: &mut Inner,
        file: Arc<Config>,
        loaded_at: SystemTime,
        slowly: bool,
    ) -> io::Result<u64> {
        let now = Instant::now();
        let old = self.hold.load();
        let leaving: Vec<_> = inner.leaving.iter().map(|l| l.node.clone()).collect();
        let parts = Parts {
            config: inner.overlay.over(&file),
            loaded_at,
            overlay: &inner.overlay,
            resolved: &inner.resolved,
            leaving: &leaving,
            express: self.express,
            issued: &self.issued,
            previous: Some(&old),
            inherited_key: None,
        };
        let next = build::build(&parts, &self.metrics, now)?;
        let generation = next.generation;
        self.cache.set_rules(&next.config.cache);
        self.hold.swap(next);
        let next = self.hold.load();
        self.settle_nodes(&old, &next, &inner.leaving, slowly, now);
        inner.file = file;
        let named = nodes_of(&next);
        (inner.leaving).retain(|l| !named.contains(&Arc::as_ptr(&l.node)));
        let left = self.dismiss(&old, &named, &inner.overlay, now);
        inner.leaving.extend(left);
        Self::close_unkept(&old, &next);
        self.metrics.only(&told::in_use(&next), now);
        self.metrics.reloads.in_use(generation, inner.overlay.len());
        self.generation.send_replace(generation);
        Ok(generation)
    }
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}
