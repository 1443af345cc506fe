//! What a value in Redis looks like.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `TGS` and the version |
//! | 1 | `E` an answer, `I` what the answers of a URL vary by, `T` nothing: it was purged |
//! | 2 × 32 | twice the same, in digits: `floor`, the purge that nothing older may stand behind; `px`, the milliseconds that the value was given |
//! | 8 | xxh3 of all that follows, by version and kind |
//! | | the rest, below |
//!
//! The digits are written by scripts inside of Redis, which cannot hash; that is why they stand there twice. Reading
//! never panics and takes no more memory than a value announces and may have. What is of another version, of another
//! URL, cut, changed or not ours at all is nothing.

/// Answers.
mod answer;
/// Numbers and texts.
mod bytes;
/// What answers vary by.
mod index;

use std::num::NonZeroU64;

use ::bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use answer::{Answer, Encoded, Stored, encode, useful};
pub use index::Index;

/// What every value of this version begins with.
pub const MAGIC: &[u8; 4] = b"TGS1";
/// Kind: an answer.
pub const ANSWER: u8 = b'E';
/// Kind: what answers vary by.
pub const INDEX: u8 = b'I';
/// Kind: purged.
pub const PURGED: u8 = b'T';
/// Digits of a number that scripts read.
pub const DIGITS: usize = 16;
/// Where the floor stands.
const FLOOR: usize = MAGIC.len() + 1;
/// Where what was hashed begins, behind its hash.
const REST: usize = FLOOR + 4 * DIGITS + 8;
/// Bytes of an answer besides its body: more than any head, key and selection have.
const BESIDE: u64 = 256 * 1024;

/// A value as it was found.
#[derive(Debug)]
pub enum Value {
    /// An answer.
    Answer(Box<Stored>),
    /// What answers vary by.
    Index(Index),
    /// Nothing: it was purged.
    Purged,
}

/// A value and what stands before it.
#[derive(Debug)]
pub struct Framed {
    /// What it is.
    pub value: Value,
    /// Nothing older than this purge is behind it.
    pub floor: u64,
    /// Milliseconds that it was given when it was written.
    pub given: NonZeroU64,
}

/// Bytes of the largest value that can be an answer with a body of at most `most`.
pub fn longest(most: u64) -> u64 {
    most.saturating_add(BESIDE)
}

/// Reads a value found at the place of this key. `most`: bytes of the largest body that is taken. `None`: it is none of
/// ours, of another key, or not whole.
pub fn decode(value: &Bytes, key: &[u8], most: u64) -> Option<Framed> {
    if value.len() as u64 > longest(most) || !value.starts_with(MAGIC) {
        return None;
    }
    let kind = *value.get(MAGIC.len())?;
    let digits = value.get(FLOOR..FLOOR + 4 * DIGITS)?;
    let (once, twice) = digits.split_at(2 * DIGITS);
    if once != twice {
        return None;
    }
    let floor = number(&once[..DIGITS])?;
    let given = NonZeroU64::new(number(&once[DIGITS..])?)?;
    let value = match kind {
        PURGED => (value.len() == FLOOR + 4 * DIGITS).then_some(Value::Purged)?,
        ANSWER | INDEX => {
            let sum = value.get(REST - 8..REST)?.try_into().ok()?;
            let rest = value.slice(REST..);
            if u64::from_le_bytes(sum) != hash(kind, &rest) {
                return None;
            }
            match kind {
                ANSWER => Value::Answer(Box::new(answer::read(&rest, key, most)?)),
                _ => Value::Index(index::read(&rest, key)?),
            }
        }
        _ => return None,
    };
    Some(Framed {
        value,
        floor,
        given,
    })
}

/// What stands before a value that no purge stands behind, or is the whole of one that says that it was purged.
pub fn front(kind: u8, floor: u64, given: u64) -> Vec<u8> {
    let mut front = MAGIC.to_vec();
    front.push(kind);
    for _ in 0..2 {
        front.extend_from_slice(format!("{floor:0DIGITS$}{given:0DIGITS$}").as_bytes());
    }
    front
}

/// The hash of what follows, and that.
fn sealed(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(8 + rest.len());
    all.extend_from_slice(&hash(kind, rest).to_le_bytes());
    all.extend_from_slice(rest);
    all
}

fn hash(kind: u8, rest: &[u8]) -> u64 {
    xxh3_64_with_seed(rest, u64::from(MAGIC[3]) << 8 | u64::from(kind))
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let is_digits = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
