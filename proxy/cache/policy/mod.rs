//! RFC 9111 as pure functions of request, answer, stored entry and time.
//!
//! Never reads a clock, never waits, never knows who asks.

/// Conditional requests: does what is stored differ from what a client has.
pub mod condition;
/// Points in time as HTTP writes them.
pub mod dates;
/// Answers that are not what their path claims.
mod deception;
#[cfg(test)]
mod differential;
/// `Cache-Control`, of answers and of requests.
pub mod directives;
/// How long an answer is fresh, and how old it is on arrival.
pub mod fresh;
/// What a write makes untrue.
pub mod invalidate;
/// How long an answer is fresh, how old it is, and what else decides whether it may be used.
pub mod life;
/// Comma-separated fields.
mod list;
/// What a 304 changes of what is stored.
pub mod merge;
/// Which part of a stored body is wanted.
pub mod range;
/// May what is stored be used.
pub mod reuse;
/// Selecting request fields in one form.
mod select;
/// May an answer be stored.
pub mod store;
/// What an answer can be purged by.
pub mod tags;
/// Whose word counts: a field meant for us, or `Cache-Control`.
pub mod targeted;
/// Heads for the tests.
#[cfg(test)]
mod testing;
/// Asking whether what is stored is still right.
pub mod validate;
/// Which requests an answer is for.
pub mod vary;
