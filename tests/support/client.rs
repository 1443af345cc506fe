//! A client that reads exactly and hides nothing: no pool, no retries, no redirects.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpSocket;

use super::reply::chunk;
use super::wire::{Broken, Framing, Head, Wire};

/// Longer than any answer of a story takes; a hanging proxy fails a story instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(12);

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A request under construction. It carries a `Host` and an `x-id` of its own.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    version: &'static str,
    host: Option<String>,
    id: String,
    fields: String,
    body: Vec<u8>,
    /// Sizes of the chunks to send the body in; with its length when absent.
    chunks: Option<usize>,
}

impl Request {
    /// `METHOD target HTTP/1.1`.
    pub fn new(method: &str, target: &str) -> Self {
        Request {
            method: method.into(),
            target: target.into(),
            version: "HTTP/1.1",
            host: Some("tide.test".into()),
            id: format!("id-{}", NEXT_ID.fetch_add(1, Relaxed)),
            fields: String::new(),
            body: Vec::new(),
            chunks: None,
        }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Request::new("GET", target)
    }

    /// A POST with this body and its length.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = Request::new("POST", target);
        request.body = body.into();
        request
    }

    /// The same with another method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Asks for a WebSocket.
    pub fn websocket(target: &str) -> Self {
        Request::get(target)
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .field("Sec-WebSocket-Version", "13")
    }

    /// As HTTP/1.0.
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// To this host.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    /// With this id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// With one more field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Its body in chunks of this size.
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunks = Some(size);
        self
    }

    /// Its id.
    pub fn its_id(&self) -> &str {
        &self.id
    }

    /// Its method.
    pub fn its_method(&self) -> &str {
        &self.method
    }

    /// The head as bytes.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if let Some(host) = &self.host {
            head.push_str(&format!("Host: {host}\r\n"));
        }
        head.push_str(&format!("x-id: {}\r\n{}", self.id, self.fields));
        if self.chunks.is_some() {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() || self.method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body as bytes, framing included.
    pub fn body_bytes(&self) -> Vec<u8> {
        let Some(size) = self.chunks else {
            return self.body.clone();
        };
        let mut bytes = self
            .body
            .chunks(size)
            .map(chunk)
            .collect::<Vec<_>>()
            .concat();
        bytes.extend(chunk(b""));
        bytes
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Its body without framing.
    pub body: Vec<u8>,
    /// Statuses of the interim answers before it.
    pub interim: Vec<u16>,
    /// How the body was delimited.
    pub framing: Framing,
    /// Whether another request may follow on the connection.
    pub stays_open: bool,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// The origin that answered.
    pub fn node(&self) -> &str {
        self.head.get("x-node").unwrap_or("nobody")
    }
}

/// One connection to the proxy.
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Result<Self, Broken> {
        let from = match to {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => to.ip(),
        };
        Client::connect_from(from, to).await
    }

    /// Connects from one of the addresses of the loopback network.
    pub async fn connect_from(from: IpAddr, to: SocketAddr) -> Result<Self, Broken> {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if from != to.ip() {
            socket.bind((from, 0).into())?;
        }
        let stream = within(PATIENCE, async { Ok(socket.connect(to).await?) }).await?;
        Ok(Client {
            wire: Wire::new(stream),
        })
    }

    /// Connects with a small receive buffer: what the client does not read soon stops the sender.
    pub async fn connect_narrow(to: SocketAddr) -> Result<Self, Broken> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        let stream = socket.connect(to).await?;
        Ok(Client {
            wire: Wire::new(stream),
        })
    }

    /// Its own end.
    pub fn local_addr(&self) -> SocketAddr {
        self.wire.local_addr()
    }

    /// Sends a request and reads its answer.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, Broken> {
        self.send(request).await?;
        self.answer(request.its_method()).await
    }

    /// Sends a request.
    pub async fn send(&mut self, request: &Request) -> Result<(), Broken> {
        let mut bytes = request.head_bytes();
        bytes.extend(request.body_bytes());
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        within(PATIENCE, self.wire.send(bytes)).await
    }

    /// Shuts the sending side, as a script does that has asked all it wants to know.
    pub async fn shut(&mut self) {
        let _ = self.wire.shut().await; // a proxy that has closed knows already
    }

    /// Bytes as they come, at least one, within this time; `None` at the end.
    pub async fn some(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Broken> {
        within(limit, self.wire.some()).await
    }

    /// Reads the answer to a request of this method.
    pub async fn answer(&mut self, method: &str) -> Result<Answer, Broken> {
        let mut interim = Vec::new();
        loop {
            let head = self.head().await?;
            let status = status_of(&head)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let nothing = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let framing = match head.framing()? {
                _ if nothing => Framing::Nothing,
                framing => framing,
            };
            let mut body = Vec::new();
            within(PATIENCE, self.wire.body(framing, &mut body)).await?;
            let http10 = head.line.starts_with("HTTP/1.0");
            let stays_open = framing != Framing::UntilClose
                && !head.names("connection", "close")
                && (!http10 || head.names("connection", "keep-alive"));
            return Ok(Answer {
                status,
                head,
                body,
                interim,
                framing,
                stays_open,
            });
        }
    }

    /// Reads one head, interim or final.
    pub async fn head(&mut self) -> Result<Head, Broken> {
        within(PATIENCE, self.wire.head()).await
    }

    /// Reads one chunk of an answer.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        within(PATIENCE, self.wire.chunk()).await
    }

    /// Reads exactly `n` bytes.
    pub async fn exactly(&mut self, n: usize) -> Result<Vec<u8>, Broken> {
        within(PATIENCE, self.wire.exactly(n)).await
    }

    /// Waits until the proxy closes (or resets) and returns what it sent until then.
    pub async fn until_closed(&mut self, limit: Duration) -> Result<Vec<u8>, Broken> {
        let mut rest = Vec::new();
        match within(limit, self.wire.body(Framing::UntilClose, &mut rest)).await {
            Ok(()) | Err(Broken::Reset) => Ok(rest),
            Err(other) => Err(other),
        }
    }

    /// Whether the proxy closed while nothing was expected.
    pub fn is_closed(&mut self) -> bool {
        self.wire.is_closed_by_peer()
    }

    /// Breaks the connection off.
    pub fn reset(self) {
        self.wire.reset();
    }
}

/// The status of an answer's head.
pub fn status_of(head: &Head) -> Result<u16, Broken> {
    let mut words = head.line.split(' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|s| s.parse().ok());
    match (version, status) {
        ("HTTP/1.1" | "HTTP/1.0", Some(status)) => Ok(status),
        _ => Err(Broken::Garbled(format!("status line {:?}", head.line))),
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(Broken::TooLate))
}
