//! A client of HTTP/2 may take no more and be no slower than one of HTTP/1.1.

use std::time::Instant;

use bytes::Bytes;
use nix::sys::signal::Signal;

use super::{H2C, speaking_both};
use crate::support::client::Request;
use crate::support::h2::{H2, request};
use crate::support::origin::{BlackHole, Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms, pattern, took_about};

#[tokio::test]
async fn a_head_is_so_large_at_most() {
    let (app, tide) = speaking_both("limits: { header_bytes: 4KiB }", "").await;
    let mut client = H2::connect(tide.addr()).await;
    for (bytes, status) in [(3_000, Some(200)), (5_000, Some(431)), (60_000, Some(431))] {
        let asked = request("GET", "/").header("x-long", "x".repeat(bytes));
        let answer = client.status(asked, b"").await;
        assert!(
            answer == status || (bytes == 60_000 && answer.is_none()),
            "{bytes}: {answer:?}"
        );
    }
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn a_body_is_so_large_at_most() {
    let (app, tide) = speaking_both("limits: { body: 64KiB }", "").await;
    app.answers(|_| Reply::mirror());
    let mut client = H2::connect(tide.addr()).await;
    let fits = vec![b'x'; 64 * 1024];
    assert_eq!(
        client.status(request("POST", "/fits"), &fits).await,
        Some(200)
    );
    let over = vec![b'x'; 200_000];
    let announced = request("POST", "/announced").header("content-length", "200000");
    assert_eq!(client.status(announced, &over).await, Some(413));
    assert_eq!(
        client.status(request("POST", "/grows"), &over).await,
        Some(413)
    );
    tide.refused("body_too_large", 2).await;
    for path in ["/announced", "/grows"] {
        let line = tide.told(path).await;
        assert_eq!(line["end"], "refused:body_too_large", "{line}");
    }
    let whole: Vec<_> = app.seen().into_iter().filter(|s| s.complete).collect();
    assert_eq!(whole.len(), 1, "no node saw the others whole");
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_time() {
    let (_app, tide) = speaking_both("timeouts: { idle: 600ms }", "").await;
    let began = Instant::now();
    let mut unused = H2::connect(tide.addr()).await;
    unused.closed(ms(4_000)).await.unwrap();
    took_about(began, ms(600));
    let mut used = H2::connect(tide.addr()).await;
    assert_eq!(used.status(request("GET", "/"), b"").await, Some(200));
    let began = Instant::now();
    used.closed(ms(4_000)).await.unwrap();
    took_about(began, ms(600));
    tide.is_empty().await;
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended_alone() {
    let (app, tide) = speaking_both("timeouts: { body: 500ms }", "").await;
    let mut client = H2::connect(tide.addr()).await;
    let began = Instant::now();
    let mut stalls = client
        .send(request("POST", "/stalls"), false)
        .await
        .unwrap();
    let part = Bytes::from_static(b"a part");
    stalls.body.send_data(part, false).unwrap();
    let line = tide.told("/stalls").await;
    took_about(began, ms(500));
    assert_eq!(line["end"], "client_timeout", "{line}");
    assert_eq!(client.status(request("GET", "/"), b"").await, Some(200));
    assert!(!app.seen()[0].complete);
}

#[tokio::test]
async fn an_upload_that_never_begins_is_ended() {
    let (app, tide) = speaking_both("timeouts: { body: 500ms }", "").await;
    for length in [None, Some("5")] {
        let mut client = H2::connect(tide.addr()).await;
        let mut asked = request("POST", "/never");
        if let Some(length) = length {
            asked = asked.header("content-length", length);
        }
        let began = Instant::now();
        let stream = client.send(asked, false).await.unwrap();
        let answer = stream.answer().await;
        took_about(began, ms(500));
        assert!(
            answer.as_ref().map_or(true, |a| a.status == 408),
            "{answer:?}"
        );
    }
    for line in tide.tells(2).await {
        assert_eq!(line["end"], "client_timeout", "{line}");
    }
    assert!(
        app.seen().iter().all(|s| !s.complete),
        "no node saw a whole one"
    );
    tide.is_empty().await;
}

#[tokio::test]
async fn an_upload_that_pauses_for_less_than_its_limit_is_taken_however_long_it_lasts() {
    let (app, tide) = speaking_both("timeouts: { body: 1s }", "").await;
    app.answers(|_| Reply::mirror());
    let mut client = H2::connect(tide.addr()).await;
    let began = Instant::now();
    let mut slow = client.send(request("POST", "/slow"), false).await.unwrap();
    let pieces = 8;
    for n in 0..pieces {
        tokio::time::sleep(ms(250)).await; // the pace of this client
        let piece = Bytes::from_static(b"piece ");
        slow.body.send_data(piece, n + 1 == pieces).unwrap();
    }
    let answer = slow.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (200, "piece ".repeat(pieces))
    );
    assert!(began.elapsed() > ms(1_500), "longer than one pause may be");
}

#[tokio::test]
async fn a_whole_upload_is_not_slow_while_its_node_works() {
    let (app, tide) = speaking_both("timeouts: { body: 500ms }", "").await;
    app.answers(|_| Reply::mirror().after(ms(1_500)));
    let mut client = H2::connect(tide.addr()).await;
    let answer = client.ask(request("POST", "/"), b"whole").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "whole".into()));
}

