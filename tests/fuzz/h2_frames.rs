//! Frames of HTTP/2 as they pass: found in whatever pieces they come, judged alike, and never taken for a place where a
//! frame of ours could stand.

use std::time::Duration;

use tidegate::base::flood::Flood;
use tidegate::base::units::Rate;
use tidegate::wire::floods::{Allowance, Meter};
use tidegate::wire::frames::{DATA, Frames, GOAWAY, PREFACE, RST_STREAM};

/// Type, flags, stream and length of a frame.
type Head = (u8, u8, u32, u32);

/// Frames, of either side.
pub fn run(bytes: &[u8]) {
    let (told, ends) = plainly(bytes);
    let mut verdicts: Vec<Option<Flood>> = Vec::new();
    for pieces in super::cuts(bytes) {
        let (mut frames, mut seen) = (Frames::default(), Vec::new());
        let (mut client, mut server) = (meter(), meter());
        let mut verdict = None;
        for piece in pieces {
            let mut rest = piece;
            while let Some(frame) = frames.next(&mut rest) {
                seen.push((frame.kind, frame.flags, frame.stream, frame.length));
                assert!(frame.body() <= frame.length);
            }
            assert!(rest.is_empty(), "a piece is used up");
            let judged = client.comes(piece, || Duration::ZERO);
            verdict = verdict.or(judged.err());
            server.goes(piece);
        }
        assert_eq!(seen, told);
        assert_eq!(frames.is_between(), ends, "where a frame may begin");
        assert_eq!(server.goodbye().is_some(), ends);
        verdicts.push(verdict);
    }
    let same = verdicts.windows(2).all(|two| two[0] == two[1]);
    assert!(same, "{verdicts:?}");
}

/// The frames of bytes that are all there, read one behind the other, and whether the last of them is complete.
fn plainly(bytes: &[u8]) -> (Vec<Head>, bool) {
    let (mut told, mut rest) = (Vec::new(), bytes);
    loop {
        let &[a, b, c, kind, flags, d, e, f, g, ref payload @ ..] = rest else {
            return (told, rest.is_empty());
        };
        let length = u32::from_be_bytes([0, a, b, c]);
        // The bytes of a payload that are looked at come with the head.
        let looked_at = match kind {
            RST_STREAM => 4,
            GOAWAY => 8,
            DATA if flags & 8 != 0 => 1,
            _ => 0,
        };
        if payload.len() < looked_at.min(length as usize) {
            return (told, false);
        }
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        told.push((kind, flags, stream, length));
        match payload.get(length as usize..) {
            Some(later) => rest = later,
            None => return (told, false),
        }
    }
}

fn meter() -> Meter {
    let rate = Rate {
        count: 20,
        per: Duration::from_secs(1),
    };
    let mut meter = Meter::new(Allowance {
        frames: Some(rate),
        resets: Some(rate),
    });
    let begun = meter.comes(PREFACE, || Duration::ZERO);
    assert_eq!(begun, Ok(()), "the preface is no frame");
    meter
}
