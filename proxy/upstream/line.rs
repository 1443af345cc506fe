//! One connection to a node for one request and its answer.
//!
//! Stands between the data path and the socket. Every byte of the answer is checked before it passes, and none passes
//! that lies beyond its end: a reader that repairs what it reads has nothing to repair. The connection is kept for
//! the next request only after both sides said all they had to say; whatever else happens closes it.
//!
//! Writing: a head waits a moment for the beginning of its body, so that both leave together. A flush never waits for
//! the node: what the socket does not take at once goes out while the answer is awaited, under that limit.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::headers::Added;
use super::hedge::{self, Heard, Hedge, Second};
use super::kept::Kept;
use super::patience::Patience;
use super::stream::NodeStream;
use super::tunnel::{Carrier, Goes, Tunnel};
use crate::wire::exchange::{Bad, Exchange};

/// pingora takes an end of the request that it meets after a 101 for the end of the tunnel. So the head of a request
/// that asks for one leaves only after its end had the time to come: as many rounds of pingora's loop.
const ROUNDS_BEFORE_A_TUNNEL: u8 = 8;
/// Bytes of a request that wait to leave together, at most.
const TOGETHER: usize = 16 * 1024;
/// A part of a body of this size leaves by itself: copying it costs more than a write.
const LARGE: usize = 4 * 1024;
/// One read while a head is not whole.
const READ: usize = 4 * 1024;

/// One connection, one exchange.
#[derive(Debug)]
pub struct Line {
    /// Until it is handed back.
    stream: Option<NodeStream>,
    /// Where it goes when all went well.
    home: Arc<Kept>,
    exchange: Exchange,
    /// Fields that the head gets on its way.
    added: Added,
    /// To be sent, from `gone` on.
    out: Vec<u8>,
    gone: usize,
    /// What waits is a head that may be joined by its body: so often an answer is asked for before it goes.
    head_waits: u8,
    /// The beginning of a head that is not whole, behind `checked` bytes that may pass.
    held: Vec<u8>,
    checked: usize,
    /// The node takes nothing any more.
    deaf: bool,
    /// What the node sent is not an answer.
    bad: Option<Bad>,
    /// It is to be closed.
    shut: bool,
    /// Says so while the node takes nothing more, for who has to know whom a body waits for.
    full: Option<Arc<AtomicBool>>,
    /// Set while little is to be read at a time, because each byte becomes many.
    little: Option<Arc<AtomicBool>>,
    /// Until when the answer must begin.
    patience: Option<Patience>,
    /// Who is asked beside the node, until it is clear who answers.
    hedge: Option<Hedge>,
    /// The node is not listened to any more, only the second.
    given_up: bool,
    /// Of a request that asks for another protocol: who carries its bytes once the node has agreed.
    carrier: Option<Box<Carrier>>,
}

impl Line {
    /// A line over `stream`, which goes to `home` when the exchange is over and well. The head of the request leaves with
    /// the fields that are `added`.
    /// `full` is set while the node takes nothing more; little is read at a time while `little` is. The answer must begin
    /// within `patience` after the last byte of the request.
    pub fn new(
        stream: NodeStream,
        home: Arc<Kept>,
        added: Added,
        full: Option<Arc<AtomicBool>>,
        little: Option<Arc<AtomicBool>>,
        patience: Option<Patience>,
        hedge: Option<Hedge>,
    ) -> Self {
        Line {
            stream: Some(stream),
            home,
            exchange: Exchange::default(),
            added,
            out: Vec::new(),
            gone: 0,
            head_waits: 0,
            held: Vec::new(),
            checked: 0,
            deaf: false,
            bad: None,
            shut: false,
            full,
            little,
            patience,
            hedge,
            given_up: false,
            carrier: None,
        }
    }

    /// TLS has taken what has not left.
    fn owes(&self) -> bool {
        self.stream.as_ref().is_some_and(NodeStream::owes)
    }

    /// The same, for a request that asks for a tunnel.
    pub fn with_tunnel(mut self, tunnel: Option<Arc<Tunnel>>) -> Self {
        self.carrier = tunnel.map(|tunnel| Box::new(Carrier::new(tunnel)));
        self
    }

    fn is_full(&self, full: bool) {
        if let Some(flag) = &self.full {
            flag.store(full, Relaxed);
        }
    }

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
    fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
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

    /// `bytes` came from the node. So many of them may pass; what waits behind them is held.
    fn admit(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let passed = self.exchange.gets(bytes).map_err(|bad| self.refuse(bad))?;
        if let Some(carrier) = &mut self.carrier {
            carrier.gets(&bytes[passed.bytes - passed.of_tunnel..passed.bytes]);
        }
        if passed.waits {
            self.held.extend_from_slice(&bytes[passed.bytes..]);
        }
        Ok(passed.bytes)
    }

    fn refuse(&mut self, bad: Bad) -> io::Error {
        self.bad = Some(bad);
        io::Error::new(ErrorKind::InvalidData, bad.in_words())
    }

