//! What may lie between a proxy and Redis: it passes everything, or refuses, hangs, cuts, slows down or talks nonsense.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How it is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Everything passes.
    Open,
    /// Whoever is connected is cut off, and nobody else can connect.
    Refuses,
    /// Connections stay and open; nothing comes back.
    Hangs,
    /// Half of the next reply comes, then a reset; on each connection.
    Cuts,
    /// Every reply comes this much later.
    Late(Duration),
    /// What comes back is not what Redis speaks.
    Nonsense,
}

/// One of these.
pub struct Rough {
    addr: SocketAddr,
    way: watch::Sender<Way>,
    door: Option<JoinHandle<()>>,
    to: SocketAddr,
    came: Arc<AtomicU64>,
}

impl Rough {
    /// Before this server.
    pub async fn before(to: SocketAddr) -> Rough {
        let mut rough = Rough {
            addr: SocketAddr::from(([127, 0, 0, 1], super::redis::free_port())),
            way: watch::Sender::new(Way::Open),
            door: None,
            to,
            came: Arc::default(),
        };
        rough.listen();
        rough
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Bytes that came from the proxies so far.
    pub fn came(&self) -> u64 {
        self.came.load(Relaxed)
    }

    /// From now on it is like this.
    pub async fn goes(&mut self, way: Way) {
        self.way.send_replace(way);
        if way == Way::Refuses {
            if let Some(door) = self.door.take() {
                door.abort();
                // Its port is closed when it has ended.
                let _ = door.await;
            }
        } else if self.door.is_none() {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .set_reuseaddr(true)
            .expect("an option of every socket");
        socket.bind(self.addr).expect("its own port");
        let listener = socket.listen(64).expect("its own port");
        let (to, way, came) = (self.to, self.way.clone(), self.came.clone());
        self.door = Some(tokio::spawn(accept(listener, to, way, came)));
    }
}

impl Drop for Rough {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            door.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    to: SocketAddr,
    way: watch::Sender<Way>,
    came: Arc<AtomicU64>,
) {
    // Dropped with this task, and every connection with it.
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        open.spawn(pass(client, to, way.subscribe(), came.clone()));
        while open.try_join_next().is_some() {}
    }
}

/// Passes bytes both ways until one side is gone.
async fn pass(client: TcpStream, to: SocketAddr, way: watch::Receiver<Way>, came: Arc<AtomicU64>) {
    client.set_zero_linger().expect("an option of every socket");
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = there(from_client, to_server, came) => {}
        () = back(from_server, to_client, way) => {}
    }
}

async fn there(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, came: Arc<AtomicU64>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        came.fetch_add(n as u64, Relaxed);
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        let is = *way.borrow();
        let part = match is {
            Way::Refuses => return,
            Way::Hangs => {
                // What was on its way is lost; what comes later, too.
                if way.wait_for(|way| *way != Way::Hangs).await.is_err() {
                    return;
                }
                return;
            }
            Way::Cuts => &bytes[..n / 2],
            Way::Nonsense => &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            Way::Late(by) => {
                tokio::time::sleep(by).await;
                &bytes[..n]
            }
            Way::Open => &bytes[..n],
        };
        if to.write_all(part).await.is_err() || is == Way::Cuts {
            return;
        }
    }
}
