//! New certificates under load: nobody is refused or cut off, and nobody sees a wrong one.

use std::time::Instant;

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{run, site};
use crate::support::busy::Everybody;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;
use crate::support::tls::{Authority, Handshake};

const SWAPS: usize = 50;

/// The certificates that a name has had.
struct Name {
    file: &'static str,
    name: &'static str,
    had: Vec<Had>,
}

/// One of them.
struct Had {
    cert: CertificateDer<'static>,
    /// Nobody can have seen it before.
    from: Instant,
    /// Who comes later gets no older one.
    for_all: Instant,
}

impl Name {
    /// Gives it another one.
    async fn swap(&mut self, tide: &Tidegate, authority: &Authority) {
        let generation = tide.generation().await;
        let pair = authority.issue(&[self.name]);
        let from = Instant::now();
        tide.write_file(&format!("{}.key", self.file), &pair.key);
        tide.write_file(&format!("{}.pem", self.file), &pair.cert);
        tide.reaches_generation(generation + 1).await;
        self.had.push(Had {
            cert: pair.der(),
            from,
            for_all: Instant::now(),
        });
    }

    /// Each handshake showed the certificate of its moment: where a swap was under way, the one before or the one after.
    fn is_shown_by(&self, shook: &[Handshake]) {
        for shook in shook {
            let at = self.had.iter().position(|had| had.cert == shook.cert);
            let at = at.unwrap_or_else(|| panic!("{}: a certificate that it never had", self.name));
            assert!(self.had[at].from <= shook.ended, "{at} came too early");
            if let Some(next) = self.had.get(at + 1) {
                assert!(shook.began <= next.for_all, "{at} was gone already");
            }
        }
        let is_seen = |had: &&Had| shook.iter().any(|shook| shook.cert == had.cert);
        let seen = self.had.iter().filter(is_seen).count();
        println!(
            "{}: {} handshakes, {seen} certificates",
            self.name,
            shook.len()
        );
        assert!(seen > self.had.len() / 2, "{seen} of {}", self.had.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_new_certificates_are_noticed_by_nobody_and_are_never_anothers() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    app.answers(|seen| match seen.target() {
        "/chat" => Reply::websocket(),
        _ => Reply::usual(seen),
    });
    let mut names = [("site", "site.test"), ("shop", "shop.test")].map(|(file, name)| Name {
        file,
        name,
        had: Vec::new(),
    });
    let keys = "certs: [{ cert: site.pem, key: site.key }, { cert: shop.pem, key: shop.key }]";
    let tide = run(&site(keys, &nodes([&app]), ""), |dir| {
        for name in &mut names {
            let (pair, now) = (authority.issue(&[name.name]), Instant::now());
            pair.write(dir, name.file);
            name.had.push(Had {
                cert: pair.der(),
                from: now,
                for_all: now,
            });
        }
    })
    .await;
    // 300 requests a second of both.
    let mut clients = [
        Everybody::at(tide.addr(), "site.test", &authority, 180).await,
        Everybody::at(tide.addr(), "shop.test", &authority, 120).await,
    ];
    for n in 0..SWAPS {
        names[n % 2].swap(&tide, &authority).await;
        clients[n % 2].chats(&format!("after {n:02}")).await;
    }
    for (name, clients) in names.iter().zip(clients) {
        let (shook, _chat) = clients.leave(200).await;
        name.is_shown_by(&shook);
    }
    let errors = tide
        .metric("tidegate_tls_handshake_errors_total", &[])
        .await;
    assert!(errors.is_none_or(|n| n == 0.0), "{errors:?}");
}
