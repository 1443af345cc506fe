//! A client that speaks HTTP/2 from the first byte: well-behaved by the `h2` crate, or frame by frame where that crate
//! would refuse to send what a story wants to see refused.
//!
//! It never retries and never hides how a stream ended.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::request::Builder;
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};

/// Longer than any answer of a story takes.
const PATIENCE: Duration = Duration::from_secs(12);
/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection kept by the `h2` crate.
pub struct H2 {
    send: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request on its way: its answer, and the body that may still be sent.
pub struct Stream {
    answer: ResponseFuture,
    /// Takes more of the body.
    pub body: SendStream<Bytes>,
}

/// `METHOD path` for `tide.test`.
pub fn request(method: &str, path: &str) -> Builder {
    let uri = format!("http://tide.test{path}");
    Request::builder().method(method).uri(uri)
}

impl H2 {
    /// Connects and exchanges settings.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the port is open");
        let (send, connection) = h2::client::handshake(stream).await.expect("a handshake");
        let ended = tokio::spawn(connection);
        H2 { send, ended }
    }

    /// Connects as a client whose windows are wide open but who reads only so many bytes at a time, with a pause after
    /// each.
    pub async fn connect_slowly(to: SocketAddr, bytes: usize, pause: Duration) -> Self {
        const WIDE: u32 = 16 << 20;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8_192).expect("a fresh socket");
        let stream = socket.connect(to).await.expect("the port is open");
        let slow = Slow {
            stream,
            bytes,
            pause,
            pausing: None,
        };
        let mut wide = h2::client::Builder::new();
        wide.initial_window_size(WIDE)
            .initial_connection_window_size(WIDE);
        let (send, connection) = wide.handshake(slow).await.expect("a handshake");
        let ended = tokio::spawn(connection);
        H2 { send, ended }
    }

    /// Sends a request; its body follows by hand where it is not `complete`.
    pub async fn send(&mut self, request: Builder, complete: bool) -> Result<Stream, h2::Error> {
        let ready = timeout(PATIENCE, self.send.clone().ready()).await;
        self.send = ready.expect("room for a stream")?;
        let request = request.body(()).expect("a request that can be built");
        let (answer, body) = self.send.send_request(request, complete)?;
        Ok(Stream { answer, body })
    }

    /// Sends a request and reads its answer.
    pub async fn ask(&mut self, request: Builder, body: &[u8]) -> Result<Answer, h2::Error> {
        let mut stream = self.send(request, body.is_empty()).await?;
        if !body.is_empty() {
            let whole = Bytes::copy_from_slice(body);
            // A proxy that has answered already does not want it.
            let _ = stream.body.send_data(whole, true);
        }
        stream.answer().await
    }

    /// The answer's status, or `None` where the stream was reset instead.
    pub async fn status(&mut self, request: Builder, body: &[u8]) -> Option<u16> {
        self.ask(request, body).await.ok().map(|a| a.status)
    }

    /// Waits until the proxy has closed the connection.
    pub async fn closed(&mut self, limit: Duration) -> Result<(), String> {
        match timeout(limit, &mut self.ended).await {
            Ok(joined) => {
                let _ = joined.expect("the connection's task does not panic");
                Ok(())
            }
            Err(_) => Err(format!("still open after {limit:?}")),
        }
    }
}

/// A socket that is read slowly.
struct Slow {
    stream: TcpStream,
    bytes: usize,
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Slow {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(pausing) = &mut this.pausing {
            ready!(pausing.as_mut().poll(cx));
            this.pausing = None;
        }
        let mut room = vec![0; this.bytes.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        this.pausing = Some(Box::pin(sleep(this.pause)));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Stream {
    /// The answer, read to its end.
    pub async fn answer(self) -> Result<Answer, h2::Error> {
        let whole = async {
            let (status, fields, mut body) = self.head().await?;
            let mut bytes = Vec::new();
            while let Some(piece) = body.data().await {
                let piece = piece?;
                let _ = body.flow_control().release_capacity(piece.len());
                bytes.extend(piece);
            }
            Ok(Answer {
                status,
                fields,
                body: bytes,
            })
        };
        timeout(PATIENCE, whole).await.expect("an answer in time")
    }

    /// The answer's head; its body is not read.
    pub async fn head(self) -> Result<(u16, HeaderMap, RecvStream), h2::Error> {
        let (head, body) = self.answer.await?.into_parts();
        Ok((head.status.as_u16(), head.headers, body))
    }
}

/// How a stream ended that was written frame by frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status; 0 where it is none of the usual.
    Status(u16),
    /// The stream was reset.
    Reset,
    /// The connection was given up.
    Gone,
}

/// A connection written frame by frame.
pub struct Frames(TcpStream);

impl Frames {
    /// Connects and begins with the preface and no settings of its own.
    pub async fn connect(to: SocketAddr) -> Self {
        let mut frames = Frames::silent(to).await;
        frames.bytes(&opening()).await;
        frames
    }

    /// Connects and says nothing yet.
    pub async fn silent(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the port is open");
        stream.set_nodelay(true).expect("a TCP socket");
        Frames(stream)
    }

    /// Sends bytes as they are.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        // Who is refused may be closed before all is sent.
        let _ = self.0.write_all(bytes).await;
    }

    /// How the first stream ends.
    pub async fn ending(&mut self) -> Ending {
        let first = async {
            loop {
                let Some((kind, payload)) = self.frame().await else {
                    return Ending::Gone;
                };
                match kind {
                    1 => return Ending::Status(status(&payload)),
                    3 => return Ending::Reset,
                    7 => return Ending::Gone,
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, first).await.expect("an ending in time")
    }

    /// The code of the last `GOAWAY` before the connection ends; `None`: there is none.
    pub async fn goodbye(&mut self) -> Option<u32> {
        let last = async {
            let mut code = None;
            while let Some((kind, payload)) = self.frame().await {
                if kind == 7 {
                    let bytes = payload[4..8].try_into().expect("four of them");
                    code = Some(u32::from_be_bytes(bytes));
                }
            }
            code
        };
        timeout(PATIENCE, last).await.expect("an end in time")
    }

    /// What the first settings of the proxy say of one.
    pub async fn setting(&mut self, name: u16) -> Option<u32> {
        let settings = async {
            loop {
                let (kind, payload) = self.frame().await?;
                if kind == 4 && !payload.is_empty() {
                    return Some(payload);
                }
            }
        };
        let settings = timeout(PATIENCE, settings).await.expect("settings")?;
        let mut all = settings.chunks_exact(6);
        let found = all.find(|one| one[..2] == name.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().expect("four")))
    }

    /// Type and payload of the next frame; `None` at the end.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }
}

/// Preface and empty settings.
pub fn opening() -> Vec<u8> {
    [PREFACE, &frame(4, 0, 0, b"")].concat()
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of the first stream's request, which has no body.
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0); // a literal that is not remembered (RFC 7541 §6.2.2)
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    frame(1, 0x05, 1, &block)
}

/// A length with seven bits to begin with (RFC 7541 §5.1).
fn length(n: usize, block: &mut Vec<u8>) {
    if n < 127 {
        return block.push(n as u8);
    }
    block.push(127);
    let mut rest = n - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The status of an answer that begins with one of the table's entries (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    match block.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        // A literal with the name of the table: three digits, Huffman-coded or not.
        _ => 0,
    }
}
