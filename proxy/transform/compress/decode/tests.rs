//! Strangers' bytes: whole bodies, bodies cut short or followed by something, and bombs.

use super::super::encoder;
use super::super::tests::{CODINGS, decoded, json, whole};
use super::*;

const FREE: Decode = Decode {
    max_size: u64::MAX,
    max_ratio: u64::MAX,
};

/// A body, as a bomb is made: `mebibytes` of zeros.
fn zeros(coding: Coding, level: u32, mebibytes: u64) -> Vec<u8> {
    let mut encoder = encoder(coding, level, Some(mebibytes << 20));
    let (zeros, mut out) = (vec![0; 1 << 20], Vec::new());
    (0..mebibytes).for_each(|_| encoder.write(&zeros, &mut out));
    encoder.finish(&mut out);
    out
}

/// How many bytes come out, into a buffer of one call, and how it ends. No call gives more than it may.
fn drained(coding: Coding, limits: Decode, bytes: &[u8]) -> (u64, Result<(), Fault>) {
    const MOST: usize = 64 * 1024;
    let mut decoder = decoder(coding, limits);
    let (mut out, mut given) = (Vec::new(), 0);
    for mut piece in bytes.chunks(16 * 1024) {
        while !piece.is_empty() {
            out.clear();
            let done = decoder.decode(&mut piece, &mut out, MOST);
            assert!(out.len() <= MOST && out.capacity() <= 4 * MOST);
            given += out.len() as u64;
            if done.is_err() {
                assert_eq!(decoder.decode(&mut &b"a"[..], &mut out, MOST), done);
                assert_eq!(decoder.finish(), done, "a fault stays");
                return (given, done);
            }
        }
    }
    (given, decoder.finish())
}

#[test]
fn a_gibibyte_of_zeros_is_broken_off_early() {
    for (coding, level) in [
        (Coding::Gzip, 1),
        (Coding::Deflate, 1),
        (Coding::Brotli, 2),
        (Coding::Zstd, 1),
    ] {
        let bomb = zeros(coding, level, 1_024);
        assert!(bomb.len() < 16 << 20);
        let (given, end) = drained(coding, Decode::default(), &bomb);
        assert_eq!(end, Err(Fault::Ratio), "{coding:?}");
        assert!(given <= 5 << 20, "{coding:?}: {given} bytes");
        let sized = Decode {
            max_size: 3 << 20,
            ..FREE
        };
        let too_large = ((3 << 20) + 1, Err(Fault::TooLarge));
        assert_eq!(drained(coding, sized, &bomb), too_large, "{coding:?}");
    }
}

#[test]
fn what_is_allowed_comes_out_to_the_last_byte() {
    for coding in CODINGS {
        let body = zeros(coding, 2, 3);
        let limits = |max_size| Decode { max_size, ..FREE };
        assert_eq!(drained(coding, limits(3 << 20), &body), (3 << 20, Ok(())));
        let short = drained(coding, limits((3 << 20) - 1), &body);
        assert_eq!(short, (3 << 20, Err(Fault::TooLarge)), "{coding:?}");
        assert_eq!(drained(coding, limits(0), &body), (1, Err(Fault::TooLarge)));
    }
}

#[test]
fn a_small_body_of_zeros_is_no_bomb() {
    for coding in CODINGS {
        let body = zeros(coding, 2, 1);
        assert!(body.len() < 10_000, "more than a hundred times");
        assert_eq!(drained(coding, Decode::default(), &body), (1 << 20, Ok(())));
    }
}

#[test]
fn a_body_that_is_cut_short_is_broken() {
    let body = json(1, 3_000);
    for coding in CODINGS {
        let bytes = whole(coding, 3, &body);
        for cut in 1..bytes.len() {
            let (came, end) = decoded(coding, &bytes[..cut]);
            assert_eq!(end, Err(Fault::Broken), "{coding:?} at {cut}");
            assert!(body.starts_with(&came));
        }
    }
}

#[test]
fn a_body_of_nothing_is_an_empty_one() {
    for coding in CODINGS {
        assert_eq!(decoded(coding, b""), (Vec::new(), Ok(())));
    }
}

#[test]
fn what_follows_a_body_breaks_it() {
    for coding in CODINGS {
        for garbage in [&b"\0"[..], b"garbage", b"\r\n"] {
            let bytes = [&whole(coding, 3, b"body")[..], garbage].concat();
            assert_eq!(decoded(coding, &bytes).1, Err(Fault::Broken), "{coding:?}");
        }
    }
}

