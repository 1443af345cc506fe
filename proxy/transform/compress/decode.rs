//! Back to identity: what strangers compressed, within bounds.
//!
//! A kilobyte can say gigabytes, so nobody gets more than the room that was asked for, and a body ends where its limits
//! do. What is cut short, or followed by anything, is broken: never passed on as if it were whole.

use super::{brotli, flate, zstd};
use crate::base::coding::Coding;
use crate::config::checked::Decode;

/// Why a body cannot be decoded. What came out before stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not the coding, is cut short, or something follows it.
    Broken,
    /// More than [`Decode::max_size`] bytes come out.
    TooLarge,
    /// More than [`Decode::max_ratio`] times what went in comes out.
    Ratio,
}

impl Fault {
    /// Every value, for metrics that exist from the start.
    pub const ALL: [Fault; 3] = [Fault::Broken, Fault::TooLarge, Fault::Ratio];

    /// The word of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Broken => "broken",
            Fault::TooLarge => "too_large",
            Fault::Ratio => "ratio",
        }
    }
}

/// Reads one body.
pub trait Decoder: Send {
    /// Takes from `input` and appends at most `most` bytes (at least one) to `out`.
    ///
    /// What is left of `input` wants to be given again, first and unchanged, in the next call: as long as anything is
    /// left more may come out, and once nothing is left everything that was taken is out. A fault ends it.
    fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Fault>;

    /// The body is over. A body of no bytes at all is an empty one, as clients see it.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// A decoder that keeps to `limits`. Identity copies; nobody should ask for it.
pub fn decoder(coding: Coding, limits: Decode) -> Box<dyn Decoder + Send> {
    match coding {
        Coding::Identity => bounded(Copying, limits),
        Coding::Gzip => bounded(flate::Gunzip::default(), limits),
        Coding::Deflate => bounded(flate::Inflate::default(), limits),
        Coding::Brotli => bounded(brotli::Unbrotli::new(), limits),
        Coding::Zstd => bounded(zstd::Unzstd::new(), limits),
    }
}

/// Bytes that come out before their ratio counts: a small body of zeros is no bomb.
const RATIO_FROM: u64 = 1024 * 1024;

/// Bytes that went in of which the ratio is taken, the last ones: a dull beginning does not pay for a bomb behind it.
const RATIO_OF: u64 = 64 * 1024;

/// Bytes that come out before the limits are looked at again.
const STEP: usize = 16 * 1024;

/// It is not the coding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken;

/// One coding, without limits of its own.
pub(super) trait Reader: Send {
    /// Fills `room` (never empty) from `input`; how far. Stops early only when all input is taken and everything of it is
    /// given.
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken>;
    /// Whether the body may end here.
    fn is_whole(&self) -> bool;
}

struct Bounded<R> {
    reader: R,
    limits: Decode,
    taken: u64,
    given: u64,
    /// Bytes that may come out yet before their ratio is too much.
    credit: u64,
    /// The last byte was taken but left in `input`, because more comes out of it than there was room for.
    is_lent: bool,
    fault: Option<Fault>,
}

fn bounded<R: Reader + 'static>(reader: R, limits: Decode) -> Box<dyn Decoder + Send> {
    Box::new(Bounded {
        reader,
        limits,
        taken: 0,
        given: 0,
        credit: RATIO_FROM,
        is_lent: false,
        fault: None,
    })
}

impl<R: Reader> Bounded<R> {
    /// Appends at most `room` bytes; whether there may be more.
    fn step(&mut self, rest: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<bool, Fault> {
        let (begin, before) = (out.len(), rest.len());
        // One more than the limit is enough to know that it is too large.
        let most = self.limits.max_size.saturating_sub(self.given);
        let room = room.min(usize::try_from(most).map_or(room, |most| most.saturating_add(1)));
        out.resize(begin + room, 0);
        let read = self.reader.read(rest, &mut out[begin..]);
        let given = read.unwrap_or(0);
        out.truncate(begin + given);
        read.map_err(|Broken| Fault::Broken)?;
        let taken = before - rest.len();
        self.taken += taken as u64;
        self.given += given as u64;
        if self.given > self.limits.max_size {
            return Err(Fault::TooLarge);
        }
        let ratio = self.limits.max_ratio;
        if self.given > RATIO_FROM && self.given > self.taken.saturating_mul(ratio) {
            return Err(Fault::Ratio);
        }
        let most = RATIO_FROM.saturating_add(RATIO_OF.saturating_mul(ratio));
        let earned = (taken as u64).saturating_mul(ratio);
        let credit = self.credit.saturating_add(earned).min(most);
        self.credit = credit.checked_sub(given as u64).ok_or(Fault::Ratio)?;
        match given == room || !rest.is_empty() {
            // Neither took nor gave: it would go on like this for ever.
            true if taken == 0 && given == 0 => Err(Fault::Broken),
            more => Ok(more),
        }
    }

    fn steps(&mut self, input: &mut &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        let (whole, full) = (*input, out.len() + most);
        let lent = usize::from(std::mem::take(&mut self.is_lent));
        *input = whole.get(lent..).unwrap_or_default();
        while self.step(input, out, STEP.min(full - out.len()))? {
            if out.len() == full {
                if input.is_empty() && !whole.is_empty() {
                    self.is_lent = true;
                    *input = &whole[whole.len() - 1..];
                }
                break;
            }
        }
        Ok(())
    }
}

impl<R: Reader> Decoder for Bounded<R> {
    fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let done = self.steps(input, out, most.max(1));
        self.fault = done.err();
        done
    }

    fn finish(&mut self) -> Result<(), Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.is_lent || !self.reader.is_whole() => Err(Fault::Broken),
            None => Ok(()),
        }
    }
}

struct Copying;

impl Reader for Copying {
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        let (now, later) = input.split_at(room.len().min(input.len()));
        room[..now.len()].copy_from_slice(now);
        *input = later;
        Ok(now.len())
    }

    fn is_whole(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
