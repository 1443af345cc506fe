//! What goes in comes out again, whole and at every flush, whatever the coding, the level and the cuts.

use fastrand::Rng;
use proptest::prelude::*;

use super::decode::{Fault, decoder};
use super::*;
use crate::config::checked::Decode;

pub(super) const CODINGS: [Coding; 4] =
    [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// Levels that differ in kind: the first, those of the defaults, and the last.
pub(super) fn some_levels(coding: Coding) -> [u32; 4] {
    let levels = levels(coding);
    let live = match coding {
        Coding::Zstd => 3,
        Coding::Brotli => 4,
        _ => 5,
    };
    [*levels.start(), live, live + 4, *levels.end()]
}

/// Words and numbers as answers have them.
pub(super) fn json(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut body = String::from("[");
    while body.len() < bytes {
        let name: String = (0..8).map(|_| rng.lowercase()).collect();
        let (id, price) = (rng.u32(..1_000_000), rng.u32(..100_000));
        let kind = ["book", "lamp", "chair", "garden hose"][rng.usize(..4)];
        body += &format!(r#"{{"id":{id},"name":"{name}","kind":"{kind}","price":{price}}},"#);
    }
    body.into_bytes()[..bytes].to_vec()
}

/// One body, in pieces, each flushed or not.
fn encoded(coding: Coding, level: u32, length: Option<u64>, pieces: &[(&[u8], bool)]) -> Vec<u8> {
    let mut encoder = encoder(coding, level, length);
    let mut out = Vec::new();
    for (piece, flush) in pieces {
        encoder.write(piece, &mut out);
        if *flush {
            encoder.flush(&mut out);
        }
    }
    encoder.finish(&mut out);
    out
}

/// A whole body.
pub(super) fn whole(coding: Coding, level: u32, body: &[u8]) -> Vec<u8> {
    encoded(coding, level, Some(body.len() as u64), &[(body, false)])
}

/// What comes out of bytes, and whether they may end there. Limits as by default.
pub(super) fn decoded(coding: Coding, bytes: &[u8]) -> (Vec<u8>, Result<(), Fault>) {
    let mut decoder = decoder(coding, Decode::default());
    let (mut input, mut out) = (bytes, Vec::new());
    while !input.is_empty() {
        if let Err(fault) = decoder.decode(&mut input, &mut out, 64 * 1024) {
            return (out, Err(fault));
        }
    }
    let end = decoder.finish();
    (out, end)
}

#[test]
fn a_body_comes_out_as_it_went_in_at_every_level() {
    for coding in CODINGS {
        for level in levels(coding) {
            let bytes = if level > 9 { 5_000 } else { 100_000 };
            for body in [json(1, bytes), Vec::new(), vec![b'x']] {
                let whole = whole(coding, level, &body);
                assert_eq!(
                    decoded(coding, &whole),
                    (body, Ok(())),
                    "{coding:?} {level}"
                );
            }
        }
    }
}

#[test]
fn what_has_no_pattern_comes_out_too() {
    let mut rng = Rng::with_seed(6);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..))
        .take(300_000)
        .collect();
    for coding in CODINGS {
        for level in some_levels(coding).into_iter().take(3) {
            let whole = whole(coding, level, &noise);
            assert!(whole.len() < noise.len() * 107 / 100);
            assert_eq!(
                decoded(coding, &whole),
                (noise.clone(), Ok(())),
                "{coding:?} {level}"
            );
        }
    }
}

#[test]
fn a_flush_leaves_nothing_behind() {
    let body = json(2, 40_000);
    for coding in CODINGS {
        for level in some_levels(coding) {
            for length in [None, Some(body.len() as u64)] {
                let mut encoder = encoder(coding, level, length);
                let mut out = Vec::new();
                let (mut went_in, mut rng) = (0, Rng::with_seed(3));
                while went_in < body.len() {
                    let piece = rng.usize(1..6_000).min(body.len() - went_in);
                    encoder.write(&body[went_in..went_in + piece], &mut out);
                    encoder.flush(&mut out);
                    went_in += piece;
                    let (so_far, _) = decoded(coding, &out);
                    assert!(so_far == body[..went_in], "{coding:?} {level} at {went_in}");
                    let before = out.len();
                    encoder.flush(&mut out);
                    assert_eq!(out.len(), before, "{coding:?}: nothing more to flush");
                }
                encoder.finish(&mut out);
                assert_eq!(decoded(coding, &out), (body.clone(), Ok(())));
            }
        }
    }
}

#[test]
fn a_flush_of_nothing_is_nothing() {
    for coding in CODINGS {
        let mut encoder = encoder(coding, 5, None);
        let mut out = Vec::new();
        encoder.flush(&mut out);
        encoder.write(b"", &mut out);
        encoder.flush(&mut out);
        assert_eq!(out, b"");
        encoder.finish(&mut out);
        assert_eq!(decoded(coding, &out), (Vec::new(), Ok(())), "{coding:?}");
    }
}

