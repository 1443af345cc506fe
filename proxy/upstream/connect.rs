//! How an attempt gets its connection: one that was kept, or a new one.
//!
//! pingora asks here instead of its own pool and its own connector, whose connections it would read leniently. How
//! long connecting may take is the peer's limit, which pingora holds around this. Never tries twice: which node comes
//! next is not its business.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::VirtualSocketStream;
use pingora::{Error, ErrorType, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::headers::Added;
use super::hedge::Hedge;
use super::kept::Kept;
use super::line::Line;
use super::patience::Patience;
use super::stream::NodeStream;
use super::tls::Dial;
use super::tunnel::Tunnel;

/// Where the connection of an attempt comes from.
#[derive(Debug)]
pub enum Way {
    /// It had waited.
    Kept(NodeStream),
    /// It is opened, and begins so.
    New(Greeting),
}

/// The connection of one attempt.
#[derive(Debug)]
pub struct Connect {
    /// Until it is gone.
    way: Mutex<Option<Way>>,
    home: Arc<Kept>,
    /// Fields that the head of the request gets on its way.
    added: Added,
    full: Option<Arc<AtomicBool>>,
    little: Option<Arc<AtomicBool>>,
    /// How long the node may take to begin its answer.
    patience: Mutex<Option<Patience>>,
    /// Who is asked beside the node.
    hedge: Mutex<Option<Hedge>>,
    /// What the request asks for, where it wants another protocol.
    tunnel: Option<Arc<Tunnel>>,
}

impl Connect {
    /// The connection comes by this `way`. It goes to `home` when it can be used again. The head of the
    /// request leaves with the fields that are `added`.
    /// `full` is set while the node takes nothing more; little is read at a time while `little` is. The node may take as long as `patience` to begin its answer.
    pub fn new(
        way: Way,
        home: Arc<Kept>,
        added: Added,
        full: Option<Arc<AtomicBool>>,
        little: Option<Arc<AtomicBool>>,
        patience: Option<Patience>,
        hedge: Option<Hedge>,
    ) -> Self {
        Connect {
            way: Mutex::new(Some(way)),
            home,
            added,
            full,
            little,
            patience: Mutex::new(patience),
            hedge: Mutex::new(hedge),
            tunnel: None,
        }
    }

    /// The same, for a request that asks for a tunnel.
    pub fn with_tunnel(mut self, tunnel: Option<Arc<Tunnel>>) -> Self {
        self.tunnel = tunnel;
        self
    }
}

#[async_trait]
impl L4Connect for Connect {
    async fn connect(&self, addr: &SocketAddr) -> Result<Stream> {
        let way = self.way.lock().take();
        let stream = match (way, addr) {
            (Some(Way::Kept(stream)), _) => stream,
            (Some(Way::New(greeting)), SocketAddr::Inet(addr)) => open(*addr, &greeting).await?,
            _ => {
                let odd = "a second connection of one attempt, or a node without an IP address";
                return Error::e_explain(ErrorType::InternalError, odd);
            }
        };
        let (home, full) = (self.home.clone(), self.full.clone());
        let added = self.added.clone();
        let little = self.little.clone();
        let hedge = self.hedge.lock().take();
        let patience = self.patience.lock().take();
        let line = Line::new(stream, home, added, full, little, patience, hedge)
            .with_tunnel(self.tunnel.clone());
        Ok(VirtualSocketStream::new(Box::new(line)).into())
    }
}

/// How a connection to a node begins.
#[derive(Debug, Clone, Default)]
pub struct Greeting {
    /// With a TLS handshake; `None`: without TLS.
    pub tls: Option<Arc<Dial>>,
    /// With these bytes before anything else, also before TLS (PROXY protocol); `None`: without.
    pub prelude: Option<Arc<[u8]>>,
}

/// Opens a connection to a node: to the end of the handshake, where TLS is spoken. Whoever asks has the limit.
///
/// # Errors
/// Why there is none, in the names that `classify` knows.
pub async fn open(addr: std::net::SocketAddr, greeting: &Greeting) -> Result<NodeStream> {
    let socket = match addr {
        std::net::SocketAddr::V4(_) => TcpSocket::new_v4(),
        std::net::SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    // Running out of descriptors is no node's fault.
    let socket = socket.map_err(|e| named(ErrorType::InternalError, addr, e))?;
    let connected = socket.connect(addr).await;
    let mut stream = connected.map_err(|e| named(kind(&e), addr, e))?;
    stream
        .set_nodelay(true)
        .map_err(|e| named(ErrorType::ConnectError, addr, e))?;
    if let Some(prelude) = &greeting.prelude {
        let sent = stream.write_all(prelude).await;
        sent.map_err(|e| named(ErrorType::ConnectError, addr, e))?;
    }
    let Some(tls) = &greeting.tls else {
        return Ok(NodeStream::Plain(stream));
    };
    let shaken = tls.shake(stream).await;
    let stream = shaken.map_err(|e| named(ErrorType::TLSHandshakeFailure, addr, e))?;
    Ok(NodeStream::Tls(Box::new(stream)))
}

fn named(kind: ErrorType, addr: std::net::SocketAddr, e: io::Error) -> Box<Error> {
    Error::because(kind, format!("connecting to {addr}"), e)
}

/// pingora's names, so that `classify` has one language.
fn kind(e: &io::Error) -> ErrorType {
    match e.kind() {
        ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        // Of our own ports, permissions and descriptors.
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::PermissionDenied => {
            ErrorType::InternalError
        }
        _ => ErrorType::ConnectError,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_told_as_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let refused = open(addr, &Greeting::default()).await.unwrap_err();
        assert_eq!(*refused.etype(), ErrorType::ConnectRefused);
    }

    #[tokio::test]
    async fn a_head_leaves_in_one_piece_with_the_fields_that_are_added() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let kept = Arc::new(Kept::new(Duration::ZERO, Instant::now()));
        let added = Added::from(&b"X: 1\r\nY: 2\r\n"[..]);
        let connect = Connect::new(
            Way::New(Greeting::default()),
            kept,
            added,
            None,
            None,
            None,
            None,
        );
        let to = SocketAddr::Inet(addr);
        let (ours, theirs) = tokio::join!(connect.connect(&to), listener.accept());
        let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap().0);
        ours.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        ours.flush().await.unwrap();
        let mut got = [0; 256];
        let n = theirs.read(&mut got).await.unwrap();
        let wanted = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n";
        assert_eq!(
            got[..n].escape_ascii().to_string(),
            wanted.escape_ascii().to_string()
        );
    }
}
