//! An app server that does as it is told: its answers are scripted per request, and it remembers every byte it got.
//!
//! Plain sockets and a small loop, no framework: a framework would refuse to misbehave. `/healthz` is answered
//! apart from the script ([`Origin::set_health`]) and counted apart, so probes never disturb a story's counts.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reply::{Reply, Seen, Step, chunk};
use super::wire::{Broken, Framing, Head, Wire};

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// A running origin. Its `{}` is a node entry of the configuration file.
pub struct Origin {
    shared: Arc<Shared>,
    addr: SocketAddr,
    door: Mutex<Door>,
}

enum Door {
    Open(JoinHandle<()>),
    /// Bound but not listening: connections are refused and nobody else gets the port.
    Shut(TcpSocket),
    Moving,
}

struct Shared {
    name: String,
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    in_flight: AtomicUsize,
    probes: AtomicUsize,
    health: AtomicU16,
    /// What `/healthz` says of the origin itself.
    says: Mutex<Option<String>>,
    /// Counts deaths: every connection is reset when it changes.
    deaths: watch::Sender<usize>,
}

impl Origin {
    /// An origin that listens and answers [`Reply::usual`].
    pub async fn start(name: &str) -> Self {
        let origin = Origin::refusing(name);
        origin.revive().await;
        origin
    }

    /// `n` origins called `app-1` and so on.
    pub async fn several(n: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for i in 1..=n {
            all.push(Origin::start(&format!("app-{i}")).await);
        }
        all
    }

    /// An origin whose port refuses connections until [`Origin::revive`].
    pub fn refusing(name: &str) -> Self {
        Origin::refusing_at(name, "127.0.0.1:0".parse().expect("an address"))
    }

    /// An origin that listens at this address, on the loopback.
    pub async fn start_at(name: &str, addr: SocketAddr) -> Self {
        let origin = Origin::refusing_at(name, addr);
        origin.revive().await;
        origin
    }

    fn refusing_at(name: &str, addr: SocketAddr) -> Self {
        let socket = bind(addr);
        Origin {
            addr: socket.local_addr().expect("a bound socket"),
            door: Door::Shut(socket).into(),
            shared: Arc::new(Shared {
                name: name.into(),
                script: Mutex::new(Arc::new(Reply::usual)),
                seen: Mutex::default(),
                connections: AtomicUsize::new(0),
                open: AtomicUsize::new(0),
                in_flight: AtomicUsize::new(0),
                probes: AtomicUsize::new(0),
                health: AtomicU16::new(200),
                says: Mutex::default(),
                deaths: watch::Sender::new(0),
            }),
        }
    }

    /// From now on it answers so.
    pub fn answers(&self, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Resets every connection and refuses new ones, as a killed process does.
    pub async fn kill(&self) {
        self.refuse().await;
        self.shared.deaths.send_modify(|n| *n += 1);
    }

    /// Refuses new connections; those that stand go on.
    pub async fn refuse(&self) {
        let door = self.move_door(Door::Moving);
        if let Door::Open(accepting) = door {
            accepting.abort();
            let _ = accepting.await;
        }
        self.move_door(Door::Shut(bind(self.addr)));
    }

    /// Listens (again) on its port.
    pub async fn revive(&self) {
        let door = self.move_door(Door::Moving);
        let Door::Shut(socket) = door else {
            panic!("{} listens already", self.name());
        };
        let listener = socket.listen(4_096).expect("its own port");
        let accepting = tokio::spawn(accept(self.shared.clone(), listener));
        self.move_door(Door::Open(accepting));
    }

    fn move_door(&self, to: Door) -> Door {
        std::mem::replace(&mut self.door.lock().unwrap(), to)
    }

    /// What `/healthz` answers from now on.
    pub fn set_health(&self, status: u16) {
        self.shared.health.store(status, SeqCst);
    }

    /// The `X-Tidegate-State` of `/healthz` from now on; an empty one is left out.
    pub fn says(&self, words: &str) {
        let words = Some(words.to_owned()).filter(|w| !w.is_empty());
        *self.shared.says.lock().unwrap() = words;
    }

    /// Its name, which is its node id.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A node entry with more keys: `weight: 2`.
    pub fn with(&self, more: &str) -> String {
        let Origin { addr, .. } = self;
        format!("{{ addr: \"{addr}\", id: {}, {more} }}", self.name())
    }

    /// Every request so far, probes apart.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The only request there was.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{} saw not one request", self.name());
        seen.remove(0)
    }

    /// Number of requests so far.
    pub fn requests(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Number of connections so far, those of probes included.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Number of connections that stand.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Number of requests whose answer is not complete.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(SeqCst)
    }

    /// Number of probes so far.
    pub fn probes(&self) -> usize {
        self.shared.probes.load(SeqCst)
    }

    /// Waits until `n` requests (or more) are in flight on it.
    pub async fn holds(&self, n: usize) {
        let what = format!("{} holds {n} requests", self.name());
        super::eventually(&what, Duration::from_secs(8), async || {
            super::check(self.in_flight() >= n, self.in_flight())
        })
        .await;
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ addr: \"{}\", id: {} }}", self.addr, self.name())
    }
}

/// Node entries of several origins, as the file has them.
pub fn nodes<'a>(origins: impl IntoIterator<Item = &'a Origin>) -> String {
    let entries: Vec<String> = origins.into_iter().map(Origin::to_string).collect();
    format!("[{}]", entries.join(", "))
}