#[tokio::test]
async fn an_upload_is_not_slow_while_its_node_is_being_connected() {
    let hole = BlackHole::open().await;
    let app = Origin::start("app-1").await;
    let upstream = web(
        "balance: round_robin\ntimeouts: { connect: 1200ms }",
        format!("[{hole}, {app}]"),
    );
    let tide = Tidegate::run(format!("{H2C}timeouts: {{ body: 400ms }}\n{upstream}")).await;
    let mut client = H2::connect(tide.addr()).await;
    for n in 0..2 {
        let asked = request("PUT", "/waits");
        assert_eq!(client.status(asked, b"whole").await, Some(200), "{n}");
    }
    let waited = tide
        .tells(2)
        .await
        .iter()
        .any(|line| line["nodes"][0] == "black-hole");
    assert!(waited, "one of them met the hole");
}

#[tokio::test]
async fn an_upload_is_not_slow_while_its_node_takes_nothing() {
    let (app, tide) =
        speaking_both("timeouts: { body: 500ms }\nlimits: { body: 128MiB }", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |_| {
        let mut reply = Reply::text("ok").when(&held);
        reply.reads_body = false;
        reply
    });
    let mut client = H2::connect(tide.addr()).await;
    let mut stream = client.send(request("POST", "/held"), false).await.unwrap();
    // More than all buffers on the way hold together.
    let much = Bytes::from(vec![b'x'; 64 << 20]);
    stream.body.send_data(much, true).unwrap();
    app.holds(1).await;
    tokio::time::sleep(ms(3_000)).await; // six times as long as a body may pause
    assert!(tide.access_log().is_empty(), "{:?}", tide.access_log());
    gate.open();
    assert_eq!(stream.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn who_asks_first_over_http_2_is_not_slow_until_it_is_told() {
    let (app, tide) = speaking_both("timeouts: { body: 500ms }", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |_| {
        let mut reply = Reply::text("not now").when(&held);
        (reply.reads_body, reply.continues) = (false, false);
        reply
    });
    let mut client = H2::connect(tide.addr()).await;
    let asked = request("POST", "/asks").header("expect", "100-continue");
    let stream = client.send(asked, false).await.unwrap();
    app.holds(1).await;
    tokio::time::sleep(ms(1_500)).await; // three times as long as a body may pause
    assert!(tide.access_log().is_empty(), "{:?}", tide.access_log());
    gate.open();
    assert_eq!(stream.head().await.unwrap().0, 200);
    tide.told("/asks").await;
    drop(client);
    tide.is_empty().await;
}

#[tokio::test]
async fn an_answer_that_is_still_being_taken_is_no_idle_connection() {
    let (app, tide) = speaking_both("timeouts: { idle: 500ms }", "").await;
    app.answers(|_| Reply::text(pattern(350_000)));
    // Its node is done at once; the client needs two seconds.
    let mut client = H2::connect_slowly(tide.addr(), 3_500, ms(20)).await;
    let answer = client.ask(request("GET", "/taken"), b"").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 350_000));
    client.closed(ms(4_000)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_stops_sends_what_is_still_being_taken() {
    let (app, tide) = speaking_both("", "").await;
    app.answers(|_| Reply::text(pattern(350_000)));
    let mut client = H2::connect_slowly(tide.addr(), 3_500, ms(20)).await;
    let stream = client.send(request("GET", "/taken"), true).await.unwrap();
    tide.told("/taken").await;
    tide.signal(Signal::SIGTERM);
    let answer = stream.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 350_000));
    assert_eq!(tide.ended(ms(5_000)).await, 0);
}

