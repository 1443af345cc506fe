//! What a client sends is read to the last byte of its request and no further, and not too slowly.
//!
//! pingora listens to the client while a node works, to notice that it left; bytes that arrive meanwhile would end the
//! request that is under way. Here they are set aside and become the next request. A chunked body is checked as it
//! passes. Never looks at what a body means.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf, Take};
use tokio::time::{Sleep, sleep};

use super::pace::Pace;
use crate::base::reason::{End, Refusal};
use crate::wire::chunks::Chunks;
use crate::wire::head::{self, Body};

/// Early bytes that are read ahead; the rest waits in the kernel.
const MOST: usize = 16 * 1024;

/// What the client of one request may do, and how fast it must.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// Bytes of a chunked body.
    pub body: Option<u64>,
    /// Bytes of its trailer fields.
    pub trailers: u32,
    /// Between two pieces of a body.
    pub body_pause: Option<Duration>,
    /// Bytes a second, while a body is waited for.
    pub body_rate: Option<u64>,
    /// Until one piece of an answer is taken.
    pub send_pause: Option<Duration>,
    /// Bytes a second, while the client is waited for.
    pub send_rate: Option<u64>,
    /// So long a client that shut its sending side is answered all the same; then it is taken for gone.
    pub half_close: Duration,
}

/// What comes in by a connection, shared by who reads it and those who know what it is for at the moment.
#[derive(Debug, Default)]
pub struct Inlet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Came early, not read yet.
    early: BytesMut,
    wanted: Wanted,
    terms: Terms,
    /// The client shut its sending side.
    shut: bool,
    /// It was refused: whatever it is sending will not be read.
    refused: bool,
    pace: Pace,
    /// Runs once the client shut its sending side.
    gone: Option<Pin<Box<Sleep>>>,
    /// The client waits to be told to go on (RFC 9110 §10.1.1), and is not slow until then.
    asks_first: bool,
    fault: Option<End>,
}

/// What is wanted of what comes.
#[derive(Debug, Default)]
enum Wanted {
    /// Whatever comes.
    #[default]
    All,
    /// So many more bytes of a body.
    Sized(u64),
    /// The rest of a chunked body.
    Chunks(Box<Chunks>),
}

impl Wanted {
    fn is_nothing(&self) -> bool {
        match self {
            Wanted::All => false,
            Wanted::Sized(left) => *left == 0,
            Wanted::Chunks(chunks) => chunks.is_over(),
        }
    }
}

impl Inlet {
    /// A request was read: `body` is still to come, perhaps only once the client was told to go on (`asks_first`). `taken` was read already but comes after its head.
    pub fn begins(&self, body: Body, asks_first: bool, mut taken: BytesMut, terms: Terms) {
        let mut state = self.0.lock();
        if !taken.is_empty() {
            taken.extend_from_slice(&state.early);
            state.early = taken;
        }
        state.terms = terms;
        state.pace = Pace::default();
        state.gone = None;
        state.asks_first = asks_first;
        state.wanted = match body {
            Body::Sized(length) => Wanted::Sized(length),
            Body::Chunked => Wanted::Chunks(Box::new(Chunks::new(terms.trailers))),
        };
    }

    /// The client was told to go on: from now on it is waited for.
    pub fn goes_on(&self) {
        self.0.lock().asks_first = false;
    }

    /// From now on whatever comes is wanted, early bytes first.
    pub fn let_through(&self) {
        let mut state = self.0.lock();
        state.wanted = Wanted::All;
        state.terms.body_pause = None;
        state.terms.body_rate = None;
    }

    /// Its request is not read any further.
    pub fn is_refused(&self) {
        self.0.lock().refused = true;
    }

    /// `taken` was read but is for who reads next.
    pub fn gives_back(&self, mut taken: BytesMut) {
        let mut state = self.0.lock();
        taken.extend_from_slice(&state.early);
        state.early = taken;
    }

    /// What the client did wrong, if it did: pingora only knows that it could not be read or written.
    pub fn fault(&self) -> Option<End> {
        self.0.lock().fault
    }

    /// Notes what the client did wrong.
    pub fn is_at_fault(&self, end: End) {
        self.0.lock().fault.get_or_insert(end);
    }

    /// So long one piece of what is sent may take, and so much must be taken a second; nothing else is asked of the
    /// client.
    pub fn sends_within(&self, pause: Option<Duration>, rate: Option<u64>) {
        self.0.lock().terms = Terms {
            send_pause: pause,
            send_rate: rate,
            ..Terms::default()
        };
    }

    /// The terms of the request under way.
    pub fn terms(&self) -> Terms {
        self.0.lock().terms
    }

