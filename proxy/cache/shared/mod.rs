//! The second tier: answers that the proxies of a cluster keep for each other in Redis.
//!
//! | to understand | read |
//! |---|---|
//! | where things are in Redis | `keys` |
//! | what a value looks like, and that no foreign one is taken for ours | `codec` |
//! | how an answer is looked for | `entries` |
//! | who of the cluster fetches, and how the others wait | `lease` |
//! | how an answer gets there, behind the requests | `writer`, `queue` |
//!
//! It may only ever spare a fetch. Whatever fails, is late, or is not what it should be is a miss, and nobody waits
//! longer than the file says.

/// Which purges are known, in which order.
pub mod chain;
/// What a value looks like.
pub mod codec;
/// How an answer is looked for and offered.
pub mod entries;
/// Where things are.
pub mod keys;
/// Who of the cluster fetches.
pub mod lease;
/// Purges that all proxies carry out.
pub mod purges;
/// Answers that wait to be written.
mod queue;
/// What runs inside of Redis.
mod scripts;
/// What was looked for, written and refused.
pub mod stats;
/// Writes behind the requests.
mod writer;
