//! A connection that speaks TLS, as pingora takes it.
//!
//! An end that is meant is told (`close_notify`, RFC 8446 §6.1), so that no reader takes a cut answer for a whole one; the
//! end of an answer of HTTP/1 that is cut never is. What was accepted but did not go out yet waits in one place, of at most 64 KiB.

use std::io::{self, IoSlice, Write};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::super::conn::Conn;
use super::Begun;

/// A client's connection over TLS.
#[derive(Debug)]
pub struct TlsIo {
    stream: TlsStream<Begun>,
    conn: Arc<Conn>,
    digest: Arc<SocketDigest>,
    /// Its end was told.
    is_shut: bool,
}

impl TlsIo {
    /// `stream` as the connection `conn`.
    pub fn new(stream: TlsStream<Begun>, conn: Arc<Conn>) -> Self {
        let digest = SocketDigest::from_raw_fd(stream.get_ref().0.socket.as_raw_fd());
        TlsIo {
            stream,
            conn,
            digest: Arc::new(digest),
            is_shut: false,
        }
    }

    /// Lets out what waits to go; nothing new is taken before.
    fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.get_ref().1.wants_write() {
            true => Pin::new(&mut self.stream).poll_flush(cx),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Or a client that takes nothing would seem to take it.
        ready!(this.poll_clear(cx))?;
        // Pieces that fit share a record, and records that are made together leave by one write.
        Pin::new(&mut this.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_clear(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_shut = true;
        if this.conn.is_cut() {
            // What was sent is not all there is: the socket ends, and nothing says that this was meant.
            ready!(this.poll_clear(cx))?;
            return Pin::new(&mut this.stream.get_mut().0.socket).poll_shutdown(cx);
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Drop for TlsIo {
    fn drop(&mut self) {
        if self.is_shut || self.conn.ends_with_reset() || self.conn.is_cut() {
            return;
        }
        let (begun, session) = self.stream.get_mut();
        if session.is_handshaking() {
            return;
        }
        session.send_close_notify();
        // What the socket takes at once: nobody waits here. Behind what it does not take there is no end either.
        while session.wants_write() {
            match session.write_tls(&mut AtOnce(&begun.socket)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }
}

/// A socket that takes what it can at once.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// What pingora asks of a connection beside its bytes.

#[async_trait]
impl Shutdown for TlsIo {
    async fn shutdown(&mut self) {
        if let Err(e) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!("a client's connection could not be shut: {e}");
        }
    }
}

impl UniqueID for TlsIo {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().0.socket.as_raw_fd()
    }
}

impl Ssl for TlsIo {}

impl Peek for TlsIo {}

impl GetTimingDigest for TlsIo {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for TlsIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }

    fn set_proxy_digest(&mut self, _: ProxyDigest) {}
}

impl GetSocketDigest for TlsIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.digest = Arc::new(digest);
    }
}
