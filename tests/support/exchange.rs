//! A connection on which anything may be sent, in pieces of any size, while answers are read at the same time.
//!
//! [`super::client::Client`] is for requests; this is for bytes that may be none. It never decides what is right.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout_at};

use super::recorder::{Id, marks};

/// Into how many pieces long inputs are cut.
const PIECES: usize = 64;
/// Inputs up to this length are sent byte by byte.
const SHORT: usize = 1_200;

/// How bytes are cut up on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In one write.
    Whole,
    /// Byte by byte; long inputs in pieces.
    Bytes,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// The id the origin wrote into it.
    pub id: Option<Id>,
    /// Whether it says `Connection: close`.
    pub closes: bool,
    /// Length of its body.
    pub body: usize,
}

/// Whether an answer ends with its head, whatever that says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodiless {
    /// It does not.
    No,
    /// It answers a HEAD.
    Yes,
    /// It refuses what begins like a HEAD: both are right, and the close tells which it is.
    Either,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The proxy has closed.
    Closed,
    /// Nothing came in time.
    Late,
    /// What came is no answer.
    Garbled,
}

/// The connection.
pub struct Exchange {
    out: Out,
    heard: Heard,
}

/// The sending side, with what is still to be sent.
struct Out {
    half: OwnedWriteHalf,
    due: Vec<u8>,
    sent: usize,
    piece: usize,
    eof: bool,
}

/// The receiving side, with what came.
struct Heard {
    half: OwnedReadHalf,
    buf: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Exchange {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let out = Out {
            half: write,
            due: Vec::new(),
            sent: 0,
            piece: 1,
            eof: false,
        };
        let heard = Heard {
            half: read,
            buf: Vec::new(),
            at: 0,
            ended: false,
        };
        Ok(Exchange { out, heard })
    }

    /// From now on these bytes are sent, cut so, whenever answers are read; with `eof` the sending side is shut then.
    pub fn send(&mut self, bytes: &[u8], cut: Cut, eof: bool) {
        let out = &mut self.out;
        out.due.drain(..out.sent);
        out.sent = 0;
        out.due.extend(bytes);
        out.piece = match cut {
            Cut::Whole => usize::MAX,
            Cut::Bytes if bytes.len() <= SHORT => 1,
            Cut::Bytes => bytes.len().div_ceil(PIECES),
        };
        out.eof |= eof;
    }

    /// Reads answers: until there are `want`, or the end, or `limit`. `bodiless` says which have no body whatever
    /// they say.
    pub async fn replies(
        &mut self,
        want: usize,
        limit: Duration,
        bodiless: impl Fn(usize) -> Bodiless,
    ) -> (Vec<Reply>, Option<Silence>) {
        let Exchange { out, heard } = self;
        let until = Instant::now() + limit;
        let reading = async {
            let mut replies = Vec::new();
            while replies.len() < want {
                match heard.next(until, bodiless(replies.len())).await {
                    Ok(reply) => replies.push(reply),
                    Err(silence) => return (replies, Some(silence)),
                }
            }
            (replies, None)
        };
        tokio::select! {
            () = out.push() => unreachable!("it never ends"),
            read = reading => read,
        }
    }

    /// Waits for the proxy's close; whatever came before it, or `None` when it did not close in time.
    pub async fn closed(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let Exchange { out, heard } = self;
        let until = Instant::now() + limit;
        tokio::select! {
            () = out.push() => unreachable!("it never ends"),
            ended = heard.end(until) => ended.then(|| heard.buf[heard.at..].to_vec()),
        }
    }

    /// Every byte that came.
    pub fn heard(&self) -> &[u8] {
        &self.heard.buf
    }
}

impl Out {
    /// Sends what is due and never ends; may be dropped and called again at any moment.
    async fn push(&mut self) {
        while self.sent < self.due.len() {
            let end = self.sent.saturating_add(self.piece).min(self.due.len());
            match self.half.write(&self.due[self.sent..end]).await {
                Ok(n) => self.sent += n,
                // A proxy that refuses may close before all is sent: what it answered is what counts.
                Err(_) => std::future::pending().await,
            }
            tokio::task::yield_now().await;
        }
        if std::mem::take(&mut self.eof) {
            let _ = self.half.shutdown().await;
        }
        std::future::pending().await
    }
}

impl Heard {
    async fn more(&mut self, until: Instant) -> Result<(), Silence> {
        match timeout_at(until, self.half.read_buf(&mut self.buf)).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(_) => self.ended = true,
            Err(_) => return Err(Silence::Late),
        }
        Ok(())
    }

    async fn end(&mut self, until: Instant) -> bool {
        while !self.ended {
            if self.more(until).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn next(&mut self, until: Instant, bodiless: Bodiless) -> Result<Reply, Silence> {
        loop {
            match parse(&self.buf[self.at..], self.ended, bodiless) {
                Parsed::Whole(length, reply) => {
                    self.at += length;
                    if !(100..200).contains(&reply.status) || reply.status == 101 {
                        return Ok(reply);
                    }
                }
                Parsed::Garbled => return Err(Silence::Garbled),
                Parsed::Part if self.ended => {
                    let all = self.at == self.buf.len();
                    return Err(if all {
                        Silence::Closed
                    } else {
                        Silence::Garbled
                    });
                }
                Parsed::Part => self.more(until).await?,
            }
        }
    }
}

enum Parsed {
    Whole(usize, Reply),
    Part,
    Garbled,
}

fn parse(bytes: &[u8], ended: bool, bodiless: Bodiless) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Part,
        Err(_) => return Parsed::Garbled,
    };
    let field = |name: &str| {
        let its = head
            .headers
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(name));
        its.map(|f| String::from_utf8_lossy(f.value).to_ascii_lowercase())
    };
    let status = head.code.unwrap_or(0);
    let none = bodiless == Bodiless::Yes
        || (bodiless == Bodiless::Either && ended && bytes.len() == length)
        || matches!(status, 100..200 | 204 | 304);
    let body = match field("content-length").and_then(|l| l.parse().ok()) {
        _ if none => 0,
        Some(n) => n,
        None if ended => bytes.len() - length,
        // Neither the proxy nor the recorder answers in chunks here.
        None => return Parsed::Part,
    };
    if bytes.len() < length + body {
        return Parsed::Part;
    }
    let id = field("x-id").and_then(|v| marks(v.as_bytes()).first().copied());
    let closes = field("connection").is_some_and(|c| c.contains("close"));
    let reply = Reply {
        status,
        id,
        closes,
        body,
    };
    Parsed::Whole(length + body, reply)
}
