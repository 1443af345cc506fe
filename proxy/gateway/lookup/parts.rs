//! Parts of a body (RFC 9110 §14): none, one, several, or all of it.
//!
//! Bytes are shared, never copied. What the answer says of its length is what is sent, or the connection is cut.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use smallvec::SmallVec;

use super::wait;
use crate::base::cached::Why;
use crate::cache::entry::Body;
use crate::cache::store::Reader;
use crate::transform::compress::decode::Fault;
use crate::transform::pipe::Pipe;

/// Bytes that are handed to a connection at a time.
const SLICE: usize = 256 * 1024;

/// What of a body is sent.
#[derive(Debug)]
pub enum Parts {
    /// All of it.
    Whole,
    /// None: the client has it.
    NotModified,
    /// None: what is wanted lies beyond its end.
    Beyond {
        /// How many bytes there are.
        length: u64,
    },
    /// One part.
    One {
        /// Which.
        range: Range<u64>,
        /// How many bytes there are.
        length: u64,
    },
    /// Several, each with a head of its own.
    Many {
        /// Each part behind its head.
        parts: Vec<(Bytes, Range<u64>)>,
        /// What follows the last.
        end: Bytes,
        /// The type of the whole.
        content_type: String,
    },
}

impl Parts {
    /// Several parts of a body of `length` bytes; `random` makes the words between them.
    pub fn many(
        ranges: SmallVec<[Range<u64>; 4]>,
        length: u64,
        content_type: Option<&[u8]>,
        random: u64,
    ) -> Parts {
        let boundary = format!("tidegate-{random:016x}");
        let of = content_type.map(String::from_utf8_lossy);
        let kind = of.map_or_else(String::new, |of| format!("Content-Type: {of}\r\n"));
        let part = |range: Range<u64>| {
            let (from, to) = (range.start, range.end - 1);
            let head = format!(
                "\r\n--{boundary}\r\n{kind}Content-Range: bytes {from}-{to}/{length}\r\n\r\n"
            );
            (Bytes::from(head), range)
        };
        Parts::Many {
            parts: ranges.into_iter().map(part).collect(),
            end: format!("\r\n--{boundary}--\r\n").into(),
            content_type: format!("multipart/byteranges; boundary={boundary}"),
        }
    }

    /// The status it gives the answer, where that is not the stored one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Parts::Whole => None,
            Parts::NotModified => Some(StatusCode::NOT_MODIFIED),
            Parts::Beyond { .. } => Some(StatusCode::RANGE_NOT_SATISFIABLE),
            Parts::One { .. } | Parts::Many { .. } => Some(StatusCode::PARTIAL_CONTENT),
        }
    }

    /// Whether nothing of the body is sent.
    pub fn is_bare(&self) -> bool {
        matches!(self, Parts::NotModified | Parts::Beyond { .. })
    }

    /// Says in the head what is sent.
    ///
    /// # Errors
    /// When a field cannot be set, which does not happen.
    pub fn dress(&self, head: &mut ResponseHeader) -> Result<()> {
        match self {
            Parts::Whole | Parts::NotModified => {}
            Parts::Beyond { length } => {
                head.insert_header("Content-Range", format!("bytes */{length}"))?;
                head.insert_header("Content-Length", 0)?;
            }
            Parts::One { range, length } => {
                let (from, to) = (range.start, range.end - 1);
                head.insert_header("Content-Range", format!("bytes {from}-{to}/{length}"))?;
                head.insert_header("Content-Length", range.end - range.start)?;
            }
            Parts::Many {
                parts,
                end,
                content_type,
            } => {
                let size = |(head, range): &(Bytes, Range<u64>)| {
                    head.len() as u64 + (range.end - range.start)
                };
                let sum: u64 = parts.iter().map(size).sum();
                head.insert_header("Content-Type", content_type.as_str())?;
                head.insert_header("Content-Length", sum + end.len() as u64)?;
            }
        }
        Ok(())
    }
}

