//! HTTP/2 connections to a node.
//!
//! pingora keeps them and gives each request a stream of one; what is ours is how one is opened, how long it is kept, how
//! much may wait in it, and that many requests that come at once do not each open their own. A connection belongs to one
//! state of its node: what is drained, moved or changed gets no more requests over old connections. How long
//! connecting may take is the peer's limit, which pingora holds around this. Never tries twice.
//!
//! pingora uses a connection again only where it has a descriptor that can be asked for its peer. What is inside of TLS
//! has none, so a pair of local sockets stands between: that costs such connections one more copy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connect::{self, Greeting};
use super::stream::NodeStream;
use super::tls;
use crate::config::checked::H2;

/// What one answer may have on its way before its client has taken it.
const WINDOW: u32 = 128 * 1024;
/// What all answers of a connection may: as much as can be said, so that each has its whole window and a client that does
/// not read holds up nobody else. Half of it is also what the `h2` crate lets small pieces that nobody takes cost before it
/// ends a connection as a flood: pingora does not let us say that by itself. A hundred streams full of gRPC messages
/// without content (5 bytes each, counted as 256) are less.
const ALL_WINDOWS: u32 = i32::MAX as u32;
/// So long a connection may be silent before its node's system is asked whether it is still there, and between two such
/// questions. Not by PING: gRPC servers take pings of a silent client for an attack, and close.
const SILENT: Duration = Duration::from_secs(10);
/// So long the node's system may owe us a sign of life, and so long it may take nothing of what we write.
const GONE: Duration = Duration::from_secs(30);

/// Connections that stand.
mod standing;

use standing::Standing;

/// Bytes of a TLS record, at most.
const RECORD: usize = 16 * 1024;
/// How long a node may take to take the end of a connection.
const FAREWELL: Duration = Duration::from_secs(1);

static KEYS: AtomicU64 = AtomicU64::new(1);

/// The connections to one address of a node, in one state of it.
#[derive(Debug)]
pub struct Connections {
    rules: H2,
    /// How long an unused one is kept.
    idle: Duration,
    /// Tells them from those to the same address before or after.
    key: u64,
    opening: Mutex<Opening>,
    is_over: Notify,
    broken: Mutex<Broken>,
    standing: Arc<Standing>,
}

#[derive(Debug, Default)]
struct Opening {
    /// Connections that are being opened.
    under_way: u32,
    /// Connections that could not be opened, ever.
    failed: u64,
    /// Streams that may be had of those that stand, as far as is known here: pingora, which has them, is not asked before
    /// one is wanted. Where it has none after all, this is none.
    free: u32,
}

/// Connections that ended by TLS. What the `h2` crate tells of a connection that ended is how, but not why.
#[derive(Debug, Default)]
struct Broken {
    /// So many, ever.
    times: u64,
    /// Why, the last time.
    why: Option<io::Error>,
}

impl Connections {
    /// None so far.
    pub fn new(rules: H2, idle: Duration) -> Self {
        Connections {
            rules,
            idle,
            key: KEYS.fetch_add(1, Relaxed),
            opening: Mutex::default(),
            is_over: Notify::new(),
            broken: Mutex::default(),
            standing: Arc::default(),
        }
    }

    /// No request comes here any more: the connections end, at the latest with the last request that is under way.
    pub fn close(&self) {
        self.standing.retire();
    }

    /// Whether they are as these rules want them.
    pub fn are(&self, rules: H2, idle: Duration) -> bool {
        (self.rules, self.idle) == (rules, idle)
    }

