//! Nodes that speak HTTP/2: everything that holds for those of HTTP/1.1 holds for them.

mod failing;
mod strangers;

use std::sync::Arc;

use http::Response;

use crate::support::client::Request;
use crate::support::h2::{H2, request};
use crate::support::h2_origin::H2Origin;
use crate::support::proxy::Tidegate;
use crate::support::{Gate, check, eventually, ms, pattern};

/// The section of a port that takes both versions.
const H2C: &str = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";

/// A configuration with these nodes; `top` are further sections, `keys` and `route` further keys.
fn file(top: &str, keys: &str, route: &str, nodes: &[&H2Origin]) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| node.node()).collect();
    let keys: String = keys
        .lines()
        .map(|key| format!("    {}\n", key.trim()))
        .collect();
    format!(
        "{H2C}{top}\nupstreams:\n  web:\n    h2: true\n{keys}    nodes: [{}]\nroutes: [{{ upstream: web{route} }}]\n",
        nodes.join(", ")
    )
}

/// One node and the proxy in front of it.
async fn one_node(top: &str, keys: &str, route: &str) -> (H2Origin, Tidegate) {
    let app = H2Origin::start("app-1").await;
    let tide = Tidegate::run(file(top, keys, route, &[&app])).await;
    (app, tide)
}

#[tokio::test]
async fn requests_of_both_versions_reach_a_node_over_one_connection() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |mut exchange| {
        let body = exchange.whole().await;
        exchange.answer(Response::builder().header("x-own", "1"), body, None);
    });
    let body = pattern(300_000);
    let first = tide.ask(&Request::post("/one", body.clone())).await;
    assert_eq!((first.status, first.head.get("x-own")), (200, Some("1")));
    assert!(first.body == body);
    let mut client = H2::connect(tide.addr()).await;
    let second = client.ask(request("PUT", "/two"), &body).await.unwrap();
    assert!(second.body == body);
    let get = tide.get("/three").await;
    assert_eq!((get.status, get.body.len()), (200, 0));
    let head = tide.ask(&Request::get("/four").method("HEAD")).await;
    assert_eq!(head.status, 200);
    assert_eq!((app.connections(), app.requests()), (1, 4));
    let seen = app.seen();
    assert_eq!(seen[0].uri.path(), "/one");
    assert!(seen[0].uri.authority().is_some() && !seen[0].headers.contains_key("host"));
    for name in [
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
        "via",
        "x-forwarded-proto",
    ] {
        assert_eq!(seen[0].headers.get_all(name).iter().count(), 1, "{name}");
        assert_eq!(seen[1].headers.get_all(name).iter().count(), 1, "{name}");
    }
    tide.metric_is("tidegate_upstream_connection_reuse_total", &[], 3.0)
        .await;
}

#[tokio::test]
async fn who_waits_for_a_word_before_the_body_is_told_to_go_on() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |mut exchange| {
        let body = exchange.whole().await;
        exchange.answer(Response::builder(), body, None);
    });
    let mut client = tide.connect().await;
    client
        .send_bytes(
            b"POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        )
        .await
        .unwrap();
    let word = client.head().await.unwrap();
    assert!(word.line.starts_with("HTTP/1.1 100"), "{}", word.line);
    client.send_bytes(b"hello").await.unwrap();
    let answer = client.answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "hello".into()));
    assert!(!app.seen()[0].headers.contains_key("expect"));
}