#[tokio::test]
async fn a_reader_that_stops_with_its_window_open_is_told_as_late() {
    let (app, tide) = speaking_both("timeouts: { write: 700ms }", "").await;
    app.answers(|_| Reply::text(vec![b'x'; 8 << 20]));
    let mut client = H2::connect_slowly(tide.addr(), 3_500, ms(5_000)).await;
    let stream = client.send(request("GET", "/stops"), true).await.unwrap();
    let line = tide.told("/stops").await;
    assert_eq!(line["end"], "client_timeout", "{line}");
    drop((stream, client));
    tide.is_empty().await;
}

#[tokio::test]
async fn many_requests_of_few_clients_never_use_up_the_files_of_the_process() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run_with_files(256, H2C.to_owned() + &web("", nodes([&app]))).await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let mut clients = Vec::new();
    let mut streams = Vec::new();
    for n in 1..=4 {
        let mut client = H2::connect(tide.addr()).await;
        streams.push(client.send(request("GET", "/"), true).await.unwrap());
        app.holds(n).await;
        clients.push(client);
    }
    for client in &mut clients {
        for _ in 1..90 {
            streams.push(client.send(request("GET", "/"), true).await.unwrap());
        }
    }
    let refused = async || {
        let labels = [("reason", "connections")];
        let n = tide
            .metric("tidegate_requests_refused_total", &labels)
            .await;
        n.unwrap_or_default() as usize
    };
    eventually("each is held or refused", ms(5_000), async || {
        let told = (app.in_flight(), refused().await);
        check(
            told.0 + told.1 == 360 && told.0 >= 40 && told.1 > 0,
            format!("{told:?}"),
        )
    })
    .await;
    gate.open();
    for stream in streams {
        let status = stream.answer().await.unwrap().status;
        assert!(matches!(status, 200 | 503), "{status}");
    }
    assert!(
        !tide.log().contains("Too many open files"),
        "{}",
        tide.log()
    );
    assert_eq!(tide.get("/after").await.status, 200);
}

#[tokio::test]
async fn idle_connections_make_room_for_a_newcomer() {
    let (_app, tide) = speaking_both("limits: { connections: 3 }", "").await;
    let mut idle = Vec::new();
    let began = Instant::now();
    for n in 0..3 {
        let mut client = H2::connect(tide.addr()).await;
        if n > 0 {
            assert_eq!(client.status(request("GET", "/"), b"").await, Some(200));
        }
        idle.push(client);
        // The first is taken in before the next one comes, however busy the machine is.
        tide.stands_at(n + 1).await;
    }
    eventually("room is made", SOON, async || {
        let answer = tide.try_ask(&Request::get("/new")).await;
        let status = answer.map(|answer| answer.status);
        check(status == Ok(200), format!("{status:?}"))
    })
    .await;
    let waited = began.elapsed();
    assert!(waited > ms(950), "who just came is spared: {waited:?}");
    idle[0].closed(ms(2_000)).await.expect("the oldest goes");
    for client in &mut idle[1..] {
        assert_eq!(client.status(request("GET", "/"), b"").await, Some(200));
    }
}

