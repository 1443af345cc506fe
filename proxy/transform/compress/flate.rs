//! `gzip` and `deflate`: one algorithm in two wrappers (RFC 1951 in RFC 1952 or RFC 1950).
//!
//! `deflate` is always the zlib format when it is written, as the standard says; when read it may also be bare, as some
//! servers say it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::decode::{Broken, Reader};
use super::kept::{self, Kept};
use super::{Encoder, room};

/// Bits of the largest window there is: 32 KiB.
const WINDOW: u8 = 15;

/// What stands around the compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zlib,
}

/// A context, and what it was made for.
struct Context {
    format: Format,
    level: u32,
    stream: Compress,
}

thread_local! {
    static KEPT: Kept<Context> = const { Kept::new() };
}

/// Writes one body.
pub(super) struct Writer {
    /// Always there until it is dropped.
    context: Option<Context>,
    /// Something was written since the last flush.
    is_open: bool,
    /// The end was given.
    is_over: bool,
}

impl Writer {
    /// At a level from 1 to 9.
    pub(super) fn new(format: Format, level: u32) -> Writer {
        let fits = |kept: &Context| (kept.format, kept.level) == (format, level);
        let context = kept::take(&KEPT, fits).unwrap_or_else(|| {
            let compression = Compression::new(level);
            let stream = match format {
                Format::Gzip => Compress::new_gzip(compression, WINDOW),
                Format::Zlib => Compress::new(compression, true),
            };
            Context {
                format,
                level,
                stream,
            }
        });
        Writer {
            context: Some(context),
            is_open: false,
            is_over: false,
        }
    }

    /// Until everything is taken, and with `flush` also given.
    fn run(&mut self, mut piece: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let Some(Context { stream, .. }) = &mut self.context else {
            return;
        };
        out.reserve(room(piece));
        loop {
            let before = stream.total_in();
            // Fails only in a state that this is never in: the stream is initialised, and over at the end alone.
            let status = stream.compress_vec(piece, out, flush);
            let used = usize::try_from(stream.total_in() - before).unwrap_or(usize::MAX);
            piece = piece.get(used..).unwrap_or_default();
            self.is_over = matches!(status, Ok(Status::StreamEnd));
            // Room that is left says that there was nothing more to give.
            let is_done = piece.is_empty() && out.len() < out.capacity();
            if is_done || !matches!(status, Ok(Status::Ok)) && out.len() < out.capacity() {
                return;
            }
            out.reserve(room(piece));
        }
    }
}

impl Encoder for Writer {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !piece.is_empty() {
            self.is_open = true;
            self.run(piece, FlushCompress::None, out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_open) {
            self.run(&[], FlushCompress::Sync, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(&[], FlushCompress::Finish, out);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A reset forgets all but one thing, zlib-ng's block that is open at level 1: only what ended is used again.
        if let Some(mut context) = self.context.take().filter(|_| self.is_over) {
            context.stream.reset();
            kept::give(&KEPT, context);
        }
    }
}

/// Reads `gzip`: one member or several (RFC 1952 §2.2).
#[derive(Default)]
pub(super) struct Gunzip {
    /// The member that is being read; none between members.
    member: Option<Decompress>,
}

impl Reader for Gunzip {
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let mut given = 0;
        while given < room.len() && !(input.is_empty() && self.member.is_none()) {
            let fresh = || Decompress::new_gzip(WINDOW);
            let member = self.member.get_or_insert_with(fresh);
            let (more, is_over) = inflate(member, input, &mut room[given..])?;
            given += more;
            if !is_over {
                break;
            }
            self.member = None;
        }
        Ok(given)
    }

    fn is_whole(&self) -> bool {
        self.member.is_none()
    }
}

/// Reads `deflate`: the zlib format, or bare.
#[derive(Default)]
pub(super) enum Inflate {
    /// Nothing came yet.
    #[default]
    Empty,
    /// The first byte; it takes two to tell which format it is.
    First(u8),
    Within(Decompress),
    Over,
}

impl Inflate {
    fn go_on(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let Inflate::Within(stream) = self else {
            return Ok(0);
        };
        let (given, is_over) = inflate(stream, input, room)?;
        if is_over {
            *self = Inflate::Over;
        }
        Ok(given)
    }
}

impl Reader for Inflate {
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let mut given = 0;
        if let (Inflate::Empty, Some((byte, rest))) = (&*self, input.split_first()) {
            *self = Inflate::First(*byte);
            *input = rest;
        }
        if let (Inflate::First(first), Some((byte, rest))) = (&*self, input.split_first()) {
            let head = [*first, *byte];
            *input = rest;
            *self = Inflate::Within(Decompress::new(is_zlib(head)));
            // Two bytes become one at most, and need both for it.
            given = self.go_on(&mut &head[..], room)?;
        }
        if given < room.len() {
            given += self.go_on(input, &mut room[given..])?;
        }
        match self {
            Inflate::Over if !input.is_empty() => Err(Broken),
            _ => Ok(given),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self, Inflate::Empty | Inflate::Over)
    }
}

/// Whether a body begins as the zlib format does (RFC 1950 §2.2): bare, these bits would be a stored block whose unused
/// bits are set, which nobody writes.
fn is_zlib(head: [u8; 2]) -> bool {
    head[0] & 0x0f == 8 && head[0] >> 4 <= 7 && u16::from_be_bytes(head).is_multiple_of(31)
}

/// Bytes given, and whether it is over. Stops where there is no more input, or no more room.
fn inflate(
    stream: &mut Decompress,
    input: &mut &[u8],
    room: &mut [u8],
) -> Result<(usize, bool), Broken> {
    let (taken, given) = (stream.total_in(), stream.total_out());
    let status = stream.decompress(input, room, FlushDecompress::None);
    let status = status.map_err(|_| Broken)?;
    let taken = usize::try_from(stream.total_in() - taken).map_err(|_| Broken)?;
    let given = usize::try_from(stream.total_out() - given).map_err(|_| Broken)?;
    *input = input.get(taken..).unwrap_or_default();
    Ok((given, status == Status::StreamEnd))
}
