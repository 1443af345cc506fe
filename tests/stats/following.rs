//! Requests as they end: `tidegate log -f` and the stream of lines that it reads; and what happened, one after the other.

use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Request;
use crate::support::origin::{Origin, nodes};
use crate::support::process::Process;
use crate::support::proxy::{BINARY, SOON, Tidegate, one_node_under, web};
use crate::support::reply::Reply;
use crate::support::strangers::free_port;
use crate::support::{check, eventually, ms};

/// A command that goes on, of a proxy with this stats port.
fn goes_on(admin: impl ToString, args: &[&str]) -> Process {
    let mut command = Command::new(BINARY);
    Process::start(command.args(args).env("TIDEGATE_ADMIN", admin.to_string()))
}

/// Sends requests for this path until the command has shown one; that line.
async fn shows(tide: &Tidegate, follows: &Process, path: &str) -> String {
    eventually(&format!("a line of {path}"), SOON, async || {
        tide.get(path).await;
        let out = follows.output().out;
        let line = out.iter().find(|line| line.contains(path)).cloned();
        line.ok_or_else(|| format!("{out:?}, {:?}", follows.output().err))
    })
    .await
}

#[tokio::test]
async fn a_request_is_shown_as_it_ends_though_no_log_is_written() {
    let (app, tide) = one_node_under("access_log: { format: off }\n").await;
    app.answers(|seen| match seen.target() {
        "/broken" => Reply::sized(500, "no"),
        _ => Reply::usual(seen),
    });
    let text = goes_on(tide.admin(), &["log", "-f"]);
    let json = goes_on(
        tide.admin(),
        &["log", "-f", "-o", "json", "--status", "5xx"],
    );
    let line = shows(&tide, &text, "/seen").await;
    for told in ["200", "GET", "/seen", "web: app-1"] {
        assert!(line.contains(told), "{told} is missing: {line}");
    }
    let line: Value = serde_json::from_str(&shows(&tide, &json, "/broken").await).unwrap();
    assert_eq!(
        (&line["status"], &line["route"]),
        (&500.into(), &"default".into())
    );
    assert!(
        line["t"]["total"].is_f64() && line["nodes"][0] == "app-1",
        "{line}"
    );
    let others: Vec<_> = json
        .output()
        .out
        .into_iter()
        .filter(|l| !l.contains("/broken"))
        .collect();
    assert_eq!(others, [""; 0], "only what was asked for");
    assert!(tide.access_log().is_empty());
    text.signal(Signal::SIGINT);
    assert_eq!(text.ended(ms(2_000)).await, 130, "{:?}", text.output().err);
}

#[tokio::test]
async fn hits_and_refusals_are_shown_too() {
    let app = Origin::start("app-1").await;
    app.answers(|seen| Reply::usual(seen).field("Cache-Control", "max-age=60"));
    let yaml =
        web("", nodes([&app])).replace("- upstream: web", "- upstream: web\n    cache: true");
    let tide = Tidegate::run(format!("access_log: {{ format: off }}\n{yaml}")).await;
    let hits = goes_on(
        tide.admin(),
        &["log", "-f", "--cache", "hit", "--path", "/kept"],
    );
    let line = shows(&tide, &hits, "/kept").await;
    assert!(line.contains("hit (fresh)"), "{line}");
    let refused = goes_on(tide.admin(), &["log", "-f", "--end", "refused"]);
    let line = eventually("a refusal is shown", SOON, async || {
        tide.ask(&Request::get("/%2e%2e/etc")).await;
        refused.output().out.first().cloned().ok_or("none yet")
    })
    .await;
    assert!(
        line.contains("refused:path") && line.contains("400"),
        "{line}"
    );
}

#[tokio::test]
async fn a_follower_outlives_the_proxy_and_goes_on_with_the_next() {
    let app = Origin::start("app-1").await;
    let admin = free_port().await;
    let yaml = format!("admin: {{ addr: \"{admin}\" }}\n{}", web("", nodes([&app])));
    let tide = Tidegate::run(&yaml).await;
    let follows = goes_on(admin, &["log", "-f"]);
    shows(&tide, &follows, "/before").await;
    tide.signal(Signal::SIGTERM);
    assert_eq!(
        tide.ended(ms(5_000)).await,
        0,
        "who follows holds nobody up"
    );
    let said = |what: &'static str| {
        let follows = &follows;
        eventually(what, SOON, async move || {
            let err = follows.output().err.join("\n");
            check(err.contains(what), err)
        })
    };
    said("is gone; waiting for it").await;
    let next = Tidegate::run(&yaml).await;
    said("is back").await;
    shows(&next, &follows, "/after").await;
}

#[tokio::test]
async fn a_follower_whose_reader_left_ends_cleanly() {
    let (_app, tide) = one_node_under("access_log: { format: off }\n").await;
    let line = format!(
        "{BINARY} log -f --admin {} | head -n 1; echo ended \"${{PIPESTATUS[0]}}\"",
        tide.admin()
    );
    let shell = Process::start(Command::new("bash").args(["-c", &line]));
    eventually("it has ended", SOON, async || {
        tide.get("/some").await;
        let out = shell.output().out;
        check(out.iter().any(|line| line == "ended 0"), format!("{out:?}"))
    })
    .await;
    assert_eq!(shell.output().err, [""; 0]);
}