#[test]
fn what_is_no_coding_is_broken_at_once() {
    for coding in CODINGS {
        for bytes in [&b"<!doctype html>"[..], &[0xff; 40], b"\x1f\x8b\x09garbage"] {
            assert_eq!(decoded(coding, bytes).1, Err(Fault::Broken), "{coding:?}");
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let parts: [&[u8]; 4] = [b"one, ", b"", b"two, ", b"three"];
        let bytes = parts.map(|part| whole(coding, 3, part)).concat();
        let all = (b"one, two, three".to_vec(), Ok(()));
        assert_eq!(decoded(coding, &bytes), all);
        let mut decoder = decoder(coding, FREE);
        let mut out = Vec::new();
        for mut byte in bytes.chunks(1) {
            while !byte.is_empty() {
                decoder.decode(&mut byte, &mut out, 1).unwrap();
            }
        }
        assert_eq!((out, decoder.finish()), all);
    }
}

#[test]
fn deflate_may_be_bare() {
    use std::io::Write;
    for body in [json(2, 5_000), Vec::new(), b"a".to_vec()] {
        for level in 0..=9 {
            let level = flate2::Compression::new(level);
            let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), level);
            bare.write_all(&body).unwrap();
            let bytes = bare.finish().unwrap();
            assert_eq!(decoded(Coding::Deflate, &bytes), (body.clone(), Ok(())));
            let more = [&bytes[..], b"x"].concat();
            assert_eq!(decoded(Coding::Deflate, &more).1, Err(Fault::Broken));
        }
    }
}

#[test]
fn zstd_skips_what_says_so_and_reads_no_older_format() {
    let frame = whole(Coding::Zstd, 3, b"body");
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    for bytes in [
        [&skippable[..], &frame].concat(),
        [&frame[..], skippable].concat(),
    ] {
        assert_eq!(decoded(Coding::Zstd, &bytes), (b"body".to_vec(), Ok(())));
    }
    for version in 0x22..=0x27 {
        let bytes = [&[version, 0xb5, 0x2f, 0xfd][..], &frame[4..]].concat();
        assert_eq!(
            decoded(Coding::Zstd, &bytes),
            (Vec::new(), Err(Fault::Broken))
        );
    }
}

#[test]
fn zstd_windows_beyond_eight_mebibytes_are_refused() {
    // Magic, no checksum, a window descriptor; one raw block, the last, of one byte.
    let frame = |exponent: u8, mantissa: u8| {
        let window = (exponent - 10) << 3 | mantissa;
        [0x28, 0xb5, 0x2f, 0xfd, 0, window, 0b1001, 0, 0, b'a']
    };
    let fits = decoded(Coding::Zstd, &frame(23, 0));
    assert_eq!(fits, (b"a".to_vec(), Ok(())));
    for (exponent, mantissa) in [(23, 1), (24, 0), (31, 0), (41, 7)] {
        let end = decoded(Coding::Zstd, &frame(exponent, mantissa)).1;
        assert_eq!(end, Err(Fault::Broken), "2^{exponent}, {mantissa}");
    }
}

#[test]
fn brotli_windows_are_those_of_the_standard() {
    // The large window extension: 0x11, then the bits of the window.
    let bytes = [0x11, 0x1e, 0x03, 0, 0, 0];
    assert_eq!(decoded(Coding::Brotli, &bytes).1, Err(Fault::Broken));
}

#[test]
fn damage_is_found_where_the_format_has_a_sum() {
    let body = json(3, 2_000);
    for coding in [Coding::Gzip, Coding::Deflate] {
        let bytes = whole(coding, 3, &body);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let (came, end) = decoded(coding, &damaged);
            assert!(end.is_err() || came == body, "{coding:?} at {at}");
        }
    }
}

#[test]
fn zstd_is_the_same_however_it_is_cut() {
    // A frame whose header looks like a skippable frame behind its magic: no frame at all.
    let bytes = [
        &b"\x28\xb5\x2f\xfd\x50\x2a\x4d\x18\x03\0\0\0abc"[..],
        &whole(Coding::Zstd, 3, b"two"),
    ];
    assert_eq!(
        decoded(Coding::Zstd, &bytes.concat()),
        (Vec::new(), Err(Fault::Broken))
    );
}

#[test]
fn what_other_programs_wrote_is_read() {
    let things = br#"{"id":1,"name":"lamp"},{"id":2,"name":"lamp"},{"id":3,"name":"garden hose"},"#
        .repeat(3);
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/coded/");
    let read = |name: &str, coding| {
        decoded(
            coding,
            &std::fs::read(format!("{seeds}{name}")).unwrap()[1..],
        )
    };
    for (name, coding) in [
        ("gzip", Coding::Gzip),
        ("zlib", Coding::Deflate),
        ("bare", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
    ] {
        assert_eq!(read(name, coding), (things.clone(), Ok(())), "{name}");
    }
    assert_eq!(
        read("gzip-all-fields", Coding::Gzip),
        (b"abc".to_vec(), Ok(()))
    );
    assert_eq!(
        read("gzip-two-members", Coding::Gzip),
        (b"onetwo".to_vec(), Ok(()))
    );
    assert_eq!(
        read("zstd-two-frames", Coding::Zstd),
        (b"onetwo".to_vec(), Ok(()))
    );
    assert_eq!(read("br-empty", Coding::Brotli), (Vec::new(), Ok(())));
    let dictionary = read("zlib-with-a-dictionary", Coding::Deflate).1;
    assert_eq!(dictionary, Err(Fault::Broken), "nobody has it here");
}
