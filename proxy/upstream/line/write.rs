//! How a line sends.
//!
//! A head waits a moment for the beginning of its body, so that both leave together. A flush never waits for the node: what
//! the socket does not take at once goes out while the answer is awaited, under that limit. In a tunnel nothing waits.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::super::tunnel::Goes;
use super::{Line, socket};

/// pingora takes an end of the request that it meets after a 101 for the end of the tunnel. So the head of a request
/// that asks for one leaves only after its end had the time to come: as many rounds of pingora's loop.
const ROUNDS_BEFORE_A_TUNNEL: u8 = 8;
/// Bytes of a request that wait to leave together, at most.
const TOGETHER: usize = 16 * 1024;
/// A part of a body of this size leaves by itself: copying it costs more than a write.
const LARGE: usize = 4 * 1024;
impl Line {
    /// The request begins with this `head`, all of it. Where field lines are added they are gathered behind its own, and
    /// nothing of it is left to be sent.
    fn gathers(&mut self, head: &[u8]) -> bool {
        let lines = self.added.take();
        if !lines.is_empty() {
            let (fields, end) = head.split_at(head.len() - b"\r\n".len()); // of the empty line
            self.out.reserve(head.len() + lines.len());
            for part in [fields, &lines, end] {
                self.out.extend_from_slice(part);
            }
            self.head_waits = self.rounds_before_its_head();
            self.exchange.sends(head);
        }
        if let Some(hedge) = &mut self.hedge {
            hedge.sends(if lines.is_empty() { head } else { &self.out }); // there is nothing else
        }
        !lines.is_empty()
    }

    /// How often an answer is asked for before a head leaves without what may follow it.
    fn rounds_before_its_head(&self) -> u8 {
        match (self.exchange.asks_to_upgrade(), self.exchange.has_body()) {
            (true, _) => ROUNDS_BEFORE_A_TUNNEL,
            (false, has_body) => u8::from(has_body),
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.head_waits = 0;
        while self.gone < self.out.len() {
            let written = socket(&mut self.stream).poll_write(cx, &self.out[self.gone..]);
            match written {
                Poll::Pending => {
                    self.is_full(true);
                    return Ok(());
                }
                Poll::Ready(Ok(n)) if n > 0 => self.gone += n,
                Poll::Ready(failed) => {
                    self.deaf = true;
                    self.out.clear();
                    self.gone = 0;
                    return failed.and(Err(ErrorKind::WriteZero.into()));
                }
            }
        }
        self.out.clear();
        self.gone = 0;
        // What TLS has taken is not gone yet.
        let flushed = socket(&mut self.stream).poll_flush(cx);
        self.is_full(flushed.is_pending());
        match flushed {
            Poll::Ready(Err(e)) => {
                self.deaf = true;
                Err(e)
            }
            _ => Ok(()),
        }
    }

    /// Sends `buf` behind what waits, without a copy.
    fn write_through(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.out.len() - self.gone;
            let n = if waiting == 0 {
                ready!(socket(&mut self.stream).poll_write(cx, buf))?
            } else {
                let both = [IoSlice::new(&self.out[self.gone..]), IoSlice::new(buf)];
                ready!(socket(&mut self.stream).poll_write_vectored(cx, &both))?
            };
            if n == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            if n < waiting {
                self.gone += n;
                continue;
            }
            self.out.clear();
            self.gone = 0;
            let of_buf = n - waiting;
            if of_buf > 0 {
                self.exchange.sends(&buf[..of_buf]);
                return Poll::Ready(Ok(of_buf));
            }
        }
    }

    /// Sends what the client says in a tunnel.
    fn pass_on(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let goes = match &mut self.carrier {
            Some(carrier) => carrier.takes(buf, &mut self.out),
            None => Goes::Through(buf.len()),
        };
        let Goes::Through(most) = goes else {
            let _ = self.push(cx);
            return Poll::Ready(Ok(buf.len()));
        };
        self.head_waits = 0;
        let written = self.write_through(cx, &buf[..most]);
        self.is_full(written.is_pending());
        if let (Some(carrier), Poll::Ready(Ok(n))) = (&mut self.carrier, &written) {
            carrier.sends(&buf[..*n]);
        }
        written
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        if let Some(patience) = &mut line.patience {
            patience.begins();
        }
        if line.deaf {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let begins = !line.exchange.is_begun();
        if begins && !line.exchange.begin(buf) {
            let odd = "what is to be sent does not begin with a request head";
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidInput, odd)));
        }
        if line.exchange.is_sent() && !line.exchange.is_tunnel() {
            let odd = "more is to be sent than the request";
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidInput, odd)));
        }
        if line.exchange.has_body() {
            line.hedge = None;
        }
        if begins && line.gathers(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        if line.exchange.is_tunnel() {
            return line.pass_on(cx, buf);
        }
        let waiting = line.out.len() - line.gone;
        let alone = if begins {
            !line.exchange.has_body() && !line.exchange.asks_to_upgrade()
        } else {
            waiting == 0 && buf.len() >= LARGE
        };
        if alone || waiting + buf.len() > TOGETHER {
            line.head_waits = 0;
            let written = line.write_through(cx, buf);
            line.is_full(written.is_pending());
            return written;
        }
        line.head_waits = u8::from(begins) * line.rounds_before_its_head();
        line.out.extend_from_slice(buf);
        line.exchange.sends(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.head_waits > 0 || (line.gone == line.out.len() && !line.owes()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(line.push(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        line.shut = true;
        socket(&mut line.stream).poll_shutdown(cx)
    }
}
