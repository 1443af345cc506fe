//! A connection that is memory: a client that says the same again as soon as it was answered.
//!
//! Nothing is waited for and nothing is copied that a socket would not copy into the kernel; so what is measured is the
//! proxy.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the client was sent.
#[derive(Debug, Default)]
pub struct Taken {
    bytes: AtomicU64,
    first: Mutex<Vec<u8>>,
}

impl Taken {
    /// How much.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The first write of it.
    pub fn first(&self) -> Vec<u8> {
        self.first.lock().clone()
    }

    fn add(&self, pieces: &[IoSlice<'_>]) -> usize {
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        if self.bytes.fetch_add(bytes as u64, Relaxed) == 0 {
            *self.first.lock() = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        }
        bytes
    }
}

/// A connection.
#[derive(Debug)]
pub struct Script {
    says: Bytes,
    times: u64,
    taken: Arc<Taken>,
}

impl Script {
    /// One that says this so many times and then ends. `taken` is told what it was sent.
    pub fn new(says: Bytes, times: u64, taken: Arc<Taken>) -> Script {
        Script { says, times, taken }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(left) = this.times.checked_sub(1) {
            this.times = left;
            buf.put_slice(&this.says);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.taken.add(&[IoSlice::new(buf)])))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.taken.add(pieces)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// What pingora asks of a connection beside its bytes.

#[async_trait]
impl Shutdown for Script {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Script {
    fn id(&self) -> UniqueIDType {
        -1
    }
}

impl Ssl for Script {}

impl Peek for Script {}

impl GetTimingDigest for Script {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Script {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Script {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
