//! How to connect to a node: pingora's peer with every limit set.
//!
//! pingora's own defaults are "wait for ever"; no peer leaves here without our limits.

use std::net::SocketAddr;
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use crate::config::checked::NodeTimeouts;

/// The peer for a node. Made once per generation and copied for each request.
pub fn peer(addr: SocketAddr, timeouts: &NodeTimeouts) -> HttpPeer {
    let mut peer = HttpPeer::new(addr, false, String::new());
    let options = &mut peer.options;
    options.connection_timeout = timeouts.connect;
    options.total_connection_timeout = timeouts.connect;
    options.read_timeout = timeouts.read;
    options.write_timeout = timeouts.write;
    // pingora keeps none: `kept` does.
    options.idle_timeout = Some(Duration::ZERO);
    peer
}

/// Shortens a peer's limits so that none outlasts `left` of the whole request.
pub fn bound_by(peer: &mut HttpPeer, left: Duration) {
    let options = &mut peer.options;
    for limit in [
        &mut options.connection_timeout,
        &mut options.total_connection_timeout,
        &mut options.read_timeout,
        &mut options.write_timeout,
    ] {
        *limit = Some(limit.map_or(left, |own| own.min(left)));
    }
}
