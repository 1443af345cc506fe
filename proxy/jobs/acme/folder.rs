//! The folder where the account, keys and certificates outlive the process.
//!
//! Nobody but the owner reads it (0700, files 0600), each file is replaced as a whole, and two processes on one folder
//! (during an upgrade, or on a shared disk) do not order at the same time. What is in it is judged by who reads it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use xxhash_rust::xxh3::xxh3_64;

/// The largest file: a long chain and a key are a few KiB.
const LARGEST: u64 = 256 * 1024;
/// What a certificate needs, with its key and an account.
const ROOM: usize = 16 * 1024;
/// Nobody but the owner.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Letters of a name that show in the name of its file.
const SHOWN: usize = 64;

/// A folder for what comes of one CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// The right to order with what is in a folder; dropped, it is given back.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held until it is dropped")] Flock<File>);

impl Folder {
    /// The folder below `state` for the CA with this directory: what one CA gave is not shown to another.
    pub fn of(state: &Path, directory: &str) -> Folder {
        let host = directory.split('/').nth(2).unwrap_or_default();
        let name = format!("{}-{:016x}", shown(host), xxh3_64(directory.as_bytes()));
        Folder(state.join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, with those above it. What is there already is closed to others.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn make(&self) -> io::Result<()> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.0);
        made.and_then(|()| close(&self.0, FOLDER_MODE))
    }

    /// Takes the right to order here; `None`: another process has it.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        self.make()?;
        let path = self.0.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        close(&path, FILE_MODE)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Lock(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, why)) => Err(why.into()),
        }
    }

    /// Tries whether there is room: what the CA gives once is not to be lost here.
    ///
    /// # Errors
    /// When nothing could be kept here.
    pub fn try_to_write(&self) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&[b'\n'; ROOM])?;
        file.as_file().sync_all()
    }

    /// The account.
    pub fn account(&self) -> PathBuf {
        self.0.join("account.json")
    }

    /// The certificate for these names with its key. Two lists of the same names have the same one.
    pub fn certificate(&self, names: &[String]) -> PathBuf {
        let first = names.first().map_or("", String::as_str);
        let id = id(names);
        self.0.join(format!("{}-{id:016x}.pem", shown(first)))
    }
}

/// What tells a list of names from others, whatever their order.
pub fn id(names: &[String]) -> u64 {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    xxh3_64(sorted.join("\n").as_bytes())
}

/// What of a name is fit to be part of the name of a file.
fn shown(name: &str) -> String {
    let fine = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => c,
        _ => '_',
    };
    let name = name.trim_start_matches('.');
    name.chars().take(SHOWN).map(fine).collect()
}

/// Reads a file; `None`: there is none. One that others could read is closed to them.
///
/// # Errors
/// When it cannot be read, is larger than any such file, or is no text.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        close(path, FILE_MODE)?;
        tracing::warn!(
            "{} could be read by others; it cannot any more. Whoever could had its key",
            path.display()
        );
    }
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text)?;
    match read as u64 > LARGEST {
        true => Err(io::Error::other("it is far too large")),
        false => Ok(Some(text)),
    }
}

/// Writes a file as a whole: after a crash there is the old one or the new one. Nobody else may read it at any moment.
///
/// # Errors
/// When it cannot be written; what was there is still there then.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made with 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(folder)?.sync_all()
}

fn close(path: &Path, mode: u32) -> io::Result<()> {
    let is = fs::metadata(path)?.permissions().mode();
    match is & 0o777 & !mode {
        0 => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_reads_what_is_kept_and_it_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(&dir.path().join("acme"), "https://ca.test:14000/dir");
        folder.make().unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&dir.path().join("acme")), 0o700);
        let path = folder.certificate(&["a.test".into()]);
        assert!(read(&path).unwrap().is_none());
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        let entries = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing is left beside it");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        read(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        fs::write(&path, vec![b'a'; LARGEST as usize + 1]).unwrap();
        assert!(read(&path).is_err());
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn names_make_a_file_of_their_own_and_cannot_leave_the_folder() {
        let folder = Folder::of(Path::new("/s"), "https://ca.test/dir");
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            folder.certificate(&names)
        };
        assert_eq!(id(&["a".into(), "b".into()]), id(&["b".into(), "a".into()]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        for name in ["../../etc/passwd", "/etc/passwd", "..", "a/b", ".hidden"] {
            let path = of(&[name]);
            assert_eq!(path.parent(), Some(folder.path()), "{path:?}");
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!file.starts_with('.'), "{file}");
        }
        assert_ne!(
            Folder::of(Path::new("/s"), "https://ca.test/a"),
            Folder::of(Path::new("/s"), "https://ca.test/b")
        );
    }

    #[test]
    fn one_process_at_a_time_orders() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path(), "https://ca.test/dir");
        let held = folder.lock().unwrap().expect("nobody has it");
        assert!(folder.lock().unwrap().is_none());
        drop(held);
        assert!(folder.lock().unwrap().is_some());
    }
}
