//! HTTP/1 on the wire: bytes in, a verdict out. Pure.

/// Where a chunked body ends, and whether it is one.
pub mod chunks;
/// Where a request head ends, and whether it may come in.
pub mod head;
