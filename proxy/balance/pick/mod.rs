//! How one node is chosen out of those that may be chosen now: one algorithm a file, behind one trait.
//!
//! A picker sees positions, weights and requests in flight; it never decides who may be chosen (that is
//! `super::pool`'s), never reads the clock and draws no random numbers (the caller passes both in).

use std::sync::Arc;
use std::time::Instant;

use super::node::Node;
use super::slow_start::FULL;
use crate::base::node_set::NodeSet;
use crate::config::checked::Balance;

mod hash;
mod ip_hash;
mod least_conn;
mod p2c;
mod peak_ewma;
mod random;
mod round_robin;
mod swrr;
mod weighted_random;

#[cfg(test)]
mod laws;

/// One node in one generation of the configuration.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its state, shared with other generations.
    pub node: Arc<Node>,
    /// Its weight in this generation.
    pub weight: u32,
    /// The part of its weight that counts now, in hundredths.
    pub share: u32,
    /// A hash of its identity that is the same on every machine.
    pub hash: u64,
    /// How many requests it may have at a time; `None`: any number.
    pub most: Option<u32>,
    /// Nodes of the lowest tier that can be used are used.
    pub tier: u8,
}

/// The tier of a node that is used only when no other can be.
pub const BACKUP: u8 = u8::MAX;

impl Candidate {
    /// Whether it has a share of new requests at all: by its weight, and by what it says of itself.
    pub fn takes_new(&self) -> bool {
        self.weight > 0 && self.node.agent_share() > 0
    }

    /// A node with its whole weight and any number of places, in the first tier.
    pub fn new(node: Arc<Node>, weight: u32, hash: u64) -> Self {
        Candidate {
            node,
            weight,
            share: FULL,
            hash,
            most: None,
            tier: 0,
        }
    }

    /// Whether it is used only when no other can be.
    pub fn is_backup(&self) -> bool {
        self.tier == BACKUP
    }

    /// Its weight as far as it counts now, in hundredths. Below 2^24: every sum of them fits.
    pub(super) fn scaled(&self) -> u64 {
        u64::from(self.weight) * u64::from(self.share)
    }
}

/// What a pick may depend on beside the nodes.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Hash of what tells the request from others: the client's real address, or what the file names.
    pub key: u64,
    /// A random number, drawn anew for every attempt: a retry with the number of the first try would send a dead node's
    /// share to its neighbour alone.
    pub random: u64,
    /// When it is asked.
    pub now: Instant,
}

/// Chooses a node.
pub trait Pick: Send + Sync + std::fmt::Debug {
    /// A position in `usable`, or `None` when `usable` is empty.
    ///
    /// `nodes` is the same list on every call to one picker. Every position in `usable` has a weight above 0.
    /// `first_try` is false on a retry, where `usable` lacks the nodes the request has already tried.
    fn pick(
        &self,
        nodes: &[Candidate],
        usable: &NodeSet,
        ask: &Ask,
        first_try: bool,
    ) -> Option<usize>;
}

/// The node of the best lot for the key of `ask`, the same on every machine, whatever the method of balancing.
pub fn by_lot(nodes: &[Candidate], usable: &NodeSet, ask: &Ask) -> Option<usize> {
    ip_hash::IpHash.pick(nodes, usable, ask, true)
}

/// The picker for `balance` over `nodes`. `seed` decides where a sequence starts, so that a rebuilt one does not send
/// its first request to the first node again.
/// `most` is the balance factor of `hash`, in hundredths.
pub fn build(balance: Balance, most: Option<u32>, nodes: &[Candidate], seed: u64) -> Arc<dyn Pick> {
    match balance {
        Balance::RoundRobin => Arc::new(round_robin::RoundRobin::new(nodes, seed)),
        Balance::LeastConn => Arc::new(least_conn::LeastConn::new(nodes, seed)),
        Balance::WeightedRandom => Arc::new(weighted_random::WeightedRandom),
        Balance::Random => Arc::new(random::Random),
        Balance::IpHash => Arc::new(ip_hash::IpHash),
        Balance::Hash => Arc::new(hash::Hash { most }),
        Balance::P2c => Arc::new(p2c::P2c),
        Balance::PeakEwma => Arc::new(peak_ewma::PeakEwma),
    }
}
