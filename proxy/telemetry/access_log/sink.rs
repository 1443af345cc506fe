//! The file that the access log is, or standard output: takes whole lines, whatever the disk does.
//!
//! A disk that is full stops in the middle of a line. Its rest is kept and comes first when the disk takes more: no
//! line may run into another.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::config::checked::LogPath;

/// Where lines go.
#[derive(Debug)]
pub(super) struct Sink<W = File> {
    to: W,
    /// `None`: standard output, which is never opened anew.
    path: Option<PathBuf>,
    /// What is left of a line that was begun.
    rest: Vec<u8>,
}

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct Lost {
    /// How many.
    pub(super) lines: u64,
    /// Why.
    pub(super) error: io::Error,
}

impl Sink {
    /// Opens it.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(super) fn open(path: &LogPath) -> io::Result<Self> {
        let (to, path) = match path {
            // Its own handle: the one of the library would cut it into lines again.
            LogPath::Stdout => (io::stdout().as_fd().try_clone_to_owned()?.into(), None),
            LogPath::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                (file, Some(path.clone()))
            }
        };
        Ok(Sink {
            to,
            path,
            rest: Vec::new(),
        })
    }

    /// Opens the file of that path anew, after it was moved away.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match Sink::open(&LogPath::File(path.clone())) {
            Ok(sink) => *self = sink,
            Err(e) => tracing::error!(
                "access log {}: cannot open again: {e}; the old file stays in use",
                path.display()
            ),
        }
    }
}

impl<W: Write> Sink<W> {
    /// Writes whole lines.
    ///
    /// # Errors
    /// When some could not be written. One that was begun is not among them: the next call ends it.
    pub(super) fn put(&mut self, lines: &[u8]) -> Result<(), Lost> {
        let lost = |lines: &[u8], error| Lost {
            lines: memchr::memchr_iter(b'\n', lines).count() as u64,
            error,
        };
        let (written, failed) = write(&mut self.to, &self.rest);
        self.rest.drain(..written);
        if let Some(e) = failed {
            return Err(lost(lines, e));
        }
        let (written, failed) = write(&mut self.to, lines);
        let Some(e) = failed else { return Ok(()) };
        let (done, left) = lines.split_at(written);
        let begun = match done.last() {
            None | Some(b'\n') => 0,
            Some(_) => memchr::memchr(b'\n', left).map_or(left.len(), |end| end + 1),
        };
        self.rest.extend_from_slice(&left[..begun]);
        Err(lost(&left[begun..], e))
    }
}

/// Writes until all is written or it fails: how much was written, and why no more.
fn write(to: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (written, Some(e)),
        }
    }
    (written, None)
}

#[cfg(test)]
mod tests;
