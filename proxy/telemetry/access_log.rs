//! The access log: one line a request, written by a thread of its own.
//!
//! A request never waits for the disk: lines go into a bounded channel, and when it is full the line is dropped and
//! counted. Control characters cannot break a line, nor what shows it: every line is JSON, in which those that JSON
//! would let pass are escaped too.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use http::Version;
use prometheus::IntCounter;
use serde::{Serialize, Serializer};

use super::finished::Finished;
use crate::base::cached::{Outcome, Why};
use crate::base::coding::Coding;
use crate::base::reason::Refusal;
use crate::config::checked::{self, LogFormat, LogPath};

/// Lines that may wait for the writer: a second of a busy proxy, about 4 MiB.
const WAITING_LINES: usize = 16_384;
/// How long a flush at the end of the process may take before it is given up, and how often a full queue is tried.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
const FLUSH_TRIES: usize = 100;

/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
    /// Nothing to write: look at what else is wanted.
    Wake,
}

/// The access log of one configuration; kept over a reload that does not change it.
#[derive(Debug)]
pub struct AccessLog {
    config: checked::AccessLog,
    writer: Option<SyncSender<Message>>,
    reopen: Arc<AtomicBool>,
    dropped: IntCounter,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(config: &checked::AccessLog, dropped: IntCounter) -> io::Result<Self> {
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = match config.format {
            LogFormat::Off => None,
            LogFormat::Json => {
                let sink = Sink::open(&config.path)?;
                let (sender, receiver) = sync_channel(WAITING_LINES);
                let (wish, lost) = (reopen.clone(), dropped.clone());
                std::thread::Builder::new()
                    .name("access-log".into())
                    .spawn(move || write_lines(&receiver, sink, &wish, &lost))?;
                Some(sender)
            }
        };
        Ok(AccessLog {
            config: config.clone(),
            writer,
            reopen,
            dropped,
        })
    }

    /// Whether it is what `config` asks for.
    pub fn fits(&self, config: &checked::AccessLog) -> bool {
        self.config == *config
    }

    /// Whether a request with this ending is told. `dice` is a random number in `0.0..1.0`.
    pub fn wants(&self, failed: bool, dice: impl FnOnce() -> f64) -> bool {
        self.writer.is_some()
            && (failed || self.config.sample >= 1.0 || dice() < self.config.sample)
    }

    /// Tells one request. Never waits.
    pub fn tell(&self, finished: &Finished<'_>) {
        let Some(writer) = &self.writer else { return };
        let Some(line) = written(finished) else {
            return;
        };
        if writer.try_send(Message::Line(line)).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until everything told so far is written, or it is clear that it will not be.
    pub fn flush(&self) {
        let Some(writer) = &self.writer else { return };
        let (done, wait) = sync_channel(1);
        let mut flush = Message::Flush(done);
        // A full queue whose reader is stuck must not keep the process from ending.
        for _ in 0..FLUSH_TRIES {
            match writer.try_send(flush) {
                Ok(()) => {
                    let _ = wait.recv_timeout(FLUSH_PATIENCE);
                    return;
                }
                Err(TrySendError::Full(back)) => flush = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            pause(GATHER);
        }
    }

    /// Opens the file anew, for log rotation.
    pub fn reopen(&self) {
        self.reopen.store(true, Relaxed);
        if let Some(writer) = &self.writer {
            // With a full queue the writer is awake anyway, and sees the wish.
            let _ = writer.try_send(Message::Wake);
        }
    }
}

/// The line of a request, its end included.
fn written(finished: &Finished<'_>) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Shown);
    // Writing JSON into memory fails only for maps with odd keys, of which there are none here.
    Line::from(finished).serialize(&mut serializer).ok()?;
    line.push(b'\n');
    Some(line)
}

/// Compact JSON that a terminal shows as it is.
struct Shown;

impl serde_json::ser::Formatter for Shown {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if text.bytes().all(|b| b.is_ascii() && b != 0x7f) {
            return to.write_all(text.as_bytes());
        }
        let mut written = 0;
        for (at, odd) in text.char_indices().filter(|(_, c)| is_unseen(*c)) {
            to.write_all(&text.as_bytes()[written..at])?;
            write!(to, "\\u{:04x}", u32::from(odd))?;
            written = at + odd.len_utf8();
        }
        to.write_all(&text.as_bytes()[written..])
    }
}

/// DEL and the C1 controls, which some terminals obey, and what turns the direction of text or breaks a line of it
/// (Unicode TR 36 §2.10).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File(BufWriter<File>, std::path::PathBuf),
}

