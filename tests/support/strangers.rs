//! Origins that nobody here wrote: nginx, Python's `http.server`, hypercorn.
//!
//! They belong to a development machine (`scripts/setup.sh` installs them); without them a story fails and says so.

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
            std::fs::write(&conf, nginx_conf(dir, addr, "", "")).expect("a writable folder");
            command.arg("-c").arg(&conf).arg("-e").arg("stderr");
        })
        .await
    }

    /// The same, spoken to in HTTP/2 without TLS.
    pub async fn nginx_h2() -> Self {
        Stranger::nginx_with(|_| {}, " http2", "").await
    }

    /// The same with what `prepare` puts beside its configuration, `how` it listens and `more` of its server.
    pub async fn nginx_with(prepare: impl Fn(&Path), how: &str, more: &str) -> Self {
        Stranger::start("nginx", |dir, addr, command| {
            prepare(dir);
            let conf = dir.join("nginx.conf");
            std::fs::write(&conf, nginx_conf(dir, addr, how, more)).expect("a writable folder");
            command.arg("-c").arg(&conf).arg("-e").arg("stderr");
        })
        .await
    }

    /// Python's `http.server` behind Python's `ssl`, with `site.pem` and `site.key` that `prepare` puts beside it.
    pub async fn python_tls(prepare: impl Fn(&Path)) -> Self {
        Stranger::start("python3", |dir, addr, command| {
            prepare(dir);
            std::fs::write(dir.join("serve.py"), PYTHON_TLS).expect("a writable folder");
            command
                .args(["-u", "serve.py"])
                .arg(addr.port().to_string())
                .current_dir(dir);
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

    /// hypercorn with an application that sends back what it gets, over TLS as above.
    pub async fn hypercorn_tls(prepare: impl Fn(&Path)) -> Self {
        Stranger::start("hypercorn", |dir, addr, command| {
            prepare(dir);
            std::fs::write(dir.join("mirror.py"), MIRROR).expect("a writable folder");
            command
                .args(["--certfile", "site.pem", "--keyfile", "site.key", "--bind"])
                .arg(addr.to_string())
                .arg("mirror:app")
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

/// `http.server` over TLS, with connections that stay.
const PYTHON_TLS: &str = r#"
import functools, http.server, ssl, sys

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("site.pem", "site.key")
handler = functools.partial(Handler, directory="files")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// An ASGI application that sends back what it gets.
const MIRROR: &str = r#"
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        event = await receive()
        more = event.get("more_body", False)
        await send({"type": "http.response.body", "body": event.get("body", b""), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
"#;

fn nginx_conf(dir: &Path, addr: SocketAddr, how: &str, more: &str) -> String {
    let d = dir.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log stderr warn;
         events {{ worker_connections 512; }}
         http {{
           access_log off; default_type text/plain; root {d}/files;
           client_body_temp_path {d}/body; proxy_temp_path {d}/proxy; fastcgi_temp_path {d}/fastcgi;
           uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi;
           server {{ listen {addr}{how}; client_max_body_size 8m; keepalive_requests 50; {more} }}
         }}\n"
    )
}
