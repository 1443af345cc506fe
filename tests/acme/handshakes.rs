//! What clients meet: no certificate that proves nothing, the new one as soon as it is there, the stored one at once.

use std::path::PathBuf;
use std::process::Command;

use crate::support::process::{Done, finish};
use crate::support::proxy::Tidegate;

use super::*;

impl Stage {
    /// A file that says whom to trust who trusts the CA.
    async fn root(&self) -> PathBuf {
        let path = self.dir.path().join("root.pem");
        self.pebble.write_root(&path).await;
        path
    }

    /// What curl gets of a name over TLS.
    async fn curl(&self, name: &str, more: &[&str]) -> Done {
        let port = self.ports.1;
        let resolve = format!("{name}:{port}:127.0.0.1");
        let url = format!("https://{name}:{port}/hello");
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "5", "--resolve", &resolve]);
        finish(command.args(more).arg(&url)).await
    }

    /// The serial number of the certificate that handshakes for a name get.
    async fn serial(&self, name: &str) -> String {
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{} -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            self.ports.1
        );
        let done = finish(Command::new("sh").args(["-c", &script])).await;
        assert!(done.out.starts_with("serial="), "{}", done.all());
        done.out
    }
}

#[tokio::test]
async fn handshakes_are_refused_until_there_is_a_certificate_and_nobody_gets_a_placeholder() {
    let mut stage = Stage::set(How::default()).await;
    stage.pebble.stop().await;
    let tide = Tidegate::run(stage.config("")).await;
    let refused = stage.curl("a.test", &["-k"]).await;
    assert_ne!(refused.code, 0, "{}", refused.all());
    let log = tide.log();
    assert!(log.contains("handshakes are refused until"), "{log}");
    stage.pebble.start().await;
    stands(&tide, "valid").await;
    let root = stage.root().await;
    for name in ["a.test", "www.a.test"] {
        let done = stage
            .curl(name, &["--cacert", root.to_str().unwrap()])
            .await;
        assert_eq!(done.code, 0, "{}", done.all());
    }
}

#[tokio::test]
async fn a_certificate_comes_by_tls_alpn_01() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config(", challenge: tls-alpn-01")).await;
    stands(&tide, "valid").await;
    assert_eq!(stage.pebble.issued(), 1);
    let root = stage.root().await;
    let done = stage
        .curl("a.test", &["--cacert", root.to_str().unwrap()])
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
    // What proved the name is gone: the CA would get nothing by the same protocol now.
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{} -servername a.test -alpn acme-tls/1 </dev/null",
        stage.ports.1
    );
    let done = finish(Command::new("sh").args(["-c", &script])).await;
    assert!(!done.all().contains("1.3.6.1.5.5.7.1.31"), "{}", done.all());
}

#[tokio::test]
async fn a_renewed_certificate_is_met_by_the_next_handshake_and_no_request_fails() {
    let how = How {
        holds: Some(12),
        ..How::default()
    };
    let stage = Stage::set(how).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    let root = stage.root().await;
    let first = stage.serial("a.test").await;
    let mut asked = 0;
    eventually("another certificate is served", SOON, async || {
        let done = stage
            .curl("a.test", &["--cacert", root.to_str().unwrap()])
            .await;
        assert_eq!(done.code, 0, "{}", done.all());
        asked += 1;
        check(stage.serial("a.test").await != first, "still the first")
    })
    .await;
    assert!(asked > 3, "{asked}");
    drop(tide);
}

#[tokio::test]
async fn after_a_restart_the_first_handshake_gets_what_was_kept() {
    let mut stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    let root = stage.root().await;
    let serial = stage.serial("a.test").await;
    killed(tide).await;
    stage.pebble.stop().await;
    let tide = Tidegate::run(stage.config("")).await;
    let done = stage
        .curl("a.test", &["--cacert", root.to_str().unwrap()])
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert_eq!(stage.serial("a.test").await, serial);
    drop(tide);
}

#[tokio::test]
async fn a_name_that_is_not_ordered_any_more_is_no_longer_served_with_what_was_issued() {
    let stage = Stage::set(How::default()).await;
    let authority = crate::support::tls::Authority::new();
    authority
        .issue(&["*.a.test"])
        .write(stage.dir.path(), "wild");
    let wild = stage.dir.path().join("wild");
    let certs = format!(
        "certs: [{{ cert: {0}.pem, key: {0}.key }}], acme:",
        wild.display()
    );
    let config = |names: &str| {
        stage
            .config_of(names, "")
            .replace("acme: [", &format!("{certs} ["))
    };
    let tide = Tidegate::run(config("www.a.test")).await;
    stands(&tide, "valid").await;
    let issued = stage.serial("www.a.test").await;
    let of_file = stage.serial("other.a.test").await;
    assert_ne!(issued, of_file);
    tide.apply(&config("a.test")).await;
    assert_eq!(stage.serial("www.a.test").await, of_file);
}
