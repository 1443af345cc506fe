//! Which node gets the request.

/// A node's state.
pub mod node;
/// Choosing among the usable.
pub mod pick;
