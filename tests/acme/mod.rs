//! Certificates from a real CA (Pebble): ordered, kept, renewed, and never a reason to stop serving.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::dns::Dns;
use crate::support::origin::Origin;
use crate::support::pebble::{How, Pebble};
use crate::support::proxy::Tidegate;
use crate::support::redis::free_port;
use crate::support::{check, eventually};

mod challenges;
mod failures;
mod handshakes;
mod kept;
mod renewal;
mod together;
mod upgrades;

/// How long an order may take.
const SOON: Duration = Duration::from_secs(30);

/// The names that are ordered.
const NAMES: &str = "a.test, www.a.test";

/// A CA, an app, and where the proxy will be.
struct Stage {
    app: Origin,
    dns: Dns,
    pebble: Pebble,
    /// Ports of the proxy: plain and TLS.
    ports: (u16, u16),
    /// What outlives a proxy.
    dir: TempDir,
}

impl Stage {
    async fn set(how: How) -> Stage {
        let ports = (free_port(), free_port());
        let dns = Dns::start().await;
        dns.has("a.test", &["127.0.0.1"]);
        dns.has("www.a.test", &["127.0.0.1"]);
        Stage {
            app: Origin::start("app").await,
            pebble: Pebble::run(&dns, ports, how).await,
            dns,
            ports,
            dir: TempDir::new().expect("a temporary folder"),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("acme")
    }

    /// A configuration with these keys more in `acme:`, as `, share: true`.
    fn config(&self, keys: &str) -> String {
        self.config_of(NAMES, keys)
    }

    fn config_of(&self, names: &str, keys: &str) -> String {
        format!(
            "listen:\n  - addr: 127.0.0.1:{}\n  - addr: 127.0.0.1:{}\n    tls: {{ acme: [{names}] }}\n\
             acme: {{ agree: true, directory: \"{}\", ca: {}, state: {}{keys} }}\n\
             upstreams: {{ web: {{ nodes: [{}] }} }}\nroutes: [{{ upstream: web }}]\n",
            self.ports.0,
            self.ports.1,
            self.pebble.directory(),
            self.pebble.ca().display(),
            self.state().display(),
            self.app.addr(),
        )
    }

    /// The files that hold certificates.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(self.state()).into_iter().flatten() {
            let folder = folder.expect("a readable folder").path();
            for file in std::fs::read_dir(folder).into_iter().flatten() {
                let path = file.expect("a readable folder").path();
                found.extend(path.extension().is_some_and(|e| e == "pem").then_some(path));
            }
        }
        found
    }
}

/// Kills a proxy, and waits until its ports are free.
async fn killed(tide: Tidegate) {
    tide.signal(Signal::SIGKILL);
    tide.ended(SOON).await;
}

/// How it stands with the first certificate.
async fn told(tide: &Tidegate) -> Value {
    tide.status().await["acme"][0].clone()
}

/// Waits until the first certificate stands so, and returns what is told of it.
async fn stands(tide: &Tidegate, state: &str) -> Value {
    eventually(&format!("the certificate is {state}"), SOON, async || {
        let told = told(tide).await;
        match told["state"] == state {
            true => Ok(told),
            false => Err(format!("{told}\n{}", tide.log())),
        }
    })
    .await
}

/// Waits until the last order failed with these words.
async fn fails(tide: &Tidegate, words: &str) -> Value {
    eventually("the order fails", SOON, async || {
        let told = told(tide).await;
        let failed = told["failure"].as_str().is_some_and(|f| f.contains(words));
        match failed {
            true => Ok(told),
            false => Err(format!("{told}\n{}", tide.log())),
        }
    })
    .await
}

/// Waits until so many orders ended so.
async fn orders(tide: &Tidegate, result: &str, at_least: f64) {
    eventually("orders are counted", SOON, async || {
        let n = tide
            .metric("tidegate_acme_orders_total", &[("result", result)])
            .await;
        check(n >= Some(at_least), format!("{n:?}\n{}", tide.log()))
    })
    .await;
}
