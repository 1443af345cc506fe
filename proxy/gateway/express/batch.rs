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
use super::hit::Hit;
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
const KEPT: usize = 128 * 1024;

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
    /// Where sending is.
    place: Place,
    /// How many were told.
    told: usize,
}

/// A piece of what is sent: a head with what is copied behind it, or a piece of a body.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    hit: usize,
    /// 0: the head; else one more than the piece of the body.
    piece: usize,
    /// Bytes of all pieces before it.
    before: u64,
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
        (self.bodies, self.read, self.told) = (0, 0, 0);
        self.place = Place::default();
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
        &mut self,
        io: &mut ClientIo,
        cx: &mut Context<'_>,
        sent: u64,
    ) -> Poll<io::Result<usize>> {
        if self.bodies == 0 {
            let rest = self.heads.get(sent as usize..).unwrap_or_default();
            return io.poll_pieces(cx, &[IoSlice::new(rest)]);
        }
        let mut slices: SmallVec<[IoSlice<'_>; 4]> = SmallVec::new();
        while let Some(piece) = self.piece(self.place) {
            if self.place.before + piece.len() as u64 > sent {
                break;
            }
            self.place = self.next(self.place, piece.len());
        }
        let (mut at, mut room) = (self.place, SLICE);
        let mut skip = sent.saturating_sub(at.before) as usize;
        while let Some(piece) = self.piece(at).filter(|_| room > 0 && slices.len() < PIECES) {
            let rest = piece.get(skip..).unwrap_or_default();
            let rest = &rest[..rest.len().min(room)];
            skip = 0;
            room -= rest.len();
            if !rest.is_empty() {
                slices.push(IoSlice::new(rest));
            }
            at = self.next(at, piece.len());
        }
        io.poll_pieces(cx, &slices)
    }

    /// The piece at a place; `None`: behind the last.
    fn piece(&self, at: Place) -> Option<&[u8]> {
        let hit = self.hits.get(at.hit)?;
        match at.piece {
            0 => {
                let from = at.hit.checked_sub(1).map_or(0, |n| self.hits[n].written_to);
                Some(&self.heads[from..hit.written_to])
            }
            n => Some(&hit.pieces()[n - 1]),
        }
    }

    /// The place behind this one, whose piece is so long.
    fn next(&self, at: Place, length: usize) -> Place {
        let hit = &self.hits[at.hit];
        let pieces = if hit.is_copied { 0 } else { hit.pieces().len() };
        let before = at.before + length as u64;
        match at.piece < pieces {
            true => Place {
                piece: at.piece + 1,
                before,
                ..at
            },
            false => Place {
                hit: at.hit + 1,
                piece: 0,
                before,
            },
        }
    }

    /// Tells of the requests whose answer is all among the first `sent` bytes that they went well, and, with an `end`, that
    /// the one behind them ended so; of those behind that one nobody has seen anything. `requests` is what was read of
    /// them. Each is told once. Returns when that was.
    pub fn tell(&mut self, to: Lane<'_>, requests: &[u8], sent: u64, end: Option<End>) -> Instant {
        let over = Instant::now();
        let (mut left, mut begins) = (sent, 0);
        for (at, hit) in self.hits.iter().enumerate() {
            let written = (hit.written_to - begins) as u64;
            begins = hit.written_to;
            let head = written - if hit.is_copied { hit.length } else { 0 };
            let of_body = left.saturating_sub(head).min(hit.length);
            let is_whole = left >= head + hit.length;
            left = left.saturating_sub(head + hit.length);
            let Some(how) = (if is_whole { Some(End::Ok) } else { end }) else {
                break;
            };
            if at >= self.told {
                hit.tell(to, (over, how), of_body, requests);
                self.told = at + 1;
            }
            if !is_whole {
                break;
            }
        }
        over
    }
}
