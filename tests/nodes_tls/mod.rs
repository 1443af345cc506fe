//! Nodes that speak TLS: nothing is sent to one that is not who it should be, and what plain nodes get, these get.

mod announced;
mod handshakes;
mod kept;
mod strangers;

use std::fmt::Display;

use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete};
use crate::support::secure::{Papers, SecureDoor};
use crate::support::tls::Authority;

/// One upstream of these nodes, which the client is told of with `keys`.
fn web(keys: &str, nodes: impl Display) -> String {
    crate::support::proxy::web(keys, nodes)
}

/// A list of nodes at the doors.
fn at(doors: &[&SecureDoor]) -> String {
    let doors: Vec<String> = (doors.iter().enumerate())
        .map(|(i, door)| format!("{{ addr: \"{}\", id: app-{} }}", door.addr(), i + 1))
        .collect();
    format!("[{}]", doors.join(", "))
}

/// A node that speaks TLS, with a certificate for its address, and a proxy that trusts `ca.pem`.
struct Secure {
    app: Origin,
    door: SecureDoor,
    authority: Authority,
    tide: Tidegate,
}

impl Secure {
    /// With these keys of the upstream beside `tls: { ca: ca.pem }`.
    async fn with(keys: &str) -> Self {
        Secure::with_tls("ca: ca.pem", keys).await
    }

    /// With these keys of `tls`, and these of the upstream.
    async fn with_tls(tls: &str, keys: &str) -> Self {
        let (app, authority) = (Origin::start("app-1").await, Authority::new());
        let papers = Papers::new(&authority, &["127.0.0.1", "app.internal"]);
        let door = SecureDoor::open(app.addr(), papers.server(None)).await;
        let tide = run(&authority, &config(tls, keys, &door)).await;
        Secure {
            app,
            door,
            authority,
            tide,
        }
    }
}

fn config(tls: &str, keys: &str, door: &SecureDoor) -> String {
    web(&format!("tls: {{ {tls} }}\n{keys}"), at(&[door]))
}

/// A proxy on this configuration, with the certificate of `authority` in `ca.pem` beside it.
async fn run(authority: &Authority, yaml: &str) -> Tidegate {
    run_with(|dir| authority.write(&dir.join("ca.pem")), yaml).await
}

/// A proxy on this configuration, with what `prepare` puts beside it.
async fn run_with(prepare: impl Fn(&std::path::Path), yaml: &str) -> Tidegate {
    let dir = tempfile::TempDir::new().unwrap();
    prepare(dir.path());
    std::fs::write(dir.path().join("tidegate.yaml"), complete(yaml)).unwrap();
    Tidegate::run_in(dir).await
}

/// Failed attempts, as the metric counts them.
async fn failed(tide: &Tidegate, reason: &str) -> Option<f64> {
    let labels = [("upstream", "web"), ("reason", reason)];
    tide.metric("tidegate_upstream_errors_total", &labels).await
}
