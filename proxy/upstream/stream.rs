//! A connection to a node: bytes, or TLS with bytes inside.
//!
//! Everybody above reads and writes the same way. What only TLS knows is asked here: whether bytes that were taken still
//! have to leave, and whether what came while nobody asked anything was an answer, an end, or only a session ticket.
//! A connection without TLS pays for none of it but a look at which of both it is.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{SockRef, Socket};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::IoState;

/// So many reads of what came over an idle connection are only tickets and key updates, at most: a read takes 4 KiB or
/// more, and who sends that much to somebody who asked nothing is not waited for.
const IDLE_READS: usize = 8;

/// Bytes of the head of a record of TLS.
const RECORD_HEAD: usize = 5;

/// A connection to a node.
#[derive(Debug)]
pub enum NodeStream {
    /// The node gets the bytes as they are.
    Plain(TcpStream),
    /// The handshake is done, and the node is who it should be.
    Tls(Box<TlsStream<TcpStream>>),
}

impl NodeStream {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            NodeStream::Plain(socket) => socket,
            NodeStream::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether bytes that a write took have still to leave. `poll_flush` sends them.
    pub fn owes(&self) -> bool {
        match self {
            NodeStream::Plain(_) => false,
            NodeStream::Tls(tls) => tls.get_ref().1.wants_write(),
        }
    }

    /// What came first of what nobody has read yet, as far as it fits. Takes nothing out. 0: the node closed.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            NodeStream::Plain(socket) => socket.poll_peek(cx, &mut ReadBuf::new(into)),
            NodeStream::Tls(tls) => {
                let come = ready!(Pin::new(tls).poll_fill_buf(cx))?;
                let fits = come.len().min(into.len());
                into[..fits].copy_from_slice(&come[..fits]);
                Poll::Ready(Ok(fits))
            }
        }
    }

    /// Whether nothing came from the node, nor its end. The system is asked: the runtime may not have heard yet. What TLS
    /// says to itself (RFC 8446 §4.6: tickets, new keys) is taken in and is nothing.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            NodeStream::Plain(socket) => {
                let nothing_yet = SockRef::from(&*socket).peek(&mut [MaybeUninit::uninit()]);
                nothing_yet.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
            }
            NodeStream::Tls(tls) => {
                let (socket, session) = tls.get_mut();
                let socket = SockRef::from(&*socket);
                let quiet = |s: IoState| s.plaintext_bytes_to_read() == 0 && !s.peer_has_closed();
                let mut records = Records::default();
                for _ in 0..IDLE_READS {
                    let read = session.read_tls(&mut AtOnce(&socket, &mut records));
                    let over = match read {
                        Ok(0) => return false,
                        Ok(_) => false,
                        Err(e) if e.kind() == ErrorKind::WouldBlock => true,
                        Err(_) => return false,
                    };
                    // Also what had come behind the last answer is seen here.
                    if !session.process_new_packets().is_ok_and(quiet) {
                        return false;
                    }
                    if over {
                        // The rest of a record would be read as the beginning of the next answer.
                        return records.are_whole();
                    }
                }
                false
            }
        }
    }

    /// Closes a connection on which all is said: a node that speaks TLS is told so (RFC 8446 §6.1), as far as the socket
    /// takes it at once.
    pub fn close(self) {
        if let NodeStream::Tls(mut tls) = self {
            let (socket, session) = tls.get_mut();
            session.send_close_notify();
            let socket = SockRef::from(&*socket);
            let _ = session.write_tls(&mut &*socket);
        }
    }
}

/// Where records of TLS end in what passes (RFC 8446 §5.1): a type, a version, two bytes of length, and so many more.
#[derive(Debug, Default)]
struct Records {
    /// What has come of the head of a record.
    head: [u8; RECORD_HEAD],
    seen: usize,
    /// What is still to come of its content.
    rest: usize,
}

impl Records {
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let part = self.rest.min(bytes.len());
                self.rest -= part;
                bytes = &bytes[part..];
                continue;
            }
            self.head[self.seen] = bytes[0];
            self.seen += 1;
            bytes = &bytes[1..];
            if self.seen == RECORD_HEAD {
                self.seen = 0;
                self.rest = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
            }
        }
    }

    fn are_whole(&self) -> bool {
        self.seen == 0 && self.rest == 0
    }
}

/// Reads what is there, without the runtime.
struct AtOnce<'a>(&'a Socket, &'a mut Records);

impl Read for AtOnce<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        self.1.pass(&buf[..read]);
        Ok(read)
    }
}

/// Passes a call on to the one of both that it is.
macro_rules! either {
    ($stream:expr, $it:ident => $call:expr) => {
        match $stream.get_mut() {
            NodeStream::Plain(socket) => {
                let $it = Pin::new(socket);
                $call
            }
            NodeStream::Tls(tls) => {
                let $it = Pin::new(tls);
                $call
            }
        }
    };
}

impl AsyncRead for NodeStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, it => it.poll_read(cx, buf))
    }
}

impl AsyncWrite for NodeStream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, it => it.poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, it => it.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, it => it.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, it => it.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests;
