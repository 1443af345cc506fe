//! Talking to a node: what a failure means, which header fields go there and come back, how it is probed.

/// What an error towards a node means.
pub mod classify;
/// Header fields on their way to and from a node.
pub mod headers;
/// How to connect to a node.
pub mod peer;
/// One health probe.
pub mod probe;
