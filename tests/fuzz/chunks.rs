//! Chunked bodies: one verdict however they are cut, and the same as that of the tests' own reader.

use tidegate::wire::chunks::{Bad, Chunks};

use super::cuts;
use crate::support::strict::{self, Not};

/// Bounds differ by a few bytes from those of the tests' own reader; beyond this it is not asked.
const SHORT: usize = 8_000;
const TRAILERS: u32 = 64 * 1024;

/// Bytes behind the head of a request.
pub fn run(bytes: &[u8]) {
    let [whole, single, odd] = cuts(bytes).map(|pieces| scan(&pieces));
    assert_eq!(whole, single, "whole and byte by byte");
    assert_eq!(whole, odd, "whole and in pieces");
    if bytes.len() > SHORT {
        return;
    }
    let head = strict::head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = head.expect("a good head");
    let mut body = strict::Body::of(&head);
    match (whole, body.advance(bytes)) {
        (Ok((used, true, data)), Ok(())) => {
            assert_eq!((used, data), (body.at, body.data.len() as u64));
        }
        (Ok((used, false, _)), Err(Not::Yet)) => assert_eq!(used, bytes.len()),
        (Err(_), Err(Not::Ever(_))) => {}
        // What will never be right is refused before its line is whole. What follows cannot mend it.
        (Err(_), Err(Not::Yet)) => {
            for mend in ["\r\n\r\n", "\n\r\n", "\"\r\n0\r\n\r\n", "0\r\n\r\n"] {
                let mut body = strict::Body::of(&head);
                let mended = [bytes, mend.as_bytes()].concat();
                assert!(body.advance(&mended).is_err(), "mended by {mend:?}");
            }
        }
        (ours, theirs) => panic!("{ours:?}, the tests' own reader: {theirs:?}"),
    }
}

/// Bytes used, whether it is over, bytes of data.
fn scan(pieces: &[&[u8]]) -> Result<(usize, bool, u64), Bad> {
    let mut chunks = Chunks::new(TRAILERS);
    let mut used = 0;
    for piece in pieces {
        let before = chunks.is_over();
        let scanned = match chunks.scan(piece) {
            Ok(scanned) => scanned,
            Err(bad) => {
                assert_eq!(chunks.scan(b"0\r\n\r\n"), Err(bad), "broken stays broken");
                return Err(bad);
            }
        };
        assert!(scanned.used == piece.len() || (scanned.over && scanned.used < piece.len()));
        assert!(!before || scanned.used == 0);
        assert_eq!(scanned.over, chunks.is_over());
        assert!(chunks.announced() >= chunks.data());
        used += scanned.used;
    }
    Ok((used, chunks.is_over(), chunks.data()))
}
