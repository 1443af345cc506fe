//! A small gRPC server with one method, `grpc.health.v1.Health/Check`, that answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a call.
#[derive(Clone, Debug)]
pub enum Says {
    /// Answers this status of the health protocol.
    Health(u8),
    /// Ends the call with this `grpc-status` and no message.
    Fails(&'static str),
    /// Answers this status of HTTP, as a server that knows no gRPC.
    Http(u16),
    /// Resets the call.
    Resets,
    /// Never answers.
    Nothing,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name it was sent to.
    pub authority: String,
    /// Its path.
    pub path: String,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its message, with gRPC's frame.
    pub message: Vec<u8>,
}

/// A running server.
pub struct Grpc {
    addr: SocketAddr,
    says: Arc<Mutex<Says>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Grpc {
    /// A server that says SERVING.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Grpc {
            addr: listener.local_addr().expect("a bound socket"),
            says: Arc::new(Mutex::new(Says::Health(1))),
            calls: Arc::default(),
        };
        let (says, calls) = (server.says.clone(), server.calls.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, says.clone(), calls.clone()));
            }
        });
        server
    }

    /// From now on it says this.
    pub fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The last call.
    pub fn last_call(&self) -> Call {
        let calls = self.calls.lock().unwrap();
        calls.last().cloned().expect("it was called")
    }
}

async fn serve(stream: TcpStream, says: Arc<Mutex<Says>>, calls: Arc<Mutex<Vec<Call>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return; // not HTTP/2
    };
    while let Some(Ok((request, answer))) = connection.accept().await {
        let says = says.lock().unwrap().clone();
        tokio::spawn(answer_one(request, answer, says, calls.clone()));
    }
}

async fn answer_one(
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    says: Says,
    calls: Arc<Mutex<Vec<Call>>>,
) {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        message.extend(piece);
    }
    calls.lock().unwrap().push(Call {
        authority: head.uri.authority().map_or("", |a| a.as_str()).to_owned(),
        path: head.uri.path().to_owned(),
        fields: head.headers,
        message,
    });
    let grpc = || Response::builder().header("content-type", "application/grpc");
    let whole = "an answer that can be built";
    match says {
        Says::Health(status) => {
            let head = grpc().body(()).expect(whole);
            let mut body = answer.send_response(head, false).expect("a caller");
            let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, status]);
            body.send_data(message, false).expect("a caller");
            let end = HeaderMap::from_iter([(
                "grpc-status".parse().expect("a name"),
                "0".parse().expect("a value"),
            )]);
            body.send_trailers(end).expect("a caller");
        }
        Says::Fails(status) => {
            let head = grpc().header("grpc-status", status).body(()).expect(whole);
            answer.send_response(head, true).expect("a caller");
        }
        Says::Http(status) => {
            let head = Response::builder().status(status).body(()).expect(whole);
            answer.send_response(head, true).expect("a caller");
        }
        Says::Resets => answer.send_reset(h2::Reason::REFUSED_STREAM),
        Says::Nothing => std::future::pending().await,
    }
}
