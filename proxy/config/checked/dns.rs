//! What the program believes of resolving names.
//!
//! Values with a meaning, whatever was written.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How names of nodes are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// From one look-up to the next where the time that an answer holds is not followed; also the longest pause after
    /// a failure.
    pub interval: Duration,
    /// Who is asked; empty: whom the system asks.
    pub servers: Vec<SocketAddr>,
    /// Whether the time that an answer holds is followed.
    pub ttl: bool,
    /// Which addresses are wanted.
    pub family: Family,
    /// The shortest time that an answer holds.
    pub min_ttl: Duration,
    /// The longest time that an answer holds, at least `min_ttl`.
    pub max_ttl: Duration,
}

/// Which addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// All.
    Any,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}

impl Family {
    /// Whether `addr` is wanted.
    pub fn has(self, addr: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::Ipv4 => addr.is_ipv4(),
            Family::Ipv6 => addr.is_ipv6(),
        }
    }
}