    /// Whether the client may still be sending: a body that was not read, or requests behind this one.
    pub fn is_unread(&self) -> bool {
        let state = self.0.lock();
        let body = !matches!(state.wanted, Wanted::All) && !state.wanted.is_nothing();
        !state.shut && (state.refused || body || !state.early.is_empty())
    }

    /// Whether more than `most` requests wait in what came early and in `more`, which came before it.
    pub fn has_more_than(&self, most: usize, more: &[u8]) -> bool {
        let early = &self.0.lock().early;
        let blanks = |bytes: &[u8]| memchr::memmem::find_iter(bytes, b"\r\n\r\n").count();
        // Bodies may be full of empty lines, so that only a look at the heads is sure.
        blanks(more) + blanks(early) >= most && head::waiting(&[more, early].concat()) > most
    }

    /// Reads from `stream` what is wanted.
    pub fn poll_read(
        &self,
        stream: &mut Take<Stream>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let state = &mut *state;
        if state.wanted.is_nothing() {
            return state.set_aside(stream, cx);
        }
        let before = buf.filled().len();
        if state.early.is_empty() {
            if !state.shut {
                ready!(state.read(stream, cx, buf))?;
                state.shut = buf.filled().len() == before;
            }
        } else {
            let limit = match state.wanted {
                Wanted::Sized(left) => usize::try_from(left).unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            let n = state.early.len().min(buf.remaining()).min(limit);
            buf.put_slice(&state.early[..n]);
            state.early.advance(n);
            if state.early.is_empty() {
                state.early = BytesMut::new(); // its memory is not the connection's to keep
            }
        }
        Poll::Ready(state.judge(before, buf))
    }
}

impl State {
    /// Reads from the connection, under the pace of a body where one is awaited.
    fn read(
        &mut self,
        stream: &mut Take<Stream>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = match self.wanted {
            Wanted::Sized(left) => left,
            _ => u64::MAX,
        };
        let before = buf.filled().len();
        let read = read_at_most(stream, limit, cx, buf);
        if matches!(self.wanted, Wanted::All) {
            return read;
        }
        let moved = read.is_ready().then(|| buf.filled().len() - before);
        if self.asks_first && moved.is_none() {
            return read;
        }
        self.asks_first = false;
        let terms = self.terms;
        match self
            .pace
            .check(moved, terms.body_pause, terms.body_rate, cx)
        {
            Ok(()) => read,
            Err(late) => {
                self.fault.get_or_insert(End::ClientTimeout);
                Poll::Ready(Err(late))
            }
        }
    }

    /// Judges what was just put behind `before`: what does not belong to the body goes back.
    fn judge(&mut self, before: usize, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let got = &buf.filled()[before..];
        let used = match &mut self.wanted {
            Wanted::All => return Ok(()),
            Wanted::Sized(left) => {
                *left -= got.len() as u64;
                return Ok(());
            }
            Wanted::Chunks(chunks) => match chunks.scan(got) {
                Err(bad) => {
                    self.fault.get_or_insert(End::BadRequest);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, bad.in_words()));
                }
                Ok(scanned) => {
                    if self
                        .terms
                        .body
                        .is_some_and(|most| chunks.announced() > most)
                    {
                        self.fault
                            .get_or_insert(End::Refused(Refusal::BodyTooLarge));
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a body that is too large",
                        ));
                    }
                    scanned.used
                }
            },
        };
        if used < got.len() {
            let mut surplus = BytesMut::from(&got[used..]);
            surplus.extend_from_slice(&self.early);
            self.early = surplus;
            buf.set_filled(before + used);
        }
        Ok(())
    }

    /// Reads what comes early and says that nothing came; a client that left is told, after a while: it may have shut
    /// its sending side only.
    fn set_aside(
        &mut self,
        stream: &mut Take<Stream>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut room = [0; 1024];
        while self.early.len() < MOST && !self.shut {
            let mut part = ReadBuf::new(&mut room);
            match read_at_most(stream, u64::MAX, cx, &mut part) {
                Poll::Ready(Ok(())) if part.filled().is_empty() => self.shut = true,
                Poll::Ready(Ok(())) => self.early.extend_from_slice(part.filled()),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.shut {
            return Poll::Pending;
        }
        // Whoever is gone and who only has nothing more to ask look alike: the time it takes tells them apart.
        let grace = self.terms.half_close;
        let gone = self.gone.get_or_insert_with(|| Box::pin(sleep(grace)));
        gone.as_mut().poll(cx).map(Ok)
    }
}

/// Reads at most `limit` bytes.
fn read_at_most(
    stream: &mut Take<Stream>,
    limit: u64,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    stream.set_limit(limit);
    Pin::new(stream).poll_read(cx, buf)
}

#[cfg(test)]
mod tests;
