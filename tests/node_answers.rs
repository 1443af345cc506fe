//! What a node sends is an answer or it is refused: nothing is repaired, nothing cut looks whole, and no connection
//! is used again on which more or less was said than an answer.

use crate::support::client::Request;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, one_node};
use crate::support::reply::{Reply, Step};
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms};

/// Status and body of the answer to `request`, interim answers read away. Returns when the proxy has closed, so that
/// its connection to the node is put aside or closed by then.
async fn try_ask(tide: &Tidegate, request: &Request) -> Result<(u16, String), Broken> {
    let mut client = tide.connect().await;
    let request = request.clone().field("Connection", "close");
    client.send(&request).await?;
    loop {
        let answer = client.answer(request.its_method()).await?;
        if answer.status >= 200 {
            let rest = client.until_closed(ms(5_000)).await?;
            assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
            return Ok((answer.status, answer.text()));
        }
    }
}

async fn ask(tide: &Tidegate, request: &Request) -> (u16, String) {
    let answer = try_ask(tide, request).await;
    answer.unwrap_or_else(|e| panic!("{request:?}: {e}"))
}

async fn get(tide: &Tidegate, target: &str) -> u16 {
    ask(tide, &Request::get(target)).await.0
}

/// A connection to the node that a next request could wrongly be sent on: opened and used once.
async fn on_a_warm_connection(app: &Origin, tide: &Tidegate) -> usize {
    app.answers(Reply::usual);
    assert_eq!(get(tide, "/before").await, 200);
    app.connections()
}

/// The next request is answered well, on a connection of its own.
async fn next_opens_another(app: &Origin, tide: &Tidegate, opened: usize, what: &str) {
    app.answers(Reply::usual);
    assert_eq!(get(tide, "/after").await, 200, "after {what:?}");
    assert_eq!(app.connections(), opened + 1, "after {what:?}");
}

