//! HTTP/1 on the wire: bytes in, a verdict out. Pure.

/// The form in which a request head is handed on.
pub mod canon;
/// Where a chunked body ends, and whether it is one.
pub mod chunks;
/// The fields that decide where a request ends and how its connection goes on.
mod fields;
/// Where a request head ends, and whether it may come in.
pub mod head;
/// The one form of a path.
pub mod path;
/// How a proxy in front tells whose connection it passes on.
pub mod prelude;
/// What a request of HTTP/2 may say.
pub mod pseudo;
