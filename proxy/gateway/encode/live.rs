//! An answer that is handed on, into another form while it streams.
//!
//! Nothing of it is kept, and nothing is held back that the client could have: every piece of an answer that comes in
//! its own time leaves at once. A body that turns out not to be what its head says is broken off, visibly.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::super::lookup::keep::length;
use super::asks::Wants;
use super::busy::busy;
use super::choice::{self, Choice};
use super::dress;
use super::make::broken;
use crate::base::coding::{Coding, Skipped};
use crate::base::reason::End;
use crate::live::snapshot::Compressing;
use crate::telemetry::metrics::CompressionMetrics;
use crate::transform::compress::decode::Fault;
use crate::transform::eligible::Facts;
use crate::transform::etag;
use crate::transform::guard::{Effort, effort, least};
use crate::transform::pipe::Pipe;

/// Bytes of the window that is used for what streams: beside it are as many others as there are clients, each with a
/// window.
const WINDOW: u64 = 256 * 1024;

/// Bytes that one piece may become at most. A client that reads slowly holds that much, and the thread is busy with
/// nothing else meanwhile.
const MOST_AT_ONCE: usize = 8 * 1024 * 1024;

/// Bytes of an encoded body that are decoded at once: each may become a thousand.
const LITTLE: usize = 4 * 1024;

/// A body that changes its form while it is handed on.
pub struct Live {
    pipe: Pipe,
    took: Duration,
}

/// Fits the head of an answer that is handed on to what the client takes, and makes ready for its body.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn answers(session: &Session, head: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    if head.status.is_informational() {
        return Ok(());
    }
    let Some((rules, asks)) = choice::rules(ctx) else {
        return Ok(());
    };
    if head.status == StatusCode::NOT_MODIFIED {
        return not_modified(session, head, asks);
    }
    let length = length(head).ok().flatten();
    let facts = Facts::of(head.status, &head.headers, length);
    let (choice, level) = worth(choice::of(rules, asks, &facts), ctx);
    let limits = rules.rules.decode.unwrap_or_default();
    if let Some(why) = choice.skipped {
        ctx.control.metrics.compression.skipped(why);
    }
    dress::dress(head, &choice)?;
    let Some(from) = choice.from.filter(|_| choice.changes()) else {
        return Ok(());
    };
    if ctx.head.method == Method::HEAD {
        return Ok(());
    }
    if from != Coding::Identity
        && let Some(asks) = &ctx.asks
    {
        asks.reads_little.store(true, Relaxed);
    }
    head.insert_header(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    )?;
    let live = Live {
        pipe: Pipe::new(
            (from, choice.to),
            level,
            length.filter(|n| *n <= WINDOW),
            limits,
        ),
        took: Duration::ZERO,
    };
    ctx.live = Some(Box::new(Mutex::new(live)));
    Ok(())
}

/// A node says that the client has it already: what the client has is one of our forms, perhaps.
fn not_modified(session: &Session, head: &mut ResponseHeader, asks: &Wants) -> Result<()> {
    let request = &session.req_header().headers;
    let own = head.headers.get(header::ETAG);
    let takes = |form| asks.takes(form);
    let tag = own.and_then(|own| etag::of_client(request, own.as_bytes(), takes));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_bytes(&tag).ok()) {
        head.insert_header(header::ETAG, tag)?;
    }
    // As the answer would have that it stands for (RFC 9110 §15.4.5).
    dress::vary(head)
}

/// The same choice where this thread has time for it, and the level it has time for. On a route that compresses.
pub fn worth(choice: Choice, ctx: &Ctx) -> (Choice, u32) {
    let Some((Compressing { rules, .. }, asks)) = choice::rules(ctx) else {
        return (choice, 0);
    };
    if choice.to == Coding::Identity || !choice.changes() {
        return (choice, 0);
    }
    let reduced = || ctx.control.metrics.compression.reduced();
    let level = rules.level.get(choice.to).copied().unwrap_or_default();
    let least = level.min(least(choice.to));
    match effort(busy(Instant::now()), rules.max_cpu) {
        Effort::Full => (choice, level),
        Effort::Least => {
            reduced();
            (choice, least)
        }
        // However busy: nobody is sent what they refuse.
        Effort::None if !asks.takes(Coding::Identity) => {
            reduced();
            (choice, least)
        }
        Effort::None => {
            let plain = Choice {
                to: Coding::Identity,
                skipped: Some(Skipped::Busy),
                ..choice
            };
            (plain, 0)
        }
    }
}

/// Bytes of a body that are to be given to [`piece`] at once, where that can be chosen.
pub fn most_at_once(ctx: &mut Ctx) -> usize {
    let live = ctx.live.as_mut();
    match live.is_some_and(|live| live.get_mut().pipe.decodes()) {
        true => LITTLE,
        false => usize::MAX,
    }
}

/// The next piece of a body that is handed on.
///
/// # Errors
/// When the body is not what its head says.
pub fn piece(body: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) -> Result<()> {
    let Some(live) = &mut ctx.live else {
        return Ok(());
    };
    match live.get_mut().take(body.take(), end) {
        Ok(piece) => *body = piece,
        Err(fault) => {
            broken(&ctx.control, fault);
            // It is no fault of the node's line, and no other node would do better.
            ctx.end.get_or_insert(End::UpstreamEncoding);
            ctx.live = None;
            let error = Error::explain(ErrorType::InternalError, fault.as_str());
            return Err(error.into_in());
        }
    }
    if end {
        over(ctx);
    }
    Ok(())
}

/// Nothing of the body follows: what was done is counted.
pub fn over(ctx: &mut Ctx) {
    if let Some(live) = ctx.live.take() {
        let live = live.into_inner();
        count(&ctx.control.metrics.compression, &live.pipe, live.took);
    }
}

/// Counts what a pipe has compressed.
pub fn count(metrics: &CompressionMetrics, pipe: &Pipe, took: Duration) {
    if let Some(coding) = pipe.makes() {
        let (bytes_in, bytes_out) = pipe.counts;
        metrics.compressed(coding, bytes_in, bytes_out, took);
    }
}

impl Live {
    fn take(
        &mut self,
        piece: Option<Bytes>,
        end: bool,
    ) -> std::result::Result<Option<Bytes>, Fault> {
        let begun = Instant::now();
        let mut out = Vec::new();
        if let Some(mut piece) = piece.filter(|piece| !piece.is_empty()) {
            while self.pipe.step(&mut piece, &mut out)? {
                if out.len() > MOST_AT_ONCE {
                    return Err(Fault::Ratio);
                }
            }
            if !end {
                // Whether more is there already nobody knows here; it may be long in coming.
                self.pipe.flush(&mut out);
            }
        }
        if end {
            self.pipe.finish(&mut out)?;
        }
        self.took += begun.elapsed();
        // An empty piece would be the last chunk.
        Ok((!out.is_empty()).then(|| out.into()))
    }
}
