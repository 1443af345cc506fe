//! HTTP/1 on the wire: bytes in, a verdict out. Pure.

/// Where a request head ends, and whether it may come in.
pub mod head;