/// Sends a stored body.
///
/// # Errors
/// When the client cannot be written to.
pub async fn send_stored(session: &mut Session, body: &Body, parts: &Parts) -> Result<()> {
    match parts {
        Parts::NotModified | Parts::Beyond { .. } => Ok(()),
        Parts::Whole => send_range(session, body, 0..body.len()).await,
        Parts::One { range, .. } => send_range(session, body, range.clone()).await,
        Parts::Many { parts, end, .. } => {
            for (head, range) in parts {
                session
                    .write_response_body(Some(head.clone()), false)
                    .await?;
                send_range(session, body, range.clone()).await?;
            }
            session.write_response_body(Some(end.clone()), false).await
        }
    }
}

/// Sends a stored body through a pipe that changes its form. Returns how long the thread was busy with that; the inner
/// error: the body is not what its head says.
///
/// # Errors
/// When the client cannot be written to.
pub async fn send_through(
    session: &mut Session,
    body: &Body,
    pipe: &mut Pipe,
) -> Result<std::result::Result<Duration, Fault>> {
    let mut took = Duration::ZERO;
    for piece in body.pieces() {
        let mut piece = piece.clone();
        let mut more = !piece.is_empty();
        while more {
            let (begun, mut out) = (Instant::now(), Vec::new());
            match pipe.step(&mut piece, &mut out) {
                Ok(left) => more = left,
                Err(fault) => return Ok(Err(fault)),
            }
            took += begun.elapsed();
            send_piece(session, out.into()).await?;
            tokio::task::yield_now().await;
        }
    }
    let (begun, mut out) = (Instant::now(), Vec::new());
    if let Err(fault) = pipe.finish(&mut out) {
        return Ok(Err(fault));
    }
    took += begun.elapsed();
    send_piece(session, out.into()).await?;
    Ok(Ok(took))
}

async fn send_range(session: &mut Session, body: &Body, range: Range<u64>) -> Result<()> {
    let mut at = 0;
    for piece in body.pieces() {
        let from = at;
        at += piece.len() as u64;
        if at <= range.start {
            continue;
        }
        if from >= range.end {
            break;
        }
        // Both lie inside the piece, whose length is a usize.
        let first = range.start.saturating_sub(from) as usize;
        let last = (range.end.min(at) - from) as usize;
        send_piece(session, piece.slice(first..last)).await?;
    }
    Ok(())
}

/// Sends a piece of a body, in slices.
///
/// # Errors
/// When the client cannot be written to.
pub async fn send_piece(session: &mut Session, mut piece: Bytes) -> Result<()> {
    while !piece.is_empty() {
        let slice = piece.split_to(piece.len().min(SLICE));
        session.write_response_body(Some(slice), false).await?;
    }
    Ok(())
}

/// Sends a body while it is fetched.
///
/// # Errors
/// When the client cannot be written to; the inner error: the fetch failed.
pub async fn send_fetched(
    session: &mut Session,
    reader: &mut Reader,
    parts: &Parts,
) -> Result<std::result::Result<(), Why>> {
    match parts {
        Parts::NotModified | Parts::Beyond { .. } => Ok(Ok(())),
        // Of what is still coming nobody is sent several parts: it is read once, from front to back.
        Parts::Whole | Parts::Many { .. } => send_some(session, reader, u64::MAX).await,
        Parts::One { range, .. } => {
            reader.seek(range.start);
            send_some(session, reader, range.end - range.start).await
        }
    }
}

/// The next piece of a body that is fetched or made.
///
/// # Errors
/// When the client has left; the inner error: there is no next piece, and the body is not whole.
pub async fn next(
    session: &mut Session,
    reader: &mut Reader,
) -> Result<std::result::Result<Option<Bytes>, Why>> {
    tokio::select! {
        next = reader.next() => Ok(next),
        gone = wait::is_gone(session) => Err(gone),
    }
}

/// Sends at most `most` bytes from where the reader is.
async fn send_some(
    session: &mut Session,
    reader: &mut Reader,
    most: u64,
) -> Result<std::result::Result<(), Why>> {
    let mut left = most;
    while left > 0 {
        match next(session, reader).await? {
            Ok(Some(mut piece)) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= piece.len() as u64;
                send_piece(session, piece).await?;
            }
            Ok(None) => break,
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(()))
}
