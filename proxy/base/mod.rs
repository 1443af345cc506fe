//! Floor 0: words. Pure values that every stage may use.
//!
//! Nothing here reads the clock, draws random numbers, waits or knows a crate beyond std, bytes, http, memchr
//! and smallvec; `certificate` alone reads X.509.

/// How long to wait before trying again.
pub mod backoff;
/// How many requests may be sent again.
pub mod budget;
/// What the cache does with a request, and why.
pub mod cached;
/// What a certificate says.
pub mod certificate;
/// How bodies are written.
pub mod coding;
/// The fields of a request.
pub mod fields;
/// What a client of HTTP/2 floods a connection with.
pub mod flood;
/// What is said of a node.
pub mod node;
/// A set of node positions, small enough to live on the stack.
pub mod node_set;
/// The one form of a path.
pub mod path;
/// How long most of the recent answers took.
pub mod quantile;
/// Every named ending of a request.
pub mod reason;
/// What a caller of the stats port may do.
pub mod role;
/// Which trace a request belongs to.
pub mod trace;
/// Durations and sizes as people write them.
pub mod units;
/// What went well and what failed in the last seconds.
pub mod window;
