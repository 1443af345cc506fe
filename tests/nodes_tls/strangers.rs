//! TLS of servers that nobody here wrote: nginx, Python's `ssl`, hypercorn.

use std::path::Path;

use super::{run_with, web};
use crate::support::client::Request;
use crate::support::pattern;
use crate::support::secure::Papers;
use crate::support::strangers::Stranger;
use crate::support::tls::Authority;

/// What lies beside the configuration: who signed, and our own certificate.
fn beside(authority: &Authority) -> impl Fn(&Path) {
    let ours = Papers::new(authority, &["proxy.internal"]);
    move |dir| {
        authority.write(&dir.join("ca.pem"));
        ours.write(dir, "client");
    }
}

fn node(stranger: &Stranger) -> String {
    format!("[{{ addr: \"{}\", id: app-1 }}]", stranger.addr())
}

#[tokio::test]
async fn nginx_that_demands_a_certificate_is_served() {
    let authority = Authority::new();
    let papers = Papers::new(&authority, &["app.internal"]);
    let nginx = Stranger::nginx_with(
        |dir| {
            papers.write(dir, "site");
            authority.write(&dir.join("clients.pem"));
        },
        " ssl",
        "ssl_certificate site.pem; ssl_certificate_key site.key;
         ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate clients.pem; ssl_verify_client on;
         add_header X-Client $ssl_client_s_dn always; add_header X-Tls $ssl_protocol; add_header X-Reused $ssl_session_reused;",
    )
    .await;
    nginx.file("page.txt", b"from nginx");
    nginx.file("large.bin", &pattern(3 << 20));
    let keys = |tls: &str| {
        format!(
            "tls: {{ ca: ca.pem, sni: app.internal, {tls} }}\nhealth: {{ path: /page.txt, interval: 100ms }}"
        )
    };
    let ours = "cert: client.pem, key: client.key";
    let tide = run_with(beside(&authority), &web(&keys(ours), node(&nginx))).await;
    // nginx closes each connection after fifty requests.
    for n in 0..120 {
        let answer = tide.get("/page.txt").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "from nginx"),
            "request {n}"
        );
        assert_eq!(answer.head.get("x-tls"), Some("TLSv1.3"));
    }
    let large = tide.get("/large.bin").await;
    assert!(large.body == pattern(3 << 20), "{}", large.body.len());
    tide.node_has("web/app-1", "health", "healthy").await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = tide.connect().await;
        clients.spawn(async move {
            for _ in 0..40 {
                let answer = client.ask(&Request::get("/page.txt")).await.unwrap();
                assert_eq!(answer.text(), "from nginx");
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    // nginx serves who has no certificate a page of its own, which is an answer like any other.
    tide.apply(&web(&keys("min_version: 1.2"), node(&nginx)))
        .await;
    let answer = tide.get("/page.txt").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test]
async fn nginx_with_tls_1_2_alone_is_served_and_refused_where_the_file_wants_more() {
    let authority = Authority::new();
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let nginx = Stranger::nginx_with(
        |dir| papers.write(dir, "site"),
        " ssl",
        "ssl_certificate site.pem; ssl_certificate_key site.key; ssl_protocols TLSv1.2;",
    )
    .await;
    nginx.file("page.txt", b"from nginx");
    let with = |tls: &str| web(&format!("tls: {{ ca: ca.pem{tls} }}"), node(&nginx));
    let tide = run_with(beside(&authority), &with("")).await;
    for _ in 0..5 {
        assert_eq!(tide.get("/page.txt").await.status, 200);
    }
    tide.apply(&with(", min_version: \"1.3\"")).await;
    assert_eq!(tide.get("/page.txt").await.status, 502);
    let node = tide.node("web/app-1").await;
    let reason = node["reason"].as_str().unwrap();
    assert!(reason.contains("no version of TLS that we do"), "{reason}");
}

#[tokio::test]
async fn pythons_ssl_is_served() {
    let authority = Authority::new();
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let python = Stranger::python_tls(|dir| papers.write(dir, "site")).await;
    python.file("page.txt", b"from python");
    python.file("large.bin", &pattern(1 << 20));
    let keys = "tls: { ca: ca.pem }\nhealth: { path: /page.txt, interval: 100ms }";
    let tide = run_with(beside(&authority), &web(keys, node(&python))).await;
    for _ in 0..10 {
        let answer = tide.get("/page.txt").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "from python")
        );
    }
    assert!(tide.get("/large.bin").await.body == pattern(1 << 20));
    tide.node_has("web/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn hypercorn_is_served() {
    let authority = Authority::new();
    let papers = Papers::new(&authority, &["127.0.0.1"]);
    let hypercorn = Stranger::hypercorn_tls(|dir| papers.write(dir, "site")).await;
    let keys = "tls: { ca: ca.pem }\nhealth: { path: /, interval: 100ms }";
    let tide = run_with(beside(&authority), &web(keys, node(&hypercorn))).await;
    let body = pattern(300_000);
    for _ in 0..10 {
        let answer = tide.ask(&Request::post("/", body.clone())).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{} bytes came", answer.body.len());
    }
    tide.node_has("web/app-1", "health", "healthy").await;
}