#[tokio::test]
async fn a_connection_with_a_request_under_way_makes_no_room() {
    let (app, tide) = speaking_both("limits: { connections: 1 }", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let mut client = H2::connect(tide.addr()).await;
    let stream = client.send(request("GET", "/"), true).await.unwrap();
    app.holds(1).await;
    let began = Instant::now();
    while began.elapsed() < ms(1_500) {
        assert_eq!(tide.get("/new").await.status, 503);
        tokio::time::sleep(ms(100)).await; // a newcomer now and then
    }
    gate.open();
    assert_eq!(stream.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_ended() {
    let (app, tide) = speaking_both("timeouts: { write: 500ms }", "").await;
    app.answers(|_| Reply::text(vec![b'x'; 4 << 20]));
    let mut client = H2::connect(tide.addr()).await;
    let began = Instant::now();
    let stream = client.send(request("GET", "/unread"), true).await.unwrap();
    let (status, _, unread) = stream.head().await.unwrap();
    assert_eq!(status, 200);
    let line = tide.told("/unread").await;
    took_about(began, ms(500));
    assert_eq!(line["end"], "client_timeout", "{line}");
    eventually("the node is let go", ms(3_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
    drop((unread, client));
    tide.is_empty().await;
}

#[tokio::test]
async fn an_upload_that_drips_is_ended_alone() {
    let top = "limits: { body_rate: 1KiB }\ntimeouts: { body: 3s }";
    let (app, tide) = speaking_both(top, "").await;
    let mut client = H2::connect(tide.addr()).await;
    let began = Instant::now();
    let mut drips = client.send(request("POST", "/drips"), false).await.unwrap();
    let mut task = tokio::spawn(async move {
        // Ten bytes every tenth of a second: never a pause, and never enough.
        while drips
            .body
            .send_data(Bytes::from_static(b"ten bytes!"), false)
            .is_ok()
        {
            tokio::time::sleep(ms(100)).await;
        }
        drips.answer().await
    });
    tokio::select! {
        answer = &mut task => drop(answer),
        line = tide.told("/drips") => assert_eq!(line["end"], "client_timeout", "{line}"),
    }
    // A rate needs some seconds to be known.
    assert!((ms(4_500)..ms(9_000)).contains(&began.elapsed()));
    let line = tide.told("/drips").await;
    assert_eq!(line["end"], "client_timeout", "{line}");
    assert_eq!(client.status(request("GET", "/"), b"").await, Some(200));
    assert!(!app.seen()[0].complete);
    task.abort();
}

#[tokio::test]
async fn a_connection_has_so_many_requests_and_those_under_way_are_finished() {
    let (app, tide) = speaking_both("limits: { requests_per_connection: 3 }", "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| match seen.target() {
        "/held" => Reply::usual(seen).when(&held),
        _ => Reply::usual(seen),
    });
    let mut client = H2::connect(tide.addr()).await;
    let stream = client.send(request("GET", "/held"), true).await.unwrap();
    app.holds(1).await;
    for _ in 0..2 {
        assert_eq!(client.status(request("GET", "/"), b"").await, Some(200));
    }
    // It has been told, and opens no more; what is under way is not lost by that.
    let refused = async || {
        let more = client.send(request("GET", "/more"), true).await;
        match more {
            Err(_) => true,
            Ok(stream) => stream.answer().await.is_err(),
        }
    };
    eventually("it is told to make another one", ms(4_000), {
        let mut refused = refused;
        async move || check(refused().await, "one more request was taken")
    })
    .await;
    gate.open();
    assert_eq!(stream.answer().await.unwrap().status, 200);
    let told = tide.access_log();
    assert!(told.iter().all(|line| line["end"] == "ok"), "{told:?}");
    tide.is_empty().await;
}
