//! What a client says first (ClientHello), and the socket behind it.
//!
//! A client that resumes a session of another server may send a request right behind its hello (RFC 8446 §4.2.10). We
//! take no early data, but rustls knows how to skip it: it must see all of it, in order. So the hello is read record by
//! record, and what was read beyond it is given back.

use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::server::{Accepted, Acceptor};

use super::{Failure, tell};
use crate::gateway::waiting;
use crate::telemetry::metrics::Failed;

/// The type, the version and the length of a record (RFC 8446 §5.1).
const RECORD_HEAD: usize = 5;

/// A socket of which some was read already.
#[derive(Debug)]
pub struct Begun {
    /// What was read and is still to be read; no more than one read of the socket.
    ahead: BytesMut,
    /// The socket.
    pub socket: TcpStream,
}

impl AsyncRead for Begun {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..n]);
        this.ahead.advance(n);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new(); // the memory goes back
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Reads what a client says first, of which `buffer` was read already, and says since when it came; `None`: it came and
/// went.
///
/// # Errors
/// When it is no hello. A client that can be told is told (RFC 8446 §6).
pub async fn greeting(
    mut socket: TcpStream,
    mut buffer: BytesMut,
) -> Result<Option<(Begun, Accepted, Instant)>, Failure> {
    let mut acceptor = Acceptor::default();
    let mut since = None;
    // What is to come of the record that was begun.
    let mut record = 0;
    loop {
        let needed = if record == 0 { RECORD_HEAD } else { 1 };
        if since.is_none() && !buffer.is_empty() {
            since = Some(Instant::now());
            if buffer[0].is_ascii_alphabetic() {
                return Err(Failure {
                    stream: Some(socket),
                    ..Failure::new(Failed::PlainHttp, "HTTP in the clear on a port for TLS")
                });
            }
        }
        if buffer.len() < needed {
            let read = waiting::read_more(&mut socket, &mut buffer).await;
            match read.map_err(|e| Failure::new(Failed::Gone, e))? {
                0 if since.is_none() => return Ok(None),
                0 => return Err(Failure::new(Failed::Gone, "it left in the middle")),
                _ => continue,
            }
        }
        if record == 0 {
            record = RECORD_HEAD + usize::from(u16::from_be_bytes([buffer[3], buffer[4]]));
        }
        let mut piece = &buffer[..record.min(buffer.len())];
        let taken = acceptor.read_tls(&mut piece);
        let taken = taken.map_err(|e: Error| Failure::new(Failed::Protocol, e))?;
        record -= taken;
        buffer.advance(taken);
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let begun = Begun {
                    ahead: buffer,
                    socket,
                };
                return Ok(Some((begun, accepted, since.unwrap_or_else(Instant::now))));
            }
            Err((error, mut alert)) => {
                let mut said = Vec::new();
                if alert.write_all(&mut said).is_ok() {
                    tell(&mut socket, &said).await;
                }
                let why = match error {
                    rustls::Error::InvalidMessage(_) => Failed::NotTls,
                    rustls::Error::PeerIncompatible(_) => Failed::Incompatible,
                    _ => Failed::Protocol,
                };
                return Err(Failure::new(why, error));
            }
        }
    }
}
