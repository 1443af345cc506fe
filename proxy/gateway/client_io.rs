//! A client's connection as pingora gets it.
//!
//! Reads go through the `inlet`. Writes are gathered until they are flushed, in a buffer that exists only while there
//! is something in it, and an answer that is not taken ends the connection. Dropped while the client may still be
//! sending, it lingers: a closed socket with unread bytes is reset, and the reset would overtake the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use http::HeaderValue;
use nix_raw::sys::socket::{setsockopt, sockopt};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::conn::Conn;
use super::linger::{Rest, Seat, linger};
use super::pace::Pace;
use crate::base::reason::End;

/// Bytes that are gathered before they are sent.
const GATHERED: usize = 16 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct ClientIo {
    /// `None` only once it is dropped.
    stream: Option<Take<Stream>>,
    seat: Seat,
    out: BytesMut,
    pace: Pace,
    /// Something was sent: who only came and went is not waited for.
    answered: bool,
    /// It was listened to since something was gathered.
    listened: bool,
    /// The client speaks HTTP/2.
    h2: bool,
    /// It speaks TLS: of what was taken something may still wait to go out.
    tls: bool,
    /// Something was taken since all had gone out. Of TLS only.
    unflushed: bool,
}

impl ClientIo {
    /// `stream` as the connection of `seat`.
    pub fn new(stream: Stream, seat: Seat) -> Self {
        ClientIo {
            tls: seat.conn.secured().is_some(),
            unflushed: false,
            stream: Some(stream.take(u64::MAX)),
            seat,
            out: BytesMut::new(),
            pace: Pace::default(),
            answered: false,
            listened: false,
            h2: false,
        }
    }

    /// From here on it is spoken to in HTTP/2.
    pub fn speaks_h2(&mut self) {
        self.h2 = true;
    }

    fn conn(&self) -> &Conn {
        &self.seat.conn
    }

