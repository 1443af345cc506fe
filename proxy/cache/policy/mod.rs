//! RFC 9111 as pure functions of request, answer, stored entry and time.
//!
//! Never reads a clock, never waits, never knows who asks.

/// How long an answer is fresh, how old it is, and what else decides whether it may be used.
pub mod life;
/// Which requests an answer is for.
pub mod vary;
