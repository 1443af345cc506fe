//! What a client sends behind a request is held back until that request is answered.
//!
//! pingora listens to the client while a node works, to notice that it left; bytes that arrive meanwhile make it end
//! the request that is under way. Here they are set aside instead and become the next request. A body is read to its
//! last byte and no further. Never looks at what the bytes mean.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

/// Early bytes that are read ahead; the rest waits in the kernel.
const MOST: usize = 64 * 1024;

/// Bytes that came early, shared by the connection and those who know what it is for at the moment.
#[derive(Debug, Clone, Default)]
pub struct Early(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    /// Bytes of the current request's body still to be read, from `bytes` first; `None`: whatever comes is wanted.
    body_left: Option<usize>,
}

impl Early {
    /// From now on only `body` more bytes are wanted. `taken` was read already but comes after them: it goes back in
    /// front of what came early and was not read yet.
    pub fn hold_after(&self, body: usize, mut taken: BytesMut) {
        let mut state = self.0.lock();
        if !taken.is_empty() {
            taken.extend_from_slice(&state.bytes);
            state.bytes = taken;
        }
        state.body_left = Some(body);
    }

    /// From now on whatever comes is wanted, early bytes first.
    pub fn let_through(&self) {
        self.0.lock().body_left = None;
    }
}

/// A client's connection that holds early bytes back.
#[derive(Debug)]
pub struct Held {
    inner: Take<Stream>,
    early: Early,
}

impl Held {
    /// Holds back what comes early on `stream`.
    pub fn new(stream: Stream, early: Early) -> Self {
        Held {
            inner: stream.take(u64::MAX),
            early,
        }
    }

    fn stream(&self) -> &Stream {
        self.inner.get_ref()
    }

    fn stream_mut(&mut self) -> &mut Stream {
        self.inner.get_mut()
    }
}

impl AsyncRead for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Held { inner, early } = self.get_mut();
        let mut state = early.0.lock();
        match state.body_left {
            Some(0) => set_aside(inner, &mut state.bytes, cx),
            Some(left) if state.bytes.has_remaining() => {
                let n = give(&mut state.bytes, left, buf);
                state.body_left = Some(left - n);
                Poll::Ready(Ok(()))
            }
            Some(left) => {
                inner.set_limit(left as u64);
                let before = buf.filled().len();
                let read = Pin::new(inner).poll_read(cx, buf);
                state.body_left = Some(left - (buf.filled().len() - before));
                read
            }
            None if state.bytes.has_remaining() => {
                give(&mut state.bytes, usize::MAX, buf);
                Poll::Ready(Ok(()))
            }
            None => {
                inner.set_limit(u64::MAX);
                Pin::new(inner).poll_read(cx, buf)
            }
        }
    }
}

/// Hands out at most `limit` bytes of what came early; how many.
fn give(bytes: &mut BytesMut, limit: usize, buf: &mut ReadBuf<'_>) -> usize {
    let n = bytes.len().min(buf.remaining()).min(limit);
    buf.put_slice(&bytes[..n]);
    bytes.advance(n);
    n
}

/// Reads what comes early and says that nothing came; a client that leaves is told.
fn set_aside(
    inner: &mut Take<Stream>,
    bytes: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    inner.set_limit(u64::MAX);
    let mut room = [0; 1024];
    while bytes.len() < MOST {
        let mut part = ReadBuf::new(&mut room);
        match Pin::new(&mut *inner).poll_read(cx, &mut part) {
            Poll::Ready(Ok(())) if part.filled().is_empty() => return Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) => bytes.extend_from_slice(part.filled()),
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => break,
        }
    }
    Poll::Pending
}

impl AsyncWrite for Held {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream_mut()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream().is_write_vectored()
    }
}

// What pingora asks of a connection beside its bytes: passed on.

#[async_trait]
impl Shutdown for Held {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(self.stream_mut().as_mut()).await;
    }
}

impl UniqueID for Held {
    fn id(&self) -> UniqueIDType {
        self.stream().id()
    }
}

impl Ssl for Held {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream().selected_alpn_proto()
    }
}

impl Peek for Held {}

impl GetTimingDigest for Held {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream().get_write_pending_time()
    }
}

impl GetProxyDigest for Held {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream().get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream_mut().set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Held {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream().get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream_mut().set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn read(held: &mut Held, most: usize) -> Vec<u8> {
        let mut room = vec![0; most];
        let n = held.read(&mut room).await.expect("the other end is there");
        room.truncate(n);
        room
    }

    /// Nothing is to be read, though bytes are on the wire.
    async fn nothing(held: &mut Held) {
        let wait = Duration::from_millis(20);
        let mut room = [0; 1];
        let read = tokio::time::timeout(wait, held.read(&mut room)).await;
        assert!(read.is_err(), "{read:?}");
    }

    #[tokio::test]
    async fn every_byte_comes_once_and_in_its_place() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let early = Early::default();
        let mut held = Held::new(Box::new(ours), early.clone());
        // The head of a first request, and much behind it while it is worked on.
        early.hold_after(0, BytesMut::new());
        let behind: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        theirs.write_all(&behind).await.expect("there is room");
        nothing(&mut held).await;
        // The front reads a piece; its head has 100 bytes, its body 10,000, of which it read some already.
        early.let_through();
        let piece = read(&mut held, 4_096).await;
        assert_eq!(piece, behind[..4_096]);
        early.hold_after(100 + 10_000 - 4_096, BytesMut::new());
        let mut body = Vec::new();
        while body.len() < 6_004 {
            body.extend(read(&mut held, 1_000).await);
        }
        assert_eq!(body, behind[4_096..10_100]);
        nothing(&mut held).await;
        // The next piece holds a whole request of 50 bytes and more: the rest goes back to where it was.
        early.let_through();
        let piece = read(&mut held, 4_096).await;
        early.hold_after(0, BytesMut::from(&piece[50..]));
        nothing(&mut held).await;
        theirs.write_all(b"the end").await.expect("there is room");
        early.let_through();
        let mut rest = Vec::new();
        while rest.len() < 9_850 + 7 {
            rest.extend(read(&mut held, 5_000).await);
        }
        assert_eq!(rest[..9_850], behind[10_150..]);
        assert_eq!(rest[9_850..], *b"the end");
    }
}
