//! Ranges: whatever is asked for, no byte that is not there, none twice, and not the answer in shreds.
//!
//! The first byte is the body's length, the others the value of `Range`.

use http::{HeaderMap, HeaderValue};
use tidegate::cache::policy::range::{Ranges, wanted};

/// A length, and a field's value.
pub fn run(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first() else {
        return;
    };
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let length = u64::from(*length);
    let mut request = HeaderMap::new();
    request.append("range", value.clone());
    let parts = match wanted(&request, length) {
        Ranges::Whole | Ranges::None => Vec::new(),
        Ranges::One(part) => vec![part],
        Ranges::Many(parts) => {
            assert!((2..=16).contains(&parts.len()), "{parts:?}");
            parts.to_vec()
        }
    };
    let is_there = |part: &std::ops::Range<u64>| part.start < part.end && part.end <= length;
    assert!(parts.iter().all(is_there), "{parts:?} of {length}");
    let in_order = parts.windows(2).all(|two| two[0].end <= two[1].start);
    assert!(in_order, "{parts:?}");
    let unit = value.as_bytes().get(..6).unwrap_or_default();
    let asks = unit.eq_ignore_ascii_case(b"bytes=");
    assert!(parts.is_empty() || asks, "{value:?} asks for nothing");
    request.append("range", value);
    assert_eq!(
        wanted(&request, length),
        Ranges::Whole,
        "two lines are none"
    );
}
