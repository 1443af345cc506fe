//! A real redis-server on a port of its own, with nothing on disk; it ends with its story.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{Process, finish};
use super::{check, eventually};

/// How long a server may take to start.
const SOON: Duration = Duration::from_secs(8);

/// A running redis-server.
pub struct Redis {
    addr: SocketAddr,
    args: Vec<String>,
    process: Process,
}

impl Redis {
    /// Starts one.
    pub async fn run() -> Redis {
        Redis::run_with(&[]).await
    }

    /// Starts one with these arguments more, as `--maxmemory 3mb`.
    pub async fn run_with(args: &[&str]) -> Redis {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        loop {
            let port = free_port();
            let process = begin(port, &args);
            let addr = SocketAddr::from(([127, 0, 0, 1], port));
            if is_open(addr, &process).await {
                return Redis {
                    addr,
                    args,
                    process,
                };
            }
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as the file has it.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.addr)
    }

    /// Kills it; what was connected sees a reset or an end.
    pub async fn kill(&self) {
        self.process.signal(Signal::SIGKILL);
        self.process.ended(SOON).await;
    }

    /// Starts it again on its port, empty.
    pub async fn restart(&mut self) {
        if self.process.runs() {
            self.kill().await;
        }
        self.process = begin(self.addr.port(), &self.args);
        let open = is_open(self.addr, &self.process).await;
        assert!(open, "somebody took its port");
    }

    /// The server stops answering, its connections stay.
    pub fn stop(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// It goes on.
    pub fn go_on(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// What `redis-cli` says to a command, each line of it.
    pub async fn ask(&self, command: &[&str]) -> Vec<String> {
        let port = self.addr.port().to_string();
        let mut cli = Command::new("redis-cli");
        let done = finish(cli.args(["-p", &port]).args(command)).await;
        assert_eq!(done.code, 0, "redis-cli {command:?}: {}", done.all());
        done.out.lines().map(str::to_owned).collect()
    }

    /// The names of all its keys that begin so.
    pub async fn keys(&self, beginning: &str) -> Vec<String> {
        let mut keys = self
            .ask(&["--scan", "--pattern", &format!("{beginning}*")])
            .await;
        keys.retain(|key| !key.is_empty());
        keys.sort();
        keys
    }

    /// The bytes under a key; `None`: there is none.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut conn = self.connect().await;
        send(&mut conn, &[b"GET", key.as_bytes()]).await;
        bulk(&mut conn).await
    }

    /// Puts bytes under a key, and leaves the time it has.
    pub async fn put(&self, key: &str, value: &[u8]) {
        let mut conn = self.connect().await;
        send(&mut conn, &[b"SET", key.as_bytes(), value, b"KEEPTTL"]).await;
        assert_eq!(line(&mut conn).await, "+OK");
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr)
            .await
            .expect("a running server")
    }
}

/// A Redis Cluster of so many servers, each with its share of the slots.
pub async fn cluster(n: usize) -> Vec<Redis> {
    let dir = tempfile::tempdir().expect("a temporary folder").keep();
    let mut nodes = Vec::new();
    for i in 0..n {
        let (file, bus) = (format!("nodes-{i}.conf"), free_port().to_string());
        let args = ["--cluster-enabled", "yes", "--cluster-config-file", &file];
        let dir = dir.to_string_lossy();
        let more = ["--cluster-port", &bus, "--dir", &dir];
        nodes.push(Redis::run_with(&[&args[..], &more[..]].concat()).await);
    }
    let addrs: Vec<String> = nodes.iter().map(|node| node.addr.to_string()).collect();
    let mut cli = Command::new("redis-cli");
    cli.args(["--cluster", "create"]).args(&addrs);
    let done = finish(cli.args(["--cluster-replicas", "0", "--cluster-yes"])).await;
    assert_eq!(done.code, 0, "{}", done.all());
    for node in &nodes {
        eventually("a cluster", SOON, async || {
            let info = node.ask(&["CLUSTER", "INFO"]).await.join("\n");
            check(info.contains("cluster_state:ok"), info)
        })
        .await;
    }
    // The servers keep their files open; what is left of the folder is empty.
    let _ = std::fs::remove_dir_all(dir);
    nodes
}

async fn send(conn: &mut TcpStream, command: &[&[u8]]) {
    let mut text = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        text.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        text.extend_from_slice(part);
        text.extend_from_slice(b"\r\n");
    }
    conn.write_all(&text).await.expect("a running server");
}

async fn line(conn: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(conn.read_u8().await.expect("a reply"));
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

async fn bulk(conn: &mut TcpStream) -> Option<Vec<u8>> {
    let head = line(conn).await;
    let length = head.strip_prefix('$').expect("bytes");
    let length: usize = length.parse().ok()?; // -1: there is nothing
    let mut bytes = vec![0; length];
    conn.read_exact(&mut bytes).await.expect("a whole reply");
    Some(bytes)
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn begin(port: u16, args: &[String]) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--dir", "/tmp"]);
    Process::start(command.args(args))
}

/// Whether it listens; `false`: it has ended, as when somebody was quicker to take the port.
async fn is_open(addr: SocketAddr, process: &Process) -> bool {
    eventually("a redis-server", SOON, async || {
        let ready = process.output().out;
        let is_ready = ready
            .iter()
            .any(|line| line.contains("Ready to accept connections"));
        check(is_ready || !process.runs(), ready.join("\n"))
    })
    .await;
    process.runs() && TcpStream::connect(addr).await.is_ok()
}
