//! Reading from a node while it is not clear yet what may pass, or which of two nodes answers.
//!
//! Never hands out a byte that the exchange has not checked.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Line, READ, socket};
use crate::upstream::hedge::{self, Heard, Hedge, Second};

impl Line {
    /// Reads on with the beginning of a head in hand.
    pub(super) fn read_on(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
    pub(super) fn race(&mut self, cx: &mut Context<'_>, hedge: &mut Hedge) -> Poll<io::Result<()>> {
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

    pub(super) fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let fits = self.checked.min(buf.remaining());
        buf.put_slice(&self.held[..fits]);
        self.held.drain(..fits);
        self.checked -= fits;
    }
}
