//! HTTP/2 servers that nobody here wrote, and HTTP/2 over TLS.

use http::Response;

use super::H2C;
use crate::support::client::Request;
use crate::support::h2_origin::H2Origin;
use crate::support::proxy::{Tidegate, web};
use crate::support::strangers::Stranger;
use crate::support::tls::{Authority, TlsDoor};
use crate::support::{check, eventually, ms, pattern};

/// Answers with what it was asked, in a few pieces.
const APP: &str = r#"
import json

async def app(scope, receive, send):
    assert scope["type"] == "http", scope
    length, more = 0, True
    while more:
        event = await receive()
        length += len(event.get("body", b""))
        more = event.get("more_body", False)
    said = {"version": scope["http_version"], "path": scope["path"], "length": length}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    for piece in json.dumps(said).encode().split(b" "):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"#;

#[tokio::test]
async fn nginx_serves_files_and_ranges_of_them() {
    let nginx = Stranger::nginx_h2().await;
    let large = pattern(5_000_000);
    nginx.file("large.txt", &large);
    let tide = Tidegate::run(web("h2: true", format!("[\"{}\"]", nginx.addr()))).await;
    // More than nginx takes over one connection.
    for _ in 0..60 {
        assert!(tide.get("/large.txt").await.body == large);
    }
    let part = tide
        .ask(&Request::get("/large.txt").field("Range", "bytes=10-19"))
        .await;
    assert_eq!((part.status, &part.body[..]), (206, &large[10..20]));
    assert_eq!(tide.get("/none").await.status, 404);
    let too_much = Request::post("/large.txt", vec![b'x'; 9 << 20]);
    assert_eq!(tide.ask(&too_much).await.status, 413);
}

#[tokio::test]
async fn hypercorn_gets_uploads_and_answers_in_pieces() {
    let app = Stranger::hypercorn(APP).await;
    let tide = Tidegate::run(web("h2: true", format!("[\"{}\"]", app.addr()))).await;
    for length in [0, 10, 3_000_000] {
        let answer = tide.ask(&Request::post("/up", vec![b'x'; length])).await;
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(said["version"], "2", "{said}");
        assert_eq!(said["length"], length);
    }
}

#[tokio::test]
async fn over_tls_the_same_holds_and_one_connection_is_enough() {
    let authority = Authority::new();
    let app = H2Origin::start("app").await;
    app.does(async |mut exchange| {
        let body = exchange.whole().await;
        exchange.answer(Response::builder(), body, None);
    });
    let door = TlsDoor::open(app.addr(), &authority, "app.internal").await;
    let dir = tempfile::TempDir::new().unwrap();
    authority.write(&dir.path().join("ca.pem"));
    let yaml = format!(
        "{H2C}{}",
        web(
            "h2: true\ntls: { sni: app.internal, ca: ca.pem }",
            format!("[\"127.0.0.1:{}\"]", door.port())
        )
    );
    std::fs::write(
        dir.path().join("tidegate.yaml"),
        crate::support::proxy::complete(&yaml),
    )
    .unwrap();
    let tide = Tidegate::run_in(dir).await;
    let body = pattern(3_000_000);
    for _ in 0..5 {
        let answer = tide.ask(&Request::post("/big", body.clone())).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body);
    }
    assert_eq!((app.connections(), app.requests()), (1, 5));
    assert_eq!(
        door.last_greeting().unwrap().protocol.as_deref(),
        Some("h2")
    );
    let seen = app.seen();
    assert_eq!(seen[0].uri.scheme_str(), Some("https"));
}

#[tokio::test]
async fn a_node_that_does_not_agree_on_http_2_is_told_as_such() {
    let authority = Authority::new();
    let app = H2Origin::start("app").await;
    let door = TlsDoor::open_for(app.addr(), &authority, "app.internal", &["http/1.1"]).await;
    let yaml = web(
        "h2: true\ntls: { sni: app.internal, verify: false }",
        format!("[\"127.0.0.1:{}\"]", door.port()),
    );
    let tide = Tidegate::run(yaml).await;
    assert_eq!(tide.get("/").await.status, 502);
    let line = tide.told("/").await;
    assert_eq!(line["end"], "upstream_tls", "{line}");
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn connections_of_other_tls_are_left_behind_by_a_reload() {
    let authority = Authority::new();
    let app = H2Origin::start("app").await;
    let door = TlsDoor::open(app.addr(), &authority, "app.internal").await;
    let dir = tempfile::TempDir::new().unwrap();
    authority.write(&dir.path().join("ca.pem"));
    let with = |tls: &str| {
        let keys = format!("h2: true\ntls: {{ sni: app.internal, {tls} }}");
        web(&keys, format!("[\"127.0.0.1:{}\"]", door.port()))
    };
    let whole = crate::support::proxy::complete(&with("ca: ca.pem"));
    std::fs::write(dir.path().join("tidegate.yaml"), whole).unwrap();
    let tide = Tidegate::run_in(dir).await;
    for _ in 0..3 {
        assert_eq!(tide.get("/").await.text(), "app");
    }
    assert_eq!(app.connections(), 1);
    tide.apply(&with("verify: false")).await;
    for _ in 0..3 {
        assert_eq!(tide.get("/").await.text(), "app");
    }
    assert_eq!(app.connections(), 2);
    eventually("the old one is closed", ms(8_000), async || {
        check(app.open() == 1, app.open())
    })
    .await;
}
