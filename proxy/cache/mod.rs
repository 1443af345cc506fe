//! The response cache: may it be stored, may it be used, where is it.
//!
//! `policy` is RFC 9111 as pure functions; `store` keeps what it allows, within a hard cap. Neither knows the proxy:
//! `gateway/lookup` asks both, and so will whoever answers without it.

/// Which requests the cache has to do with.
pub mod asks;
/// What a stored answer is.
pub mod entry;
/// What would become of a request, in words.
pub mod explain;
/// What an answer is stored under.
pub mod key;
/// What may be stored, used, merged and invalidated.
pub mod policy;
/// The second tier, which the proxies of a cluster share.
pub mod shared;
/// Keeps answers.
pub mod store;
/// Request fields that no key knows.
pub mod unkeyed;
