//! HTTP/2 connections to a node.
//!
//! pingora keeps them and gives each request a stream of one; what is ours is how one is opened, how long it is kept, how
//! much may wait in it, and that many requests that come at once do not each open their own. A connection belongs to one
//! state of its node: what is drained, moved or changed gets no more requests over old connections. How long
//! connecting may take is the peer's limit, which pingora holds around this. Never tries twice.
//!
//! pingora uses a connection again only where it has a descriptor that can be asked for its peer. What is inside of TLS
//! has none, so a pair of local sockets stands between: that costs such connections one more copy.

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
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connect::{self, Greeting};
use super::stream::NodeStream;
use crate::config::checked::H2;

/// Connections that stand.
mod standing;

use standing::Standing;

/// What one answer may have on its way before its client has taken it. Each stream has its share of the connection: a
/// client that does not read holds up nobody else.
const WINDOW: u32 = 256 * 1024;
/// From one ping to the next: a node that is gone without a word is noticed within this and the five seconds that
/// pingora waits for the echo.
const PING: Duration = Duration::from_secs(15);

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
    standing: Arc<Standing>,
}

#[derive(Debug, Default)]
struct Opening {
    /// Connections that are being opened.
    under_way: u32,
    /// Connections that could not be opened, ever.
    failed: u64,
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
        options.h2_connection_window_size =
            Some(WINDOW.saturating_mul(streams).min(i32::MAX as u32));
        options.h2_ping_interval = Some(PING);
        options.idle_timeout = Some(self.idle);
    }

    /// Waits while a connection is being opened that may have room for many: for `most` at the longest, and no longer
    /// than until one could not be opened.
    pub async fn settled(&self, most: Duration) {
        let failed = {
            let opening = self.opening.lock();
            if opening.under_way == 0 {
                return;
            }
            opening.failed
        };
        let settled = async {
            loop {
                let mut is_over = pin!(self.is_over.notified());
                is_over.as_mut().enable();
                let goes_on = {
                    let opening = self.opening.lock();
                    opening.under_way == 0 || opening.failed != failed
                };
                if goes_on {
                    return;
                }
                is_over.await;
            }
        };
        let _ = timeout(most, settled).await;
    }

    fn ends(&self, well: bool) {
        let mut opening = self.opening.lock();
        opening.under_way -= 1;
        opening.failed += u64::from(!well);
        drop(opening);
        self.is_over.notify_waiters();
    }
}

/// What an attempt did to get its stream.
#[derive(Debug)]
pub struct Opens {
    home: Arc<Connections>,
    did: Mutex<Did>,
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
        home.standing.is_used();
        Opens {
            home,
            did: Mutex::new(Did::Nothing),
        }
    }

    /// Whether it asked for a connection of its own.
    pub fn is_new(&self) -> bool {
        *self.did.lock() != Did::Nothing
    }

    /// It has its stream, or (`well` is false) it gets none.
    pub fn is_done(&self, well: bool) {
        let mut did = self.did.lock();
        if *did == Did::Opening {
            *did = Did::Opened;
            self.home.ends(well);
        }
    }

    fn begins(&self) {
        let mut did = self.did.lock();
        if *did == Did::Nothing {
            *did = Did::Opening;
            self.home.opening.lock().under_way += 1;
        }
    }
}

impl Drop for Opens {
    /// Whoever was dropped on the way opens nothing any more.
    fn drop(&mut self) {
        self.is_done(false);
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
        match connect::open(self.addr, &self.greeting).await? {
            NodeStream::Plain(socket) => Ok(self.noted(socket)),
            NodeStream::Tls(tls) => {
                let pair = UnixStream::pair();
                let (ours, theirs) = pair.map_err(|e| {
                    Error::because(ErrorType::InternalError, "a pair of sockets for TLS", e)
                })?;
                tokio::spawn(passes_on(ours, tls));
                Ok(self.noted(theirs))
            }
        }
    }
}

/// Passes on between a connection and who speaks HTTP/2 over it, until one of both ends it. Holds what fits into one
/// record each way.
async fn passes_on(near: UnixStream, far: impl AsyncRead + AsyncWrite) {
    let (near_read, mut near_write) = near.into_split();
    let (far_read, mut far_write) = tokio::io::split(far);
    let (mut near_read, mut far_read) = (
        BufReader::with_capacity(RECORD, near_read),
        BufReader::with_capacity(RECORD, far_read),
    );
    let out = async {
        let _ = tokio::io::copy_buf(&mut near_read, &mut far_write).await;
        // The node is told, if it still listens.
        let _ = timeout(FAREWELL, far_write.shutdown()).await;
    };
    let back = async {
        let _ = tokio::io::copy_buf(&mut far_read, &mut near_write).await;
    };
    tokio::select! {
        () = out => {}
        () = back => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Arc<Connections> {
        Arc::new(Connections::new(H2 { streams: 10 }, Duration::ZERO))
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn who_comes_while_one_is_opened_waits_for_it() {
        let home = home();
        home.settled(LONG).await;
        let first = Opens::new(home.clone());
        assert!(!first.is_new());
        first.begins();
        assert!(first.is_new());
        assert!(timeout(SHORT, home.settled(LONG)).await.is_err());
        home.settled(SHORT).await; // no longer than it may
        let waits = tokio::spawn({
            let home = home.clone();
            async move { home.settled(LONG).await }
        });
        tokio::task::yield_now().await;
        first.is_done(true);
        timeout(LONG, waits).await.unwrap().unwrap();
        home.settled(LONG).await;
    }

    #[tokio::test]
    async fn after_a_failure_nobody_waits_for_the_next() {
        let home = home();
        let (first, second) = (Opens::new(home.clone()), Opens::new(home.clone()));
        first.begins();
        second.begins();
        let waits = tokio::spawn({
            let home = home.clone();
            async move { home.settled(LONG).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        timeout(LONG, waits).await.unwrap().unwrap();
    }

    #[test]
    fn no_two_states_of_a_node_share_a_connection() {
        let (one, other) = (home(), home());
        let peer = HttpPeer::new("127.0.0.1:80", false, String::new());
        let (mut of_one, mut of_other) = (peer.clone(), peer);
        one.speaks(&mut of_one, false);
        other.speaks(&mut of_other, false);
        assert_ne!(of_one.group_key, of_other.group_key);
        assert!(one.are(H2 { streams: 10 }, Duration::ZERO));
        assert!(!one.are(H2 { streams: 11 }, Duration::ZERO));
    }
}
