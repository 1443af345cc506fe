//! Which node gets the request.

/// When a node is asked nothing at all.
pub mod breaker;
/// What the nodes of an upstream share across generations.
pub mod commons;
/// How quickly a node has answered lately.
pub mod ewma;
/// A node's state.
pub mod node;
/// Whether a node fails too much.
pub mod outlier;
/// Choosing among the usable.
pub mod pick;
/// The nodes of one upstream, and who may be chosen now.
pub mod pool;
/// Where requests wait for a place.
pub mod queue;
#[cfg(test)]
mod simulation;
/// How a node comes to its share.
pub mod slow_start;
/// Sessions that stay on their node.
pub mod sticky;