    /// The node closed.
    fn ended(&mut self) -> Poll<io::Result<()>> {
        if self.exchange.closes() {
            return Poll::Ready(Ok(()));
        }
        let cut = "the node closed in the middle of its answer";
        Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, cut)))
    }

    /// Reads on with the beginning of a head in hand.
    fn read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.checked == 0 {
            let mut room = [MaybeUninit::uninit(); READ];
            let mut room = ReadBuf::uninit(&mut room);
            ready!(socket(&mut self.stream).poll_read(cx, &mut room))?;
            if room.filled().is_empty() {
                return self.ended();
            }
            self.held.extend_from_slice(room.filled());
            let passed = match self.exchange.gets(&self.held) {
                Ok(passed) => passed,
                Err(bad) => return Poll::Ready(Err(self.refuse(bad))),
            };
            if !passed.waits {
                self.held.truncate(passed.bytes);
            }
            if let Some(carrier) = &mut self.carrier {
                carrier.gets(&self.held[passed.bytes - passed.of_tunnel..passed.bytes]);
            }
            self.checked = passed.bytes;
        }
        self.hand_out(buf);
        Poll::Ready(Ok(()))
    }

    /// Listens to both nodes until one of them says something, or the only one that is left.
    fn race(&mut self, cx: &mut Context<'_>, hedge: &mut Hedge) -> Poll<io::Result<()>> {
        let first = match self.given_up {
            true => Poll::Ready(Heard::End),
            false => hedge::hears(socket(&mut self.stream).get_mut(), cx),
        };
        match first {
            Poll::Ready(heard) if hedge.is_good(heard) => return Poll::Ready(Ok(())),
            // It failed. That is told only when nobody else can answer.
            Poll::Ready(_) if !hedge.runs() && !self.given_up => return Poll::Ready(Ok(())),
            Poll::Ready(_) | Poll::Pending => {}
        }
        match ready!(hedge.poll(cx)) {
            Second::Answers(stream, home) => {
                self.stream = Some(stream);
                self.home = home;
                Poll::Ready(Ok(()))
            }
            Second::Lost if self.given_up => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Second::Lost if first.is_pending() => {
                // Only the first is left.
                hedge::hears(socket(&mut self.stream).get_mut(), cx).map(|_| Ok(()))
            }
            Second::Lost => Poll::Ready(Ok(())),
        }
    }

    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let fits = self.checked.min(buf.remaining());
        buf.put_slice(&self.held[..fits]);
        self.held.drain(..fits);
        self.checked -= fits;
    }
}

/// The socket, which is there until the line is dropped.
fn socket(stream: &mut Option<NodeStream>) -> Pin<&mut NodeStream> {
    let stream = stream.as_mut();
    Pin::new(stream.expect("invariant: only the drop takes the socket away"))
}

impl Line {
    /// Reads what of the answer may pass.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self;
        if line.head_waits > 0 {
            // The body, if it is here already, is written before this is asked again.
            line.head_waits -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(bad) = line.bad {
            return Poll::Ready(Err(line.refuse(bad)));
        }
        if let Some(carrier) = &mut line.carrier {
            carrier.says_good_bye(&mut line.out);
        }
        // A node that takes nothing any more may have answered before.
        let _ = line.push(cx);
        if line.checked > 0 {
            line.hand_out(buf);
            return Poll::Ready(Ok(()));
        }
        if line.exchange.is_tunnel()
            && let Some(carrier) = &mut line.carrier
        {
            return carrier.poll_read(socket(&mut line.stream).get_mut(), cx, buf);
        }
        if line.exchange.is_answered() || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(patience) = &mut line.patience {
            match line.exchange.has_answer_begun() {
                true => line.patience = None,
                false if patience.ends(cx) => {
                    let second_runs = line.hedge.as_ref().is_some_and(Hedge::runs);
                    let may = second_runs || patience.others.may_be_asked();
                    line.patience = None;
                    line.given_up = second_runs; // it has its own time
                    if may && !second_runs {
                        return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                    }
                }
                false => {}
            }
        }
        if !line.held.is_empty() {
            return line.read_on(cx, buf);
        }
        if let Some(mut hedge) = line.hedge.take() {
            let Poll::Ready(decided) = line.race(cx, &mut hedge) else {
                line.hedge = Some(hedge);
                return Poll::Pending;
            };
            decided?;
        }
        // Straight into the reader's buffer, and what may not pass out of it again.
        let before = buf.filled().len();
        let socket = socket(&mut line.stream);
        match line.little.as_ref().is_some_and(|flag| flag.load(Relaxed)) {
            true => ready!(Pin::new(&mut socket.take(READ as u64)).poll_read(cx, buf))?,
            false => ready!(socket.poll_read(cx, buf))?,
        }
        if buf.filled().len() == before {
            return line.ended();
        }
        let admitted = line.admit(&buf.filled()[before..]);
        buf.set_filled(before + admitted.as_ref().map_or(0, |n| *n));
        if admitted? > 0 {
            return Poll::Ready(Ok(()));
        }
        line.read_on(cx, buf)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let read = line.read(cx, buf);
        match &mut line.carrier {
            Some(carrier) if !line.exchange.is_tunnel() => carrier.awaits(read, cx),
            _ => read,
        }
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
        let waiting = line.out.len() - line.gone;
        let alone = if begins {
            !line.exchange.has_body() && !line.exchange.asks_to_upgrade()
        } else {
            waiting == 0 && buf.len() >= LARGE
        };
        if line.exchange.is_tunnel() {
            return line.pass_on(cx, buf);
        }
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

impl VirtualSocket for Line {
    /// What a connection needs is set when it is made.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let all_sent = self.gone == self.out.len() && !self.deaf && !self.owes();
        if all_sent
            && !self.shut
            && self.bad.is_none()
            && self.exchange.may_be_followed()
            && let Some(stream) = self.stream.take()
        {
            self.home.put(stream);
        }
    }
}
