//! What proxies that share a Redis tell each other of their caches.
//!
//! | to understand | read |
//! |---|---|
//! | which purges are known, and what that says of an answer another proxy stored | `chain` |
//! | how a purge is written | `record` |
//! | what is in Redis, and the scripts that change it | `stream` |
//! | how our purges get there | `outbox`, `publish` |
//! | how those of others take effect here | `feed` |

/// Which purges are known, in which order.
pub mod chain;
/// What others purged takes effect here.
mod feed;
/// Our purges on their way.
pub mod outbox;
/// Tells our purges.
mod publish;
/// Purges that all proxies carry out.
pub mod purges;
/// What was told and heard.
pub mod purges_stats;
/// How a purge is written.
pub mod record;
/// What is in Redis.
mod stream;
