//! Nodes of HTTP/2 that break, refuse, leave, or answer nonsense.

use http::Response;

use super::{file, one_node};
use crate::support::client::Request;
use crate::support::h2::frame;
use crate::support::h2_origin::H2Origin;
use crate::support::proxy::Tidegate;
use crate::support::{check, eventually, ms};

/// GOAWAY: the last stream that was looked at, and why.
fn goaway(last: u32, why: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), why.to_be_bytes()].concat())
}

/// RST_STREAM of the first stream.
fn reset(why: u32) -> Vec<u8> {
    frame(3, 0, 1, &why.to_be_bytes())
}

#[tokio::test]
async fn what_a_node_refused_unseen_is_sent_again_whatever_its_method() {
    for bytes in [reset(7), goaway(0, 0), goaway(0, 11)] {
        let (app, tide) = one_node("", "", "").await;
        app.answers_in_bytes(1, bytes.clone());
        let other = H2Origin::start("other").await;
        for node in [&app, &other] {
            // An answer before the body may end the stream under a body that is sent again.
            node.does(async |mut exchange| {
                let body = exchange.whole().await;
                assert_eq!(body, b"body");
                exchange.text("here");
            });
        }
        tide.apply(&file("", "", "", &[&app, &other])).await;
        for _ in 0..2 {
            let answer = tide.ask(&Request::post("/once", b"body".to_vec())).await;
            assert_eq!(answer.status, 200, "{bytes:?}: {}", answer.text());
        }
        assert_eq!(app.requests() + other.requests(), 2);
    }
}

#[tokio::test]
async fn what_a_node_may_have_seen_is_not_sent_twice_unless_that_does_no_harm() {
    for why in [2, 8] {
        let (bad, good) = (H2Origin::start("bad").await, H2Origin::start("good").await);
        bad.answers_in_bytes(100, reset(why));
        let tide = Tidegate::run(file("", "outlier: off", "", &[&bad, &good])).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(
                tide.ask(&Request::post("/once", b"x".to_vec()))
                    .await
                    .status,
            );
        }
        for _ in 0..4 {
            assert_eq!(tide.get("/again").await.text(), "good");
        }
        assert!(statuses.contains(&502), "{statuses:?}");
        let line = tide
            .access_log()
            .into_iter()
            .find(|l| l["status"] == 502)
            .unwrap();
        assert_eq!(line["end"], "upstream_reset", "{line}");
    }
}

#[tokio::test]
async fn a_node_that_ends_streams_and_keeps_its_connection_is_judged_by_that() {
    let (bad, good) = (H2Origin::start("bad").await, H2Origin::start("good").await);
    bad.does(async |exchange| match exchange.number {
        1 => exchange.text("bad"), // from here on the connection is an old one
        _ => exchange.resets(h2::Reason::INTERNAL_ERROR),
    });
    let keys = "balance: round_robin\noutlier: { consecutive_failures: 3, eject: 60s }";
    let tide = Tidegate::run(file("", keys, "", &[&bad, &good])).await;
    for _ in 0..20 {
        assert_eq!(tide.get("/").await.status, 200);
    }
    assert_eq!(
        (bad.connections(), bad.requests()),
        (1, 4),
        "ejected by then"
    );
}

#[tokio::test]
async fn a_node_that_leaves_in_good_order_loses_nothing() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |exchange| {
        if exchange.number % 5 == 0 {
            exchange.leaves();
        }
        exchange.text("here");
    });
    for n in 0..60 {
        let answer = tide.ask(&Request::post("/", b"x".to_vec())).await;
        assert_eq!(answer.status, 200, "request {n}: {}", answer.text());
    }
    assert_eq!(app.requests(), 60);
    assert!(app.connections() > 5);
}

