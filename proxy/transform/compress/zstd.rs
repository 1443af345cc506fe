//! `zstd` (RFC 8878), with windows that every client has (RFC 9659).
//!
//! Neither writes nor reads a window beyond 8 MiB, and never reads the formats of before the standard.

use ::zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective,
    zstd_sys::ZSTD_EndDirective as End,
};

use super::decode::{Broken, Reader};
use super::kept::{self, Kept};
use super::{Encoder, room};

/// What a frame begins with; within a frame, a block that is too long.
const MAGIC: u32 = 0xfd2f_b528;

/// Bits of the largest window that clients must have.
const MAX_WINDOW: u32 = 23;

/// Bits of the window for a body whose length nobody knows: it streams beside many others, each with a window.
const STREAM_WINDOW: u32 = 18;

/// Bytes of a context that is still kept: that of a long body at the best level has a hundred times more.
const KEPT_SIZE: usize = 2 * 1024 * 1024;

thread_local! {
    static KEPT: Kept<CCtx<'static>> = const { Kept::new() };
}

/// Writes one frame.
pub(super) struct Writer {
    /// Always there until it is dropped.
    context: Option<CCtx<'static>>,
    /// Something was written since the last flush.
    is_open: bool,
    /// Not as many bytes were written as were announced: nothing that follows could mend it.
    is_broken: bool,
}

impl Writer {
    /// At a level from 1 to 19.
    pub(super) fn new(level: u32, length: Option<u64>) -> Writer {
        let mut context = kept::take(&KEPT, |_| true).unwrap_or_else(CCtx::create);
        let level = i32::try_from(level).unwrap_or(i32::MAX);
        let mut set = vec![CParameter::CompressionLevel(level)];
        if length.is_none() {
            set.push(CParameter::WindowLog(STREAM_WINDOW));
        }
        // These fail for values out of range and while a frame is being written; neither is so.
        let _ = context.reset(ResetDirective::SessionAndParameters);
        for parameter in set {
            let _ = context.set_parameter(parameter);
        }
        let _ = context.set_pledged_src_size(length);
        Writer {
            context: Some(context),
            is_open: false,
            is_broken: false,
        }
    }

    /// Until everything is taken, and unless `end` is to go on also given.
    fn run(&mut self, piece: &[u8], end: End, out: &mut Vec<u8>) {
        let Some(context) = self.context.as_mut().filter(|_| !self.is_broken) else {
            return;
        };
        let mut input = InBuffer::around(piece);
        loop {
            out.reserve(room(&piece[input.pos()..]));
            let at = out.len();
            let mut output = OutBuffer::around_pos(out, at);
            let left = context.compress_stream2(&mut output, &mut input, end);
            let Ok(left) = left else {
                // Else a client could take what it has, or nothing, for the whole.
                out.extend_from_slice(&MAGIC.to_le_bytes());
                self.is_broken = true;
                return;
            };
            let goes_on = end == End::ZSTD_e_continue;
            if input.pos() == piece.len() && (left == 0 || goes_on) {
                return;
            }
        }
    }
}

impl Encoder for Writer {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !piece.is_empty() {
            self.is_open = true;
            self.run(piece, End::ZSTD_e_continue, out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_open) {
            self.run(&[], End::ZSTD_e_flush, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(&[], End::ZSTD_e_end, out);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(context) = self.context.take().filter(|c| c.sizeof() <= KEPT_SIZE) {
            kept::give(&KEPT, context);
        }
    }
}

/// Bytes of the longest head of a frame (RFC 8878 §3.1.1.1).
const HEAD: usize = 18;

/// Reads frames, and skips those that say so.
pub(super) struct Unzstd {
    context: DCtx<'static>,
    /// What a frame begins with.
    magic: [u8; 4],
    /// Bytes of the frame that came, no more than a head has; none between frames.
    has: usize,
}

impl Unzstd {
    pub(super) fn new() -> Unzstd {
        let mut context = DCtx::create();
        // A value in range, before the first frame.
        let _ = context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW));
        Unzstd {
            context,
            magic: [0; 4],
            has: 0,
        }
    }

    /// Gives the context `input`, and takes what it gives; bytes given.
    fn run(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(room);
        let left = self.context.decompress_stream(&mut to, &mut from);
        let (taken, given) = (from.pos(), to.pos());
        *input = &input[taken..];
        if left.map_err(|_| Broken)? == 0 {
            self.has = 0;
        }
        Ok(given)
    }

    /// Gives a head byte by byte: of one that comes in two parts, the library may take the second for the beginning of a
    /// frame.
    fn go_on(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let most = if self.has < HEAD { 1 } else { usize::MAX };
        let (mut now, before) = (&input[..input.len().min(most)], self.has);
        let offered = now.len();
        let given = self.run(&mut now, room)?;
        let taken = offered - now.len();
        *input = &input[taken..];
        if self.has == before {
            self.has = before.saturating_add(taken).min(HEAD);
        }
        Ok(given)
    }

    /// Reads what a frame begins with; whether it is whole. The library would also read formats that no standard has.
    fn begin(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<bool, Broken> {
        let (now, later) = input.split_at(input.len().min(self.magic.len() - self.has));
        self.magic[self.has..][..now.len()].copy_from_slice(now);
        self.has += now.len();
        *input = later;
        if self.has < self.magic.len() {
            return Ok(false);
        }
        match u32::from_le_bytes(self.magic) {
            MAGIC | 0x184d_2a50..=0x184d_2a5f => {
                let magic = self.magic;
                self.run(&mut &magic[..], room)?;
                Ok(true)
            }
            _ => Err(Broken),
        }
    }
}

impl Reader for Unzstd {
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let mut given = 0;
        while given < room.len() {
            let before = (input.len(), given);
            if self.has < self.magic.len() && !self.begin(input, &mut room[given..])? {
                break;
            }
            given += self.go_on(input, &mut room[given..])?;
            if (input.len(), given) == before {
                break;
            }
        }
        Ok(given)
    }

    fn is_whole(&self) -> bool {
        self.has == 0
    }
}
