//! A second node is asked beside a slow first one; whoever answers first is listened to.
//!
//! Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013. Only for requests that may run twice and have no
//! body: what is sent to the second is, byte for byte, what the first was sent. Which node that is and whether it may be
//! asked is the `Plan`'s. Never passes on a byte of two nodes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::{Error, Result};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use super::kept::Kept;
use super::stream::NodeStream;

/// A connection that is being made.
pub type Opening = Pin<Box<dyn Future<Output = Result<NodeStream>> + Send + Sync>>;

/// Who is asked beside the first, and who has to know.
pub trait Plan: fmt::Debug + Send + Sync {
    /// The time has come: a connection to a second node and where it goes afterwards. `None`: nobody is to be asked.
    fn ask(&self) -> Option<(Opening, Arc<Kept>)>;

    /// The second was first to answer.
    fn second_answers(&self);

    /// Whether an answer with this status may win. Else the other node is listened to, as long as it may still answer.
    fn accepts(&self, status: u16) -> bool;

    /// The second failed: it broke off, or its status is none that may win.
    fn second_fails(&self);

    /// No connection to the second could be made.
    fn second_refuses(&self, error: &Error);
}

/// The race of one request.
pub struct Hedge {
    plan: Box<dyn Plan>,
    /// What the first was sent.
    request: Vec<u8>,
    home: Option<Arc<Kept>>,
    step: Step,
}

/// How far the second is.
enum Step {
    Waits(Pin<Box<Sleep>>),
    Opens(Opening),
    Sends(NodeStream, usize),
    Listens(NodeStream),
    Lost,
}

/// What came of looking at the second.
pub enum Second {
    /// It answers: its connection and where that goes afterwards.
    Answers(NodeStream, Arc<Kept>),
    /// It will not answer, or was never asked.
    Lost,
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl Hedge {
    /// Asks a second node when the first has not answered for so long.
    pub fn new(plan: Box<dyn Plan>, after: Duration) -> Self {
        Hedge {
            plan,
            request: Vec::new(),
            home: None,
            step: Step::Waits(Box::pin(sleep(after))),
        }
    }

    /// The first is sent this, and nothing else.
    pub fn sends(&mut self, request: &[u8]) {
        self.request = request.to_vec();
    }

    /// Whether a second was asked and may still answer.
    pub fn runs(&self) -> bool {
        matches!(
            self.step,
            Step::Opens(_) | Step::Sends(..) | Step::Listens(_)
        )
    }

    /// Whether what was heard may be passed on while the other may still answer.
    pub fn is_good(&self, heard: Heard) -> bool {
        match heard {
            Heard::End => false,
            Heard::Status(status) => self.plan.accepts(status),
            Heard::Something => true,
        }
    }

    /// Goes on with the second, as far as it goes now.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Second> {
        loop {
            self.step = match std::mem::replace(&mut self.step, Step::Lost) {
                Step::Waits(mut over) => match over.as_mut().poll(cx) {
                    Poll::Pending => return self.stays(Step::Waits(over)),
                    Poll::Ready(()) => match self.plan.ask() {
                        Some((opening, home)) => {
                            self.home = Some(home);
                            Step::Opens(opening)
                        }
                        None => Step::Lost,
                    },
                },
                Step::Opens(mut opening) => match opening.as_mut().poll(cx) {
                    Poll::Pending => return self.stays(Step::Opens(opening)),
                    Poll::Ready(Ok(stream)) => Step::Sends(stream, 0),
                    Poll::Ready(Err(error)) => {
                        self.plan.second_refuses(&error);
                        Step::Lost
                    }
                },
                Step::Sends(mut stream, gone) if gone < self.request.len() => {
                    match Pin::new(&mut stream).poll_write(cx, &self.request[gone..]) {
                        Poll::Pending => return self.stays(Step::Sends(stream, gone)),
                        Poll::Ready(Ok(n)) if n > 0 => Step::Sends(stream, gone + n),
                        Poll::Ready(_) => Step::Lost,
                    }
                }
                Step::Sends(mut stream, gone) => match Pin::new(&mut stream).poll_flush(cx) {
                    Poll::Pending => return self.stays(Step::Sends(stream, gone)),
                    Poll::Ready(Ok(())) => Step::Listens(stream),
                    Poll::Ready(Err(_)) => Step::Lost,
                },
                Step::Listens(mut stream) => match hears(&mut stream, cx) {
                    Poll::Pending => return self.stays(Step::Listens(stream)),
                    Poll::Ready(heard) if self.is_good(heard) => {
                        let Some(home) = self.home.take() else {
                            return Poll::Ready(Second::Lost);
                        };
                        self.plan.second_answers();
                        return Poll::Ready(Second::Answers(stream, home));
                    }
                    Poll::Ready(_) => {
                        self.plan.second_fails();
                        Step::Lost
                    }
                },
                Step::Lost => return Poll::Ready(Second::Lost),
            }
        }
    }

    fn stays(&mut self, step: Step) -> Poll<Second> {
        self.step = step;
        Poll::Pending
    }
}

/// What a node has said so far. Takes nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It closed, or the connection broke.
    End,
    /// An answer begins with this status.
    Status(u16),
    /// Too little to tell.
    Something,
}

/// What a node has said so far; pending while it is silent.
pub fn hears(stream: &mut NodeStream, cx: &mut Context<'_>) -> Poll<Heard> {
    let mut begin = [0; STATUS.end];
    let heard = match ready!(stream.poll_peek(cx, &mut begin)) {
        Ok(0) | Err(_) => Heard::End,
        Ok(n) if n < STATUS.end => Heard::Something,
        Ok(_) => std::str::from_utf8(&begin[STATUS])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .map_or(Heard::Something, Heard::Status),
    };
    Poll::Ready(heard)
}

/// Where a status line has its code (RFC 9112 §4).
const STATUS: std::ops::Range<usize> = 9..12;
