//! Entity tags: whatever else a client names, what it has is found; and nothing is taken for what it is not.
//!
//! The bytes are lines of `If-None-Match`.

use http::{HeaderMap, HeaderValue};
use tidegate::cache::policy::condition::{Validators, if_range_holds, not_modified};

/// Lines.
pub fn run(bytes: &[u8]) {
    let stored = Validators {
        etag: Some(b"\"it, \\\""),
        last_modified: Some(b"Sun, 06 Nov 1994 08:49:37 GMT"),
        date: Some(b"Sun, 06 Nov 1994 08:49:38 GMT"),
    };
    let mut request = HeaderMap::new();
    let lines = bytes.split(|b| *b == b'\n');
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        request.append("if-none-match", value.clone());
        request.append("if-modified-since", value.clone());
        request.append("if-range", value);
    }
    let names = |part: &[u8]| bytes.windows(part.len()).any(|bytes| bytes == part);
    let found = not_modified(&request, &stored, 0);
    assert!(
        !found || names(b"it, \\") || names(b"*"),
        "found from nowhere"
    );
    let holds = if_range_holds(&request, &stored);
    assert!(
        !holds || request.is_empty() || names(b"it, \\") || names(b"Sun, 06 Nov 1994 08:49:37 GMT")
    );
    request.append(
        "if-none-match",
        HeaderValue::from_static("W/\"1\",W/\"it, \\\""),
    );
    assert!(not_modified(&request, &stored, 0), "not found");
}
