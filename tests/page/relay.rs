//! What may lie between a browser and the stats port, a tunnel or a careless proxy: it can refuse the stream, or break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use std::sync::Mutex;

/// What it lets through.
#[derive(Clone, Copy)]
pub enum Lets {
    /// Everything.
    All = 0,
    /// Everything but the stream.
    NoStream = 1,
    /// Nothing: it hangs up.
    Nothing = 2,
}

/// One of these.
pub struct Relay {
    addr: SocketAddr,
    lets: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<AbortHandle>>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Before this port.
    pub async fn before(stats: SocketAddr, lets: Lets) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let lets = Arc::new(AtomicU8::new(lets as u8));
        let open: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let (told, kept) = (lets.clone(), open.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let lets = told.load(Relaxed);
                let handle = connections.spawn(async move {
                    // A connection that breaks is what this is for.
                    let _ = pass(client, stats, lets).await;
                });
                kept.lock().unwrap().push(handle);
            }
        });
        Relay {
            addr,
            lets,
            open,
            _tasks: tasks,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on; what is open is cut.
    pub fn lets(&self, lets: Lets) {
        self.lets.store(lets as u8, Relaxed);
        for open in self.open.lock().unwrap().drain(..) {
            open.abort();
        }
    }
}

/// One request and its answer: the connection is closed after it, so that the next one is looked at too.
async fn pass(mut client: TcpStream, stats: SocketAddr, lets: u8) -> std::io::Result<()> {
    if lets == Lets::Nothing as u8 {
        return Ok(());
    }
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if lets == Lets::NoStream as u8 && text.starts_with("GET /api/v1/stream") {
        let refused =
            "HTTP/1.1 503 no streams here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(refused.as_bytes()).await;
    }
    let once = text.replace("Connection: keep-alive", "Connection: close");
    let mut server = TcpStream::connect(stats).await?;
    server.write_all(once.as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
