//! What was changed at run time goes into the file, at the operator's word.
//!
//! Written is only what was proven in memory: the edited files, loaded as a start would load them, are exactly the
//! configuration that runs. A file that somebody changed meanwhile is never overwritten, and readers see the old text or
//! the new one, nothing between. Nothing that is in use is reset: nodes, their health and their requests stay.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{Control, LastReload, unix_seconds};
use crate::config::Loaded;
use crate::config::checked::Config;
use crate::config::edit::{self, Edited};
use crate::config::effective::effective;
use crate::live::source::Source;

/// What saving changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// As `diff -u` shows it; empty when there was nothing to save.
    pub patch: String,
    /// Generation in use from then on.
    pub generation: u64,
}

/// Why nothing was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsaved {
    /// The files are not those in use.
    Changed(String),
    /// Why no line edit can do it, or the file cannot be written; and what to change by hand.
    Cannot {
        /// Why, and what to do.
        why: String,
        /// What would have to change.
        patch: String,
    },
}

/// A text that is to be written, and where.
struct Page {
    /// As the configuration calls it.
    path: PathBuf,
    before: Vec<u8>,
    after: Vec<u8>,
}

const BOM: &[u8] = "\u{feff}".as_bytes();

impl Control {
    /// Writes what was changed at run time into the files, unless it is only a rehearsal (`dry`). `who` asked for it.
    ///
    /// # Errors
    /// When the files changed meanwhile, or lines cannot be edited; nothing was written then.
    pub fn save(&self, who: &str, dry: bool) -> Result<Saved, Unsaved> {
        // No reload meanwhile; the lock that the stats port reads under is not held while the disk works.
        let _one_at_a_time = self.reloading.lock();
        let loaded = self.source.load();
        let (overlay, file, in_use) = {
            let inner = self.inner.lock();
            (inner.overlay.clone(), inner.file.clone(), inner.in_use)
        };
        let generation = self.hold.load().generation;
        if overlay.is_empty() {
            return Ok(Saved {
                patch: String::new(),
                generation,
            });
        }
        if loaded.fingerprint != in_use {
            return Err(Unsaved::Changed(format!(
                "{} is not the file in use any more; reload it first, or put it right where it was refused",
                self.source.name()
            )));
        }
        let wanted = overlay.wanted(&file).map_err(|why| Unsaved::Cannot {
            why,
            patch: edit::by_hand(&loaded, &overlay.over(&file)),
        })?;
        let (edited, pages, next) = self.proven(&loaded, &wanted)?;
        let patch = edit::patch(&edited);
        if dry {
            return Ok(Saved { patch, generation });
        }
        write_all(&pages).map_err(|why| Unsaved::Cannot {
            why,
            patch: patch.clone(),
        })?;
        for page in &pages {
            tracing::info!(
                "{who} saved what was changed at run time into {}",
                page.path.display()
            );
        }
        let at = SystemTime::now();
        let mut inner = self.inner.lock();
        let config = Arc::new(wanted);
        let rest = inner.overlay.without(&overlay, &config, &file);
        let before = std::mem::replace(&mut inner.overlay, rest);
        match self.next_generation(&mut inner, config, at, true) {
            Ok(generation) => {
                inner.in_use = next.fingerprint;
                inner.last_seen = next.fingerprint;
                inner.effective = effective(&next).unwrap_or_default();
                inner.files = next.files;
                inner.last_reload = LastReload {
                    at,
                    problems: Vec::new(),
                };
                self.metrics
                    .reloads
                    .succeeded("unchanged", unix_seconds(at));
                Ok(Saved { patch, generation })
            }
            Err(e) => {
                // The watcher sees the new file and tries again.
                inner.overlay = before;
                let why =
                    format!("the file is written, and will be in use with the next reload: {e}");
                Err(Unsaved::Cannot { why, patch })
            }
        }
    }

