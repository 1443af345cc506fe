//! Answers that leave together: of one request in most cases, of several when a client did not wait.
//!
//! Heads are written one behind the other, small bodies between them: one piece costs the kernel less than two. Larger
//! bodies are those of the store and are not copied. A thread keeps one batch for the next requests, so that an ordinary
//! hit takes no memory.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Instant;

use smallvec::SmallVec;

use super::super::client_io::ClientIo;
use super::decide::Lane;
use super::hit::{Audience, Hit};
use crate::base::reason::End;

/// Requests that are answered together at most.
const MOST: usize = 16;
/// Bytes of the largest body that is copied behind its head.
const SMALL: u64 = 4 * 1024;
/// Bytes after which no further one is.
const ENOUGH: u64 = 64 * 1024;
/// Bytes that are handed to a connection at a time: others have their turn in between. It takes what it has room for;
/// to be asked four times for a megabyte costs a fifth more than once.
const SLICE: usize = 1024 * 1024;
/// Pieces that one write takes.
const PIECES: usize = 64;
/// Bytes of heads that a thread keeps room for.
const KEPT: usize = 16 * 1024;

thread_local! {
    static SPARE: Cell<Option<Box<Batch>>> = const { Cell::new(None) };
}

/// Answers that leave together.
#[derive(Debug, Default)]
pub struct Batch {
    hits: SmallVec<[Hit; 1]>,
    /// Their heads, each with its body behind it where that is small.
    heads: Vec<u8>,
    /// Bytes of the other bodies.
    bodies: u64,
    /// Bytes that were read of their requests.
    read: usize,
}

impl Batch {
    /// An empty one.
    pub fn begin() -> Box<Batch> {
        SPARE.take().unwrap_or_default()
    }

    /// It is over: the thread keeps what room it has.
    pub fn is_over(mut self: Box<Self>) {
        self.hits.clear();
        self.heads.clear();
        self.heads.shrink_to(KEPT);
        (self.bodies, self.read) = (0, 0);
        SPARE.set(Some(self));
    }

    /// Where the next head goes.
    pub fn heads(&mut self) -> &mut Vec<u8> {
        &mut self.heads
    }

    /// Adds an answer whose head was written. `read` is where its request ends.
    pub fn add(&mut self, mut hit: Hit, read: usize) {
        hit.is_copied = hit.length <= SMALL;
        if hit.is_copied {
            for piece in hit.pieces() {
                self.heads.extend_from_slice(piece);
            }
        } else {
            self.bodies += hit.length;
        }
        hit.written_to = self.heads.len();
        self.read = read;
        self.hits.push(hit);
    }

    /// Whether nobody is answered.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Whether it is enough for one write.
    pub fn is_full(&self) -> bool {
        self.hits.len() >= MOST || self.bodies + self.heads.len() as u64 >= ENOUGH
    }

    /// Bytes that were read of its requests.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Bytes on the wire.
    pub fn length(&self) -> u64 {
        self.heads.len() as u64 + self.bodies
    }

    /// Sends what goes at once of what is left behind the first `sent` bytes; how many bytes that were.
    pub fn poll_send(
        &self,
        io: &mut ClientIo,
        cx: &mut Context<'_>,
        sent: u64,
    ) -> Poll<io::Result<usize>> {
        if self.bodies == 0 {
            let rest = self.heads.get(sent as usize..).unwrap_or_default();
            return io.poll_pieces(cx, &[IoSlice::new(rest)]);
        }
        let mut slices: SmallVec<[IoSlice<'_>; 4]> = SmallVec::new();
        let (mut skip, mut room) = (sent, SLICE);
        self.for_each_piece(|piece| {
            let from = skip.min(piece.len() as u64);
            skip -= from;
            // No further than the piece is long.
            let rest = &piece[from as usize..];
            let rest = &rest[..rest.len().min(room)];
            if !rest.is_empty() {
                room -= rest.len();
                slices.push(IoSlice::new(rest));
            }
            room > 0 && slices.len() < PIECES
        });
        io.poll_pieces(cx, &slices)
    }

    /// All that is sent, piece by piece, while `f` wants more.
    fn for_each_piece<'a>(&'a self, mut f: impl FnMut(&'a [u8]) -> bool) {
        let mut from = 0;
        for hit in &self.hits {
            let head = &self.heads[from..hit.written_to];
            from = hit.written_to;
            let pieces = if hit.is_copied { &[] } else { hit.pieces() };
            let mut bodies = pieces.iter().map(|piece| &piece[..]);
            if !f(head) || !bodies.all(&mut f) {
                return;
            }
        }
    }

    /// Tells how its requests ended: those of whose answer all is among the first `sent` bytes went well, the others as
    /// `end` says. `requests` is what was read of them. Returns when that was.
    pub fn tell(&self, to: Lane<'_>, requests: &[u8], sent: u64, end: End) -> Instant {
        let to = Audience {
            control: to.control,
            snapshot: to.now,
            conn: to.conn,
            moment: to.moment,
            over: Instant::now(),
        };
        let (mut left, mut begins) = (sent, 0);
        for hit in &self.hits {
            let written = (hit.written_to - begins) as u64;
            begins = hit.written_to;
            let head = written - if hit.is_copied { hit.length } else { 0 };
            let of_body = left.saturating_sub(head).min(hit.length);
            let is_whole = left >= head + hit.length;
            left = left.saturating_sub(head + hit.length);
            hit.tell(&to, if is_whole { End::Ok } else { end }, of_body, requests);
        }
        to.over
    }
}
