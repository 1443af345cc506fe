//! Who is spoken to, who is not, and how that reads.

use std::time::Instant;

use super::{Secure, at, config, failed, run, run_with, web};
use crate::support::client::Request;
use crate::support::dns::Dns;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, tidegate};
use crate::support::secure::{Papers, SecureDoor};
use crate::support::tls::{Authority, Greeting, TlsDoor};
use crate::support::{check, eventually, ms, took_about};

#[tokio::test]
async fn a_node_gets_over_tls_what_it_would_get_without() {
    let secure = Secure::with("").await;
    let answer = secure.tide.get("/page?q=1").await;
    assert_eq!((answer.status, answer.node()), (200, "app-1"));
    let seen = secure.app.only();
    assert_eq!((seen.method(), seen.target()), ("GET", "/page?q=1"));
    assert_eq!(secure.door.handshakes(), (1, 0));
}

#[tokio::test]
async fn the_name_of_the_file_is_asked_for_and_http_is_agreed_on() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let door = TlsDoor::open(app.addr(), &authority, "app.internal").await;
    let keys = "tls: { ca: ca.pem, sni: app.internal }";
    let tide = run(
        &authority,
        &web(keys, format!("[127.0.0.1:{}]", door.port())),
    )
    .await;
    assert_eq!(tide.get("/").await.status, 200);
    let greeting = Greeting {
        name: Some("app.internal".into()),
        protocol: Some("http/1.1".into()),
    };
    assert_eq!(door.last_greeting(), Some(greeting));
}

#[tokio::test]
async fn a_node_that_is_a_name_must_have_a_certificate_for_it() {
    let (app, authority, dns) = (
        Origin::start("app-1").await,
        Authority::new(),
        Dns::start().await,
    );
    dns.has("app.internal", &["127.0.0.1"]);
    let door = TlsDoor::open(app.addr(), &authority, "app.internal").await;
    let yaml = |health: &str| {
        let keys = format!("tls: {{ ca: ca.pem }}\n{health}");
        let up = web(&keys, format!("[\"app.internal:{}\"]", door.port()));
        format!("dns: {{ servers: [\"{}\"] }}\n{up}", dns.addr())
    };
    // The check goes the same way, without a word of its own.
    let tide = run(
        &authority,
        &yaml("health: { path: /healthz, interval: 100ms }"),
    )
    .await;
    eventually("the name is known", ms(8_000), async || {
        let answer = tide.get("/").await;
        check(answer.status == 200, answer.text())
    })
    .await;
    assert_eq!(
        door.last_greeting().and_then(|greeting| greeting.name),
        Some("app.internal".into())
    );
    assert!(app.probes() > 0, "a check over TLS came through");
}