#[tokio::test]
async fn an_answer_that_is_cut_never_looks_whole() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |mut exchange| {
        let mut stream = exchange.begin(Response::builder());
        stream.send_data("the beginning".into(), false).unwrap();
        tokio::time::sleep(ms(50)).await; // so that it arrives before the reset
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    assert!(tide.try_ask(&Request::get("/cut")).await.is_err());
    let line = tide.told("/cut").await;
    assert_eq!(
        (&line["status"], &line["end"]),
        (&200.into(), &"upstream_reset".into()),
        "{line}"
    );
    let mut client = crate::support::h2::H2::connect(tide.addr()).await;
    let asked = client
        .ask(crate::support::h2::request("GET", "/cut2"), b"")
        .await;
    assert!(asked.is_err());
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_passed_on() {
    for (status, length, body) in [
        (999, None, ""),
        (200, Some("7"), "longer than seven"),
        (200, Some("70"), "x"),
    ] {
        let (app, tide) = one_node("", "retry: off", "").await;
        app.does(move |exchange| async move {
            let mut head = Response::builder().status(status);
            if let Some(length) = length {
                head = head.header("content-length", length);
            }
            exchange.answer(head, body, None);
        });
        match tide.try_ask(&Request::get("/odd")).await {
            Ok(answer) => assert_eq!(answer.status, 502, "{status} {length:?}"),
            Err(_) => assert!(length.is_some(), "cut because it began well"),
        }
        let line = tide.told("/odd").await;
        assert_eq!(
            line["end"], "upstream_invalid",
            "{status} {length:?}: {line}"
        );
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_what_it_can_read_and_no_chunks() {
    let (app, tide) = one_node("", "", "").await;
    app.does(async |exchange| {
        let mut head = Response::builder();
        if exchange.head.uri.path() == "/sized" {
            head = head.header("content-length", "4");
        }
        exchange.answer(head, "body", None);
    });
    let sized = tide.ask(&Request::get("/sized").http10()).await;
    assert_eq!((sized.status, sized.text()), (200, "body".into()));
    let open = tide.ask(&Request::get("/open").http10()).await;
    assert_eq!(open.status, 505);
    assert_eq!(tide.told("/open").await["end"], "refused:version");
    assert_eq!(tide.get("/open").await.text(), "body");
}

#[tokio::test]
async fn a_node_of_http_1_is_told_as_one_that_makes_no_sense() {
    let app = crate::support::origin::Origin::start("old").await;
    let yaml = format!(
        "upstreams: {{ web: {{ h2: true, retry: off, nodes: [\"{}\"] }} }}\nroutes: [{{ upstream: web }}]\n",
        app.addr()
    );
    let tide = Tidegate::run(yaml).await;
    assert_eq!(tide.get("/").await.status, 502);
    let line = tide.told("/").await;
    assert!(
        ["upstream_invalid", "upstream_reset"].contains(&line["end"].as_str().unwrap()),
        "{line}"
    );
}

#[tokio::test]
async fn a_node_that_is_silent_is_given_up_in_time() {
    let (app, tide) = one_node("", "timeouts: { read: 300ms }\nretry: off", "").await;
    app.does(async |exchange| {
        std::future::pending::<()>().await;
        drop(exchange);
    });
    assert_eq!(tide.get("/silent").await.status, 504);
    let line = tide.told("/silent").await;
    assert_eq!(line["end"], "upstream_timeout", "{line}");
}

#[tokio::test]
async fn a_client_that_leaves_is_told_to_the_node() {
    let (app, tide) = one_node("", "", "").await;
    let (tell, mut told) = tokio::sync::watch::channel(false);
    app.does(move |mut exchange| {
        let tell = tell.clone();
        async move {
            let mut stream = exchange.begin(Response::builder());
            let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            tell.send_replace(true);
        }
    });
    let mut client = tide.connect().await;
    client.send(&Request::get("/left")).await.unwrap();
    eventually("it is there", ms(8_000), async || {
        check(app.requests() == 1, app.requests())
    })
    .await;
    drop(client);
    let reset = tokio::time::timeout(ms(8_000), told.wait_for(|told| *told)).await;
    assert!(reset.is_ok());
    assert_eq!(app.open(), 1, "the connection goes on");
}
