//! HTTP/1 on the wire: bytes in, a verdict out. Pure.

/// How a node is told whose connection comes to it.
pub mod announce;
/// Whether the head of a node's answer is one, and where the answer ends.
pub mod answer;
/// The form in which a request head is handed on.
pub mod canon;
/// Where a chunked body ends, and whether it is one.
pub mod chunks;
/// One request and its answer on one connection.
pub mod exchange;
/// The fields that decide where a request ends and how its connection goes on.
mod fields;
/// Where a request head ends, and whether it may come in.
pub mod head;
/// What of a good head can be asked as it is.
pub mod parsed;
/// How a proxy in front tells whose connection it passes on.
pub mod prelude;
/// What a request of HTTP/2 may say.
pub mod pseudo;
/// Where the frames of a WebSocket begin and end.
pub mod websocket;
