//! Sessions: the requests of one client go to the node that has its session, as long as that node can be used.
//!
//! Pure parts: what a cookie is made of (`token`), where it stands among others (`cookies`), what is remembered of the
//! sessions of an app (`learned`) and told to other proxies (`shared`), and when a node keeps the sessions it has (here). Never chooses a node for a new
//! session: that is the pool's and its picker's.

use std::time::{Duration, Instant};

use super::node::Fitness;
use super::pick::Candidate;
use super::pool::Pool;
use crate::base::node::Intent;

/// Cookies among others.
pub mod cookies;
/// What is remembered of an app's own sessions.
pub mod learned;
/// Sessions that all proxies know of.
pub mod shared;
/// The value of our own cookie.
pub mod token;

/// Whether a node takes the requests of a session that is on it already: `member` of `pool`, of which the operator wants
/// `intent`.
///
/// Its weight does not matter: weight 0 is how an operator keeps new sessions away. Being a backup does not either:
/// the session is there. A draining node, by the operator's word or its own, keeps its sessions until the drain has lasted
/// for `grace`.
pub fn keeps(pool: &Pool, member: usize, intent: Intent, grace: Duration, now: Instant) -> bool {
    let candidate = &pool.candidates()[member];
    is_wanted(candidate, intent, grace, now) && is_fit(pool, candidate, now)
}

/// Whether the operator lets it have the requests of its sessions.
fn is_wanted(candidate: &Candidate, intent: Intent, grace: Duration, now: Instant) -> bool {
    let within = |since: Instant| now.saturating_duration_since(since) < grace;
    // It drains itself: as if the operator did.
    if candidate
        .node
        .leaves_for(now)
        .is_some_and(|leaves| leaves >= grace)
    {
        return false;
    }
    match (intent, candidate.node.draining_since()) {
        (Intent::Down, _) => false,
        (Intent::Up, None) => true,
        // This generation begins the drain, or a later one, which the node knows of already.
        (Intent::Drain | Intent::Up, Some(since)) => within(since),
        // The generation is so new that its nodes have not heard of it.
        (Intent::Drain, None) => !grace.is_zero(),
    }
}

/// Whether its health lets it be used, or health is ignored in this pool and it is one of those that are used then.
fn is_fit(pool: &Pool, candidate: &Candidate, now: Instant) -> bool {
    match candidate.node.fitness(now) {
        Fitness::Good | Fitness::Untried => true,
        Fitness::LastResort | Fitness::Unfit => {
            candidate.weight > 0 && !candidate.is_backup() && pool.fails_open(now)
        }
    }
}

#[cfg(test)]
mod tests;
