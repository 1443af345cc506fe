//! A connection that became a tunnel: both ways pass, and it ends in good order when somebody wants its end.
//!
//! A node has agreed to speak another protocol (101). From then on nothing is checked and nothing changed; what passes is
//! counted, so that others can see whether it is silent. Where it is a WebSocket whose end somebody wants, both ends get
//! a close frame between two frames of their own, and a moment to answer it. Never holds a byte back for that.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::base::reason::End;
use crate::wire::websocket::{Frames, Sender, going_away, going_away_masked};

/// How long both ends have to answer a close frame.
pub const FAREWELL: Duration = Duration::from_secs(1);
/// One read of what nobody gets any more, and how many of them in a row.
const READ: usize = 4 * 1024;
const READS: usize = 16;

/// A tunnel, or what may become one, as those see it who do not carry its bytes.
#[derive(Debug)]
pub struct Tunnel {
    websocket: bool,
    mask: [u8; 4],
    /// Until the node has agreed: how long it may be silent.
    patience: Option<Duration>,
    from_client: AtomicU64,
    to_client: AtomicU64,
    closes: OnceLock<End>,
    waker: Mutex<Option<Waker>>,
}

impl Tunnel {
    /// What a request asks for. `websocket`: its close frame to the node is masked by `mask`. Until the node has agreed,
    /// and where it does not, it may be silent for as long as `patience`.
    pub fn new(websocket: bool, mask: [u8; 4], patience: Option<Duration>) -> Self {
        Tunnel {
            websocket,
            mask,
            patience,
            from_client: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
            closes: OnceLock::new(),
            waker: Mutex::default(),
        }
    }

    /// It is to end, because of this. Only the first reason counts.
    pub fn close(&self, why: End) {
        if self.closes.set(why).is_ok() {
            self.wake();
        }
    }

    /// Why it is to end, if it is.
    pub fn closes(&self) -> Option<End> {
        self.closes.get().copied()
    }

    /// Bytes that passed: from the client and to it.
    pub fn bytes(&self) -> (u64, u64) {
        (self.from_client.load(Relaxed), self.to_client.load(Relaxed))
    }

    /// Its carrier is to be woken when its end is wanted.
    fn wakes(&self, waker: &Waker) {
        let mut own = self.waker.lock();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What a node was for too long before it agreed to a tunnel: told apart from a try that was given up for another.
#[derive(Debug)]
pub(super) struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node was silent for too long")
    }
}

impl std::error::Error for Silent {}

/// How much of what a client sends goes to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// So many bytes, at most.
    Through(usize),
    /// None: the node was told good-bye.
    Nowhere,
}

/// Who carries the bytes of a tunnel.
#[derive(Debug)]
pub(super) struct Carrier {
    tunnel: Arc<Tunnel>,
    /// What the node sends, and what the client does.
    of_node: Frames,
    of_client: Frames,
    /// Both got our close frame.
    told_client: bool,
    told_node: bool,
    node_is_gone: bool,
    /// Runs while the node is silent before it agreed, and while good-byes are answered.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Carrier {
    pub(super) fn new(tunnel: Arc<Tunnel>) -> Self {
        Carrier {
            tunnel,
            of_node: Frames::new(Sender::Server),
            of_client: Frames::new(Sender::Client),
            told_client: false,
            told_node: false,
            node_is_gone: false,
            timer: None,
        }
    }

    /// These bytes of the node go to the client.
    pub(super) fn gets(&mut self, bytes: &[u8]) {
        self.of_node.follow(bytes);
        let n = bytes.len() as u64;
        self.tunnel.to_client.fetch_add(n, Relaxed);
    }

    /// These bytes of the client went to the node.
    pub(super) fn sends(&mut self, bytes: &[u8]) {
        self.of_client.follow(bytes);
        let n = bytes.len() as u64;
        self.tunnel.from_client.fetch_add(n, Relaxed);
    }

