//! Both ends of a WebSocket, frame by frame (RFC 6455 §5.2): nothing is answered unless the story does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::client::Request;
use super::wire::{Broken, Head, Wire};

/// A frame comes in this time, or it does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A text frame, whole.
pub const TEXT: u8 = 0x81;
/// A close frame.
pub const CLOSE: u8 = 0x88;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte: what it is, and whether it is whole.
    pub first: u8,
    /// Whether it came masked.
    pub masked: bool,
    /// Its payload in clear.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    pub fn code(&self) -> Option<u16> {
        let code = self.payload.get(..2).filter(|_| self.first == CLOSE)?;
        Some(u16::from_be_bytes([code[0], code[1]]))
    }
}

/// A frame as a server (`masked: false`) or a client sends it.
pub fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        n @ 0..=125 => bytes.push(mask | n as u8),
        n @ 126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(mask | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    let key: &[u8] = if masked { &[7, 77, 177, 250] } else { &[0; 4] };
    if masked {
        bytes.extend(key);
    }
    let xored = payload.iter().zip(key.iter().cycle());
    bytes.extend(xored.map(|(byte, key)| byte ^ key));
    bytes
}

/// One end.
pub struct End {
    wire: Wire,
    /// It is the client, and masks what it sends.
    masks: bool,
}

impl End {
    /// A client that asks `to` with this request and is agreed with.
    pub async fn opens(to: SocketAddr, request: &Request) -> (Self, Head) {
        let stream = TcpStream::connect(to).await.expect("it listens");
        let mut wire = Wire::new(stream);
        wire.send(&request.head_bytes()).await.expect("it reads");
        let head = wire.head().await.expect("an answer");
        (Self { wire, masks: true }, head)
    }

    /// Sends a frame.
    pub async fn says(&mut self, first: u8, payload: &[u8]) {
        let bytes = frame(first, payload, self.masks);
        self.wire.send(&bytes).await.expect("it is open");
    }

    /// Sends these bytes.
    pub async fn sends(&mut self, bytes: &[u8]) {
        self.wire.send(bytes).await.expect("it is open");
    }

    /// The next frame.
    pub async fn hears(&mut self) -> Result<Frame, Broken> {
        let read = tokio::time::timeout(PATIENCE, self.frame());
        read.await.expect("a frame or an end")
    }

    async fn frame(&mut self) -> Result<Frame, Broken> {
        let head = match self.wire.some().await? {
            Some(bytes) => {
                self.wire.gives_back(bytes);
                self.wire.exactly(2).await?
            }
            None => return Err(Broken::Closed),
        };
        let masked = head[1] & 0x80 != 0;
        let number = |bytes: Vec<u8>| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let length = match head[1] & 0x7f {
            126 => number(self.wire.exactly(2).await?),
            127 => number(self.wire.exactly(8).await?),
            n => usize::from(n),
        };
        let key = match masked {
            true => self.wire.exactly(4).await?,
            false => vec![0; 4],
        };
        let payload = self.wire.exactly(length).await?;
        let clear = payload.iter().zip(key.iter().cycle());
        Ok(Frame {
            first: head[0],
            masked,
            payload: clear.map(|(byte, key)| byte ^ key).collect(),
        })
    }

    /// So many bytes as they are.
    pub async fn exactly(&mut self, n: usize) -> Result<Vec<u8>, Broken> {
        let read = tokio::time::timeout(PATIENCE, self.wire.exactly(n));
        read.await.expect("so many bytes or an end")
    }

    /// Waits for its end; nothing may come before.
    pub async fn is_closed(&mut self) {
        let end = self.hears().await;
        assert_eq!(end, Err(Broken::Closed));
    }

    /// Hears that the other end goes away, and says so too.
    pub async fn is_sent_away(&mut self) {
        let last = self.hears().await.expect("a close frame");
        assert_eq!(last.code(), Some(1001), "{last:?}");
        assert_eq!(last.masked, !self.masks, "only a client masks: {last:?}");
        self.says(CLOSE, &last.payload).await;
    }
}

/// A node that agrees to every WebSocket and leaves the rest to the story.
pub struct Node {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Node {
    /// A node `app-1` on a port of its own.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("a bound socket");
        Node { listener, addr }
    }

    /// The entry of the file.
    pub fn entry(&self) -> String {
        format!("[{{ addr: \"{}\", id: app-1 }}]", self.addr)
    }

    /// The next connection, and the head that came by it.
    pub async fn is_asked(&self) -> (End, Head) {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let mut wire = Wire::new(stream);
        let head = wire.head().await.expect("a request");
        (End { wire, masks: false }, head)
    }

    /// Agrees to the next request; `more` follows the answer at once.
    pub async fn agrees(&self, fields: &str, more: &[u8]) -> (End, Head) {
        let (mut end, head) = self.is_asked().await;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\r\n"
        );
        end.sends(&[answer.as_bytes(), more].concat()).await;
        (end, head)
    }
}
