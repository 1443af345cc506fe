//! gRPC from end to end: a client and a service by grpcio, which nobody here wrote, and the proxy between them.
//!
//! What the client sees through the proxy is what it would see without it; what the proxy has to say itself is said in
//! gRPC's words.

mod calls;
mod own_words;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::eventually;
use crate::support::process::{Process, finish};
use crate::support::proxy::{SOON, Tidegate};

/// Debian's, which has grpcio.
const PYTHON: &str = "/usr/bin/python3";
/// The section of a port that takes HTTP/2.
const H2C: &str = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";

fn script(name: &str) -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/grpc");
    tests.join(name)
}

/// A running service.
struct Service {
    /// Ended with the story.
    _process: Process,
    port: u16,
}

impl Service {
    async fn start(args: &[&str]) -> Self {
        let process = Process::start(Command::new(PYTHON).arg(script("service.py")).args(args));
        let port = eventually("the service listens", SOON, async || {
            let output = process.output();
            let line = output.out.first().cloned();
            let port = line.and_then(|l| l.strip_prefix("listening on ")?.parse().ok());
            port.ok_or_else(|| output.err.join("\n"))
        })
        .await;
        Service {
            _process: process,
            port,
        }
    }

    fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The proxy in front of these nodes; `top` are further sections, `keys` further keys of the upstream (a line each).
async fn in_front_of(top: &str, keys: &str, nodes: &[String]) -> Tidegate {
    let keys: String = keys
        .lines()
        .map(|key| format!("    {}\n", key.trim()))
        .collect();
    let yaml = format!(
        "{H2C}{top}\nupstreams:\n  web:\n    h2: true\n{keys}    nodes: [{}]\nroutes: [{{ upstream: web }}]\n",
        nodes.join(", ")
    );
    Tidegate::run(yaml).await
}

/// A service and the proxy in front of it.
async fn one_service() -> (Service, Tidegate) {
    let service = Service::start(&[]).await;
    let tide = in_front_of("", "", &[service.addr()]).await;
    (service, tide)
}

/// What the client said of a deed.
async fn call(tide: &Tidegate, args: &[&str]) -> Value {
    let mut command = Command::new(PYTHON);
    let addr = tide.addr().to_string();
    let done = finish(command.arg(script("caller.py")).arg(addr).args(args)).await;
    let said = serde_json::from_str(&done.out);
    said.unwrap_or_else(|e| panic!("{args:?}: {e}: {}\n{}", done.out, done.err))
}