    /// Makes `peer` one that is spoken to in HTTP/2, with TLS below or not.
    pub fn speaks(&self, peer: &mut HttpPeer, tls: bool) {
        peer.group_key = self.key;
        if tls {
            // pingora asks the descriptor of a connection whether it still goes there. The one it has then is ours.
            peer._address = PeerAddr::Inet(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        }
        let (options, streams) = (&mut peer.options, self.rules.streams);
        options.set_http_version(2, 2);
        options.max_h2_streams = streams as usize;
        options.h2_stream_window_size = Some(WINDOW);
        options.h2_connection_window_size = Some(ALL_WINDOWS);
        options.h2_ping_interval = None;
        options.idle_timeout = Some(self.idle);
    }

    fn ends(&self, well: bool) {
        let mut opening = self.opening.lock();
        opening.under_way -= 1;
        opening.failed += u64::from(!well);
        if well {
            let others = self.rules.streams.saturating_sub(1);
            opening.free = opening.free.saturating_add(others);
        }
        drop(opening);
        self.is_over.notify_waiters();
    }

    /// A connection ended by `e`.
    fn broke(&self, e: &io::Error) {
        if let Some(why) = tls::again(e) {
            let mut broken = self.broken.lock();
            broken.times += 1;
            broken.why = Some(why);
        }
    }
}

/// What an attempt did to get its stream.
#[derive(Debug)]
pub struct Opens {
    home: Arc<Connections>,
    state: Mutex<State>,
    /// Connections that TLS had ended before.
    broken: u64,
}

#[derive(Debug)]
struct State {
    did: Did,
    /// It has, or is to have, a stream of a connection that stands.
    has_stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    /// So far pingora has not asked for a connection.
    Nothing,
    Opening,
    Opened,
}

impl Opens {
    /// Nothing so far.
    pub fn new(home: Arc<Connections>) -> Self {
        let broken = home.broken.lock().times;
        home.standing.is_used();
        Opens {
            home,
            state: Mutex::new(State {
                did: Did::Nothing,
                has_stream: false,
            }),
            broken,
        }
    }

    /// Waits while there is no stream and a connection is being opened that may have room for many: for `most` at the
    /// longest, and no longer than until one could not be opened.
    pub async fn settled(&self, most: Duration) {
        let failed = self.home.opening.lock().failed;
        let settled = async {
            loop {
                let mut is_over = pin!(self.home.is_over.notified());
                is_over.as_mut().enable();
                if self.goes_on(failed) {
                    return;
                }
                is_over.await;
            }
        };
        let _ = timeout(most, settled).await;
    }

    /// Whether there is nothing to wait for: a stream is free, which is its own then, or no connection is being opened, or
    /// more than `failed` could not be.
    fn goes_on(&self, failed: u64) -> bool {
        let mut opening = self.home.opening.lock();
        if opening.free > 0 {
            opening.free -= 1;
            self.state.lock().has_stream = true;
            return true;
        }
        opening.under_way == 0 || opening.failed != failed
    }

    /// Whether it asked for a connection of its own.
    pub fn is_new(&self) -> bool {
        self.state.lock().did != Did::Nothing
    }

    /// It has its stream, or (`well` is false) it gets none.
    pub fn is_done(&self, well: bool) {
        let mut state = self.state.lock();
        state.has_stream |= well;
        let opened = state.did == Did::Opening;
        if opened {
            state.did = Did::Opened;
        }
        drop(state);
        if opened {
            self.home.ends(well);
        }
    }

    /// Why TLS ended a connection meanwhile, if it did.
    pub fn broken_by_tls(&self) -> Option<io::Error> {
        let broken = self.home.broken.lock();
        let since = broken.times > self.broken;
        broken.why.as_ref().filter(|_| since).and_then(tls::again)
    }

    fn begins(&self) {
        let mut opening = self.home.opening.lock();
        let mut state = self.state.lock();
        if state.did == Did::Nothing {
            state.did = Did::Opening;
            state.has_stream = false;
            opening.under_way += 1;
            opening.free = 0; // there was none for this one
        }
    }
}

impl Drop for Opens {
    /// Whoever was dropped on the way opens nothing any more, and somebody else may have the stream.
    fn drop(&mut self) {
        self.is_done(false);
        if self.state.lock().has_stream {
            let mut opening = self.home.opening.lock();
            opening.free = opening.free.saturating_add(1);
            drop(opening);
            self.home.is_over.notify_waiters();
        }
        self.home.standing.is_left();
    }
}

/// Opens the connection of an attempt for which pingora has no stream.
#[derive(Debug)]
pub struct Connect {
    opens: Arc<Opens>,
    addr: SocketAddr,
    greeting: Greeting,
}

impl Connect {
    /// To `addr`, where a connection begins with this `greeting`.
    pub fn new(opens: Arc<Opens>, addr: SocketAddr, greeting: Greeting) -> Self {
        Connect {
            opens,
            addr,
            greeting,
        }
    }

