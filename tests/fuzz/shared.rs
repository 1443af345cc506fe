//! Values of the tier that proxies share: whatever stands in Redis, it is an answer that was written, or none.
//!
//! The first byte says what is done to the rest: shown as it is, as digits and hash would have it, or as a kept value
//! into which it is put.

use bytes::Bytes;
use tidegate::cache::shared::codec::{ANSWER, INDEX, MAGIC, Value, decode, front};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The key that values are read for: `http://a/`.
const KEY: &[u8] = b"\x00\x00\x00\x00\x01a\x00\x00\x00\x01/\x00";
/// Bytes of the largest body.
const MOST: u64 = 4_096;

/// A value, or what one could have behind its hash.
pub fn run(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let value = match how {
        b'e' => sealed(ANSWER, rest),
        b'i' => sealed(INDEX, rest),
        _ => rest.to_vec(),
    };
    let value = Bytes::from(value);
    let Some(framed) = decode(&value, KEY, MOST) else {
        return;
    };
    assert!(value.starts_with(MAGIC));
    let is_for_key = || value.windows(KEY.len()).any(|part| part == KEY);
    match framed.value {
        Value::Purged => assert_eq!(value.len(), 5 + 64),
        Value::Index(index) => {
            assert!(is_for_key() && !index.names.is_empty() && index.names.len() <= 64);
        }
        Value::Answer(stored) => {
            assert!(is_for_key() && stored.body.len() as u64 <= MOST);
            assert!(stored.life(stored.useful, 0).is_none(), "of use for ever");
            let lines = stored.head.lines();
            assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
            // Each line that is sent is one field.
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(stored.head.slices().count(), count);
        }
    }
}

/// A value with this behind a hash that is right.
fn sealed(kind: u8, rest: &[u8]) -> Vec<u8> {
    let sum = xxh3_64_with_seed(rest, u64::from(MAGIC[3]) << 8 | u64::from(kind));
    [&front(kind, 3, 1_000)[..], &sum.to_le_bytes(), rest].concat()
}
