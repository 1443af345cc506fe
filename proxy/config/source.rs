//! Reads the files of a configuration, and refuses what cannot be one.
//!
//! Every byte that can change the outcome comes through here, so that the fingerprint covers all of them and no file
//! can cost more memory than its limit. Nothing here may look into a text beyond "is it text at all".

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::problem::{Place, Problem};

/// The largest file accepted: room for tens of thousands of nodes. Anything larger was named by mistake.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The most files of one configuration, two or three of each certificate among them; a wildcard that matches more was a
/// mistake.
pub const MAX_FILES: usize = 1024;

/// The most that all files together may hold, so that many large ones cannot add up.
const MAX_TOTAL: u64 = 4 * MAX_FILE;

/// The largest key: anything larger was named by mistake.
const MAX_SECRET: usize = 4 * 1024;

/// What was read, and what should be watched.
#[derive(Default)]
pub struct Sources {
    /// Every file read.
    pub files: Vec<PathBuf>,
    /// Every file or directory whose change may change the outcome.
    pub watch: Vec<PathBuf>,
    /// What stands in place of what files hold.
    pub instead: Vec<(PathBuf, Vec<u8>)>,
    bytes: u64,
    shared: Vec<(PathBuf, Arc<[u8]>)>,
    hash: Xxh3,
}

impl Sources {
    /// Reads a file as text.
    ///
    /// `named` is where another file asked for it; the problem is told there.
    pub fn read(&mut self, path: &Path, named: Option<&Place>) -> Result<String, Box<Problem>> {
        let bytes = self.bytes(path, named)?;
        let name = path.display().to_string();
        text(bytes).map_err(|no| Box::new(no.problem(&name, named)))
    }

    /// Reads a key, which may be any bytes; several sections may name the same one.
    ///
    /// `named` is where it is asked for; the problem is told there, and how to `make` one.
    pub fn secret(
        &mut self,
        path: &Path,
        named: &Place,
        make: &str,
    ) -> Result<Arc<[u8]>, Box<Problem>> {
        let bytes = self.shared(path, named, make)?;
        if bytes.len() > MAX_SECRET {
            let what = format!("{} is larger than 4KiB, and hardly a key", path.display());
            return Err(Box::new(Problem::error(named.clone(), what).help(make)));
        }
        Ok(bytes)
    }

    /// Reads a file of any bytes, once however many name it.
    ///
    /// `named` is where it is asked for; the problem is told there, and how to `make` one.
    pub fn shared(
        &mut self,
        path: &Path,
        named: &Place,
        make: &str,
    ) -> Result<Arc<[u8]>, Box<Problem>> {
        if let Some((_, known)) = self.shared.iter().find(|(its, _)| its == path) {
            return Ok(known.clone());
        }
        let bytes = self.bytes(path, Some(named));
        let bytes: Arc<[u8]> = bytes
            .map_err(|problem| Box::new(problem.help(make)))?
            .into();
        self.shared.push((path.to_path_buf(), bytes.clone()));
        Ok(bytes)
    }

    /// Reads a file.
    fn bytes(&mut self, path: &Path, named: Option<&Place>) -> Result<Vec<u8>, Box<Problem>> {
        let name = path.display().to_string();
        let place = || named.cloned().unwrap_or_else(|| Place::file(&name));
        let refuse = |what: String, help: &str| Box::new(Problem::error(place(), what).help(help));
        if self.files.len().max(self.watch.len()) >= MAX_FILES || self.bytes > MAX_TOTAL {
            let what = format!("the configuration is made of more than {MAX_FILES} files or 16MiB");
            return Err(refuse(what, "look at what `include` and `nodes_file` name"));
        }
        self.watch(path.to_path_buf());
        let instead = self.instead.iter().find(|(its, _)| its == path);
        let bytes = match instead {
            Some((_, bytes)) => Ok(bytes.clone()),
            None => read_limited(path),
        };
        let bytes = bytes.map_err(|error| {
            let what = format!("cannot read {name}: {}", reason(&error));
            refuse(what, remedy(&error))
        })?;
        self.files.push(path.to_path_buf());
        self.bytes += bytes.len() as u64;
        self.took(&name, &bytes);
        Ok(bytes)
    }

    /// Adds a text to the fingerprint.
    pub fn took(&mut self, name: &str, bytes: &[u8]) {
        // Lengths first: moving a byte from one file to the next is a change.
        self.hash.update(&(name.len() as u64).to_le_bytes());
        self.hash.update(name.as_bytes());
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Adds a path to watch.
    pub fn watch(&mut self, path: PathBuf) {
        if !self.watch.contains(&path) {
            self.watch.push(path);
        }
    }

    /// One number for all contents read.
    pub fn fingerprint(&self) -> u64 {
        self.hash.digest()
    }
}

/// Reads at most one byte more than a file may have.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why bytes are no text.
pub struct NotText {
    what: &'static str,
    help: &'static str,
    /// Where it begins, from 1.
    line: usize,
    column: usize,
}

impl NotText {
    /// The same as a problem of the file `name`, which `named` asked for.
    pub fn problem(&self, name: &str, named: Option<&Place>) -> Problem {
        let place = Place {
            line: self.line,
            column: self.column,
            length: 1,
            ..Place::file(name)
        };
        let problem = Problem::error(place, format!("{name} {}", self.what)).help(self.help);
        match named {
            Some(named) => problem.also(named.clone(), "asked for here"),
            None => problem,
        }
    }
}

/// The bytes as text, without a byte order mark; else what is wrong and what to do.
pub fn text(mut bytes: Vec<u8>) -> Result<String, NotText> {
    let no = |what, help, before: &[u8]| {
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        Err(NotText {
            what,
            help,
            line,
            column: before.len() - start + 1,
        })
    };
    if bytes.len() as u64 > MAX_FILE {
        return no(
            "is larger than 4MiB",
            "this is hardly a configuration; split a really large one with `include`",
            &[],
        );
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return no("is UTF-16", "save it as UTF-8", &[]);
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        bytes.drain(..3);
    }
    let control = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || *b == 0x7f;
    if let Some(at) = bytes.iter().position(control) {
        return no(
            "is not a text file: it holds control characters",
            "was another file meant? A configuration is plain text in UTF-8",
            &bytes[..at],
        );
    }
    String::from_utf8(bytes).or_else(|error| {
        let at = error.utf8_error().valid_up_to();
        no(
            "is not UTF-8: it holds a byte that is no character",
            "save it as UTF-8",
            &error.as_bytes()[..at],
        )
    })
}

/// Why a file cannot be read, without the number of the system's error.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ => error.to_string(),
    }
}

/// What to do about it.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "check the path; a relative one starts at the file that names it, or at the working directory"
        }
        io::ErrorKind::PermissionDenied => {
            "the user that runs tidegate needs to read it, and to enter its directories"
        }
        io::ErrorKind::IsADirectory => "name a file; `include` takes `directory/*.yaml`",
        _ => "check the disk and the path",
    }
}