    /// Sends of these pieces what goes at once; how many bytes that were. Not every kind of connection takes several
    /// pieces: into those they go gathered.
    pub fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        self.answered = true;
        if !self.stream().is_write_vectored() {
            return Poll::Ready(Ok(self.gather(pieces)));
        }
        let stream = Pin::new(self.stream_mut());
        let step = match pieces {
            [one] => stream.poll_write(cx, one),
            _ => stream.poll_write_vectored(cx, pieces),
        };
        match ready!(self.step(step, cx))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            n => Poll::Ready(Ok(n)),
        }
    }

    /// Sends what was gathered of pieces, to the last byte.
    pub fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stream().is_write_vectored() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx)
    }

    /// Takes of these pieces what may be gathered before it is sent; how many bytes that were.
    fn gather(&mut self, pieces: &[io::IoSlice<'_>]) -> usize {
        for piece in pieces {
            let room = GATHERED - self.out.len();
            self.out.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.out.len()
    }

    fn bounded(&mut self) -> &mut Take<Stream> {
        self.stream.as_mut().expect("invariant: taken only by drop")
    }

    fn stream(&self) -> &Stream {
        let bounded = self.stream.as_ref();
        bounded.expect("invariant: taken only by drop").get_ref()
    }

    fn stream_mut(&mut self) -> &mut Stream {
        self.bounded().get_mut()
    }

    /// The `Date` that belongs into `buf`, where that is the head of an answer made at another time. pingora writes the
    /// time of sending into every answer; what is stored, and what a node said, has a time of its own.
    fn date_of(&self, buf: &[u8]) -> Option<HeaderValue> {
        let date = self.conn().takes_date()?;
        let is_head = !self.h2 && buf.starts_with(b"HTTP/1.") && !around_date(buf).1.is_empty();
        is_head.then_some(date)
    }

    /// Judges one step of sending.
    fn step(
        &mut self,
        step: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.unflushed |= self.tls;
        let moved = match &step {
            // The usual case: it was taken at once, and no term is asked for.
            Poll::Ready(Ok(n)) if self.pace.is_unbroken() => {
                self.pace.goes_on(*n);
                return step;
            }
            Poll::Ready(Ok(n)) => Some(*n),
            Poll::Ready(Err(_)) => return step,
            Poll::Pending => None,
        };
        if self.h2 {
            self.conn().has_unsent(moved.is_none());
        }
        let terms = self.conn().inlet.terms();
        match self
            .pace
            .check(moved, terms.send_pause, terms.send_rate, cx)
        {
            Ok(()) => step,
            Err(late) => {
                self.conn().inlet.is_at_fault(End::ClientTimeout);
                Poll::Ready(Err(late))
            }
        }
    }

    /// Makes the close that follows a reset, which no reader takes for the end of an answer.
    fn reset_on_close(&self) {
        let now = nix_raw::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        if let Err(e) = setsockopt(self.stream().id(), sockopt::Linger, &now) {
            tracing::debug!("a cut answer ends like a whole one: {e}");
        }
    }

    /// Sends what was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.has_remaining() {
            let ClientIo { stream, out, .. } = self;
            let stream = stream
                .as_mut()
                .expect("invariant: taken only by drop")
                .get_mut();
            let step = Pin::new(stream).poll_write(cx, out);
            match ready!(self.step(step, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.out.advance(n),
            }
        }
        // The memory goes back: most connections wait most of the time.
        self.out = BytesMut::new();
        match self.unflushed {
            true => self.poll_out(cx),
            false => Poll::Ready(Ok(())),
        }
    }

    /// Lets out what TLS has taken. Who does not take it is slow, as who takes nothing new is.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = Pin::new(self.stream_mut()).poll_flush(cx);
        ready!(self.step(out.map_ok(|()| 0), cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

/// What stands before and behind the value of a head's `Date`; nothing behind it where there is none.
fn around_date(head: &[u8]) -> (&[u8], &[u8]) {
    const NAME: &[u8] = b"\r\nDate: ";
    let value = |at: usize| {
        let from = at + NAME.len();
        let length = memchr::memchr(b'\r', &head[from..])?;
        Some((&head[..from], &head[from + length..]))
    };
    let found = memchr::memmem::find(head, NAME).and_then(value);
    found.unwrap_or((head, &[]))
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ClientIo { stream, seat, .. } = &mut *this;
        let stream = stream.as_mut().expect("invariant: taken only by drop");
        let read = seat.conn.inlet.poll_read(stream, cx, buf);
        if read.is_pending() && (this.out.has_remaining() || this.unflushed) {
            // pingora flushes an answer with a length at its end. It has nothing more at hand when it comes back to
            // listen: what there is goes out. The first time it may only be between a head and its body.
            if std::mem::replace(&mut this.listened, true) {
                if let Poll::Ready(Err(e)) = this.poll_send(cx) {
                    return Poll::Ready(Err(e));
                }
            } else {
                cx.waker().wake_by_ref();
            }
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.answered = true;
        this.listened = false;
        if let Some(date) = this.date_of(buf) {
            let (before, after) = around_date(buf);
            for part in [before, date.as_bytes(), after] {
                this.out.extend_from_slice(part);
            }
            return Poll::Ready(Ok(buf.len()));
        }
        if this.out.len() + buf.len() <= GATHERED {
            this.out.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        // What was gathered and the new bytes leave together.
        while this.out.has_remaining() {
            let ClientIo { stream, out, .. } = &mut *this;
            let stream = stream
                .as_mut()
                .expect("invariant: taken only by drop")
                .get_mut();
            let both = [io::IoSlice::new(out), io::IoSlice::new(buf)];
            let step = Pin::new(stream).poll_write_vectored(cx, &both);
            let n = ready!(this.step(step, cx))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let gathered = n.min(this.out.len());
            this.out.advance(gathered);
            if n > gathered {
                return Poll::Ready(Ok(n - gathered));
            }
        }
        let step = Pin::new(this.stream_mut()).poll_write(cx, buf);
        this.step(step, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(this.stream_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if this.conn().ends_with_reset() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(this.stream_mut()).poll_shutdown(cx)
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.conn().ends_with_reset() {
            self.reset_on_close();
            return;
        }
        // A client of HTTP/2 speaks as it reads: it says how far it is.
        let unread = self.answered && (self.h2 || self.conn().inlet.is_unread());
        let out = std::mem::take(&mut self.out);
        let needed = unread || self.unflushed || !out.is_empty();
        let Some(stream) = self.stream.take().filter(|_| needed) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let rest = Rest {
                to_send: out,
                unread,
                h2: self.h2,
            };
            runtime.spawn(linger(stream.into_inner(), rest, self.seat.clone()));
        }
    }
}

// What pingora asks of a connection beside its bytes: passed on.

#[async_trait]
impl Shutdown for ClientIo {
    async fn shutdown(&mut self) {
        use tokio::io::AsyncWriteExt;
        if let Err(e) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!("a client's connection could not be shut: {e}");
        }
    }
}

impl UniqueID for ClientIo {
    fn id(&self) -> UniqueIDType {
        self.stream().id()
    }
}

impl Ssl for ClientIo {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.h2 {
            true => Some(ALPN::H2),
            false => self.stream().selected_alpn_proto(),
        }
    }
}

impl Peek for ClientIo {}

impl GetTimingDigest for ClientIo {
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

impl GetProxyDigest for ClientIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream().get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream_mut().set_proxy_digest(digest);
    }
}

impl GetSocketDigest for ClientIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream().get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream_mut().set_socket_digest(digest);
    }
}
