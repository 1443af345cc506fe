//! What is known of one client connection, shared by its requests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::balance::node::Node;
use crate::telemetry::metrics::ListenerMetrics;

/// One data port.
#[derive(Debug)]
pub struct Port {
    /// Its address, as metrics and the log name it.
    pub label: String,
    /// Its metrics.
    pub metrics: ListenerMetrics,
}

/// One client connection. Counted as open while it lives.
#[derive(Debug)]
pub struct Conn {
    /// The port it came in by.
    pub port: Arc<Port>,
    /// Who is at the other end.
    pub peer: IpAddr,
    /// The same as a field value, for the requests passed on.
    pub peer_value: HeaderValue,
    /// The node its current request is on.
    node: Mutex<Option<Arc<Node>>>,
}

impl Conn {
    /// A connection from `peer`; an unknown peer counts as `0.0.0.0`.
    pub fn new(port: Arc<Port>, peer: Option<IpAddr>) -> Self {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.to_canonical());
        port.metrics.active.inc();
        port.metrics.total.inc();
        Conn {
            port,
            peer,
            peer_value: HeaderValue::from_str(&peer.to_string())
                .expect("invariant: an address prints as digits, letters, dots and colons"),
            node: Mutex::new(None),
        }
    }

    /// Its current request is on `node` now.
    pub fn is_on(&self, node: Arc<Node>) {
        *self.node.lock() = Some(node);
    }

    /// Its current request is on no node any more.
    pub fn is_off(&self) {
        *self.node.lock() = None;
    }

    /// Ends when the current request is to be cut because its node's drain is over.
    pub async fn cut(&self, cuts: &mut watch::Receiver<u64>) {
        loop {
            if cuts.changed().await.is_err() {
                return std::future::pending().await; // the process is ending anyway
            }
            if self.node.lock().as_ref().is_some_and(|n| n.is_cut()) {
                return;
            }
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.port.metrics.active.dec();
    }
}
