//! Which node gets the request.

/// A node's state.
pub mod node;
/// Choosing among the usable.
pub mod pick;
/// The nodes of one upstream, and who may be chosen now.
pub mod pool;
