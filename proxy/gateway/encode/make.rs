//! Makes a form of what is stored, or on its way into the store: once, for everybody who wants it.
//!
//! Goes on by itself, whoever reads along, as long as anybody does or it will be kept. A slice at a time: what else
//! the thread has to do comes in between.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::live::count;
use crate::base::cached::Why;
use crate::base::coding::Coding;
use crate::cache::entry::{Body, Entry};
use crate::cache::store::{Maker, Reader};
use crate::live::control::Control;
use crate::transform::compress::decode::Fault;
use crate::transform::pipe::Pipe;

/// Bytes of the largest body whose form is made before its head is sent: at levels that are meant for it, less than a
/// millisecond's work, and the answer can say how long it is.
const AT_ONCE: u64 = 32 * 1024;

/// Whether a form is made before its head is sent.
pub fn is_quick(to: Coding, level: u32, length: u64) -> bool {
    let quick = match to {
        Coding::Brotli => 5,
        Coding::Zstd => 6,
        _ => u32::MAX,
    };
    length <= AT_ONCE && level <= quick
}

/// Bytes that are written at once to who reads along.
const PIECE: usize = 16 * 1024;

/// How often it is looked whether anybody is left who wants what is not kept.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a form is made of.
pub enum Source {
    /// What is stored, from this piece on.
    Stored(Body, usize),
    /// What is being fetched.
    Coming(Reader),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Why> {
        match self {
            Source::Stored(body, at) => {
                let piece = body.pieces().get(*at).cloned();
                *at += 1;
                Ok(piece)
            }
            Source::Coming(reader) => reader.next().await,
        }
    }
}

/// Begins to make a form. `is_final`: it is not made better later.
pub fn begin(control: &Arc<Control>, source: Source, maker: Maker, pipe: Pipe, is_final: bool) {
    let making = Making {
        control: control.clone(),
        maker,
        pipe,
        out: Vec::new(),
        took: Duration::ZERO,
    };
    tokio::spawn(making.run(source, is_final));
}

/// A form while it is made.
struct Making {
    control: Arc<Control>,
    maker: Maker,
    pipe: Pipe,
    /// What is ready and not yet written.
    out: Vec<u8>,
    /// Time the thread was busy with it.
    took: Duration,
}

impl Making {
    async fn run(mut self, source: Source, is_final: bool) {
        let made = self.make(source).await;
        let Making {
            control,
            maker,
            pipe,
            took,
            ..
        } = self;
        count(&control.metrics.compression, &pipe, took);
        if let Err(why) = made {
            // Nobody who needs it otherwise would ever get it: the nodes are asked again.
            if let (Why::Undecodable, Some(entry)) = (why, maker.stored()) {
                control.cache.discard(&entry);
            }
            return maker.fails(why);
        }
        let coding = maker.coding();
        is_kept(&control, maker.finish(is_final).as_deref(), coding);
    }

    async fn make(&mut self, mut source: Source) -> Result<(), Why> {
        while let Some(mut piece) = self.next(&mut source).await? {
            let mut more = !piece.is_empty();
            while more {
                let begun = Instant::now();
                more = (self.pipe.step(&mut piece, &mut self.out))
                    .map_err(|fault| broken(&self.control, fault))?;
                self.took += begun.elapsed();
                if self.out.len() >= PIECE {
                    self.write().await;
                }
                if self.is_left() {
                    return Err(Why::Failed);
                }
                if more {
                    tokio::task::yield_now().await;
                }
            }
        }
        let begun = Instant::now();
        (self.pipe.finish(&mut self.out)).map_err(|fault| broken(&self.control, fault))?;
        self.took += begun.elapsed();
        self.write().await;
        Ok(())
    }

    /// The next piece of the source. While there is none, who reads along gets all that came so far.
    async fn next(&mut self, source: &mut Source) -> Result<Option<Bytes>, Why> {
        let mut next = pin!(source.next());
        tokio::select! {
            biased;
            next = &mut next => return next,
            () = ready(()) => {}
        }
        self.pipe.flush(&mut self.out);
        self.write().await;
        loop {
            tokio::select! {
                next = &mut next => return next,
                () = tokio::time::sleep(LOOK_AGAIN) => if self.is_left() {
                    return Err(Why::Failed);
                },
            }
        }
    }

    async fn write(&mut self) {
        if !self.out.is_empty() {
            self.maker.write(std::mem::take(&mut self.out).into()).await;
        }
    }

    /// Whether nobody is left who wants it: it is not kept, and nobody reads it.
    fn is_left(&self) -> bool {
        self.maker.degraded().is_some() && !self.maker.has_readers()
    }
}

/// Counts a form that is kept.
fn is_kept(control: &Control, entry: Option<&Entry>, coding: Coding) {
    let form = entry.and_then(|entry| entry.form(coding));
    if form.is_some_and(|form| form.body.is_some()) {
        control.metrics.compression.stored(coding, false);
    }
}

/// A body cannot be decoded: counted, and why there is no form of it.
pub fn broken(control: &Control, fault: Fault) -> Why {
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
        .put_form(entry, to, std::slice::from_ref(&made), is_final)
        .filter(|kept| !Arc::ptr_eq(kept, entry));
    is_kept(control, kept.as_deref(), to);
    Some(made)
}
