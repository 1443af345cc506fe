//! Waiting for what a client sends first: a PROXY protocol prelude, the preface of HTTP/2, a request head.
//!
//! The idle limit is the crowd's business; from the first byte of a head its own deadline runs. Bytes are read into a
//! buffer on the stack, so that a connection that waits holds none.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::time::timeout;
use tokio::io::{AsyncRead, ReadBuf};

use super::conn::Conn;
use crate::base::reason::Refusal;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::wire::head;
use crate::wire::prelude::{self, NoPrelude};

/// For a prelude where the file sets no limit: it is sent by a machine, with the first packet.
pub const PRELUDE_PATIENCE: Duration = Duration::from_secs(10);
/// What one read takes: the head of an ordinary request and some of a body.
const PIECE: usize = 8 * 1024;
/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What waiting for a head came to.
pub enum Waited {
    /// A whole head is in the buffer: its length.
    Head(usize),
    /// Nothing to answer: the client left, or the connection is being closed.
    Gone,
    /// To be refused.
    Refused(Refusal),
}

/// Reads what is there, or comes next, behind `buffer`: how much, 0 at the end.
pub async fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut room = [const { MaybeUninit::uninit() }; PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece))?;
        buffer.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    })
    .await
}

/// `true` when something was read.
async fn more_came(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limit: Option<Duration>,
) -> Option<bool> {
    let read = within(limit, read_more(stream, buffer)).await?;
    Some(matches!(read, Ok(1..)))
}

/// Reads a PROXY protocol prelude: the client it tells of. `None`: the peer came and went without a word, as health
/// checks of other balancers do.
pub async fn for_prelude(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    patience: Duration,
) -> Option<Result<Option<SocketAddr>, NoPrelude>> {
    let end = Instant::now() + patience;
    loop {
        match prelude::read(buffer) {
            Ok(Some(prelude)) => {
                let _ = buffer.split_to(prelude.len);
                return Some(Ok(prelude.client));
            }
            Ok(None) => {}
            Err(no_prelude) => return Some(Err(no_prelude)),
        }
        let left = end.saturating_duration_since(Instant::now());
        match more_came(stream, buffer, Some(left)).await {
            Some(true) => {}
            Some(false) if buffer.is_empty() => return None,
            _ => return Some(Err(NoPrelude)),
        }
    }
}

/// How a connection begins.
pub enum Preface {
    /// With the preface of HTTP/2.
    H2,
    /// Otherwise, perhaps with the beginning of a head, for which a deadline runs already.
    H1(Option<Instant>),
    /// Nobody is there.
    Gone,
}

/// Reads until it is clear whether the connection begins with the preface of HTTP/2.
pub async fn for_preface(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    conn: &Conn,
    control: &Control,
) -> Preface {
    let mut end: Option<Instant> = None;
    loop {
        let shared = buffer.len().min(PREFACE.len());
        if buffer[..shared] != PREFACE[..shared] {
            return Preface::H1(end);
        }
        if shared == PREFACE.len() {
            return if conn.works() {
                Preface::H2
            } else {
                Preface::Gone
            };
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match more_came(stream, buffer, left).await {
            Some(true) => {}
            Some(false) => return Preface::Gone,
            None => return Preface::H1(end), // and the head is late
        }
        let limit = control.hold.look(|now| now.config.timeouts.header);
        end = end.or_else(|| limit.map(|limit| Instant::now() + limit));
    }
}

/// Reads until a whole head is in `buffer`. The first byte has `patience`, where there is a limit that
/// the crowd does not watch; a head that has begun may have a `deadline` already.
pub async fn for_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    conn: &Conn,
    control: &Control,
    patience: Option<Duration>,
    deadline: Option<Instant>,
) -> Waited {
    let mut deadline: Option<Option<Instant>> = deadline.map(Some);
    let (mut searched, mut skipped) = (0, 0);
    let mut begun = false;
    loop {
        if !begun {
            let empty = head::empty_lines(buffer);
            let _ = buffer.split_to(empty);
            skipped += empty;
            // A lone CR may yet be an empty line.
            begun = !buffer.is_empty() && buffer[..] != *b"\r";
            if begun && !conn.works() {
                return Waited::Gone;
            }
            if skipped > head::MAX_EMPTY_LINES {
                return Waited::Refused(Refusal::BadRequest);
            }
        }
        if begun && let Some(end) = head::end(buffer, searched) {
            return Waited::Head(end);
        }
        searched = buffer.len();
        if begun && let Some(why) = control.hold.look(|now| is_too_large(buffer, now)) {
            return Waited::Refused(why);
        }
        if !begun {
            // It still waits for a request.
            if more_came(stream, buffer, patience).await != Some(true) {
                return Waited::Gone;
            }
            continue;
        }
        // Most heads come in one piece and need no deadline.
        let end = deadline.get_or_insert_with(|| {
            let limit = control.hold.look(|now| now.config.timeouts.header);
            limit.map(|limit| Instant::now() + limit)
        });
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match more_came(stream, buffer, left).await {
            Some(true) => {}
            Some(false) => return Waited::Gone,
            None => return Waited::Refused(Refusal::HeaderTimeout),
        }
    }
}

/// What is wrong with a head that is larger than it may be before it is complete.
fn is_too_large(begun: &[u8], now: &Snapshot) -> Option<Refusal> {
    let rules = &now.rules;
    (begun.len() > rules.max_head).then(|| head::too_large(begun, rules))
}

/// Waits for `work`, at most as long as `limit`.
pub async fn within<F: Future>(limit: Option<Duration>, work: F) -> Option<F::Output> {
    match limit {
        Some(limit) => timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}
