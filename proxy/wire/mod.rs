//! HTTP/1 on the wire: bytes in, a verdict out. Pure.

/// Whether the head of a node's answer is one, and where the answer ends.
pub mod answer;
/// Where a chunked body ends, and whether it is one.
pub mod chunks;
/// One request and its answer on one connection.
pub mod exchange;
/// Where a request head ends, and whether it may come in.
pub mod head;
