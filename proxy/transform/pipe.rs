//! A body on its way into another form: decoded where it came encoded, encoded where that is wanted.
//!
//! Works a slice at a time, so that nobody else on the thread waits for long. Never makes more of a piece at once than
//! a bound says, however much is packed into it.

use bytes::Bytes;

use super::compress::decode::{Decoder, Fault, decoder};
use super::compress::{Encoder, encoder};
use crate::base::coding::Coding;
use crate::config::checked::Decode;

/// Bytes that are worked on at once.
pub const SLICE: usize = 32 * 1024;

/// Makes one form of a body out of another.
pub struct Pipe {
    decoder: Option<Box<dyn Decoder + Send>>,
    encoder: Option<(Coding, Box<dyn Encoder + Send>)>,
    decoded: Vec<u8>,
    /// Bytes that went into the encoder, and that came out.
    pub counts: (u64, u64),
}

impl Pipe {
    /// From one coding to another; `length` is that of the body that comes in, where it is known. `level` is for the
    /// encoder.
    pub fn new(
        (from, to): (Coding, Coding),
        level: u32,
        length: Option<u64>,
        limits: Decode,
    ) -> Pipe {
        let decodes = from != Coding::Identity;
        let length = length.filter(|_| !decodes);
        Pipe {
            decoder: decodes.then(|| decoder(from, limits)),
            encoder: (to != Coding::Identity).then(|| (to, encoder(to, level, length))),
            decoded: Vec::new(),
            counts: (0, 0),
        }
    }

    /// Which coding it makes.
    pub fn makes(&self) -> Option<Coding> {
        self.encoder.as_ref().map(|(coding, _)| *coding)
    }

    /// Whether more comes out than went in.
    pub fn decodes(&self) -> bool {
        self.decoder.is_some()
    }

    /// Works on the next slice of `input` and appends what is ready. What it has worked on is cut off the front.
    /// `true`: there is more to do.
    ///
    /// # Errors
    /// When the body is not what its head says, or too much comes out.
    pub fn step(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let Some(decoder) = &mut self.decoder else {
            let slice = input.split_to(input.len().min(SLICE));
            encode(&mut self.encoder, &mut self.counts, &slice, out);
            return Ok(!input.is_empty());
        };
        let mut rest = &input[..];
        self.decoded.clear();
        let into = match &self.encoder {
            Some(_) => &mut self.decoded,
            None => &mut *out,
        };
        decoder.decode(&mut rest, into, SLICE)?;
        let used = input.len() - rest.len();
        drop(input.split_to(used));
        if self.encoder.is_some() {
            encode(&mut self.encoder, &mut self.counts, &self.decoded, out);
        }
        // A decoder that holds more back leaves something of what it was given.
        Ok(!input.is_empty())
    }

    /// Everything that went in comes out, so that nobody waits for more to come.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        if let Some((_, encoder)) = &mut self.encoder {
            encoder.flush(out);
        }
        self.counts.1 += (out.len() - before) as u64;
    }

    /// The body is over.
    ///
    /// # Errors
    /// When what came is not a whole body.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let before = out.len();
        if let Some(decoder) = &mut self.decoder {
            decoder.finish()?;
        }
        if let Some((_, encoder)) = &mut self.encoder {
            encoder.finish(out);
        }
        self.counts.1 += (out.len() - before) as u64;
        Ok(())
    }
}

fn encode(
    encoder: &mut Option<(Coding, Box<dyn Encoder + Send>)>,
    counts: &mut (u64, u64),
    slice: &[u8],
    out: &mut Vec<u8>,
) {
    let before = out.len();
    match encoder {
        Some((_, encoder)) => encoder.write(slice, out),
        None => out.extend_from_slice(slice),
    }
    counts.0 += slice.len() as u64;
    counts.1 += (out.len() - before) as u64;
}
