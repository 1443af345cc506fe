//! Slow and silent clients are shown the door in time, many at once, while the quick ones notice nothing.
//!
//! Only time spent waiting for a client counts against it: a slow node never makes its client slow.

use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, one_node_under, one_node_with, web};
use crate::support::reply::{Reply, Step};
use crate::support::wire::Broken;
use crate::support::{check, eventually, ms, pattern, raise_open_files, took_about};

/// Sends one byte of `bytes` after another, a pause between them, until the proxy says something or closes; what it
/// said.
async fn drip(client: &mut Client, bytes: &[u8], pause: Duration) -> Result<u16, Broken> {
    let mut bytes = bytes.iter().cycle();
    loop {
        tokio::select! {
            answer = client.head() => {
                let head = answer?;
                let status = head.line.split(' ').nth(1).and_then(|s| s.parse().ok());
                return status.ok_or(Broken::Garbled(head.line));
            }
            () = tokio::time::sleep(pause) => {
                let byte = [*bytes.next().unwrap()];
                let _ = client.send_bytes(&byte).await;
            }
        }
    }
}

#[tokio::test]
async fn a_head_that_drips_is_answered_408_in_time() {
    let (app, tide) = one_node_under("timeouts: { header: 700ms }\n").await;
    let mut tasks = JoinSet::new();
    for beginning in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST / HTTP/1.1\r\nX: ",
    ] {
        let mut client = tide.connect().await;
        tasks.spawn(async move {
            client.send_bytes(beginning.as_bytes()).await.unwrap();
            let began = Instant::now();
            let said = drip(&mut client, b"aaaaaaaa", ms(60)).await;
            assert_eq!(said, Ok(408), "{beginning:?}");
            took_about(began, ms(700));
            let rest = client.until_closed(ms(2_000)).await.unwrap();
            assert!(rest.starts_with(b"408 "), "the answer is whole: {rest:?}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // The second head of a connection has the same time as the first.
    let mut client = tide.connect().await;
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
    let began = Instant::now();
    let said = drip(&mut client, b"aaaaaaaa", ms(60)).await;
    assert_eq!(said, Ok(408));
    took_about(began, ms(700));
    tide.refused("header_timeout", 5).await;
    assert_eq!(app.requests(), 1);
}

/// So many connections that send a byte a second, beside a modest load of good requests.
async fn slowloris(connections: usize, header: Duration, base: usize) {
    raise_open_files();
    let top = format!("timeouts: {{ header: {}ms }}\n", header.as_millis());
    let (app, tide) = one_node_under(&top).await;
    let calm = Load::at(50).count(base).run(tide.addr()).await;
    calm.nothing_failed_of(base);
    let load = Load::at(50).start(tide.addr());
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut client = tide.connect().await;
        tasks.spawn(async move {
            client.send_bytes(b"GET /slow HTTP/1.1\r\n").await.unwrap();
            let began = Instant::now();
            let said = drip(&mut client, b"X-A: b\r\n", ms(1_000)).await;
            (said, began.elapsed())
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (said, took) = done.unwrap();
        assert_eq!(said, Ok(408), "after {took:?}");
        let late = took.abs_diff(header);
        assert!(late < ms(1_000), "{took:?} instead of {header:?}");
    }
    let beside = load.stop().await;
    beside.nothing_failed_of(50);
    let (calm, beside) = (calm.p99(), beside.p99());
    println!("p99 {calm:?} alone, {beside:?} beside {connections} slow ones");
    // The machine runs other stories at the same time.
    assert!(
        beside < calm * 2 + ms(150),
        "{beside:?} instead of {calm:?}"
    );
    tide.refused("header_timeout", connections).await;
    assert!(app.seen().iter().all(|s| s.target() == "/load"));
    tide.is_empty().await;
}

#[tokio::test]
async fn hundreds_of_slow_heads_end_in_time_and_slow_nobody_down() {
    slowloris(500, ms(3_000), 50).await;
}

#[tokio::test]
#[ignore = "a soak: half a minute of thousands of slow connections; the story above is its small sister"]
async fn thousands_of_slow_heads_end_in_time_and_slow_nobody_down() {
    slowloris(3_000, ms(20_000), 300).await;
}

#[tokio::test]
async fn whoever_is_idle_goes_in_time_whatever_it_wishes() {
    let (_app, tide) = one_node_under("timeouts: { idle: 1s }\n").await;
    let mut tasks = JoinSet::new();
    for n in 0..150 {
        let mut client = tide.connect().await;
        let request = match n % 3 {
            0 => None,
            1 => Some(Request::get("/")),
            _ => Some(Request::get("/").field("Keep-Alive", "timeout=999, max=999")),
        };
        tasks.spawn(async move {
            if let Some(request) = &request {
                let answer = client.ask(request).await.unwrap();
                assert!(answer.stays_open);
            }
            let began = Instant::now();
            assert_eq!(client.until_closed(ms(5_000)).await, Ok(vec![]));
            (request.is_some(), began.elapsed())
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (asked, took) = done.unwrap();
        let soonest = if asked { 900 } else { 700 }; // a silent one is idle before we look
        assert!((ms(soonest)..ms(2_000)).contains(&took), "{took:?}");
    }
    tide.is_empty().await;
}

#[tokio::test]
async fn a_body_that_stalls_or_drips_is_the_clients_timeout() {
    let top = "limits: { body_rate: 1KiB }\ntimeouts: { body: 3s }\n";
    let (app, tide) = one_node_under(top).await;
    let body = pattern(100_000);
    let stalls = async {
        let mut client = tide.connect().await;
        let request = Request::post("/stalls", body.clone());
        client.send_bytes(&request.head_bytes()).await.unwrap();
        let began = Instant::now();
        let said = client.until_closed(ms(9_000)).await.unwrap();
        took_about(began, ms(3_000));
        said
    };
    let drips = async |path: &str, chunks: bool| {
        let mut client = tide.connect().await;
        let mut request = Request::post(path, body.clone());
        if chunks {
            request = request.chunked(50_000);
        }
        client.send_bytes(&request.head_bytes()).await.unwrap();
        client
            .send_bytes(&request.body_bytes()[..40])
            .await
            .unwrap();
        let began = Instant::now();
        let said = drip(&mut client, b"x", ms(200)).await;
        // A rate needs some seconds to be known.
        assert!(
            (ms(4_500)..ms(8_000)).contains(&began.elapsed()),
            "{said:?}"
        );
        said
    };
    let (stalled, sized, chunked) =
        tokio::join!(stalls, drips("/drips", false), drips("/chunks", true));
    let stalled = String::from_utf8_lossy(&stalled).into_owned();
    assert!(
        stalled.is_empty() || stalled.starts_with("HTTP/1.1 408 "),
        "{stalled}"
    );
    for said in [sized, chunked] {
        let fine = matches!(said, Ok(408) | Err(Broken::Closed | Broken::Reset));
        assert!(fine, "{said:?}");
    }
    for path in ["/stalls", "/drips", "/chunks"] {
        let line = tide.told(path).await;
        assert_eq!(line["end"], "client_timeout", "{line}");
    }
    eventually(
        "no connection of half a request is kept",
        ms(3_000),
        async || check(app.open_connections() == 0, app.open_connections()),
    )
    .await;
    assert!(app.seen().iter().all(|s| !s.complete));
    let node = tide.node("web/app-1").await;
    assert_eq!(
        tide.get("/after").await.status,
        200,
        "the node is not blamed: {node}"
    );
    tide.is_empty().await;
}

#[tokio::test]
async fn a_slow_upload_above_the_rate_is_let_be_and_its_node_not_blamed() {
    let (app, tide) = one_node_with("timeouts: { read: 600ms }").await;
    app.answers(|_| Reply::mirror());
    let body = pattern(20_000);
    let uploads = async |request: Request| {
        let mut client = tide.connect().await;
        client.send_bytes(&request.head_bytes()).await.unwrap();
        for piece in request.body_bytes().chunks(2_000) {
            client.send_bytes(piece).await.unwrap();
            tokio::time::sleep(ms(120)).await; // the pace is the subject
        }
        let answer = client.answer("POST").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body == body);
    };
    let request = Request::post("/slow", body.clone());
    tokio::join!(uploads(request.clone()), uploads(request.chunked(1_000)));
}

/// A node with a large answer, and the proxy with these sections.
async fn with_much_to_say(top: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::text(vec![b'x'; 16 << 20]));
    let yaml = format!("{top}\n{}", web("", nodes([&app])));
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

#[tokio::test]
async fn a_reader_below_the_rate_is_cut_off_and_one_above_it_is_not() {
    let top = "limits: { send_rate: 8MiB }\ntimeouts: { write: 20s }";
    let (app, tide) = with_much_to_say(top).await;
    let reads = async |path: &str, most: usize, pause: u64| {
        let mut client = Client::connect_narrow(tide.addr()).await.unwrap();
        client.send(&Request::get(path)).await.unwrap();
        client.head().await.unwrap();
        let began = Instant::now();
        let mut got = 0;
        while got < 16 << 20 && began.elapsed() < ms(14_000) {
            match client.some(ms(9_000)).await {
                Ok(Some(bytes)) => got += bytes.len(),
                _ => break,
            }
            // So much of a second as these bytes are to take.
            if got >= most * (began.elapsed().as_millis() as usize) / 1_000 {
                tokio::time::sleep(ms(pause)).await;
            }
        }
        (got, began.elapsed())
    };
    let (slow, quick) = tokio::join!(reads("/slow", 2 << 20, 50), reads("/quick", 1 << 30, 1));
    assert!(slow.0 < 16 << 20, "cut off: {slow:?}");
    assert_eq!(quick.0, 16 << 20, "{quick:?}");
    let line = tide.told("/slow").await;
    assert_eq!(line["end"], "client_timeout", "{line}");
    let took = line["t"]["total"].as_f64().unwrap();
    assert!((4.5..12.0).contains(&took), "{line}");
    assert_eq!(tide.told("/quick").await["end"], "ok");
    eventually("the node is let go", ms(3_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
}

#[tokio::test]
async fn a_steady_reader_is_not_cut_off_for_what_the_kernel_holds() {
    let (_app, tide) = with_much_to_say("timeouts: { write: 1s }").await;
    let reads = async |mut client: Client| {
        client.send(&Request::get("/steady")).await.unwrap();
        client.head().await.unwrap();
        let began = Instant::now();
        while began.elapsed() < ms(2_500) {
            // 160 KB a second, far above any rate.
            let more = client.exactly(16 << 10).await;
            more.unwrap_or_else(|e| panic!("{e} after {:?}", began.elapsed()));
            tokio::time::sleep(ms(100)).await;
        }
    };
    let narrow = Client::connect_narrow(tide.addr()).await.unwrap();
    tokio::join!(reads(narrow), reads(tide.connect().await));
}

/// A socket whose client reads slowly only after it was quick: by then the kernel would hold megabytes for it.
#[tokio::test]
async fn a_reader_that_becomes_slow_but_stays_steady_is_not_cut_off() {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::text(vec![b'x'; 64 << 20]));
    let tide = Tidegate::run(format!(
        "timeouts: {{ write: 4s }}\n{}",
        web("", nodes([&app]))
    ))
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(256 << 10).unwrap();
    // Segments as in a network: of those of loopback a slow reader has room for one every few seconds only.
    SockRef::from(&socket).set_tcp_mss(1_460).unwrap();
    let mut client = socket.connect(tide.addr()).await.unwrap();
    let request = Request::get("/becomes-slow").head_bytes();
    client.write_all(&request).await.unwrap();
    let mut piece = vec![0; 8 << 10];
    for _ in 0..24 << 7 {
        client.read_exact(&mut piece).await.unwrap();
    }
    let began = Instant::now();
    while began.elapsed() < ms(7_000) {
        client.read_exact(&mut piece).await.unwrap();
        let ended = tide.access_log();
        assert!(ended.is_empty(), "after {:?}: {ended:?}", began.elapsed());
        tokio::time::sleep(ms(40)).await; // 200 KB a second
    }
}

#[tokio::test]
async fn who_reads_nothing_is_told_as_a_timeout_and_leaves_nothing_behind() {
    let (app, tide) = with_much_to_say("timeouts: { write: 700ms }").await;
    let mut client = Client::connect_narrow(tide.addr()).await.unwrap();
    let began = Instant::now();
    client.send(&Request::get("/unread")).await.unwrap();
    let line = tide.told("/unread").await;
    took_about(began, ms(700));
    assert_eq!(line["end"], "client_timeout", "{line}");
    eventually("the node is let go", ms(3_000), async || {
        check(app.open_connections() == 0, app.open_connections())
    })
    .await;
    tide.is_empty().await;
}

#[tokio::test]
async fn heads_that_nobody_reads_end_too() {
    let top = "limits: { pipeline: 0 }\ntimeouts: { write: 700ms }\n";
    let (app, tide) = one_node_under(top).await;
    app.answers(|_| {
        let wide = ("x-wide".to_owned(), "w".repeat(16_000));
        Reply::steps([Step::Head(204, vec![wide])])
    });
    let mut client = Client::connect_narrow(tide.addr()).await.unwrap();
    let many = Request::get("/unread").head_bytes().repeat(1_200);
    client.send_bytes(&many).await.unwrap();
    eventually("it is cut off", ms(10_000), async || {
        let last = tide.access_log().pop().unwrap_or_default();
        check(last["end"] == "client_timeout", last)
    })
    .await;
    tide.is_empty().await;
    assert!(app.requests() < 1_200, "{} were answered", app.requests());
}

#[tokio::test]
async fn a_slow_node_does_not_make_its_client_slow() {
    let top = "limits: { body_rate: 1MiB, send_rate: 1MiB }\ntimeouts: { body: 300ms, write: 300ms, header: 300ms }\n";
    let (app, tide) = one_node_under(top).await;
    let slow = [
        Step::Wait(ms(700)),
        Reply::chunked_head(),
        Step::Chunk(b"a little ".into()),
        Step::Wait(ms(700)),
        Step::Chunk(b"more".into()),
        Step::Chunk(Vec::new()),
    ];
    app.answers(move |_| Reply::steps(slow.clone()));
    let asks = async |request: Request| {
        let answer = tide.ask(&request).await;
        let whole = (answer.status, answer.text());
        assert_eq!(whole, (200, "a little more".into()));
    };
    let upload = Request::post("/", pattern(100_000));
    tokio::join!(asks(Request::get("/")), asks(upload));
}
