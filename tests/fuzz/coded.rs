//! Coded bodies: the same comes out however they are cut, never more than was asked for; and what goes in comes out.
//!
//! The first byte says the coding: `g`, `d`, `b`, `z`. The rest is the body, once as what a stranger coded and once as
//! what is coded here.

use tidegate::base::coding::Coding;
use tidegate::config::checked::Decode;
use tidegate::transform::compress::decode::{Fault, decoder};
use tidegate::transform::compress::encoder;

use super::cuts;

/// Bytes that come out at most.
const LIMITS: Decode = Decode {
    max_size: 100_000,
    max_ratio: u64::MAX,
};

/// A letter and a body.
pub fn run(bytes: &[u8]) {
    let Some((letter, body)) = bytes.split_first() else {
        return;
    };
    let coding = match letter {
        b'g' => Coding::Gzip,
        b'd' => Coding::Deflate,
        b'b' => Coding::Brotli,
        _ => Coding::Zstd,
    };
    let [whole, single, odd] = cuts(body);
    let (came, end) = decoded(coding, &whole, 16 * 1024);
    for (pieces, most) in [(single, 64), (odd, 1_000)] {
        let (others, other) = decoded(coding, &pieces, most);
        assert_eq!(end.is_ok(), other.is_ok(), "{end:?}, in pieces {other:?}");
        assert!(came.starts_with(&others) || others.starts_with(&came));
        assert!(end.is_err() || came == others);
    }
    let mut encoder = encoder(coding, 1, None);
    let mut out = Vec::new();
    for piece in body.chunks(1_000) {
        encoder.write(piece, &mut out);
        encoder.flush(&mut out);
    }
    encoder.finish(&mut out);
    assert_eq!(decoded(coding, &[&out], 4_096), (body.to_vec(), Ok(())));
}

/// What comes out, at most `most` bytes at a time.
fn decoded(coding: Coding, pieces: &[&[u8]], most: usize) -> (Vec<u8>, Result<(), Fault>) {
    let mut decoder = decoder(coding, LIMITS);
    let mut out = Vec::new();
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            let before = (out.len(), piece.len());
            if let Err(fault) = decoder.decode(&mut piece, &mut out, most) {
                assert!(out.len() <= 100_001, "more than the limit");
                return (out, Err(fault));
            }
            assert!(out.len() - before.0 <= most, "more than was asked for");
            assert!((out.len(), piece.len()) != before, "neither took nor gave");
        }
    }
    let end = decoder.finish();
    (out, end)
}
