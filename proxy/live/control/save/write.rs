//! Files, replaced all or none, as far as the system lets us.
//!
//! Whatever takes long is done beside them; then each is read once more and replaced in the same breath. What somebody
//! else wrote meanwhile is never overwritten, not even to put a file back as it was.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A text that is to be written, and where.
pub(super) struct Page {
    /// As the configuration calls it.
    pub(super) path: PathBuf,
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
}

/// Why the files are as they were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// Somebody else has changed one of them.
    Changed(String),
    /// The system does not let us.
    Failed(String),
}

/// A page that waits, whole on the disk, beside the file it replaces.
struct Ready<'a> {
    page: &'a Page,
    new: NamedTempFile,
    /// The file itself, where the path is a link.
    target: PathBuf,
}

/// Replaces all files or none.
pub(super) fn all(pages: &[Page]) -> Result<(), Unwritten> {
    replace(prepare(pages)?)
}

fn prepare(pages: &[Page]) -> Result<Vec<Ready<'_>>, Unwritten> {
    let ready = pages.iter().map(|page| {
        let (new, target) = prepared(&page.path, &page.after).map_err(|e| failed(page, &e))?;
        Ok(Ready { page, new, target })
    });
    ready.collect()
}

fn replace(ready: Vec<Ready<'_>>) -> Result<(), Unwritten> {
    // All of them first: an edit of the last one is found before the first is written.
    for Ready { page, target, .. } in &ready {
        still(page, target, &page.before)?;
    }
    let mut done: Vec<(&Page, PathBuf)> = Vec::new();
    for Ready { page, new, target } in ready {
        // No system call replaces a file only if it is as it was: this close to it nobody else fits in but by a hair.
        let replaced = still(page, &target, &page.before)
            .and_then(|()| new.persist(&target).map_err(|e| failed(page, &e.error)));
        if let Err(why) = replaced {
            return Err(undone(done, why));
        }
        // A power cut must not bring the old name back; without it the file is right all the same.
        let _ = target
            .parent()
            .map(|dir| File::open(dir).and_then(|dir| dir.sync_all()));
        done.push((page, target));
    }
    Ok(())
}

/// Puts back what was replaced already; adds what stays as it is now to the reason.
fn undone(done: Vec<(&Page, PathBuf)>, why: Unwritten) -> Unwritten {
    let mut stays = String::new();
    for (page, target) in done {
        let back = prepared(&page.path, &page.before)
            .map_err(|e| failed(page, &e))
            .and_then(|(old, _)| {
                still(page, &target, &page.after)?;
                old.persist(&target).map_err(|e| failed(page, &e.error))
            });
        if let Err(Unwritten::Changed(e) | Unwritten::Failed(e)) = back {
            let path = page.path.display();
            tracing::error!("{path} was written and cannot be put back as it was: {e}");
            stays += &format!("; {path} WAS written and cannot be put back as it was: {e}");
        }
    }
    match why {
        Unwritten::Changed(why) => Unwritten::Changed(why + &stays),
        Unwritten::Failed(why) => Unwritten::Failed(why + &stays),
    }
}

/// Whether the page's file is still this one, with these bytes.
fn still(page: &Page, target: &Path, bytes: &[u8]) -> Result<(), Unwritten> {
    let is = fs::canonicalize(&page.path).and_then(|now| Ok((now, fs::read(target)?)));
    match is {
        Ok((now, is)) if now == target && is == bytes => Ok(()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(page, &e)),
        _ => Err(Unwritten::Changed(format!(
            "{} was changed by somebody else while it was to be saved, and is as they left it; reload first",
            page.path.display()
        ))),
    }
}

fn failed(page: &Page, e: &io::Error) -> Unwritten {
    Unwritten::Failed(format!(
        "cannot write {}: {e}; let the user that runs tidegate write the file and its folder, or change it by hand",
        page.path.display()
    ))
}

/// A file beside the one that `path` leads to, whole on the disk, with its mode and, where that is allowed, its owner.
fn prepared(path: &Path, bytes: &[u8]) -> io::Result<(NamedTempFile, PathBuf)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files, each to be written anew.
    fn pages(names: &[&str]) -> (tempfile::TempDir, Vec<Page>) {
        let dir = tempfile::tempdir().unwrap();
        let page = |name: &&str| {
            let path = dir.path().join(name);
            fs::write(&path, "old").unwrap();
            Page {
                path,
                before: b"old".to_vec(),
                after: b"new".to_vec(),
            }
        };
        let pages = names.iter().map(page).collect();
        (dir, pages)
    }

    fn texts(pages: &[Page]) -> Vec<String> {
        let text = |page: &Page| fs::read_to_string(&page.path).unwrap();
        pages.iter().map(text).collect()
    }

    fn count(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path()).unwrap().count()
    }

    #[test]
    fn all_files_are_replaced_and_nothing_is_left_beside_them() {
        let (dir, pages) = pages(&["a", "b"]);
        assert_eq!(all(&pages), Ok(()));
        assert_eq!(texts(&pages), ["new", "new"]);
        assert_eq!(count(&dir), 2);
    }

    #[test]
    fn an_edit_of_one_file_while_the_others_were_prepared_stays_and_none_is_written() {
        let (dir, pages) = pages(&["a", "b"]);
        let ready = prepare(&pages).unwrap();
        fs::write(&pages[1].path, "by hand").unwrap();
        let no = replace(ready);
        assert!(matches!(no, Err(Unwritten::Changed(_))), "{no:?}");
        assert_eq!(texts(&pages), ["old", "by hand"]);
        assert_eq!(count(&dir), 2);
    }

    #[test]
    fn a_file_that_went_or_a_link_that_leads_elsewhere_meanwhile_is_a_change() {
        let (dir, pages) = pages(&["a"]);
        let other = dir.path().join("other");
        fs::write(&other, "old").unwrap();
        let ready = prepare(&pages).unwrap();
        fs::remove_file(&pages[0].path).unwrap();
        let no = replace(ready);
        assert!(matches!(no, Err(Unwritten::Changed(_))), "{no:?}");
        fs::write(&pages[0].path, "old").unwrap();
        let ready = prepare(&pages).unwrap();
        fs::remove_file(&pages[0].path).unwrap();
        std::os::unix::fs::symlink(&other, &pages[0].path).unwrap();
        let no = replace(ready);
        assert!(matches!(no, Err(Unwritten::Changed(_))), "{no:?}");
        assert_eq!(texts(&pages), ["old"]);
    }

    #[test]
    fn when_a_later_file_cannot_be_replaced_the_first_is_put_back() {
        let (_dir, pages) = pages(&["a", "b"]);
        let ready = prepare(&pages).unwrap();
        fs::remove_file(ready[1].new.path()).unwrap();
        let no = replace(ready);
        assert!(matches!(no, Err(Unwritten::Failed(_))), "{no:?}");
        assert_eq!(texts(&pages), ["old", "old"]);
    }

    #[test]
    fn what_somebody_wrote_into_a_replaced_file_is_not_put_back_over() {
        let (_dir, pages) = pages(&["a"]);
        fs::write(&pages[0].path, "by hand").unwrap();
        let target = fs::canonicalize(&pages[0].path).unwrap();
        let why = undone(
            vec![(&pages[0], target)],
            Unwritten::Failed("full".to_string()),
        );
        assert_eq!(texts(&pages), ["by hand"]);
        let said = matches!(&why, Unwritten::Failed(why) if why.starts_with("full; ") && why.contains("WAS written"));
        assert!(said, "{why:?}");
    }
}