/// The node sends `raw` in answer to `request`: a 502, asked once, and the connection is not used again.
async fn is_refused(app: &Origin, tide: &Tidegate, request: &Request, raw: &str) {
    let opened = on_a_warm_connection(app, tide).await;
    let before = app.requests();
    let sent = raw.to_owned();
    app.answers(move |_| Reply::raw(sent.clone()));
    assert_eq!(ask(tide, request).await.0, 502, "{raw:?}");
    assert_eq!(app.requests(), before + 1, "{raw:?} was asked for again");
    next_opens_another(app, tide, opened, raw).await;
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_a_502() {
    let (app, tide) = one_node().await;
    let get = Request::get("/bad");
    for head in [
        // lengths
        "200 OK\nContent-Length: 2\nContent-Length: 3\n\nabc",
        "200 OK\nContent-Length: 2\nContent-Length: 2\n\nab",
        "200 OK\nContent-Length: 2, 2\n\nab",
        "200 OK\nContent-Length: +2\n\nab",
        "200 OK\nContent-Length: -2\n\nab",
        "200 OK\nContent-Length: 0x2\n\nab",
        "200 OK\nContent-Length: 2 2\n\nab",
        "200 OK\nContent-Length:\n\nab",
        "200 OK\nContent-Length: 99999999999999999999\n\nab",
        // codings
        "200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n",
        "200 OK\nTransfer-Encoding: chunked\nContent-Length: 2\n\n2\nab\n0\n\n",
        "200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n",
        "200 OK\nTransfer-Encoding: chunked, chunked\n\n0\n\n",
        "200 OK\nTransfer-Encoding: gzip, chunked\n\n0\n\n",
        "200 OK\nTransfer-Encoding: chunked, gzip\n\n0\n\n",
        "200 OK\nTransfer-Encoding: gzip\n\n0\n\n",
        "200 OK\nTransfer-Encoding: identity\nContent-Length: 2\n\nab",
        "200 OK\nTransfer-Encoding: xchunked\n\n0\n\n",
        "200 OK\nTransfer-Encoding:\n\nab",
        // statuses
        "000 No\nContent-Length: 0\n\n",
        "099 No\nContent-Length: 0\n\n",
        "99 No\nContent-Length: 0\n\n",
        "600 No\nContent-Length: 0\n\n",
        "1000 No\nContent-Length: 0\n\n",
        "2x0 No\nContent-Length: 0\n\n",
        "abc No\nContent-Length: 0\n\n",
        // fields
        "200 OK\nX: a\0b\nContent-Length: 0\n\n",
        "200 OK\nX: a\rb\nContent-Length: 0\n\n",
        "200 OK\nX: a\x0bb\nContent-Length: 0\n\n",
        "200 OK\nX : a\nContent-Length: 0\n\n",
        "200 OK\nX\t: a\nContent-Length: 0\n\n",
        "200 OK\nContent-Length : 2\n\nab",
        "200 OK\nX: a\n folded\nContent-Length: 0\n\n",
        "200 OK\n X: a\nContent-Length: 0\n\n",
        "200 OK\nno colon\nContent-Length: 0\n\n",
        "200 OK\n: no name\nContent-Length: 0\n\n",
        // bodies where there can be none
        "204 No\nContent-Length: 2\n\nab",
        "204 No\nTransfer-Encoding: chunked\n\n0\n\n",
        "103 Early\nContent-Length: 2\n\nabHTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "100 Go\nTransfer-Encoding: chunked\n\n0\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
        // what nobody asked for
        "304 Not Modified\nETag: \"a\"\n\n",
        "101 Switching\nConnection: upgrade\nUpgrade: websocket\n\n",
        "101 Switching\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ] {
        let raw = format!("HTTP/1.1 {head}").replace('\n', "\r\n");
        is_refused(&app, &tide, &get, &raw).await;
    }
    for raw in [
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "220 mail.example.com ESMTP\r\n",
        "\x16\x03\x01",
    ] {
        is_refused(&app, &tide, &get, raw).await;
    }
    let ends: Vec<_> = tide.access_log();
    let bad = ends.iter().filter(|line| line["path"] == "/bad");
    assert!(
        bad.clone().all(|line| line["end"] == "upstream_invalid"),
        "{:?}",
        bad.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_head_without_end_and_interim_answers_without_end_are_a_502() {
    let (app, tide) = one_node().await;
    let get = Request::get("/");
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    let interim = "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n";
    for raw in [
        format!("{ok}X: {}\r\n\r\n", "a".repeat(70_000)),
        format!("{ok}{}\r\n", "Set-Cookie: a=b\r\n".repeat(300)),
        format!("{}{ok}\r\n", interim.repeat(1_000)),
        format!("{}{ok}\r\n", "HTTP/1.1 100 Go\r\n\r\n".repeat(17)),
    ] {
        is_refused(&app, &tide, &get, &raw).await;
    }
    let fine = format!(
        "{}{ok}{}\r\n",
        interim.repeat(16),
        "Set-Cookie: a=b\r\n".repeat(100)
    );
    app.answers(move |_| Reply::raw(fine.clone()));
    let mut client = tide.connect().await;
    client.send(&get).await.unwrap();
    for _ in 0..16 {
        let head = client.head().await.unwrap();
        assert!(head.line.starts_with("HTTP/1.1 103 "), "{}", head.line);
    }
    let last = client.answer("GET").await.unwrap();
    assert_eq!((last.status, last.head.all("set-cookie").len()), (200, 100));
}

/// Chunked bodies that end badly: for a careless reader some of them end well.
const BAD_CHUNKS: &[&str] = &[
    "\n",
    "\n\n",
    " \n\n",
    ";x\n\n",
    "0 \n\n",
    "0x0\n\n",
    "+0\n\n",
    "-0\n\n",
    "0_0\n\n",
    "z\n\n",
    "00000000000000000\n\n",
    "ffffffffffffffffff\nab\n0\n\n",
    "2;\nab\n0\n\n",
    "2; a=b\nab\n0\n\n",
    "2;a=\"b\nab\n0\n\n",
    "2;a=b\rc\nab\n0\n\n",
    "2\nabc\n0\n\n",
    "3\nab\n0\n\n",
    "2\nab0\n\n",
    "0\n bad: a\n\n",
    "0\nbad : a\n\n",
    "0\nbad\n\n",
    "0\nX: a\n folded\n\n",
    "0\nHTTP/1.1 200 OK\n\n",
];

#[tokio::test]
async fn a_body_with_broken_chunks_never_looks_complete() {
    let (app, tide) = one_node().await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let bare = ["5\nhello\n0\n\n", "5\r\nhello\n0\r\n\r\n", "0\r\n\n"];
    let bad = BAD_CHUNKS.iter().map(|bad| bad.replace('\n', "\r\n"));
    for bad in bad.chain(bare.map(str::to_owned)) {
        for wait in [0, 5] {
            let opened = on_a_warm_connection(&app, &tide).await;
            let (head, tail) = (head.as_bytes().to_vec(), bad.clone().into_bytes());
            app.answers(move |_| {
                let head = Reply::raw(head.clone());
                let head = if wait > 0 {
                    head.then(Step::Wait(ms(wait)))
                } else {
                    head
                };
                head.then(Step::Raw(tail.clone()))
            });
            match try_ask(&tide, &Request::get("/bad")).await {
                Ok((status, text)) => assert_eq!(status, 502, "{bad:?}: {text:?}"),
                Err(Broken::Cut | Broken::Reset) => {}
                Err(other) => panic!("{bad:?}: {other}"),
            }
            next_opens_another(&app, &tide, opened, &bad).await;
        }
    }
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete_to_an_old_client_either() {
    let (app, tide) = one_node().await;
    for cut in [
        Reply::short_of(1_000, "half"),
        Reply::short_of(200_000, &"h".repeat(100_000)),
    ] {
        app.answers(move |_| cut.clone());
        let broken = tide.try_ask(&Request::get("/cut").http10()).await;
        let broken = broken.map(|answer| answer.body.len());
        assert!(
            matches!(broken, Err(Broken::Cut | Broken::Reset)),
            "{broken:?}"
        );
    }
}

/// Good answers, one of each framing, with the request they answer and the body it gets.
fn good_answers() -> Vec<(Request, &'static str, &'static str)> {
    let (get, head) = (Request::get("/good"), Request::new("HEAD", "/good"));
    let conditional = get.clone().field("If-None-Match", "\"a\"");
    let post = Request::post("/good", "twelve bytes").chunked(5);
    vec![
        (get.clone(), "200 OK\nContent-Length: 2\n\nab", "ab"),
        (get.clone(), "200 OK\nContent-Length: 0\n\n", ""),
        (get.clone(), "200\nContent-Length: 2\n\nab", "ab"),
        (
            get.clone(),
            "200 OK\nTransfer-Encoding: chunked\n\n2\nab\n1\nc\n0\n\n",
            "abc",
        ),
        (
            get.clone(),
            "200 OK\nTransfer-Encoding: chunked\n\n2;a;b=\"c;\\\"\"\nab\n000\nX-Sum: 1\n\n",
            "ab",
        ),
        (
            get.clone(),
            "103 Early\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nab",
            "ab",
        ),
        (get.clone(), "204 No\n\n", ""),
        (get, "204 No\nContent-Length: 0\n\n", ""),
        (head.clone(), "200 OK\nContent-Length: 2\n\n", ""),
        (head, "200 OK\nTransfer-Encoding: chunked\n\n", ""),
        (conditional.clone(), "304 Not\nETag: \"a\"\n\n", ""),
        (conditional, "304 Not\nContent-Length: 2\n\n", ""),
        (
            Request::post("/good", "body"),
            "200 OK\nContent-Length: 2\n\nab",
            "ab",
        ),
        (post, "200 OK\nContent-Length: 2\n\nab", "ab"),
    ]
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_good_answer_of_any_framing() {
    let (app, tide) = one_node().await;
    let opened = on_a_warm_connection(&app, &tide).await;
    for (request, answer, body) in good_answers() {
        let raw = format!("HTTP/1.1 {answer}").replace('\n', "\r\n");
        app.answers(move |_| Reply::raw(raw.clone()));
        let status: u16 = if answer.starts_with("103") {
            200
        } else {
            answer[..3].parse().unwrap()
        };
        for _ in 0..2 {
            assert_eq!(
                ask(&tide, &request).await,
                (status, body.to_owned()),
                "{answer:?}"
            );
        }
        assert_eq!(app.connections(), opened, "{answer:?}");
    }
}

#[tokio::test]
async fn what_follows_the_end_of_an_answer_is_never_the_next_one() {
    let (app, tide) = one_node().await;
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for (request, answer, body) in good_answers() {
        for wait in [0, 5] {
            let opened = on_a_warm_connection(&app, &tide).await;
            let raw = format!("HTTP/1.1 {answer}").replace('\n', "\r\n");
            let status = ask_with(&app, &tide, &request, raw, wait, more).await;
            assert_eq!(status.1, body, "{answer:?}");
            eventually("the node has said it all", ms(3_000), async || {
                check(app.in_flight() == 0, app.in_flight())
            })
            .await;
            next_opens_another(&app, &tide, opened, answer).await;
        }
    }
}

/// The answer to `request` when the node sends `raw` and, a moment later, `more`.
async fn ask_with(
    app: &Origin,
    tide: &Tidegate,
    request: &Request,
    raw: String,
    wait: u64,
    more: &'static str,
) -> (u16, String) {
    app.answers(move |_| {
        let answer = Reply::raw(raw.clone());
        let answer = if wait > 0 {
            answer.then(Step::Wait(ms(wait)))
        } else {
            answer
        };
        answer.then(Step::Raw(more.into()))
    });
    ask(tide, request).await
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_or_closes_it_is_its_last() {
    let (app, tide) = one_node().await;
    for (answer, closes) in [
        ("HTTP/1.1 200 OK\r\n\r\nab", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", false),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nab",
            false,
        ),
    ] {
        let opened = on_a_warm_connection(&app, &tide).await;
        app.answers(move |_| {
            let answer = Reply::raw(answer);
            if closes {
                answer.then(Step::Close)
            } else {
                answer
            }
        });
        assert_eq!(ask(&tide, &Request::get("/")).await.1, "ab", "{answer:?}");
        next_opens_another(&app, &tide, opened, answer).await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_whole_request_is_the_last_on_its_connection() {
    let (app, tide) = one_node().await;
    for chunked in [false, true] {
        let opened = on_a_warm_connection(&app, &tide).await;
        app.answers(|_| {
            let mut early = Reply::sized(413, "too much").then(Step::Wait(ms(300)));
            (early.reads_body, early.continues) = (false, false);
            early
        });
        let upload = Request::post("/upload", vec![b'x'; 3 << 20]);
        let upload = if chunked {
            upload.chunked(1 << 16)
        } else {
            upload
        };
        let head = upload.head_bytes();
        let mut client = tide.connect().await;
        client.send_bytes(&head).await.unwrap();
        client
            .send_bytes(&upload.body_bytes()[..100_000])
            .await
            .unwrap();
        let answer = client.answer("POST").await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
        next_opens_another(&app, &tide, opened, "an early answer").await;
    }
}

#[tokio::test]
async fn a_head_and_its_small_body_reach_the_node_whole() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::mirror());
    for size in [1, 100, 4_000, 5_000, 16_000, 20_000, 200_000] {
        let body: String = (0..size)
            .map(|i| char::from(b'a' + (i % 23) as u8))
            .collect();
        for request in [
            Request::post("/", body.clone()),
            Request::post("/", body.clone()).chunked(777),
        ] {
            let answer = ask(&tide, &request).await;
            assert!(answer.0 == 200 && answer.1 == body, "{size} bytes");
        }
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn a_body_that_takes_its_time_does_not_hold_up_its_head() {
    let (app, tide) = one_node().await;
    let request = Request::post("/slow", "later");
    let mut client = tide.connect().await;
    client.send_bytes(&request.head_bytes()).await.unwrap();
    app.holds(1).await;
    client.send_bytes(&request.body_bytes()).await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().status, 200);
}
