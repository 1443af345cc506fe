//! An origin that speaks HTTP/2 from the first byte, and does with each request what a story says.
//!
//! By the `h2` crate; a connection can be made to answer in bytes of the story's own instead.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::h2::{PREFACE, frame};

/// What a story does with a request.
type Script = dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A request and the way to answer it.
pub struct Exchange {
    /// Its number among all, from 1 on.
    pub number: usize,
    /// Its head.
    pub head: Parts,
    /// Its body.
    pub body: RecvStream,
    reply: SendResponse<Bytes>,
    leaves: Arc<Notify>,
}

impl Exchange {
    /// Answers 200 with this text.
    pub fn text(self, text: impl Into<String>) {
        self.answer(Response::builder(), text.into().into_bytes(), None);
    }

    /// Answers with this head, body and trailers.
    pub fn answer(
        mut self,
        head: http::response::Builder,
        body: impl Into<Bytes>,
        trailers: Option<HeaderMap>,
    ) {
        let head = head.body(()).expect("a head that can be built");
        let body = body.into();
        let alone = body.is_empty() && trailers.is_none();
        // Who does not listen any more is the story's business.
        let Ok(mut stream) = self.reply.send_response(head, alone) else {
            return;
        };
        if !body.is_empty() {
            let _ = stream.send_data(body, trailers.is_none());
        }
        if let Some(trailers) = trailers {
            let _ = stream.send_trailers(trailers);
        }
    }

    /// Begins an answer; the rest is the story's.
    pub fn begin(&mut self, head: http::response::Builder) -> h2::SendStream<Bytes> {
        let head = head.body(()).expect("a head that can be built");
        let begun = self.reply.send_response(head, false);
        begun.expect("a client that listens")
    }

    /// Ends the stream alone, for this reason.
    pub fn resets(mut self, why: h2::Reason) {
        self.reply.send_reset(why);
    }

    /// From now on the connection takes no more requests (GOAWAY).
    pub fn leaves(&self) {
        self.leaves.notify_one();
    }

    /// The body, read to its end.
    pub async fn whole(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(piece.len());
            bytes.extend(piece);
        }
        bytes
    }
}

/// A running origin.
pub struct H2Origin {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    name: String,
    connections: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
    seen: Mutex<Vec<Parts>>,
    raw: Mutex<Option<(usize, Vec<u8>)>>,
    script: Mutex<Arc<Script>>,
}

impl H2Origin {
    /// One that answers 200 with its name.
    pub async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = name.to_owned();
        let script: Arc<Script> = Arc::new(move |exchange| {
            let name = own.clone();
            Box::pin(async move { exchange.text(name) })
        });
        let origin = H2Origin {
            addr: listener.local_addr().expect("a bound socket"),
            state: Arc::new(State {
                name: name.to_owned(),
                connections: AtomicUsize::new(0),
                open: AtomicUsize::new(0),
                requests: AtomicUsize::new(0),
                seen: Mutex::default(),
                raw: Mutex::default(),
                script: Mutex::new(script),
            }),
        };
        let state = origin.state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        origin
    }

    /// Does this with each request from now on.
    pub fn does<F>(&self, script: impl Fn(Exchange) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *self.state.script.lock().unwrap() = Arc::new(move |exchange| Box::pin(script(exchange)));
    }

    /// Its next `connections` connections answer the first request with these frames and close.
    pub fn answers_in_bytes(&self, connections: usize, frames: Vec<u8>) {
        *self.state.raw.lock().unwrap() = Some((connections, frames));
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its entry in a list of nodes.
    pub fn node(&self) -> String {
        format!("{{ id: {}, addr: \"{}\" }}", self.state.name, self.addr)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Connections that stand.
    pub fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    /// The heads of all requests.
    pub fn seen(&self) -> Vec<Parts> {
        self.state.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    state.connections.fetch_add(1, SeqCst);
    state.open.fetch_add(1, SeqCst);
    let raw = {
        let mut raw = state.raw.lock().unwrap();
        raw.as_mut().filter(|raw| raw.0 > 0).map(|raw| {
            raw.0 -= 1;
            raw.1.clone()
        })
    };
    match raw {
        Some(frames) => in_bytes(stream, &frames).await,
        None => in_order(stream, &state).await,
    }
    state.open.fetch_sub(1, SeqCst);
}

async fn in_order(stream: TcpStream, state: &Arc<State>) {
    let Ok(mut server) = h2::server::handshake(stream).await else {
        return;
    };
    let leaves = Arc::new(Notify::new());
    loop {
        let accepted = tokio::select! {
            accepted = server.accept() => accepted,
            () = leaves.notified() => {
                server.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, reply))) = accepted else {
            return;
        };
        let number = state.requests.fetch_add(1, SeqCst) + 1;
        let (head, body) = Request::into_parts(request);
        state.seen.lock().unwrap().push(head.clone());
        let script = state.script.lock().unwrap().clone();
        tokio::spawn(script(Exchange {
            number,
            head,
            body,
            reply,
            leaves: leaves.clone(),
        }));
    }
}

/// Waits for the head of a request, answers with `frames`, and closes once the client did or sent some more.
async fn in_bytes(mut stream: TcpStream, frames: &[u8]) {
    let mut preface = vec![0; PREFACE.len()];
    if stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    let _ = stream.write_all(&frame(4, 0, 0, b"")).await;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        if head[3] == 1 {
            let _ = stream.write_all(frames).await;
            let _ = stream.shutdown().await;
        }
    }
}
