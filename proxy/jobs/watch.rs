//! Changed files: heard of at once, put in use when they are quiet.
//!
//! Folders are watched, not files, because editors and deploy tools replace files and swap symbolic links. A look at
//! the files every second finds what the system did not report (network file systems, exhausted watches).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::live::control::Control;
use crate::live::source::Source;

/// A file is put in use when nothing was heard of it for this long: long enough for an editor that writes in pieces.
const QUIET: Duration = Duration::from_millis(100);
/// A folder that is never quiet is not waited for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// A file changed within this time may have changed twice within one tick of its time stamp.
const YOUNG: Duration = Duration::from_secs(2);
/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Reloads when a file changes, for as long as the process lives.
pub async fn run(control: &Control) {
    if matches!(control.source(), Source::Text { .. }) {
        return; // nothing can change
    }
    let heard = Arc::new(Notify::new());
    let mut ears = Ears::new(&heard);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = look(&control.watched());
    // What changed between the first reading and this look.
    control.reload("a file changed during the start", true);
    // Once another process serves, the files are its to read.
    while control.lifecycle.successor().is_none() {
        ears.listen_to(&control.watched());
        let told = tokio::select! {
            () = heard.notified() => true,
            _ = looks.tick() => false,
        };
        if told {
            wait_for_quiet(&heard).await;
        }
        // Looked at before the files are read: what changes while they are read looks different the next time.
        let now = look(&control.watched());
        // What could not be used may be readable now, without looking any different.
        let refused = !control.last_reload().problems.is_empty();
        let is_ours = control.lifecycle.successor().is_none();
        if is_ours && (now != seen || refused || (told && is_young(&now))) {
            control.reload("a file changed", true);
            seen = now;
        }
    }
}

/// Whether a file changed so lately that a second change could look the same from outside.
fn is_young(look: &Look) -> bool {
    let now = SystemTime::now();
    look.iter()
        .filter_map(|(_, outside)| outside.as_ref())
        .any(|(modified, ..)| now.duration_since(*modified).is_ok_and(|age| age < YOUNG))
}

async fn wait_for_quiet(heard: &Notify) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && timeout(QUIET, heard.notified()).await.is_ok() {}
}

/// Listens to the folders of the watched files.
struct Ears {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Ears {
    fn new(heard: &Arc<Notify>) -> Self {
        let heard = heard.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no change.
            if event.is_ok_and(|e| !e.kind.is_access()) {
                heard.notify_one();
            }
        });
        if let Err(e) = &watcher {
            tracing::warn!(
                "changes of files are not reported ({e}); they are looked for every second"
            );
        }
        Ears {
            watcher: watcher.ok(),
            folders: BTreeSet::new(),
        }
    }

    fn listen_to(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted: BTreeSet<_> = paths.iter().flat_map(|path| folders_of(path)).collect();
        for gone in self.folders.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        // A folder that cannot be watched now is asked for again at the next turn.
        self.folders = wanted
            .into_iter()
            .filter(|folder| {
                self.folders.contains(folder)
                    || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
            })
            .collect();
    }
}

/// The folders whose changes may change `path`: its own, and that of the file a symbolic link leads to.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| {
        if path.is_dir() {
            return Some(path.to_path_buf());
        }
        let parent = path.parent()?;
        Some(if parent.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            parent.to_path_buf()
        })
    };
    let target = path.canonicalize().ok();
    folder(path)
        .into_iter()
        .chain(target.as_deref().and_then(folder))
        .collect()
}

/// What files look like from outside: enough to notice every change worth reading for.
type Look = Vec<(PathBuf, Option<(SystemTime, u64, u64)>)>;

fn look(paths: &[PathBuf]) -> Look {
    use std::os::unix::fs::MetadataExt;
    paths
        .iter()
        .map(|path| {
            let outside = std::fs::metadata(path).ok().map(|m| {
                let modified = m.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                (modified, m.len(), m.ino())
            });
            (path.clone(), outside)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_name_is_watched_in_the_current_folder() {
        assert!(folders_of(Path::new("tidegate.yaml")).contains(&PathBuf::from(".")));
    }

    #[test]
    fn a_symbolic_link_is_watched_at_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        for folder in [&here, &there] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(there.join("real.yaml"), "").unwrap();
        let link = here.join("link.yaml");
        std::os::unix::fs::symlink(there.join("real.yaml"), &link).unwrap();
        let folders = folders_of(&link);
        assert!(folders.contains(&here) && folders.iter().any(|f| f.ends_with("there")));
    }

    #[test]
    fn a_replaced_file_of_the_same_size_looks_different() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let before = look(std::slice::from_ref(&path));
        std::fs::write(dir.path().join("b"), "two").unwrap();
        std::fs::rename(dir.path().join("b"), &path).unwrap();
        assert_ne!(before, look(std::slice::from_ref(&path)));
    }
}