    /// The edits, once it is certain that they say what is wanted.
    fn proven(
        &self,
        loaded: &Loaded,
        wanted: &Config,
    ) -> Result<(Vec<Edited>, Vec<Page>, Loaded), Unsaved> {
        let cannot = |why: String| Unsaved::Cannot {
            why,
            patch: edit::by_hand(loaded, wanted),
        };
        if let Source::Text { name, .. } = &self.source {
            let why = format!(
                "the configuration comes from the {name}, and there is no file to save into; start with a file, or change the arguments"
            );
            return Err(cannot(why));
        }
        let edited = edit::edited(loaded, wanted).map_err(|why| {
            cannot(format!(
                "no edit of single lines can say it: {why}; change it by hand"
            ))
        })?;
        let pages: Result<Vec<Page>, String> = edited.iter().map(|one| page(one, loaded)).collect();
        let pages = pages.map_err(Unsaved::Changed)?;
        let contents = pages.iter().map(|p| (p.path.clone(), p.after.clone()));
        let next = self.source.load_with(contents.collect());
        if next.config.as_ref() != Some(wanted) {
            let first = next
                .errors()
                .next()
                .map(|problem| format!(" ({})", problem.message));
            return Err(cannot(format!(
                "the edited file would say something else than what runs{}: perhaps an alias, a merge key or two upstreams share an entry; change it by hand",
                first.unwrap_or_default()
            )));
        }
        Ok((edited, pages, next))
    }
}

/// The bytes of an edited file, which must still be those that were loaded.
fn page(edited: &Edited, loaded: &Loaded) -> Result<Page, String> {
    let changed = || format!("{} has changed meanwhile; reload first", edited.file);
    let named = |path: &&PathBuf| path.display().to_string() == edited.file;
    let path = loaded
        .files
        .iter()
        .find(named)
        .cloned()
        .ok_or_else(changed)?;
    let before = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", edited.file))?;
    let (mark, text) = match before.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => (&[][..], &before[..]),
    };
    if text != edited.before.as_bytes() {
        return Err(changed());
    }
    let after = [mark, edited.after.as_bytes()].concat();
    Ok(Page {
        path,
        before,
        after,
    })
}

/// Replaces all files or none, as far as the system lets us.
fn write_all(pages: &[Page]) -> Result<(), String> {
    let told = |page: &Page, e: io::Error| {
        format!(
            "cannot write {}: {e}; let the user that runs tidegate write the file and its folder, or change it by hand",
            page.path.display()
        )
    };
    let mut ready = Vec::new();
    for page in pages {
        ready.push((
            page,
            prepared(&page.path, &page.after).map_err(|e| told(page, e))?,
        ));
    }
    let mut done: Vec<&Page> = Vec::new();
    for (page, (new, target)) in ready {
        if let Err(e) = new.persist(&target) {
            for page in done {
                let back = prepared(&page.path, &page.before)
                    .and_then(|(old, target)| old.persist(target).map_err(io::Error::from));
                if let Err(e) = back {
                    tracing::error!("{} cannot be put back as it was: {e}", page.path.display());
                }
            }
            return Err(told(page, e.error));
        }
        // A power cut must not bring the old name back; without it the file is right all the same.
        let _ = target
            .parent()
            .map(|dir| File::open(dir).and_then(|dir| dir.sync_all()));
        done.push(page);
    }
    Ok(())
}

/// A file beside the one that `path` leads to, whole on the disk, with its mode and, where that is allowed, its owner.
fn prepared(path: &Path, bytes: &[u8]) -> io::Result<(tempfile::NamedTempFile, PathBuf)> {
    let target = fs::canonicalize(path)?;
    let meta = fs::metadata(&target)?;
    // Who may not write a file may often replace it; that would not be what its owner meant.
    File::options().write(true).open(&target)?;
    let dir = target.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new()
        .prefix(".tidegate-")
        .tempfile_in(dir)?;
    new.write_all(bytes)?;
    let own = new.as_file().metadata()?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        // Only root may give files away.
        let _ = chown(new.path(), Some(meta.uid()), Some(meta.gid()));
    }
    new.as_file().set_permissions(meta.permissions())?;
    new.as_file().sync_all()?;
    Ok((new, target))
}