impl Sink {
    fn open(path: &LogPath) -> io::Result<Self> {
        Ok(match path {
            LogPath::Stdout => Sink::Stdout(BufWriter::with_capacity(1 << 16, io::stdout())),
            LogPath::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                Sink::File(BufWriter::with_capacity(1 << 16, file), path.clone())
            }
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Sink::Stdout(w) => w,
            Sink::File(w, _) => w,
        }
    }

    fn reopen(&mut self) {
        let Sink::File(_, path) = self else { return };
        match Sink::open(&LogPath::File(path.clone())) {
            Ok(sink) => *self = sink,
            Err(e) => tracing::error!(
                "access log {}: cannot open again: {e}; the old file stays in use",
                path.display()
            ),
        }
    }
}

/// Writes until every sender is gone.
///
/// After a first line it waits a moment for more: one write for many lines, and no wake-up for each.
fn write_lines(
    receiver: &Receiver<Message>,
    mut sink: Sink,
    reopen: &AtomicBool,
    dropped: &IntCounter,
) {
    let mut complained = false;
    while let Ok(first) = receiver.recv() {
        if matches!(first, Message::Line(_)) {
            pause(GATHER);
        }
        if reopen.swap(false, Relaxed) {
            sink.reopen();
        }
        let (mut lines, mut failed) = (0, None);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => {
                    lines += 1;
                    failed = failed.or(sink.writer().write_all(&line).err());
                }
                Message::Flush(done) => {
                    let _ = sink.writer().flush();
                    let _ = done.send(());
                }
                Message::Wake => {}
            }
            next = receiver.try_recv().ok();
        }
        failed = failed.or(sink.writer().flush().err());
        if failed.is_some() {
            dropped.inc_by(lines);
        }
        complain(failed, &mut complained);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only on threads that serve no connection: the writer's, and the main one at the end"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Says once that lines are lost, until one is written again.
fn complain(failed: Option<io::Error>, complained: &mut bool) {
    match failed {
        None => *complained = false,
        Some(e) if !std::mem::replace(complained, true) => {
            tracing::error!("access log: cannot write: {e}; lines are lost until it works again");
        }
        Some(_) => {}
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "rfc3339")]
    ts: std::time::SystemTime,
    id: &'a str,
    client: std::net::IpAddr,
    listener: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    route: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    proto: &'static str,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    t: Times,
    #[serde(skip_serializing_if = "str::is_empty")]
    upstream: &'a str,
    nodes: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<&'static str>,
    end: &'static str,
}

/// Seconds, to the microsecond.
#[derive(Serialize)]
struct Times {
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    queue: Option<Duration>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    connect: Option<Duration>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    ttfb: Option<Duration>,
    #[serde(serialize_with = "seconds")]
    total: Duration,
}

impl<'a> From<&'a Finished<'a>> for Line<'a> {
    fn from(f: &'a Finished<'a>) -> Self {
        Line {
            ts: f.at,
            id: f.id,
            client: f.client,
            listener: f.listener,
            route: f.route,
            method: f.method.as_str(),
            host: f.host,
            path: f.path,
            query: f.query,
            proto: match f.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            status: f.status,
            bytes_in: f.bytes_in,
            bytes_out: f.bytes_out,
            t: Times {
                queue: f.queue,
                connect: f.connect,
                ttfb: f.ttfb,
                total: f.total,
            },
            upstream: f.upstream,
            nodes: f.nodes,
            cache: f.cache.map(Outcome::as_str),
            cache_reason: f.cache_reason.map(Why::as_str),
            encoding: (f.encoding.filter(|c| *c != Coding::Identity)).map(Coding::as_str),
            dry_run: f.dry_run.map(Refusal::as_str),
            end: f.end.as_str(),
        }
    }
}

fn rfc3339<S: Serializer>(at: &std::time::SystemTime, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&humantime::format_rfc3339_millis(*at))
}

fn seconds<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(d.as_micros() as f64 / 1e6)
}

fn some_seconds<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match d {
        Some(d) => seconds(d, s),
        None => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
