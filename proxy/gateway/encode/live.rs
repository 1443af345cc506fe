//! An answer that is handed on, into another form while it streams.
//!
//! Nothing of it is kept, and nothing is held back that the client could have: every piece of an answer that comes in
//! its own time leaves at once. A body that turns out not to be what its head says is broken off, visibly.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::busy::busy;
use super::choice::{self, Choice};
use super::dress;
use crate::base::coding::{Coding, Skipped};
use crate::base::reason::End;
use crate::config::checked::Compress;
use crate::telemetry::metrics::CompressionMetrics;
use crate::transform::compress::decode::Fault;
use crate::transform::eligible::Facts;
use crate::transform::etag;
use crate::transform::guard::{Effort, effort, least};
use crate::transform::pipe::Pipe;

/// A piece of an answer of known length with fewer bytes than this is what the node had at that moment: more may be
/// long in coming, and it is not held back for it.
pub const SHORT: usize = 8 * 1024;

/// A body that changes its form while it is handed on.
pub struct Live {
    pipe: Pipe,
    /// Its node sends it in its own time: nobody knows how much is to come.
    is_streamed: bool,
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
    let Some((rules, accepts)) = choice::rules(ctx) else {
        return Ok(());
    };
    if head.status == StatusCode::NOT_MODIFIED {
        return not_modified(session, head);
    }
    let length = length(head);
    let facts = Facts::of(head.status, &head.headers, length);
    let (choice, level) = worth(choice::of(rules, accepts, &facts), &rules.rules);
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
    head.insert_header(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    )?;
    let live = Live {
        pipe: Pipe::new((from, choice.to), level, length, limits),
        is_streamed: length.is_none(),
        took: Duration::ZERO,
    };
    ctx.live = Some(Box::new(Mutex::new(live)));
    Ok(())
}

/// A node says that the client has it already: what the client has is one of our forms, perhaps.
fn not_modified(session: &Session, head: &mut ResponseHeader) -> Result<()> {
    let request = &session.req_header().headers;
    let own = head.headers.get(header::ETAG);
    let tag = own.and_then(|own| etag::of_client(request, own.as_bytes()));
    let Some(tag) = tag.and_then(|tag| HeaderValue::from_bytes(&tag).ok()) else {
        return Ok(());
    };
    head.insert_header(header::ETAG, tag)?;
    dress::vary(head)
}

/// How long a body is that is handed on.
fn length(head: &ResponseHeader) -> Option<u64> {
    let length = head.headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// The same choice where this thread has time for it, and the level it has time for.
pub fn worth(choice: Choice, rules: &Compress) -> (Choice, u32) {
    if choice.to == Coding::Identity || !choice.changes() {
        return (choice, 0);
    }
    let level = rules.level.get(choice.to).copied().unwrap_or_default();
    match effort(busy(Instant::now()), rules.max_cpu) {
        Effort::Full => (choice, level),
        Effort::Least => (choice, level.min(least(choice.to))),
        // What came encoded and is not taken so has to be decoded in any case.
        Effort::None if choice.from != Some(Coding::Identity) => {
            let decoded = Choice {
                to: Coding::Identity,
                skipped: Some(Skipped::Busy),
                ..choice
            };
            (decoded, 0)
        }
        Effort::None => (choice.not(Skipped::Busy), 0),
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
            ctx.control
                .metrics
                .compression
                .decode_failed(fault.as_str());
            ctx.end.get_or_insert(End::UpstreamInvalid);
            ctx.live = None;
            let error = Error::explain(ErrorType::InvalidHTTPHeader, fault.as_str());
            return Err(error.into_up());
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
            let leaves_at_once = self.is_streamed || piece.len() < SHORT;
            while self.pipe.step(&mut piece, &mut out)? {}
            if leaves_at_once && !end {
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