/// A request to a node that shows these papers fails, and the operator reads `why`; nothing reached the node.
async fn is_not_believed(authority: &Authority, papers: &Papers, tls: &str, why: &str) {
    let app = Origin::start("app-1").await;
    let door = SecureDoor::open(app.addr(), papers.server(None)).await;
    let tide = run(authority, &config(tls, "", &door)).await;
    let answer = tide.ask(&Request::post("/order", "secret")).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("certificate"), "no internal word");
    let line = tide.told("/order").await;
    assert_eq!(line["end"], "upstream_tls", "{line}");
    assert_eq!(failed(&tide, "upstream_tls").await, Some(1.0));
    let node = tide.node("web/app-1").await;
    let reason = node["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
    assert!(tide.log().contains(why), "{}", tide.log());
    assert_eq!((app.requests(), door.handshakes()), (0, (0, 0)));
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_believed() {
    let authority = Authority::new();
    let papers = Papers::new(&authority, &["other.internal"]);
    is_not_believed(&authority, &papers, "ca: ca.pem", "not valid for name").await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_believed() {
    let authority = Authority::new();
    let papers = Papers::expired(&authority, "127.0.0.1");
    is_not_believed(&authority, &papers, "ca: ca.pem", "certificate expired").await;
}

#[tokio::test]
async fn a_certificate_that_a_stranger_signed_is_not_believed() {
    let papers = Papers::new(&Authority::new(), &["127.0.0.1"]);
    let why = "signed by nobody we trust";
    is_not_believed(&Authority::new(), &papers, "ca: ca.pem", why).await;
    // Nor without a file of authorities: the system does not know this one either.
    is_not_believed(&Authority::new(), &papers, "sni: app.internal", why).await;
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_of_as_one_that_speaks_no_tls() {
    let nginx = crate::support::strangers::Stranger::nginx().await;
    let nodes = format!("[{{ addr: \"{}\", id: app-1 }}]", nginx.addr());
    let tide = Tidegate::run(web("tls: { verify: false }", nodes)).await;
    assert_eq!(tide.get("/").await.status, 502);
    let node = tide.node("web/app-1").await;
    let reason = node["reason"].as_str().unwrap();
    assert!(reason.starts_with("it does not speak TLS"), "{reason}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_over_when_connecting_is() {
    // It takes what comes for a request that is not complete yet.
    let app = Origin::start("app-1").await;
    let keys = "tls: { verify: false }\ntimeouts: { connect: 400ms }";
    let tide = Tidegate::run(web(keys, nodes([&app]))).await;
    let began = Instant::now();
    assert_eq!(tide.get("/").await.status, 504);
    took_about(began, ms(400));
    assert_eq!(tide.told("/").await["end"], "upstream_timeout");
}

#[tokio::test]
async fn whoever_the_node_is_can_be_ignored_but_not_in_silence() {
    let papers = Papers::expired(&Authority::new(), "other.internal");
    let app = Origin::start("app-1").await;
    let door = SecureDoor::open(app.addr(), papers.server(None)).await;
    let yaml = config("verify: false", "", &door);
    let tide = Tidegate::run(&yaml).await;
    assert_eq!(tide.get("/").await.status, 200);
    let loud = "the nodes of upstream `web` are believed whoever they are";
    assert!(tide.log().contains(loud), "{}", tide.log());
    let view = tide.json("/api/v1/upstreams/web").await;
    assert_eq!(view["unverified"], true, "{view}");
    let status = tide.command(&["status"]).await;
    assert!(status.out.contains("whoever they are"), "{}", status.all());
    let path = tide.path();
    let checked = tidegate(&["check", "-c", path.to_str().unwrap()]).await;
    assert!(checked.all().contains(loud), "{}", checked.all());
    // Also when it is written while the proxy runs.
    let before = tide.log().matches(loud).count();
    tide.apply(&yaml.replace("verify: false", "verify: false, min_version: 1.3"))
        .await;
    assert!(tide.log().matches(loud).count() > before);
}

#[tokio::test]
async fn a_node_that_demands_a_certificate_gets_ours() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let door = SecureDoor::open(app.addr(), papers.server(Some(&authority))).await;
    let prepare = |dir: &std::path::Path| {
        authority.write(&dir.join("ca.pem"));
        Papers::new(&authority, &["proxy.internal"]).write(dir, "client");
        Papers::new(&Authority::new(), &["proxy.internal"]).write(dir, "foreign");
    };
    let none = config("ca: ca.pem", "outlier: off", &door);
    let tide = run_with(prepare, &none).await;
    // In TLS 1.3 a node says so only behind the handshake (RFC 8446 §4.4.2.4).
    assert_eq!(tide.get("/none").await.status, 502);
    assert_eq!(tide.told("/none").await["end"], "upstream_tls");
    let foreign = "ca: ca.pem, cert: foreign.pem, key: foreign.key";
    tide.apply(&config(foreign, "outlier: off", &door)).await;
    assert_eq!(tide.get("/foreign").await.status, 502);
    assert_eq!(tide.told("/foreign").await["end"], "upstream_tls");
    assert_eq!(app.requests(), 0);
    let ours = "ca: ca.pem, cert: client.pem, key: client.key";
    tide.apply(&config(ours, "outlier: off", &door)).await;
    let answer = tide.ask(&Request::post("/ours", "x")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = tide.json("/api/v1/config").await.to_string();
    assert!(!told.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_request_that_may_not_run_twice_goes_on_to_the_next_node() {
    let authority = Authority::new();
    let apps = Origin::several(2).await;
    let wrong = Papers::new(&authority, &["other.internal"]).server(None);
    let right = Papers::new(&authority, &["127.0.0.1"]).server(None);
    let wrong = SecureDoor::open(apps[0].addr(), wrong).await;
    let right = SecureDoor::open(apps[1].addr(), right).await;
    let keys = "balance: round_robin\ntls: { ca: ca.pem }";
    let tide = run(&authority, &web(keys, at(&[&wrong, &right]))).await;
    for n in 0..4 {
        let answer = tide.ask(&Request::post(&format!("/{n}"), "once")).await;
        assert_eq!((answer.status, answer.node()), (200, "app-2"));
    }
    assert_eq!((apps[0].requests(), apps[1].requests()), (0, 4));
    let labels = [("upstream", "web"), ("reason", "upstream_tls")];
    let retried = tide
        .metric("tidegate_upstream_retries_total", &labels)
        .await;
    assert_eq!(retried, Some(1.0), "it rests afterwards");
    tide.node_has("web/app-1", "health", "ejected").await;
}