    /// What pingora gets, noted among those that stand.
    fn noted(&self, socket: impl AsFd + Into<Stream>) -> Stream {
        // Without a second descriptor nobody ends it before its idle limit.
        let second = socket.as_fd().try_clone_to_owned();
        let mut stream = socket.into();
        if let Ok(second) = second {
            self.opens.home.standing.note(&mut stream, second);
        }
        stream
    }
}

#[async_trait]
impl L4Connect for Connect {
    /// A connection of a kind that pingora can use again: it tells them apart by their descriptors, and what is read
    /// through anything of ours has none.
    async fn connect(&self, _: &PeerAddr) -> Result<Stream> {
        self.opens.begins();
        let stream = connect::open(self.addr, &self.greeting).await?;
        watches(stream.socket());
        match stream {
            NodeStream::Plain(socket) => Ok(self.noted(socket)),
            NodeStream::Tls(tls) => {
                let pair = UnixStream::pair();
                let (ours, theirs) = pair.map_err(|e| {
                    Error::because(ErrorType::InternalError, "a pair of sockets for TLS", e)
                })?;
                let home = self.opens.home.clone();
                tokio::spawn(passes_on(ours, tls, home, GONE));
                Ok(self.noted(theirs))
            }
        }
    }
}

/// Has the system notice that the other end is gone, in about half a minute, whether we have something to say or not.
/// Where it does not know how, a node that is gone is noticed by the limits of its requests.
fn watches(socket: &TcpStream) {
    let socket = SockRef::from(socket);
    let probes = TcpKeepalive::new().with_time(SILENT).with_interval(SILENT);
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(GONE));
}

/// Passes on between a connection and who speaks HTTP/2 over it, until one of both ends it. Holds what fits into one
/// record each way.
/// What the node said when it broke off goes to `home`. It may take nothing for `patience`.
async fn passes_on(
    near: UnixStream,
    far: impl AsyncRead + AsyncWrite,
    home: Arc<Connections>,
    patience: Duration,
) {
    let (near_read, mut near_write) = near.into_split();
    let (far_read, mut far_write) = tokio::io::split(far);
    let (mut near_read, mut far_read) = (
        BufReader::with_capacity(RECORD, near_read),
        BufReader::with_capacity(RECORD, far_read),
    );
    let out = async {
        let sent = sends(&mut near_read, &mut far_write, patience).await;
        // The node is told, if it still listens.
        let _ = timeout(FAREWELL, far_write.shutdown()).await;
        sent
    };
    let back = async {
        let come = tokio::io::copy_buf(&mut far_read, &mut near_write).await;
        come.map(|_| ())
    };
    let mut back = pin!(back);
    let ended = tokio::select! {
        sent = out => match sent {
            // Why the node takes nothing more may be on its way.
            Err(_) => timeout(FAREWELL, back).await.unwrap_or(Ok(())),
            Ok(()) => Ok(()),
        },
        come = &mut back => come,
    };
    // Before the end is seen at the other side, which asks for it then.
    if let Err(e) = ended {
        home.broke(&e);
    }
}

/// Writes what comes from `from`, to its end. Whoever would have it may have given up meanwhile, and nobody would see it
/// here: the node must take something within `patience`.
async fn sends(
    from: &mut BufReader<impl AsyncRead + Unpin>,
    to: &mut (impl AsyncWrite + Unpin),
    patience: Duration,
) -> io::Result<()> {
    loop {
        let piece = from.fill_buf().await?;
        if piece.is_empty() {
            return Ok(());
        }
        let taken = timeout(patience, to.write(piece)).await??;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        from.consume(taken);
        if from.buffer().is_empty() {
            timeout(patience, to.flush()).await??;
        }
    }
}

#[cfg(test)]
mod tests;
