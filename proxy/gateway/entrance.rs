//! Taking connections in, one after the other.
//!
//! Whoever is accepted has a descriptor; so nobody is accepted faster than it is known what becomes of the one
//! before: a place in the crowd, or a refusal that waits for nothing. Never spins: when the process has no descriptor
//! left in spite of all that, the longest idle go and the rest waits.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use pingora::apps::HttpServerApp;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::server::ShutdownWatch;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::front::Front;
use super::refuse::{self, Refused};

/// Bytes of an answer that the kernel holds unsent. Of megabytes it would say only every half a minute that a slow
/// but steady reader took some, and that reader would be taken for one that stopped.
const HELD: u32 = 128 * 1024;
/// How long nobody is accepted once there is no descriptor left.
const SHORT: Duration = Duration::from_millis(20);
/// How often that is told.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Accepts connections for `front` until the process stops accepting.
pub async fn take_in(front: Front, listener: TcpListener, mut shutdown: ShutdownWatch) {
    let mut told: Option<Instant> = None;
    loop {
        let stopping = shutdown.clone();
        tokio::select! {
            biased;
            () = closes(&mut shutdown) => break,
            taken = listener.accept() => match taken {
                Ok((stream, peer)) => let_in(&front, stream, peer, stopping),
                Err(e) if is_short(&e) => {
                    if told.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
                        told = Some(Instant::now());
                        tracing::warn!(
                            "{}: no connection can be accepted: {e}; the longest idle ones are closed. \
                             Raise the limit of open files, or lower limits.connections",
                            front.port.label
                        );
                    }
                    front.crowd.is_short();
                    tokio::time::sleep(SHORT).await;
                }
                // It was gone before it was accepted.
                Err(e) => tracing::debug!("{}: {e}", front.port.label),
            }
        }
    }
    // Who has connected before the port closes is not reset. Where another process accepts, those who wait are its.
    while let Some(taken) = left(&front, &listener) {
        match taken {
            Ok((stream, peer)) => let_in(&front, stream, peer, shutdown.clone()),
            Err(e) if is_short(&e) => {
                tracing::warn!(
                    "{}: who waits to be accepted is reset: {e}",
                    front.port.label
                );
                break;
            }
            Err(e) => tracing::debug!("{}: {e}", front.port.label),
        }
    }
    drop(listener);
    front.proxy.http_cleanup().await;
}

/// Who waits to be accepted and would be lost with the port, if anybody does.
fn left(front: &Front, listener: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    let has_heir = front.control.lifecycle.has_heir_of(&front.port.label);
    (!has_heir).then(|| at_once(listener)).flatten()
}

/// Who waits to be accepted, if anybody does.
fn at_once(listener: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    // The kernel is asked, not tokio: what came since tokio looked last, it does not know of.
    let (socket, peer) = match SockRef::from(listener).accept() {
        Ok(taken) => taken,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
        Err(e) => return Some(Err(e)),
    };
    let taken = socket.set_nonblocking(true).and_then(|()| {
        let peer = peer
            .as_socket()
            .ok_or_else(|| io::Error::other("not an internet address"))?;
        Ok((TcpStream::from_std(socket.into())?, peer))
    });
    Some(taken)
}

/// Ends when the process stops accepting.
async fn closes(shutdown: &mut ShutdownWatch) {
    // An error means that nobody can stop us any more, because the process is gone.
    let _ = shutdown.wait_for(|stopping| *stopping).await;
}

/// Whether descriptors or memory ran out, of this process or of the machine (EMFILE, ENFILE, ENOBUFS, ENOMEM).
fn is_short(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(24 | 23 | 105 | 12))
}

fn let_in(front: &Front, stream: TcpStream, peer: SocketAddr, shutdown: ShutdownWatch) {
    let limits = front.control.hold.look(|now| now.config.limits);
    let place = match front.crowd.enter(&front.port, &limits) {
        Ok(place) => place,
        Err(why) => {
            let refused = Refused::without_head(why);
            front.tell(Some(peer.ip()), &refused);
            return turn_away(front, stream, refused);
        }
    };
    if let Err(e) = prepare(&stream) {
        tracing::debug!("{peer} is gone: {e}");
        return;
    }
    let front = front.clone();
    tokio::spawn(async move { front.welcome(stream, peer.ip(), place, shutdown).await });
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(HELD)
}

/// Refuses a connection that was not looked at. Some are waited for; when those are many, what can be done at once is
/// done.
fn turn_away(front: &Front, stream: TcpStream, refused: Refused) {
    if front.speaks_tls().is_some() {
        // No word of ours would be understood, and a handshake costs more than there is.
        return;
    }
    match front.crowd.has_time() {
        Some(time) => {
            tokio::spawn(async move {
                refuse::turn_away(known(stream), &refused).await;
                drop(time);
            });
        }
        None => {
            let answered = stream
                .into_std()
                .and_then(|mut s| s.write(&refused.answer()));
            if let Err(e) = answered {
                tracing::debug!("a connection was turned away without a word: {e}");
            }
        }
    }
}

/// A socket in the form pingora takes. Unbuffered: the front buffers on its own, only while there is something to.
pub(super) fn known(stream: TcpStream) -> Stream {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let mut socket = Socket::from(stream);
    socket.set_socket_digest(digest);
    Box::new(socket)
}
