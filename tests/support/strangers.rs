//! Origins that nobody here wrote: nginx and Python's `http.server`.
//!
//! Both belong to a development machine (`scripts/setup.sh` installs them); without them a story fails and says so.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::client::{Client, Request};
use super::process::Process;
use super::proxy::SOON;
use super::{check, eventually};

/// A foreign server on a folder of files.
pub struct Stranger {
    process: Process,
    dir: TempDir,
    addr: SocketAddr,
}

impl Stranger {
    /// `python3 -m http.server`.
    pub async fn python() -> Self {
        Stranger::start("python3", |dir, addr, command| {
            command
                .args(["-u", "-m", "http.server", "--bind", "127.0.0.1"])
                .arg("--directory")
                .arg(dir.join("files"))
                .arg(addr.port().to_string());
        })
        .await
    }

    /// nginx with a configuration of its own, as whoever runs the test.
    pub async fn nginx() -> Self {
        Stranger::start("nginx", |dir, addr, command| {
            let conf = dir.join("nginx.conf");
            std::fs::write(&conf, nginx_conf(dir, addr, "")).expect("a writable folder");
            command.arg("-c").arg(&conf).arg("-e").arg("stderr");
        })
        .await
    }

    /// The same, spoken to in HTTP/2 without TLS.
    pub async fn nginx_h2() -> Self {
        Stranger::start("nginx", |dir, addr, command| {
            let conf = dir.join("nginx.conf");
            std::fs::write(&conf, nginx_conf(dir, addr, " http2")).expect("a writable folder");
            command.arg("-c").arg(&conf).arg("-e").arg("stderr");
        })
        .await
    }

    /// hypercorn with this ASGI app (`app` of the text), which speaks HTTP/2 where the client does.
    pub async fn hypercorn(app: &str) -> Self {
        Stranger::start("/usr/bin/python3", |dir, addr, command| {
            std::fs::write(dir.join("story.py"), app).expect("a writable folder");
            command
                .args(["-m", "hypercorn", "--bind", &addr.to_string(), "story:app"])
                .current_dir(dir);
        })
        .await
    }

    async fn start(program: &str, prepare: impl Fn(&Path, SocketAddr, &mut Command)) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("files")).expect("a writable folder");
        let addr = free_port().await;
        let mut command = Command::new(program);
        prepare(dir.path(), addr, &mut command);
        let found = Command::new("sh")
            .args(["-c", "command -v \"$0\"", program])
            .output();
        assert!(
            found.is_ok_and(|o| o.status.success()),
            "{program} is missing: scripts/setup.sh installs what the stories need"
        );
        let stranger = Stranger {
            process: Process::start(&mut command),
            dir,
            addr,
        };
        eventually(program, SOON, async || {
            let up = Client::connect(addr).await.is_ok();
            check(up, stranger.process.output().err.join("\n"))
        })
        .await;
        stranger
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Puts a file where it serves from.
    pub fn file(&self, name: &str, content: &[u8]) {
        let path = self.dir.path().join("files").join(name);
        std::fs::write(path, content).expect("a writable folder");
    }

    /// Asks it without the proxy.
    pub async fn ask(&self, request: &Request) -> super::client::Answer {
        let client = Client::connect(self.addr).await;
        let asked = client.expect("it listens").ask(request).await;
        asked.unwrap_or_else(|e| panic!("{request:?}: {e}"))
    }
}

/// A port that was free a moment ago: for programs that cannot choose one and tell it.
pub async fn free_port() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    listener.local_addr().expect("a bound socket")
}

fn nginx_conf(dir: &Path, addr: SocketAddr, speaks: &str) -> String {
    let d = dir.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log stderr warn;
         events {{ worker_connections 512; }}
         http {{
           access_log off; default_type text/plain; root {d}/files;
           client_body_temp_path {d}/body; proxy_temp_path {d}/proxy; fastcgi_temp_path {d}/fastcgi;
           uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi;
           server {{ listen {addr}{speaks}; client_max_body_size 8m; keepalive_requests 50; }}
         }}\n"
    )
}
