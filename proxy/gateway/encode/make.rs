//! Makes a form of what is stored, or on its way into the store: once, for everybody who wants it.
//!
//! Goes on by itself, whoever reads along, as long as anybody does or it will be kept. A slice at a time: what else
//! the thread has to do comes in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::live::{SHORT, count};
use crate::base::cached::Why;
use crate::base::coding::Coding;
use crate::cache::entry::{Body, Entry};
use crate::cache::store::{Maker, Reader};
use crate::live::control::Control;
use crate::transform::compress::decode::Fault;
use crate::transform::pipe::Pipe;

/// Bytes of the largest body whose form is made before its head is sent: less than a millisecond's work, and the answer
/// can say how long it is.
pub const AT_ONCE: u64 = 32 * 1024;

/// Bytes that are written at once to who reads along.
const PIECE: usize = 16 * 1024;

/// What a form is made of.
pub enum Source {
    /// What is stored.
    Stored(Body, usize),
    /// What is being fetched; `true`: its length is not known, and its pieces are not held back.
    Coming(Reader, bool),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Why> {
        match self {
            Source::Stored(body, at) => {
                let piece = body.pieces().get(*at).cloned();
                *at += 1;
                Ok(piece)
            }
            Source::Coming(reader, _) => reader.next().await,
        }
    }

    fn is_coming(&self) -> bool {
        matches!(self, Source::Coming(..))
    }

    fn is_streamed(&self) -> bool {
        matches!(self, Source::Coming(_, true))
    }
}

/// Begins to make a form. `is_final`: it is not made better later.
pub fn begin(control: &Arc<Control>, source: Source, maker: Maker, pipe: Pipe, is_final: bool) {
    let control = control.clone();
    tokio::spawn(async move { make(&control, source, maker, pipe, is_final).await });
}

async fn make(
    control: &Control,
    mut source: Source,
    mut maker: Maker,
    mut pipe: Pipe,
    is_final: bool,
) {
    let mut took = Duration::ZERO;
    let mut out = Vec::new();
    let done: Result<(), Why> = async {
        while let Some(mut piece) = source.next().await? {
            let leaves_at_once = source.is_streamed() || piece.len() < SHORT;
            let mut more = !piece.is_empty();
            while more {
                let begun = Instant::now();
                more = pipe
                    .step(&mut piece, &mut out)
                    .map_err(|f| broken(control, f))?;
                took += begun.elapsed();
                if out.len() >= PIECE {
                    maker.write(std::mem::take(&mut out).into()).await;
                }
                if more {
                    tokio::task::yield_now().await;
                }
            }
            if leaves_at_once && source.is_coming() {
                pipe.flush(&mut out);
                maker.write(std::mem::take(&mut out).into()).await;
            }
        }
        pipe.finish(&mut out).map_err(|f| broken(control, f))
    }
    .await;
    let metrics = &control.metrics.compression;
    count(metrics, &pipe, took);
    if let Err(why) = done {
        return maker.fails(why);
    }
    if !out.is_empty() {
        maker.write(out.into()).await;
    }
    let coding = maker.coding();
    is_kept(control, maker.finish(is_final).as_deref(), coding);
}

/// Counts a form that is kept.
fn is_kept(control: &Control, entry: Option<&Entry>, coding: Coding) {
    let form = entry.and_then(|entry| entry.form(coding));
    if form.is_some_and(|form| form.body.is_some()) {
        control.metrics.compression.stored(coding, false);
    }
}

fn broken(control: &Control, fault: Fault) -> Why {
    control.metrics.compression.decode_failed(fault.as_str());
    Why::Undecodable
}

/// Makes a form of a small stored body here and now, and keeps it beside that. `None`: it cannot be decoded.
pub fn at_once(
    control: &Control,
    entry: &Arc<Entry>,
    to: Coding,
    mut pipe: Pipe,
    is_final: bool,
) -> Option<Bytes> {
    let begun = Instant::now();
    let mut out = Vec::new();
    for piece in entry.body.pieces() {
        let mut piece = piece.clone();
        let mut more = !piece.is_empty();
        while more {
            more = pipe
                .step(&mut piece, &mut out)
                .map_err(|f| broken(control, f))
                .ok()?;
        }
    }
    pipe.finish(&mut out).map_err(|f| broken(control, f)).ok()?;
    let metrics = &control.metrics.compression;
    count(metrics, &pipe, begun.elapsed());
    let made = Bytes::from(out);
    let kept = control
        .cache
        .put_form(entry, to, std::slice::from_ref(&made), is_final);
    is_kept(control, kept.as_deref(), to);
    Some(made)
}