    /// The node has not agreed yet: is it silent for too long?
    pub(super) fn awaits(
        &mut self,
        read: Poll<io::Result<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(patience) = self.tunnel.patience.filter(|_| read.is_pending()) else {
            self.timer = None;
            return read;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, Silent)))
    }

    /// Of `bytes` that the client sends, so many may go to the node, behind what is `out`.
    pub(super) fn takes(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Goes {
        self.says_good_bye(out);
        if self.told_node {
            self.of_client.follow(bytes); // its own good-bye is among them, perhaps
            self.tunnel.wake();
            return Goes::Nowhere;
        }
        let of_frame = match self.tunnel.closes() {
            Some(_) => self.of_client.left().filter(|left| *left > 0),
            None => None,
        };
        let most = of_frame.and_then(|left| usize::try_from(left).ok());
        Goes::Through(most.unwrap_or(usize::MAX).min(bytes.len()))
    }

    /// Puts our close frame behind what is `out` to the node, once its time has come.
    pub(super) fn says_good_bye(&mut self, out: &mut Vec<u8>) {
        let wanted = self.tunnel.closes().is_some() && !self.told_node;
        if wanted && self.may_tell(&self.of_client) && self.of_client.left() == Some(0) {
            self.told_node = true;
            out.extend_from_slice(&going_away_masked(self.tunnel.mask));
        }
    }

    /// Whether a close frame can be put into this direction, now or at the end of the frame under way.
    fn may_tell(&self, frames: &Frames) -> bool {
        self.tunnel.websocket && frames.left().is_some() && !frames.is_closed()
    }

    /// Whether there is nothing more to wait for: whoever could be told was told, and has answered.
    fn is_over(&self) -> bool {
        let client = match self.told_client {
            true => self.of_client.is_closed(),
            false => !self.may_tell(&self.of_node),
        };
        let node = match self.told_node {
            true => self.of_node.is_closed(),
            false => !self.may_tell(&self.of_client),
        };
        client && (node || self.node_is_gone)
    }

    /// Reads what the node says into `buf`; nothing there: the tunnel is over.
    pub(super) fn poll_read(
        &mut self,
        node: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.tunnel.closes().is_none() {
            let before = buf.filled().len();
            let read = Pin::new(&mut *node).poll_read(cx, buf);
            if read.is_ready() {
                self.gets(&buf.filled()[before..]);
                return read;
            }
            self.tunnel.wakes(cx.waker());
            if self.tunnel.closes().is_some() {
                cx.waker().wake_by_ref(); // the node is told first
            }
            return Poll::Pending;
        }
        self.tunnel.wakes(cx.waker());
        if !self.told_client && self.may_tell(&self.of_node) {
            let step = self.tell_client(node, cx, buf);
            if step.is_ready() {
                return step;
            }
        } else {
            self.hear_out(node, cx)?;
        }
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
        timer.as_mut().poll(cx).map(Ok)
    }

    /// Passes on the rest of the frame under way, and behind it our close frame.
    fn tell_client(
        &mut self,
        node: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.of_node.left().unwrap_or(0);
        if left == 0 {
            let frame = going_away();
            if buf.remaining() < frame.len() {
                return Poll::Ready(Ok(())); // nobody reads with so little room
            }
            self.told_client = true;
            buf.put_slice(&frame);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut node.take(left)).poll_read(cx, buf))?;
        self.gets(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }

    /// Reads what the node still says, for nobody, up to its own good-bye.
    fn hear_out(
        &mut self,
        node: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        for _ in 0..READS {
            if self.node_is_gone || self.of_node.is_closed() {
                return Ok(());
            }
            let mut room = [MaybeUninit::uninit(); READ];
            let mut room = ReadBuf::uninit(&mut room);
            match Pin::new(&mut *node).poll_read(cx, &mut room) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    self.of_node.follow(room.filled());
                }
                // Whether it closed or broke: it is gone.
                Poll::Ready(_) => self.node_is_gone = true,
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }
}