#[tokio::test]
async fn what_can_never_be_shown_is_refused_with_what_could() {
    let (_app, tide) = one_node_under("").await;
    for (filter, value, told) in [
        ("--end", "fine", "upstream_timeout"),
        ("--status", "many", "5xx"),
        ("--min-time", "500", "200ms"),
        ("--route", "shop", "default"),
        ("--upstream", "wep", "web"),
        ("--cache", "hits", "revalidated"),
    ] {
        let done = tide.command(&["log", "-f", filter, value]).await;
        assert_eq!(done.code, 1, "{filter}: {}", done.all());
        assert!(
            done.err.contains(value) && done.err.contains(told),
            "{filter}: {}",
            done.err
        );
    }
    let lonely = tide.command(&["log", "--status", "5xx"]).await;
    assert_eq!(lonely.code, 2, "{}", lonely.all());
    assert!(lonely.err.contains("--follow"), "{}", lonely.err);
}

#[tokio::test]
async fn without_follow_the_slow_requests_of_late_are_shown() {
    let app = Origin::start("app-1").await;
    let yaml =
        web("", nodes([&app])).replace("- upstream: web", "- upstream: web\n    slow: 0.001ms");
    let yaml = yaml.replace("0.001ms", "1us");
    let tide = Tidegate::run(yaml).await;
    let none = tide.command(&["log"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{}", none.all());
    assert!(none.err.contains("no slow requests"), "{}", none.err);
    for path in ["/first", "/last"] {
        tide.get(path).await;
    }
    let slow = tide.command(&["log", "--route", "default"]).await;
    let lines: Vec<_> = slow.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", slow.all());
    assert!(
        lines[0].contains("/first") && lines[1].contains("/last"),
        "the latest last: {}",
        slow.out
    );
    let json = tide.command(&["log", "-n", "1", "-o", "json"]).await.json();
    assert_eq!(json["slow"][0]["target"], "/last", "{json}");
}

/// A connection that listens to all lines.
async fn listener(tide: &Tidegate) -> TcpStream {
    let mut stream = TcpStream::connect(tide.admin()).await.unwrap();
    let ask = format!("GET /api/v1/log HTTP/1.1\r\nHost: {}\r\n\r\n", tide.admin());
    stream.write_all(ask.as_bytes()).await.unwrap();
    stream
}

/// Reads until this has come, and what is behind it to the end of its line.
async fn read_until(stream: &mut TcpStream, what: &str) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut looked_at = 0;
        loop {
            let mut piece = vec![0; 1 << 16];
            let n = stream.read(&mut piece).await.unwrap();
            assert_ne!(n, 0, "it ended: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&piece[..n]);
            if let Some(at) = memchr::memmem::find(&all[looked_at..], what.as_bytes()) {
                let found = &all[looked_at + at..];
                if let Some(end) = memchr::memchr(b'\n', &found[what.len()..]) {
                    let line = &found[what.len()..][..end];
                    return String::from_utf8_lossy(line).trim_end().to_owned();
                }
            } else {
                looked_at = all.len().saturating_sub(what.len());
            }
        }
    };
    let read = tokio::time::timeout(SOON, read).await;
    read.unwrap_or_else(|_| panic!("no {what}"))
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_much_it_lost() {
    let (_app, tide) = one_node_under("access_log: { format: off }\n").await;
    let mut lazy = listener(&tide).await;
    read_until(&mut lazy, "HTTP/1.1 200 ").await;
    // More than the sockets between them hold and what may wait in the proxy.
    let (sent, mut client) = (3_000, tide.connect().await);
    let long = format!("/{}", "x".repeat(7_000));
    for _ in 0..sent {
        assert_eq!(client.ask(&Request::get(&long)).await.unwrap().status, 200);
    }
    let count = read_until(&mut lazy, "event: lost\ndata: {\"count\":").await;
    let count: usize = count.trim_end_matches('}').parse().unwrap();
    assert!((1..sent).contains(&count), "{count} of {sent}");
    // It goes on where it is.
    client.ask(&Request::get("/latest")).await.unwrap();
    read_until(&mut lazy, "/latest").await;
}

#[tokio::test]
async fn no_more_listen_than_there_are_places_and_a_place_is_free_again() {
    let (_app, tide) = one_node_under("").await;
    let mut all = Vec::new();
    for _ in 0..16 {
        let mut stream = listener(&tide).await;
        read_until(&mut stream, "HTTP/1.1 200 ").await;
        all.push(stream);
    }
    let refused = tide.command(&["log", "-f"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("16 readers"), "{}", refused.err);
    all.pop();
    eventually("a place is free", SOON, async || {
        let mut stream = listener(&tide).await;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        check(status.ends_with(b"200"), String::from_utf8_lossy(&status))
    })
    .await;
}

#[tokio::test]
async fn what_happened_and_who_did_it_is_listed_and_followed() {
    let (_app, tide) = one_node_under("").await;
    let follows = goes_on(tide.admin(), &["events", "-f", "--kind", "reload"]);
    tide.write("nonsense: true\n");
    eventually("the reload is told", SOON, async || {
        let said = follows.output();
        check(
            said.out.iter().any(|line| line.contains("reload")),
            said.err.join("\n"),
        )
    })
    .await;
    let list = tide.command(&["events", "-o", "json"]).await;
    assert!(list.json()["events"].is_array(), "{}", list.all());
    let unknown = tide.command(&["events", "--kind", "weather"]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("reload"), "{}", unknown.err);
    let audit = tide.command(&["audit", "-n", "3", "-o", "json"]).await;
    assert!(audit.json()["audit"].is_array(), "{}", audit.all());
    assert_eq!(tide.command(&["audit"]).await.code, 0);
}

#[tokio::test]
async fn an_address_may_be_written_as_a_url() {
    let (_app, tide) = one_node_under("").await;
    let url = format!("http://{}/", tide.admin());
    let status = tide.command(&["status", "--admin", &url]).await;
    assert_eq!(status.code, 0, "{}", status.all());
}
