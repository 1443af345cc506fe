//! What was changed at run time goes into the file, at the operator's word.
//!
//! Written is only what was proven in memory: the edited files, loaded as a start would load them, are exactly the
//! configuration that runs. A file that somebody changed meanwhile is never overwritten, and readers see the old text or
//! the new one, nothing between. Nothing that is in use is reset: nodes, their health and their requests stay.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Control, LastReload, VerbError, unix_seconds};
use crate::config::Loaded;
use crate::config::checked::Config;
use crate::config::edit::{self, Edited};
use crate::config::effective::effective;
use crate::live::source::Source;

/// Files, replaced.
mod write;

use write::{Page, Unwritten};

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
    /// Another generation is in use than the caller has seen.
    Other(VerbError),
    /// The files were written, and yet are not in use.
    Written(String),
    /// Why no line edit can do it, or the file cannot be written; and what to change by hand.
    Cannot {
        /// Why, and what to do.
        why: String,
        /// What would have to change.
        patch: String,
    },
}

const BOM: &[u8] = "\u{feff}".as_bytes();

impl Control {
    /// Writes what was changed at run time into the files, unless it is only a rehearsal (`dry`). `who` asked for it.
    /// `expected`: the generation that the caller has seen, whose changes are saved; none: any will do.
    ///
    /// # Errors
    /// When the files changed meanwhile, another generation is in use, or lines cannot be edited: nothing was written
    /// then. [`Unsaved::Written`] alone comes after the writing.
    pub fn save(&self, who: &str, dry: bool, expected: Option<u64>) -> Result<Saved, Unsaved> {
        // No reload meanwhile; the lock that the stats port reads under is not held while the disk works.
        let _one_at_a_time = self.reloading.lock();
        let loaded = self.source.load();
        let (overlay, file, in_use, generation) = {
            let inner = self.inner.lock();
            self.still(&inner, expected).map_err(Unsaved::Other)?;
            let generation = self.hold.load().generation;
            let (overlay, file) = (inner.overlay.clone(), inner.file.clone());
            (overlay, file, inner.in_use, generation)
        };
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
        write::all(&pages).map_err(|unwritten| match unwritten {
            Unwritten::Changed(why) => Unsaved::Changed(why),
            Unwritten::Failed(why) => Unsaved::Cannot {
                why,
                patch: patch.clone(),
            },
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
                let files: Vec<_> = pages.iter().map(|p| p.path.display().to_string()).collect();
                Err(Unsaved::Written(format!(
                    "{} WAS written and says what runs, but could not be put in use: {e}; reload once that is mended",
                    files.join(", ")
                )))
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
