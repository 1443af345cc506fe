//! Which node gets the request.

/// How quickly a node has answered lately.
pub mod ewma;
/// A node's state.
pub mod node;
/// Choosing among the usable.
pub mod pick;
/// The nodes of one upstream, and who may be chosen now.
pub mod pool;
#[cfg(test)]
mod simulation;