#[tokio::test]
async fn many_requests_at_once_share_few_connections() {
    let (app, tide) = one_node("", "h2_streams: 20", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.does(move |exchange| {
        let gate = held.clone();
        async move {
            gate.passed().await;
            exchange.text("all of us");
        }
    });
    let all: Vec<_> = (0..100)
        .map(|_| {
            let addr = tide.addr();
            tokio::spawn(async move {
                let client = crate::support::client::Client::connect(addr).await;
                client
                    .unwrap()
                    .ask(&Request::get("/many"))
                    .await
                    .unwrap()
                    .status
            })
        })
        .collect();
    eventually("all are there", ms(8_000), async || {
        check(app.requests() == 100, app.requests())
    })
    .await;
    let connections = app.connections();
    gate.open();
    for one in all {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert!((5..=12).contains(&connections), "{connections} connections");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |exchange| match exchange.head.uri.path() {
        "/large" => exchange.answer(Response::builder(), vec![b'x'; 40 << 20], None),
        _ => exchange.text("quick"),
    });
    let mut slow = crate::support::client::Client::connect_narrow(tide.addr())
        .await
        .unwrap();
    slow.send(&Request::get("/large")).await.unwrap();
    eventually("the large one is under way", ms(8_000), async || {
        check(app.requests() == 1, app.requests())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(tide.get("/quick").await.text(), "quick");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn trailers_reach_a_client_of_http_2_and_end_the_answer_of_one_of_http_1() {
    let (app, tide) = one_node("", "", ", compress: { min_size: 1B }").await;
    app.does(async |exchange| {
        let trailers = [("x-sum", "42"), ("content-length", "7")];
        let trailers = trailers.map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let head = Response::builder().header("content-type", "text/plain");
        exchange.answer(head, "all of it", Some(trailers.into_iter().collect()));
    });
    let mut client = H2::connect(tide.addr()).await;
    let sent = client.send(request("GET", "/"), true).await.unwrap();
    let (status, _, mut body) = sent.head().await.unwrap();
    let piece = body.data().await.unwrap().unwrap();
    assert_eq!((status, &piece[..]), (200, &b"all of it"[..]));
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(
        (trailers.len(), &trailers["x-sum"]),
        (1, &"42".parse().unwrap())
    );
    assert_eq!(tide.get("/").await.text(), "all of it");
    let packed = Request::get("/").field("Accept-Encoding", "gzip");
    let packed = tide.ask(&packed).await;
    assert_eq!(packed.head.get("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&packed.body[..]);
    std::io::Read::read_to_string(&mut decoder, &mut plain).unwrap();
    assert_eq!(plain, "all of it");
}

#[tokio::test]
async fn what_is_fetched_over_http_2_is_stored_and_compressed() {
    let (app, tide) = one_node(
        "cache: {}\n",
        "",
        ", cache: true, compress: { min_size: 1B }",
    )
    .await;
    app.does(async |exchange| {
        let head = Response::builder()
            .header("content-type", "text/plain")
            .header("cache-control", "max-age=60");
        exchange.answer(head, vec![b'x'; 5_000], None);
    });
    for _ in 0..3 {
        let answer = tide.get("/page").await;
        assert_eq!((answer.status, answer.body.len()), (200, 5_000));
    }
    let lines = tide.tells(3).await;
    assert_eq!(app.requests(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_drained_node_gets_nothing_more_over_its_old_connection() {
    let (one, two) = (H2Origin::start("one").await, H2Origin::start("two").await);
    let tide = Tidegate::run(file("", "", "", &[&one, &two])).await;
    for _ in 0..4 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!((one.requests(), two.requests()), (2, 2));
    tide.verb("web/one", "drain").await;
    for _ in 0..4 {
        assert_eq!(tide.get("/").await.text(), "two");
    }
    eventually("its connection is closed", ms(8_000), async || {
        check(one.open() == 0, one.open())
    })
    .await;
    tide.verb("web/one", "undrain").await;
    for _ in 0..4 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert!(
        one.requests() > 2 && one.connections() == 2,
        "{}",
        one.connections()
    );
}

#[tokio::test]
async fn a_node_that_is_removed_loses_its_connection_once_its_last_request_is_over() {
    let (one, two) = (H2Origin::start("one").await, H2Origin::start("two").await);
    let gate = Arc::new(Gate::closed());
    let held = gate.clone();
    one.does(move |exchange| {
        let held = held.clone();
        async move {
            held.passed().await;
            exchange.text("one");
        }
    });
    let tide = Tidegate::run(file("", "", "", &[&one])).await;
    let mut client = tide.connect().await;
    client.send(&Request::get("/slow")).await.unwrap();
    eventually("it is there", ms(8_000), async || {
        check(one.requests() == 1, one.requests())
    })
    .await;
    tide.apply(&file("", "", "", &[&two])).await;
    assert_eq!(tide.get("/").await.text(), "two");
    assert_eq!(one.open(), 1);
    gate.open();
    assert_eq!(client.answer("GET").await.unwrap().text(), "one");
    eventually("its connection is closed", ms(8_000), async || {
        check(one.open() == 0, one.open())
    })
    .await;
}

#[tokio::test]
async fn sessions_stay_on_their_node_over_http_2() {
    let (one, two) = (H2Origin::start("one").await, H2Origin::start("two").await);
    let tide = Tidegate::run(file("", "sticky: { cookie: sid }", "", &[&one, &two])).await;
    let first = tide.get("/").await;
    let cookie = first.head.get("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    for _ in 0..6 {
        let again = tide.ask(&Request::get("/").field("Cookie", &cookie)).await;
        assert_eq!(again.text(), first.text());
    }
    let view = tide.json("/api/v1/upstreams/web").await;
    assert_eq!(view["protocol"], "h2", "{view}");
}

#[tokio::test]
async fn a_check_in_http_1_says_of_a_node_of_http_2_what_to_do() {
    let keys = "health: { path: /healthz, interval: 100ms, initial: healthy }";
    let app = H2Origin::start("app").await;
    let tide = Tidegate::run(file("", keys, "", &[&app])).await;
    eventually("the check fails", ms(8_000), async || {
        let view = tide.json("/api/v1/upstreams/web").await;
        let said = view["nodes"][0]["last_check"]["text"].to_string();
        check(said.contains("`type: grpc`"), said)
    })
    .await;
}
