//! An answer that comes before its request is complete reaches the client, however much the client is still sending.
//!
//! A socket that is closed with unread bytes is reset, and the reset overtakes the answer: each story sends more than
//! fits into the buffers on the way.

use tokio::task::JoinSet;

use crate::support::client::{Answer, Client, Request};
use crate::support::exchange::{Bodiless, Cut, Exchange};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms};

/// More than the sockets between client and proxy hold.
const UPLOAD: usize = 10 << 20;

/// Every kind of early answer on a path of its own.
async fn saying_no() -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    app.answers(|seen| match seen.target() {
        "/401" => Reply::sized(401, "who are you?").without_reading(),
        "/413" => Reply::sized(413, "that is a lot").without_reading(),
        _ => Reply::usual(seen),
    });
    let yaml = format!(
        "limits: {{ body: 20MiB }}
upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ host: tide.test }}, upstream: web }}
  - {{ match: {{ host: tide.test, path: /deny/ }}, upstream: web, deny: 127.0.0.0/8 }}
  - {{ match: {{ host: tide.test, path: /often/ }}, upstream: web, rate_limit: {{ rate: 1/h }} }}\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    assert_eq!(tide.get("/often/").await.status, 200);
    (app, tide)
}

/// The upload and how it is answered.
fn uploads() -> Vec<(Request, u16)> {
    let body = || vec![b'u'; UPLOAD];
    let mut all = Vec::new();
    for (path, host, status) in [
        ("/deny/", "tide.test", 403),
        ("/often/", "tide.test", 429),
        ("/nowhere", "other.test", 404),
        ("/401", "tide.test", 401),
        ("/413", "tide.test", 413),
        ("/%2e%2e/", "tide.test", 400),
    ] {
        let request = Request::post(path, body()).host(host);
        all.push((request.clone(), status));
        all.push((request.chunked(64 << 10), status));
    }
    let too_long = Request::post("/long", vec![b'u'; 21 << 20]);
    all.push((too_long.clone(), 413));
    all.push((too_long.chunked(64 << 10), 413));
    all
}

fn is_whole(answer: &Answer, request: &Request) {
    let text = answer.text();
    let ours = text.starts_with(&answer.status.to_string());
    let of_the_node = ["who are you?", "that is a lot"].contains(&text.as_str());
    assert!(ours || of_the_node, "{request:.80?}: {text}");
}

/// Every upload on a connection of its own, all at the same time.
async fn each<F: Future<Output = ()> + Send + 'static>(one: impl Fn(Request, u16, String) -> F) {
    let mut tasks = JoinSet::new();
    for (request, status) in uploads() {
        let shown = format!("{:.90}", String::from_utf8_lossy(&request.head_bytes()));
        tasks.spawn(one(request, status, shown));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_answer() {
    let (app, tide) = saying_no().await;
    let to = tide.addr();
    each(|request, status, shown| async move {
        let mut client = Client::connect(to).await.unwrap();
        let sent = client.send(&request).await;
        let answer = client.answer("POST").await;
        let answer = answer.unwrap_or_else(|e| panic!("{shown}: {e} (sending: {sent:?})"));
        assert_eq!(answer.status, status, "{shown}");
        is_whole(&answer, &request);
        if !answer.stays_open {
            let rest = client.until_closed(ms(5_000)).await;
            assert!(
                matches!(rest, Ok(_) | Err(Broken::Reset)),
                "{shown}: {rest:?}"
            );
        }
    })
    .await;
    let whole = app.seen().iter().filter(|s| s.complete).count();
    assert_eq!(whole, 1, "only the one that was let in");
    tide.is_empty().await;
}

#[tokio::test]
async fn a_client_that_reads_while_it_sends_gets_the_answer_before_it_is_done() {
    let (_app, tide) = saying_no().await;
    let to = tide.addr();
    each(|request, status, shown| async move {
        let mut client = Exchange::connect(to).await.unwrap();
        let bytes = [request.head_bytes(), request.body_bytes()].concat();
        client.send(&bytes, Cut::Whole, false);
        let (replies, silence) = client.replies(1, ms(10_000), |_| Bodiless::No).await;
        assert_eq!(silence, None, "{shown}");
        assert_eq!(replies[0].status, status, "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_chunked_body_that_grows_too_large_is_refused_on_its_way() {
    let app = Origin::start("app-1").await;
    let yaml = format!(
        "limits: {{ body: 1MiB }}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(yaml).await;
    let fits = Request::post("/fits", vec![b'x'; 1 << 20]).chunked(10_000);
    assert_eq!(tide.ask(&fits).await.status, 200);
    let over = Request::post("/over", vec![b'x'; (1 << 20) + 1]).chunked(10_000);
    let answer = tide.ask(&over).await;
    assert_eq!((answer.status, answer.stays_open), (413, false));
    // A chunk that only announces too much is enough.
    let mut client = Client::connect(tide.addr()).await.unwrap();
    let head = Request::post("/announced", "").chunked(1).head_bytes();
    client
        .send_bytes(&[&head[..], b"ffffffff\r\nx"].concat())
        .await
        .unwrap();
    let answer = client.answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.stays_open), (413, false));
    tide.refused("body_too_large", 2).await;
    for path in ["/over", "/announced"] {
        let line = tide.told(path).await;
        assert_eq!(line["end"], "refused:body_too_large", "{line}");
    }
    let whole: Vec<_> = app.seen().into_iter().filter(|s| s.complete).collect();
    assert_eq!(whole.len(), 1, "no node saw the others whole");
    eventually(
        "no connection of a half request is kept",
        ms(3_000),
        async || {
            let open = app.open_connections();
            check(open <= 1, open)
        },
    )
    .await;
    let after = tide.get("/after").await;
    assert_eq!(after.status, 200, "{}", after.text());
}