fn bind(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a fresh socket");
    socket
        .bind(addr)
        .unwrap_or_else(|e| panic!("binding {addr}: {e}"));
    socket
}

/// One more of something, as long as it lives.
struct OneMore<'a>(&'a AtomicUsize);

impl<'a> OneMore<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        OneMore(count)
    }
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        shared.connections.fetch_add(1, SeqCst);
        let shared = shared.clone();
        let mut deaths = shared.deaths.subscribe();
        tokio::spawn(async move {
            let _open = OneMore::of(&shared.open);
            let mut wire = Wire::new(stream);
            let resets = tokio::select! {
                _ = deaths.changed() => true,
                end = talk(&shared, &mut wire) => matches!(end, Ok(End::Reset)),
            };
            if resets {
                wire.reset();
            }
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    KeepAlive,
    Close,
    Reset,
}

async fn talk(shared: &Shared, wire: &mut Wire) -> Result<End, Broken> {
    loop {
        let head = wire.head().await?;
        let last = head.names("connection", "close") || head.line.ends_with("HTTP/1.0");
        let end = if head.line.starts_with("GET /healthz ") {
            shared.probes.fetch_add(1, SeqCst);
            let status = shared.health.load(SeqCst);
            let said = shared.says.lock().unwrap().clone();
            let said = said.map_or_else(String::new, |w| format!("X-Tidegate-State: {w}\r\n"));
            let answer = format!("HTTP/1.1 {status} Probed\r\n{said}content-length: 0\r\n\r\n");
            wire.send(answer.as_bytes()).await?;
            End::KeepAlive
        } else {
            let _in_flight = OneMore::of(&shared.in_flight);
            answer(shared, head, wire).await?
        };
        match end {
            End::KeepAlive if !last => {}
            End::Reset => return Ok(End::Reset),
            _ => return Ok(End::Close),
        }
    }
}

async fn answer(shared: &Shared, head: Head, wire: &mut Wire) -> Result<End, Broken> {
    let framing = match head.framing()? {
        Framing::UntilClose => Framing::Nothing,
        other => other,
    };
    let expects = head.names("expect", "100-continue");
    let mut seen = {
        let mut log = shared.seen.lock().unwrap();
        let seen = Seen {
            node: shared.name.clone(),
            serial: log.len(),
            head,
            body: Vec::new(),
            complete: false,
        };
        log.push(seen.clone());
        seen
    };
    let script = shared.script.lock().unwrap().clone();
    let reply = script(&seen);
    if reply.reads_body {
        if expects && reply.continues {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let read = wire.body(framing, &mut seen.body).await;
        seen.complete = read.is_ok();
        shared.seen.lock().unwrap()[seen.serial] = seen.clone();
        read?;
    }
    perform(&seen, reply.steps, wire).await
}

/// Bytes that belong together leave together: a node killed at any moment has sent an answer or none of it.
async fn perform(seen: &Seen, steps: Vec<Step>, wire: &mut Wire) -> Result<End, Broken> {
    let bodiless = seen.method() == "HEAD";
    let mut due = Vec::new();
    let mut end = End::KeepAlive;
    for step in steps {
        match step {
            Step::Head(status, fields) => due.extend(head_bytes(seen, status, &fields)),
            Step::Bytes(_) | Step::Chunk(_) if bodiless => {}
            Step::Bytes(bytes) | Step::Raw(bytes) => due.extend(bytes),
            Step::Chunk(data) => due.extend(chunk(&data)),
            Step::Mirror => {
                let length = ("content-length".to_owned(), seen.body.len().to_string());
                due.extend(head_bytes(seen, 200, &[length]));
                due.extend(&seen.body);
            }
            Step::Wait(time) => {
                wire.send(&std::mem::take(&mut due)).await?;
                tokio::time::sleep(time).await;
            }
            Step::Gate(gate) => {
                wire.send(&std::mem::take(&mut due)).await?;
                gate.passed().await;
            }
            Step::Echo => {
                wire.send(&std::mem::take(&mut due)).await?;
                while let Some(bytes) = wire.some().await? {
                    wire.send(&bytes).await?;
                }
                end = End::Close;
            }
            Step::Close => end = End::Close,
            Step::Reset => end = End::Reset,
        }
        if end != End::KeepAlive {
            break;
        }
    }
    wire.send(&due).await?;
    Ok(end)
}

fn head_bytes(seen: &Seen, status: u16, fields: &[(String, String)]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} Scripted\r\nx-node: {}\r\nx-serial: {}\r\nx-id: {}\r\n",
        seen.node,
        seen.serial,
        seen.id(),
    );
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A port where connections neither stand nor are refused: its queue is full and nobody accepts.
pub struct BlackHole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<tokio::net::TcpStream>,
}

impl BlackHole {
    /// Opens it and fills its queue.
    pub async fn open() -> Self {
        let socket = bind("127.0.0.1:0".parse().expect("an address"));
        let listener = socket.listen(1).expect("its own port");
        let addr = listener.local_addr().expect("a bound socket");
        let mut queued = Vec::new();
        let patience = Duration::from_millis(250);
        let connect = || tokio::net::TcpStream::connect(addr);
        while let Ok(stream) = tokio::time::timeout(patience, connect()).await {
            queued.push(stream.expect("a queue that has room"));
        }
        BlackHole {
            addr,
            _listener: listener,
            _queued: queued,
        }
    }
}

impl fmt::Display for BlackHole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ addr: \"{}\", id: black-hole }}", self.addr)
    }
}
