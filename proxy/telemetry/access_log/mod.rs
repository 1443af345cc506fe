//! The access log: one line a request, written by a thread of its own.
//!
//! A request never waits for the disk: its thread writes the line into memory (`line`, `buffers`), from where the
//! `writer` carries many at once to the `sink`. When the memory is full the line is dropped and counted. Control
//! characters cannot break a line, nor what shows it: every line is JSON, in which those that JSON would let pass are
//! escaped too.

mod buffers;
mod line;
mod sink;
mod writer;

use std::io;
use std::sync::Arc;

use prometheus::IntCounter;

use self::buffers::Told;
use self::sink::Sink;
use self::writer::Desk;
use super::finished::Finished;
use crate::config::checked::{self, LogFormat};

/// The line of a request as the log has it, its end of line included.
pub fn line_of(finished: &Finished<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(line::most(finished));
    line::write(&mut line, &mut line::Second::default(), finished);
    line
}

/// The access log of one configuration; kept over a reload that does not change it.
#[derive(Debug)]
pub struct AccessLog {
    config: checked::AccessLog,
    /// `None`: nothing is told.
    desk: Option<Arc<Desk>>,
    dropped: IntCounter,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(config: &checked::AccessLog, dropped: IntCounter) -> io::Result<Self> {
        let desk = match config.format {
            LogFormat::Off => None,
            LogFormat::Json => {
                let sink = Sink::open(&config.path)?;
                let desk = Arc::new(Desk::default());
                let (writers, lost) = (desk.clone(), dropped.clone());
                std::thread::Builder::new()
                    .name("access-log".into())
                    .spawn(move || writers.write(sink, &lost))?;
                Some(desk)
            }
        };
        Ok(AccessLog {
            config: config.clone(),
            desk,
            dropped,
        })
    }

    /// Whether it is what `config` asks for.
    pub fn fits(&self, config: &checked::AccessLog) -> bool {
        self.config == *config
    }

    /// Whether a request with this ending is told. `dice` is a random number in `0.0..1.0`.
    pub fn wants(&self, failed: bool, dice: impl FnOnce() -> f64) -> bool {
        self.desk.is_some() && (failed || self.config.sample >= 1.0 || dice() < self.config.sample)
    }

    /// Tells one request. Never waits.
    pub fn tell(&self, finished: &Finished<'_>) {
        let Some(desk) = &self.desk else { return };
        match desk.buffers.tell(finished) {
            Told::Waits => {}
            Told::WaitsFirst => {
                desk.line_waits();
            }
            Told::Dropped => self.dropped.inc(),
        }
    }

    /// Waits until everything told so far is written, or it is clear that it will not be.
    pub fn flush(&self) {
        if let Some(desk) = &self.desk {
            desk.flush();
        }
    }

    /// Opens the file anew, for log rotation.
    pub fn reopen(&self) {
        if let Some(desk) = &self.desk {
            desk.reopen();
        }
    }
}

/// The writer writes what still waits and ends. Nobody waits for it: a stuck disk must not keep the process.
impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            desk.end();
        }
    }
}

#[cfg(test)]
mod tests;