#[test]
fn what_is_appended_leaves_what_was_there() {
    for coding in CODINGS {
        let mut encoder = encoder(coding, 3, None);
        let mut out = b"before".to_vec();
        encoder.write(b"piece", &mut out);
        encoder.flush(&mut out);
        encoder.finish(&mut out);
        assert!(out.starts_with(b"before"));
        assert_eq!(decoded(coding, &out[6..]), (b"piece".to_vec(), Ok(())));
    }
}

#[test]
fn a_body_that_was_broken_off_leaves_no_trace_in_the_next() {
    let body = json(4, 9_000);
    for coding in CODINGS {
        for level in [1, 9] {
            let first = whole(coding, level, &body);
            for _ in 0..6 {
                let mut broken_off = encoder(coding, level, Some(100_000));
                broken_off.write(&body[3..], &mut Vec::new());
            }
            assert!(whole(coding, level, &body) == first, "{coding:?}");
        }
    }
}

#[test]
fn a_level_that_does_not_exist_is_the_nearest_that_does() {
    let body = json(5, 2_000);
    for coding in CODINGS {
        let levels = levels(coding);
        assert_eq!(
            whole(coding, 99, &body),
            whole(coding, *levels.end(), &body)
        );
        assert_eq!(
            whole(coding, 0, &body),
            whole(coding, *levels.start(), &body)
        );
    }
}

#[test]
fn zstd_keeps_to_windows_that_clients_have() {
    // RFC 8878 §3.1.1.1.2: a descriptor follows magic and header byte unless the frame is one segment.
    for level in levels(Coding::Zstd) {
        for length in [None, Some(1 << 33)] {
            let mut encoder = encoder(Coding::Zstd, level, length);
            let mut out = Vec::new();
            encoder.write(b"a", &mut out);
            encoder.flush(&mut out);
            assert_eq!(out[4] & 0x20, 0, "not one segment");
            let (exponent, mantissa) = (u64::from(out[5] >> 3), u64::from(out[5] & 7));
            let base = 1 << (10 + exponent);
            let window = base + base / 8 * mantissa;
            assert!(window <= 8 << 20, "{level}: {window}");
            assert!(length.is_some() || window <= 1 << 18, "{level}: {window}");
        }
    }
}

#[test]
fn a_body_of_another_length_than_announced_is_never_taken_for_whole() {
    let body = json(8, 70_000);
    for wrong in [10, body.len() as u64 - 1, body.len() as u64 + 1, 1 << 40] {
        for coding in CODINGS {
            let out = encoded(coding, 3, Some(wrong), &[(&body, true), (b"", false)]);
            let (came, end) = decoded(coding, &out);
            assert!(body.starts_with(&came), "{coding:?} {wrong}");
            // The others need not know it, and do not.
            let is_whole = coding != Coding::Zstd;
            assert_eq!(end.is_ok(), is_whole, "{coding:?} {wrong}");
        }
    }
}

#[test]
fn small_bodies_are_smaller_by_half() {
    let body = json(9, 2_048);
    for coding in CODINGS {
        for level in some_levels(coding) {
            let whole = whole(coding, level, &body);
            assert!(
                whole.len() * 2 < body.len(),
                "{coding:?} {level}: {}",
                whole.len()
            );
        }
    }
}

fn coding() -> impl Strategy<Value = (Coding, u32)> {
    let levels = |coding| (Just(coding), 0..4_usize);
    let coding = proptest::sample::select(&CODINGS[..]).prop_flat_map(levels);
    coding.prop_map(|(coding, at)| (coding, some_levels(coding)[at]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_and_flushes_change_nothing_of_what_comes_out(
        (coding, level) in coding(),
        seed: u64,
        cuts in proptest::collection::vec((0..3_000_usize, any::<bool>()), 0..8),
        known: bool,
        steps in proptest::collection::vec((1..700_usize, 1..900_usize), 1..9),
    ) {
        let body = json(seed, cuts.iter().map(|(length, _)| length).sum());
        let mut rest = &body[..];
        let pieces: Vec<_> = cuts.iter().map(|(length, flush)| {
            let (piece, later) = rest.split_at(*length);
            rest = later;
            (piece, *flush)
        }).collect();
        let bytes = encoded(coding, level, known.then_some(body.len() as u64), &pieces);
        // Read in pieces of any size, into any room.
        let mut decoder = decoder(coding, Decode::default());
        let (mut out, mut unread) = (Vec::new(), &bytes[..]);
        for (piece, room) in steps.into_iter().cycle() {
            let (mut input, later) = unread.split_at(piece.min(unread.len()));
            while !input.is_empty() {
                let before = out.len();
                prop_assert_eq!(decoder.decode(&mut input, &mut out, room), Ok(()));
                prop_assert!(out.len() - before <= room);
            }
            prop_assert!(body.starts_with(&out));
            unread = later;
            if unread.is_empty() {
                break;
            }
        }
        prop_assert_eq!(decoder.finish(), Ok(()));
        prop_assert!(out == body);
    }
}
