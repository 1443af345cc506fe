//! Who gets which certificate, whose clients are let in, and what is wrong with a file.

use std::path::Path;

use super::{ONE, run, run_one, s_client, site};
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, tidegate};
use crate::support::tls::{Authority, Pair};

/// Three certificates and an RSA key for the names of the first.
const THREE: &str = "certs: [{ cert: site.pem, key: site.key }, { cert: rsa.pem, key: rsa.key }, \
                     { cert: shop.pem, key: shop.key }, { cert: wild.pem, key: wild.key }]";

fn three(authority: &Authority, dir: &Path) {
    authority.issue(&["site.test"]).write(dir, "site");
    authority.issue_rsa(&["site.test"]).write(dir, "rsa");
    authority
        .issue(&["shop.test", "www.shop.test"])
        .write(dir, "shop");
    authority.issue(&["*.shop.test"]).write(dir, "wild");
}

/// The certificate that a client gets which asks so.
async fn gets(tide: &Tidegate, args: &[&str]) -> String {
    let done = s_client(tide.addr(), args).await;
    assert_eq!(done.code, 0, "{args:?}: {}", done.all());
    let from = done.out.find("-----BEGIN CERTIFICATE").unwrap();
    let end = done.out.find("-----END CERTIFICATE").unwrap();
    done.out[from..end].replace(['\r', '\n'], "")
}

fn of(dir: &Path, name: &str) -> String {
    let pem = std::fs::read_to_string(dir.join(format!("{name}.pem"))).unwrap();
    let end = pem.find("-----END CERTIFICATE").unwrap();
    pem[..end].replace(['\r', '\n'], "")
}

#[tokio::test]
async fn each_name_gets_its_certificate() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let yaml = site(THREE, &nodes([&app]), "");
    let tide = run(&yaml, |dir| three(&authority, dir)).await;
    for (asks, name) in [
        (&["-servername", "site.test"][..], "site"),
        (&["-servername", "SITE.test"], "site"),
        (
            &[
                "-servername",
                "site.test",
                "-tls1_2",
                "-cipher",
                "ECDHE-RSA-AES128-GCM-SHA256",
            ],
            "rsa",
        ),
        (
            &[
                "-servername",
                "site.test",
                "-sigalgs",
                "rsa_pss_rsae_sha256",
            ],
            "rsa",
        ),
        (&["-servername", "shop.test"], "shop"),
        (&["-servername", "www.shop.test"], "shop"),
        (&["-servername", "app.shop.test"], "wild"),
        // A wildcard is one label, and not the name itself.
        (&["-servername", "a.b.shop.test"], "site"),
        (&["-servername", "unknown.test"], "site"),
        (&["-noservername"], "site"),
    ] {
        assert_eq!(gets(&tide, asks).await, of(tide.dir(), name), "{asks:?}");
    }
}

#[tokio::test]
async fn unknown_names_can_be_refused() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let keys = format!("{THREE}, unknown_names: refuse");
    let tide = run(&site(&keys, &nodes([&app]), ""), |dir| {
        three(&authority, dir)
    })
    .await;
    for asks in [&["-servername", "unknown.test"][..], &["-noservername"]] {
        let done = s_client(tide.addr(), asks).await;
        assert_ne!(done.code, 0, "{asks:?}");
        assert!(done.all().contains("unrecognized name"), "{}", done.all());
    }
    assert_eq!(
        gets(&tide, &["-servername", "app.shop.test"]).await,
        of(tide.dir(), "wild")
    );
    let errors = "tidegate_tls_handshake_errors_total";
    tide.metric_is(errors, &[("reason", "unknown_name")], 2.0)
        .await;
}

