//! Codings behind one pair of traits: bytes in, coded bytes out, and back.
//!
//! Everything happens in memory, so that encoders cannot fail; decoders read what strangers wrote, and believe nothing.
//! Contexts are kept by their thread for the next body: making one costs more than a small body does.

mod brotli;
pub mod decode;
mod flate;
mod kept;
mod zstd;

use std::ops::RangeInclusive;

use crate::base::coding::Coding;
use crate::config::checked::LEVELS;

/// Writes one body in a coding.
pub trait Encoder: Send {
    /// Takes a piece of the body. What is appended may be nothing yet.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>);
    /// Appends what makes everything that was written so far readable. Costs a few bytes; nothing if nothing was written
    /// since the last time.
    fn flush(&mut self, out: &mut Vec<u8>);
    /// Appends the end. Once, and nothing after it.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Levels that a coding has, the least effort first; 0 alone for identity.
pub fn levels(coding: Coding) -> RangeInclusive<u32> {
    LEVELS.get(coding).cloned().unwrap_or(0..=0)
}

/// An encoder at this level (the nearest there is) for a body of so many bytes, if that is known: tables and windows are
/// made for it. Then exactly so many must be written: zstd says the length in its first bytes, and what is another one
/// cannot be decoded. Identity copies; nobody should ask for it.
pub fn encoder(coding: Coding, level: u32, length: Option<u64>) -> Box<dyn Encoder + Send> {
    let levels = levels(coding);
    let level = level.clamp(*levels.start(), *levels.end());
    match coding {
        Coding::Identity => Box::new(Copying),
        Coding::Gzip => Box::new(flate::Writer::new(flate::Format::Gzip, level)),
        Coding::Deflate => Box::new(flate::Writer::new(flate::Format::Zlib, level)),
        Coding::Brotli => Box::new(brotli::Writer::new(level, length)),
        Coding::Zstd => Box::new(zstd::Writer::new(level, length)),
    }
}

/// Room for what a piece may become: it grows when that is not enough.
fn room(piece: &[u8]) -> usize {
    piece.len() / 4 + 512
}

struct Copying;

impl Encoder for Copying {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn finish(&mut self, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests;
