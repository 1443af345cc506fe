//! Talking to a node: what a failure means, which header fields go there and come back, how it is probed.

/// What an error towards a node means.
pub mod classify;
/// How an attempt gets its connection.
pub mod connect;
/// Header fields on their way to and from a node.
pub mod headers;
/// A second node beside a slow first one.
pub mod hedge;
/// Connections that wait for the next request.
pub mod kept;
/// One connection for one request and its answer.
mod line;
/// How long a node may take to begin its answer.
pub mod patience;
/// How to connect to a node.
pub mod peer;
/// One health probe.
pub mod probe;
/// A connection to a node, with TLS or without.
pub mod stream;
/// TLS to nodes.
pub mod tls;
/// A connection that became a tunnel.
pub mod tunnel;