#[tokio::test]
async fn an_ocsp_response_is_stapled() {
    // A response with nothing in it but its status and a body of some bytes: clients judge it, not we.
    let response: &[u8] = &[
        0x30, 0x09, 0x0a, 0x01, 0x00, 0xa0, 0x04, 0x30, 0x02, 0x05, 0x00,
    ];
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let keys = "certs: [{ cert: site.pem, key: site.key, ocsp: site.ocsp }]";
    let tide = run(&site(keys, &nodes([&app]), ""), |dir| {
        authority.issue(&["site.test"]).write(dir, "site");
        std::fs::write(dir.join("site.ocsp"), response).unwrap();
    })
    .await;
    let done = s_client(tide.addr(), &["-status", "-msg", "-tls1_2"]).await;
    assert!(done.out.contains("CertificateStatus"), "{}", done.all());
    let hex = "30 09 0a 01 00 a0 04 30 02 05 00";
    let flat = done
        .out
        .replace(['\n'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(flat.contains(hex), "{}", done.all());
}

/// The proxy that asks clients for certificates of `clients`.
async fn asks_clients(keys: &str) -> (Origin, Authority, Authority, Tidegate) {
    let app = Origin::start("app-1").await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let keys = format!("{ONE}, client_ca: clients.pem, client_header: X-Client-Subject{keys}");
    let yaml = format!(
        "listen:
  - {{ addr: \"127.0.0.1:0\", tls: {{ {keys} }} }}
  - {{ addr: \"127.0.0.1:0\" }}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web, cache: true }}]
",
        nodes([&app])
    );
    let tide = run(&yaml, |dir| {
        authority.issue(&["site.test"]).write(dir, "site");
        clients.write(&dir.join("clients.pem"));
        named(&clients, "alice").write(dir, "alice");
        named(&Authority::new(), "mallory").write(dir, "mallory");
    })
    .await;
    (app, authority, clients, tide)
}

fn named(authority: &Authority, name: &str) -> Pair {
    authority.issue_as(&["client.test"], |params| {
        let mut dn = rcgen::DistinguishedName::new();
        dn.push(rcgen::DnType::OrganizationName, "Tide, Inc");
        dn.push(rcgen::DnType::CommonName, name);
        params.distinguished_name = dn;
    })
}

/// The status of a request by curl with this client's certificate; 0: none came.
async fn curl(tide: &Tidegate, client: Option<&str>) -> u16 {
    let to = tide.addr();
    let mut curl = std::process::Command::new("curl");
    curl.current_dir(tide.dir())
        .args([
            "-sk",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "X-Client-Subject: CN=root",
        ])
        .arg(format!("https://{to}/who"));
    if let Some(name) = client {
        curl.args([
            "--cert",
            &format!("{name}.pem"),
            "--key",
            &format!("{name}.key"),
        ]);
    }
    let done = crate::support::process::finish(&mut curl).await;
    done.out.trim().parse().unwrap_or_default()
}

#[tokio::test]
async fn only_clients_with_a_good_certificate_come_in() {
    let (app, _, _, tide) = asks_clients("").await;
    assert_eq!(curl(&tide, None).await, 0);
    assert_eq!(curl(&tide, Some("mallory")).await, 0);
    assert_eq!(curl(&tide, Some("alice")).await, 200);
    let seen = app.only();
    assert_eq!(
        seen.head.all("x-client-subject"),
        ["CN=alice,O=Tide\\, Inc"]
    );
    let errors = "tidegate_tls_handshake_errors_total";
    tide.metric_is(errors, &[("reason", "client_certificate")], 2.0)
        .await;
}

#[tokio::test]
async fn who_may_come_without_a_certificate_cannot_pretend_to_have_one() {
    let (app, _, _, tide) = asks_clients(", client_auth: optional").await;
    assert_eq!(curl(&tide, None).await, 200);
    assert_eq!(curl(&tide, Some("mallory")).await, 0);
    // By the other port of the same proxy, too.
    let mut plain = Client::connect(tide.addrs()[1]).await.unwrap();
    let forged = Request::get("/plain").field("x-client-subject", "CN=root");
    assert_eq!(plain.ask(&forged).await.unwrap().status, 200);
    assert_eq!(app.requests(), 2);
    for seen in app.seen() {
        assert!(
            seen.head.all("x-client-subject").is_empty(),
            "{:?}",
            seen.head
        );
    }
}

#[tokio::test]
async fn what_a_known_client_is_answered_is_for_nobody_else() {
    let (app, _, _, tide) = asks_clients(", client_auth: optional").await;
    app.answers(|seen| {
        let who = seen.head.get("x-client-subject").unwrap_or("nobody");
        crate::support::reply::Reply::text(who).field("Cache-Control", "max-age=600")
    });
    for _ in 0..2 {
        assert_eq!(curl(&tide, Some("alice")).await, 200);
    }
    assert_eq!(app.requests(), 2, "the cache was asked");
    let mut plain = Client::connect(tide.addrs()[1]).await.unwrap();
    let answer = plain.ask(&Request::get("/who")).await.unwrap();
    assert_eq!(answer.text(), "nobody");
}

#[tokio::test]
async fn a_bad_new_certificate_keeps_the_old_one_and_says_so() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let tide = run_one(&authority, &site(ONE, &nodes([&app]), "")).await;
    let before = gets(&tide, &[]).await;
    let fresh = authority.issue(&["site.test"]);
    tide.write_file("site.pem", &fresh.cert);
    crate::support::eventually("it is refused", crate::support::proxy::SOON, async || {
        let log = tide.log();
        crate::support::check(log.contains("the key does not fit the certificate"), log)
    })
    .await;
    assert_eq!(gets(&tide, &[]).await, before);
    tide.write_file("site.key", &fresh.key);
    crate::support::eventually(
        "the pair is used",
        crate::support::proxy::SOON,
        async || {
            let now = gets(&tide, &[]).await;
            crate::support::check(now == of(tide.dir(), "site"), now)
        },
    )
    .await;
    assert!(!tide.log().contains("PRIVATE KEY"), "{}", tide.log());
}

#[tokio::test]
async fn check_tells_of_certificates_that_expire() {
    let authority = Authority::new();
    let dir = tempfile::TempDir::new().unwrap();
    authority
        .issue_expired(&["site.test"])
        .write(dir.path(), "site");
    let soon = authority.issue_as(&["soon.test"], |params| {
        let week = std::time::Duration::from_secs(7 * 86_400);
        params.not_after = (std::time::SystemTime::now() + week).into();
    });
    soon.write(dir.path(), "soon");
    let keys = "certs: [{ cert: site.pem, key: site.key }, { cert: soon.pem, key: soon.key }]";
    let yaml = site(keys, "[127.0.0.1:3000]", "");
    let path = dir.path().join("tidegate.yaml");
    std::fs::write(&path, crate::support::proxy::complete(&yaml)).unwrap();
    let done = tidegate(&["check", "-c", path.to_str().unwrap()]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    for said in ["has expired", "expires in 6 days", "site.pem", "soon.pem"] {
        assert!(
            done.all().contains(said),
            "{said} is missing: {}",
            done.all()
        );
    }
}
