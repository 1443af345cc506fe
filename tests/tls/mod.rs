//! TLS towards clients: certificates, handshakes, what becomes of requests, and changes while it runs.

mod certificates;
mod expiry;
mod handshakes;
mod serving;
mod strangers;
mod swaps;

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::process::{Done, finish};
use crate::support::proxy::Tidegate;
use crate::support::tls::Authority;

/// The file of a site with TLS: these keys of `tls`, these nodes, these keys of the route.
fn site(tls: &str, nodes: &str, route: &str) -> String {
    format!(
        "listen: [{{ addr: \"127.0.0.1:0\", tls: {{ {tls} }} }}]
upstreams: {{ web: {{ nodes: {nodes} }} }}
routes: [{{ upstream: web{route} }}]
"
    )
}

/// The keys of a port with one certificate.
const ONE: &str = "certs: [{ cert: site.pem, key: site.key }]";

/// Starts the proxy on this file, in a folder with what `fill` puts there.
async fn run(yaml: &str, fill: impl FnOnce(&std::path::Path)) -> Tidegate {
    let dir = TempDir::new().expect("a temporary folder");
    fill(dir.path());
    let whole = crate::support::proxy::complete(yaml);
    std::fs::write(dir.path().join("tidegate.yaml"), whole).expect("a writable folder");
    Tidegate::run_in(dir).await
}

/// Starts it with one certificate for `site.test`.
async fn run_one(authority: &Authority, yaml: &str) -> Tidegate {
    run(yaml, |dir| {
        authority.issue(&["site.test"]).write(dir, "site");
        authority.write(&dir.join("ca.pem"));
    })
    .await
}

/// What `openssl s_client` says of a port, given these arguments.
async fn s_client(to: SocketAddr, args: &[&str]) -> Done {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &to.to_string()])
        .args(args)
        .stdin(Stdio::null());
    finish(&mut command).await
}
