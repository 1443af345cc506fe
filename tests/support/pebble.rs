//! A real CA: Pebble, with a certificate of its own that the story makes, and its eyes on the proxy's ports.
//!
//! It finds names by the story's server of DNS, and forgets everything when it ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::dns::Dns;
use super::eventually;
use super::process::{Process, finish};
use super::redis::free_port;

/// How long it may take to start.
const SOON: Duration = Duration::from_secs(8);

/// How a Pebble is to be.
#[derive(Default)]
pub struct How {
    /// Seconds that its certificates hold; else five years.
    pub holds: Option<u64>,
    /// Of a hundred good nonces, so many are refused.
    pub refuses_nonces: u32,
    /// Names that it signs nothing for.
    pub blocked: Vec<String>,
    /// An account needs the key with this name: base64url.
    pub binding: Option<(String, String)>,
}

/// A running Pebble.
pub struct Pebble {
    dir: TempDir,
    port: u16,
    management: u16,
    env: Vec<(&'static str, String)>,
    dns: SocketAddr,
    process: Option<Process>,
}

impl Pebble {
    /// Starts one that looks for http-01 and tls-alpn-01 at these ports.
    pub async fn run(dns: &Dns, (http, tls): (u16, u16), how: How) -> Pebble {
        let dir = TempDir::new().expect("a temporary folder");
        let (port, management) = (free_port(), free_port());
        certificate(dir.path());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut keys = json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("pebble.pem"),
            "privateKey": path("pebble.key"),
            "httpPort": http,
            "tlsPort": tls,
            "domainBlocklist": how.blocked,
        });
        if let Some(seconds) = how.holds {
            keys["certificateValidityPeriod"] = seconds.into();
        }
        if let Some((kid, key)) = how.binding {
            keys["externalAccountBindingRequired"] = true.into();
            keys["externalAccountMACKeys"] = json!({ kid: key });
        }
        let text = json!({ "pebble": keys }).to_string();
        std::fs::write(dir.path().join("config.json"), text).expect("a writable folder");
        let mut pebble = Pebble {
            dir,
            port,
            management,
            env: vec![
                ("PEBBLE_VA_NOSLEEP", "1".into()),
                ("PEBBLE_AUTHZREUSE", "0".into()),
                ("PEBBLE_WFE_NONCEREJECT", how.refuses_nonces.to_string()),
            ],
            dns: dns.addr(),
            process: None,
        };
        pebble.start().await;
        pebble
    }

    /// Starts it again: it knows nobody.
    pub async fn start(&mut self) {
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(self.dir.path().join("config.json"));
        command.arg("-dnsserver").arg(self.dns.to_string());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&mut command));
        for port in [self.port, self.management] {
            eventually("the CA listens", SOON, async || {
                TcpStream::connect(("127.0.0.1", port)).await
            })
            .await;
        }
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::SIGKILL);
        process.ended(SOON).await;
    }

    /// Where its directory is.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Whom to trust as its server.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Writes whom to trust who trusts its certificates.
    pub async fn write_root(&self, to: &Path) {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let done = finish(Command::new("curl").args(["-sk", &url])).await;
        assert!(done.out.contains("BEGIN CERTIFICATE"), "{}", done.all());
        std::fs::write(to, done.out).expect("a writable folder");
    }

    /// How many lines of what it did have this in them.
    pub fn did(&self, what: &str) -> usize {
        let output = self.process.as_ref().expect("it runs").output();
        let lines = output.out.iter().chain(&output.err);
        lines.filter(|line| line.contains(what)).count()
    }

    /// How many certificates it has signed.
    pub fn issued(&self) -> usize {
        self.did("Issued certificate serial")
    }
}

/// Writes what its own port shows, and whom to trust for that.
fn certificate(dir: &Path) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "who vouches for the CA's server");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    let key = KeyPair::generate().expect("a key");
    let cert = params.signed_by(&key, &ca).expect("a certificate");
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("pebble.pem", cert.pem()),
        ("pebble.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), text).expect("a writable folder");
    }
}
