//! What proxies that share a Redis keep there for each other, and tell each other.
//!
//! | to understand | read |
//! |---|---|
//! | where things are in Redis | `keys` |
//! | what a value looks like, and that no foreign one is taken for ours | `codec` |
//! | how an answer is looked for | `entries` |
//! | who of the cluster fetches, and how the others wait | `lease` |
//! | how an answer gets there, behind the requests | `writer`, `queue` |
//! | which purges are known, and what that says of an answer another proxy stored | `chain` |
//! | how a purge is written | `record` |
//! | the stream of purges in Redis, and the scripts that change it | `stream` |
//! | how our purges get there | `outbox`, `publish` |
//! | how those of others take effect here | `feed` |
//!
//! It may only ever spare a fetch. Whatever fails, is late, or is not what it should be is a miss, and nobody waits
//! longer than the file says. A purge takes effect here whatever becomes of Redis.

/// Which purges are known, in which order.
pub mod chain;
/// What a value looks like.
pub mod codec;
/// How an answer is looked for and offered.
pub mod entries;
/// What others purged takes effect here.
mod feed;
/// Where things are.
pub mod keys;
/// Who of the cluster fetches.
pub mod lease;
/// Our purges on their way.
pub mod outbox;
/// Tells our purges.
mod publish;
/// Purges that all proxies carry out.
pub mod purges;
/// What was told of purges and heard of them.
pub mod purges_stats;
/// Answers that wait to be written.
mod queue;
/// How a purge is written.
pub mod record;
/// What runs inside of Redis.
mod scripts;
/// What was looked for, written and refused.
pub mod stats;
/// The stream of purges in Redis.
mod stream;
/// Writes behind the requests.
mod writer;
