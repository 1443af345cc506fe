//! Origins that nobody here wrote behave as they do; what a client gets through the proxy is what they sent.

use crate::support::client::{Answer, Request};
use crate::support::proxy::{Tidegate, web};
use crate::support::strangers::Stranger;

fn node(stranger: &Stranger) -> String {
    format!("[\"{}\"]", stranger.addr())
}

/// Status, body and the fields that must not change on the way.
fn essence(answer: &Answer) -> (u16, Vec<u8>, Vec<Option<String>>) {
    let kept = [
        "content-type",
        "last-modified",
        "etag",
        "location",
        "content-range",
        "server",
    ];
    let fields = kept.map(|name| answer.head.get(name).map(str::to_owned));
    (answer.status, answer.body.clone(), fields.to_vec())
}

async fn tells_the_same(tide: &Tidegate, stranger: &Stranger, requests: &[Request]) {
    for request in requests {
        let (through, direct) = (tide.ask(request).await, stranger.ask(request).await);
        assert_eq!(essence(&through), essence(&direct), "{request:?}");
    }
}

#[tokio::test]
async fn pythons_http_server_is_served_as_it_is() {
    let python = Stranger::python().await;
    python.file("page.html", b"<p>from python</p>");
    python.file("large.bin", &vec![7; 1 << 20]);
    let tide = Tidegate::run(web("health: { path: / }", node(&python))).await;
    let requests = [
        Request::get("/page.html"),
        Request::get("/large.bin"),
        Request::get("/"),
        Request::get("/missing"),
        Request::new("HEAD", "/page.html"),
        Request::post("/page.html", "unwanted"),
    ];
    tells_the_same(&tide, &python, &requests).await;
}

#[tokio::test]
async fn nginx_is_served_as_it_is() {
    let nginx = Stranger::nginx().await;
    nginx.file("page.txt", b"from nginx");
    nginx.file("large.bin", &vec![7; 3 << 20]);
    let tide = Tidegate::run(web("health: { path: /page.txt }", node(&nginx))).await;
    let requests = [
        Request::get("/page.txt"),
        Request::get("/large.bin"),
        Request::get("/page.txt").field("Range", "bytes=5-9"),
        Request::get("/page.txt").field("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"),
        Request::get("/missing"),
        Request::new("HEAD", "/large.bin"),
        Request::new("OPTIONS", "/page.txt"),
    ];
    tells_the_same(&tide, &nginx, &requests).await;
}

#[tokio::test]
async fn an_nginx_that_closes_connections_after_fifty_requests_costs_nothing() {
    let nginx = Stranger::nginx().await;
    nginx.file("page.txt", b"from nginx");
    let tide = Tidegate::run(web("", node(&nginx))).await;
    let mut client = tide.connect().await;
    for n in 0..400 {
        let answer = client.ask(&Request::get("/page.txt")).await.unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "from nginx"),
            "request {n}"
        );
        if !answer.stays_open {
            client = tide.connect().await;
        }
    }
}

#[tokio::test]
async fn two_strangers_share_the_load() {
    let (nginx, python) = (Stranger::nginx().await, Stranger::python().await);
    for stranger in [&nginx, &python] {
        stranger.file("page.txt", b"the same");
    }
    let list = format!("[\"{}\", \"{}\"]", nginx.addr(), python.addr());
    let tide = Tidegate::run(web("balance: round_robin", list)).await;
    let mut servers = std::collections::BTreeMap::new();
    for _ in 0..100 {
        let answer = tide.get("/page.txt").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "the same"));
        let server = answer.head.get("server").unwrap_or_default().to_owned();
        *servers.entry(server.chars().next()).or_insert(0) += 1;
    }
    assert_eq!(
        servers,
        [(Some('S'), 50), (Some('n'), 50)].into(),
        "exactly half each"
    );
    tide.metric_is("tidegate_upstream_requests_total", &[], 100.0)
        .await;
}
