//! Closes the idle connections to a node that was removed.
//!
//! pingora keeps them in a pool of its own and gives them out only to a request. So a request asks for them: one
//! that no client sent, that reaches no node, is counted nowhere and drops each connection it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::connectors::L4Connect;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::sync::mpsc::Receiver;

use super::Gateway;

/// More connections than this are never kept to one node.
const MOST: usize = 4_096;
/// After so many empty answers in a row there are none left. One says little: the pool also answers so when the
/// connection it took is still being watched, and then lets it go.
const MISSES: u32 = 16;
const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: retired\r\n\r\n";

/// A request that asks for idle connections, as its hooks see it.
#[derive(Debug, Clone)]
pub struct Retire {
    peer: HttpPeer,
    found: Arc<AtomicBool>,
}

impl Retire {
    /// The peer whose connections are asked for. It cannot be connected to anew.
    pub fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }

    /// An idle connection was found: the error makes pingora drop it.
    pub fn found(&self) -> Box<Error> {
        self.found.store(true, Relaxed);
        nothing()
    }
}

/// Closes the idle connections to every peer that comes out of `retired`, until the process ends.
pub async fn run(
    proxy: Arc<HttpProxy<Gateway>>,
    mut retired: Receiver<HttpPeer>,
    shutdown: ShutdownWatch,
) {
    while let Some(peer) = retired.recv().await {
        close_idle(&proxy, peer, &shutdown).await;
    }
}

async fn close_idle(proxy: &Arc<HttpProxy<Gateway>>, mut peer: HttpPeer, shutdown: &ShutdownWatch) {
    peer.options.custom_l4 = Some(Arc::new(NoNewOnes));
    let mut misses = 0;
    for _ in 0..MOST {
        let found = Arc::new(AtomicBool::new(false));
        let retire = Retire {
            peer: peer.clone(),
            found: found.clone(),
        };
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut session = ServerSession::new_http1(Box::new(ours));
        session.set_pipelined_prefix(BytesMut::from(ASK));
        session.set_connection_user_context(Some(Box::new(retire)));
        let _ = proxy.process_new_http(session, shutdown).await;
        misses = if found.load(Relaxed) { 0 } else { misses + 1 };
        if misses == MISSES {
            return;
        }
        // Lets the watcher of a connection go, without which the pool cannot hand it out.
        tokio::task::yield_now().await;
    }
}

/// Opens nothing: only what is open already is asked for.
#[derive(Debug)]
struct NoNewOnes;

#[async_trait]
impl L4Connect for NoNewOnes {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        Err(nothing())
    }
}

/// The end of such a request.
fn nothing() -> Box<Error> {
    Error::explain(
        ErrorType::ConnectError,
        "an idle connection of a removed node",
    )
}
