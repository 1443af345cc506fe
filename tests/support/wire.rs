//! HTTP/1 messages on a socket, read strictly: what is not exactly framed is an error that says how.
//!
//! Used by the origins (requests) and by the client (answers). It repairs nothing, so a proxy that sends
//! something sloppy is found out.

use std::fmt;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why a message could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// No connection could be made.
    Refused(String),
    /// The peer closed before the first byte of a message.
    Closed,
    /// The peer closed within a message.
    Cut,
    /// The peer reset the connection.
    Reset,
    /// The bytes are no HTTP/1 message.
    Garbled(String),
    /// Nothing (more) came in time.
    TooLate,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Broken::Reset,
            io::ErrorKind::ConnectionRefused => Broken::Refused(error.to_string()),
            _ => Broken::Garbled(format!("socket: {error}")),
        }
    }
}

/// First line and fields of a message.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Request line or status line, without its end.
    pub line: String,
    /// Fields in their order, names as they came.
    pub fields: Vec<(String, String)>,
    /// Every byte, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    /// The value of a field that may come at most once.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// Whether a comma-separated field names this word.
    pub fn names(&self, field: &str, word: &str) -> bool {
        let lists = self.all(field).into_iter();
        lists
            .flat_map(|list| list.split(','))
            .any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// How the body is delimited when the message has one.
    pub fn framing(&self) -> Result<Framing, Broken> {
        match (self.get("transfer-encoding"), self.get("content-length")) {
            (Some(_), Some(_)) => Err(Broken::Garbled("both TE and CL".into())),
            (Some("chunked"), None) => Ok(Framing::Chunked),
            (Some(other), None) => Err(Broken::Garbled(format!("TE {other}"))),
            (None, Some(n)) => n
                .parse()
                .map(Framing::Sized)
                .map_err(|_| Broken::Garbled(format!("CL {n}"))),
            (None, None) => Ok(Framing::UntilClose),
        }
    }

    fn parse(raw: Vec<u8>) -> Result<Self, Broken> {
        let garbled = |what: &str| Broken::Garbled(format!("{what}: {raw:?}"));
        // A value may have bytes that are no text (RFC 9110 §5.5); what they are is in `raw`.
        let text = String::from_utf8_lossy(&raw);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        if line.contains(char::REPLACEMENT_CHARACTER) {
            return Err(garbled("first line is not UTF-8"));
        }
        let mut fields = Vec::new();
        for field in lines {
            let (name, value) = field.split_once(':').ok_or_else(|| garbled("no colon"))?;
            let bad = |c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER;
            if name.is_empty() || name.contains(bad) || value.contains(['\r', '\n']) {
                return Err(garbled("bad field"));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Head { line, fields, raw })
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none, whatever the fields say (HEAD, 204, 304).
    Nothing,
    /// `Content-Length`.
    Sized(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes.
    UntilClose,
}

/// A connection with what was read of it and not yet used.
pub struct Wire {
    stream: TcpStream,
    buf: Vec<u8>,
}

impl Wire {
    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        Wire {
            stream,
            buf: Vec::new(),
        }
    }

    /// Writes every byte.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Shuts the sending side; answers can still be read.
    pub async fn shut(&mut self) -> Result<(), Broken> {
        Ok(self.stream.shutdown().await?)
    }

    /// Makes the peer see a reset instead of an orderly close.
    pub fn reset(self) {
        // Fails only when the peer was first; then there is nobody left to reset.
        let _ = self.stream.set_zero_linger();
    }

    /// Whether the peer has closed or reset a connection on which nothing is expected.
    pub fn is_closed_by_peer(&mut self) -> bool {
        if !self.buf.is_empty() {
            return false;
        }
        let mut byte = [0];
        match self.stream.try_read(&mut byte) {
            Ok(0) => true,
            Ok(_) => {
                self.buf.push(byte[0]);
                false
            }
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Waits for more bytes; `false` at the peer's close.
    async fn fill(&mut self) -> Result<bool, Broken> {
        self.buf.reserve(64 << 10);
        Ok(self.stream.read_buf(&mut self.buf).await? > 0)
    }

    /// Bytes as they come, at least one; `None` at the peer's close.
    pub async fn some(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        if self.buf.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.buf)))
    }

    /// These bytes were read too early: they come first again.
    pub fn gives_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.buf);
        self.buf = bytes;
    }

    /// Exactly `n` bytes.
    pub async fn exactly(&mut self, n: usize) -> Result<Vec<u8>, Broken> {
        while self.buf.len() < n {
            if !self.fill().await? {
                return Err(Broken::Cut);
            }
        }
        Ok(self.buf.drain(..n).collect())
    }

    /// A message head.
    pub async fn head(&mut self) -> Result<Head, Broken> {
        let mut looked = 0;
        loop {
            let from = looked.max(3) - 3;
            if let Some(at) = find(&self.buf[from..], b"\r\n\r\n") {
                return Head::parse(self.buf.drain(..from + at + 4).collect());
            }
            looked = self.buf.len();
            if !self.fill().await? {
                let nothing = self.buf.is_empty();
                return Err(if nothing { Broken::Closed } else { Broken::Cut });
            }
        }
    }

    /// A body, appended to `body` as it comes: what came before an error is there.
    pub async fn body(&mut self, framing: Framing, body: &mut Vec<u8>) -> Result<(), Broken> {
        match framing {
            Framing::Nothing => Ok(()),
            Framing::Sized(n) => self.take(n, body).await,
            Framing::Chunked => {
                while let Some(chunk) = self.chunk().await? {
                    body.extend(chunk);
                }
                Ok(())
            }
            Framing::UntilClose => {
                while let Some(bytes) = self.some().await? {
                    body.extend(bytes);
                }
                Ok(())
            }
        }
    }

    /// One chunk; `None` is the last, its trailers read and dropped.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let line = self.line().await?;
        let hex = !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
        let size = if hex {
            usize::from_str_radix(&line, 16).ok()
        } else {
            None
        };
        match size {
            None => Err(Broken::Garbled(format!("chunk size {line:?}"))),
            Some(0) => {
                while !self.line().await?.is_empty() {}
                Ok(None)
            }
            Some(n) => {
                let mut data = Vec::with_capacity(n);
                self.take(n, &mut data).await?;
                match self.exactly(2).await?.as_slice() {
                    b"\r\n" => Ok(Some(data)),
                    other => Err(Broken::Garbled(format!("after a chunk: {other:?}"))),
                }
            }
        }
    }

    async fn take(&mut self, n: usize, into: &mut Vec<u8>) -> Result<(), Broken> {
        let mut left = n;
        while left > 0 {
            if self.buf.is_empty() && !self.fill().await? {
                return Err(Broken::Cut);
            }
            let now = left.min(self.buf.len());
            into.extend(self.buf.drain(..now));
            left -= now;
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = find(&self.buf, b"\r\n") {
                let line: Vec<u8> = self.buf.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec())
                    .map_err(|_| Broken::Garbled("line is not UTF-8".into()));
            }
            if !self.fill().await? {
                return Err(Broken::Cut);
            }
        }
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}
