//! One line for every request, however it ended.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{BlackHole, Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

async fn logging(access_log: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = format!("access_log: {{ {access_log} }}\n") + &web("", nodes([&app]));
    let tide = Tidegate::run(yaml).await;
    (app, tide)
}

#[tokio::test]
async fn a_request_is_told_with_everything_that_matters() {
    let (app, tide) = logging("path: \"-\", format: json").await;
    app.answers(|seen| Reply::usual(seen).after(ms(60)));
    let request = Request::post("/told?a=b&c", "12345").host("shop.test");
    let answer = tide.ask(&request).await;
    let line = tide.told("/told").await;
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("route", "default"),
        ("method", "POST"),
        ("host", "shop.test"),
        ("query", "a=b&c"),
        ("proto", "HTTP/1.1"),
        ("upstream", "web"),
        ("end", "ok"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes_in"], 5, "{line}");
    assert_eq!(line["bytes_out"], answer.body.len(), "{line}");
    assert_eq!(line["nodes"], serde_json::json!(["app-1"]), "{line}");
    assert!(
        line["listener"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{line}"
    );
    let seconds = |key: &str| {
        line["t"][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {line}"))
    };
    let (ttfb, total) = (seconds("ttfb"), seconds("total"));
    assert!(seconds("connect") >= 0.0, "{line}");
    assert!((0.06..5.0).contains(&ttfb), "{line}");
    assert!(total >= ttfb && total < 5.0, "{line}");
    let ts = line["ts"].as_str().unwrap();
    assert!(
        ts.len() == 24 && ts.ends_with('Z') && ts.as_bytes()[10] == b'T',
        "{ts}"
    );
    let id = line["id"].as_str().unwrap();
    let sent = app.only();
    assert_eq!(
        sent.head.get("x-request-id"),
        Some(id),
        "the node knows the same id"
    );
}

#[tokio::test]
async fn every_request_has_its_line_and_its_own_id() {
    let (_app, tide) = logging("format: json").await;
    let load = Load::at(500).count(200).new_connection_every(3);
    load.run(tide.addr()).await.nothing_failed_of(200);
    eventually("two hundred lines", ms(5_000), async || {
        let lines = tide.access_log();
        check(lines.len() == 200, lines.len())
    })
    .await;
    let mut ids: Vec<String> = tide
        .access_log()
        .iter()
        .map(|l| l["id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[tokio::test]
async fn every_ending_has_its_name() {
    let app = Origin::start("app-1").await;
    let refusing = Origin::refusing("app-2");
    let hole = BlackHole::open().await;
    app.answers(|seen| match seen.target() {
        "/reset" => Reply::reset(),
        "/cut" => Reply::short_of(1_000, "half"),
        "/slow" | "/left" => Reply::usual(seen).after(ms(20_000)),
        _ => Reply::usual(seen),
    });
    let upstream = |name: &str, node: String| {
        format!("  {name}: {{ timeouts: {{ read: 500ms, connect: 300ms }}, nodes: [{node}] }}\n")
    };
    let mut yaml = "requests: { half_close: 0s }\nupstreams:\n".to_owned();
    yaml += &upstream("web", app.to_string());
    yaml += &upstream("refuses", refusing.to_string());
    yaml += &upstream("hole", hole.to_string());
    yaml += &upstream("empty", refusing.with("state: down"));
    yaml += "routes:\n  - { match: { host: tide.test }, upstream: web }\n";
    let route = "  - { match: { host: tide.test, path: /NAME }, upstream: NAME }\n";
    for name in ["refuses", "hole", "empty"] {
        yaml += &route.replace("NAME", name);
    }
    let tide = Tidegate::run_unready(yaml).await;
    for (path, status, end) in [
        ("/fine", 200, "ok"),
        ("/reset", 502, "upstream_reset"),
        ("/slow", 504, "upstream_timeout"),
        ("/refuses", 503, "upstream_connect"),
        ("/hole", 504, "upstream_timeout"),
        ("/empty", 503, "no_node"),
    ] {
        let answer = tide.ask(&Request::post(path, "once")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let line = tide.told(path).await;
        assert_eq!(
            (&line["end"], &line["status"]),
            (&end.into(), &status.into()),
            "{line}"
        );
    }
    tide.try_ask(&Request::post("/cut", "x"))
        .await
        .expect_err("a cut answer");
    assert_eq!(tide.told("/cut").await["end"], "upstream_reset");

    let mut client = tide.connect().await;
    client.send(&Request::get("/left")).await.unwrap();
    app.holds(1).await;
    drop(client);
    assert_eq!(tide.told("/left").await["end"], "client_abort");

    tide.ask(&Request::get("/no-route").host("other.test"))
        .await;
    let line = tide.told("/no-route").await;
    assert_eq!(
        (&line["end"], &line["status"]),
        (&"refused:no_route".into(), &404.into())
    );
}

#[tokio::test]
async fn the_nodes_that_were_tried_are_named_in_their_order() {
    let apps = [
        Origin::refusing("app-1"),
        Origin::refusing("app-2"),
        Origin::start("app-3").await,
    ];
    let last = apps[2].with("backup: true");
    let list = format!("[{}, {}, {last}]", apps[0], apps[1]);
    let tide = Tidegate::run_unready(web("balance: round_robin", list)).await;
    tide.ask(&Request::post("/tried", "x")).await;
    let line = tide.told("/tried").await;
    let tried: Vec<_> = line["nodes"].as_array().unwrap().iter().collect();
    assert_eq!(tried.len(), 3, "{line}");
    assert_ne!(tried[0], tried[1], "{line}");
    assert_eq!(tried[2], "app-3", "the backup comes last: {line}");
    assert_eq!(line["end"], "ok", "in the end it was answered");
}

#[tokio::test]
async fn whatever_a_client_sends_stays_on_one_line() {
    let (_app, tide) = logging("format: json").await;
    let nasty = "/q\"uote'/%0a%1b[31m/\\x?a=\"b\"&c=%0d%0a";
    let mut client = tide.connect().await;
    let head = format!("GET {nasty} HTTP/1.1\r\nHost: tide.test\r\nUser-Agent: \"\\\u{7f}\r\n\r\n");
    client.send_bytes(head.as_bytes()).await.unwrap();
    client.until_closed(ms(300)).await.ok();
    Load::at(500)
        .count(20)
        .run(tide.addr())
        .await
        .nothing_failed_of(20);
    eventually("the lines", ms(5_000), async || {
        let lines = tide.access_log();
        check(lines.len() >= 20, lines.len())
    })
    .await;
    let raw = tide.process().output().out;
    assert!(
        raw.iter().all(|l| l.starts_with('{') && l.ends_with('}')),
        "{raw:?}"
    );
    assert!(
        raw.iter()
            .all(|l| l.bytes().all(|b| b >= 0x20 && b != 0x7f)),
        "{raw:?}"
    );
}

#[tokio::test]
async fn off_is_silent() {
    let (_app, tide) = logging("format: off").await;
    Load::at(500)
        .count(50)
        .run(tide.addr())
        .await
        .nothing_failed_of(50);
    tide.metric_is("tidegate_http_requests_total", &[], 50.0)
        .await;
    tide.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(tide.ended(Duration::from_secs(5)).await, 0);
    assert_eq!(tide.process().output().out, Vec::<String>::new());
}

#[tokio::test]
async fn a_sample_tells_its_share_and_every_failure() {
    let (app, tide) = logging("format: json, sample: 0.1").await;
    Load::at(1_000)
        .count(600)
        .run(tide.addr())
        .await
        .nothing_failed_of(600);
    app.answers(|_| Reply::reset());
    for n in 0..10 {
        tide.ask(&Request::post(&format!("/fails/{n}"), "x")).await;
    }
    for n in 0..10 {
        tide.told(&format!("/fails/{n}")).await;
    }
    let ok = tide
        .access_log()
        .iter()
        .filter(|l| l["end"] == "ok")
        .count();
    // 60 expected; five standard deviations are 37.
    assert!((23..=97).contains(&ok), "{ok} of 600 at a tenth");
}

#[tokio::test]
async fn a_path_of_a_file_is_appended_to() {
    let app = Origin::start("app-1").await;
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("access.log");
    fs::write(&path, "{\"old\":true}\n").unwrap();
    let to_file = format!("access_log: {{ path: \"{}\" }}\n", path.display());
    let tide = Tidegate::run(to_file + &web("", nodes([&app]))).await;
    Load::at(500)
        .count(30)
        .run(tide.addr())
        .await
        .nothing_failed_of(30);
    tide.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(tide.ended(Duration::from_secs(5)).await, 0);
    let text = fs::read_to_string(&path).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    let lines: Vec<Value> = text.lines().map(parse).collect();
    assert_eq!(lines.len(), 31, "nothing is lost at the end: {text}");
    assert_eq!(lines[0]["old"], true);
    assert!(lines[1..].iter().all(|l| l["path"] == "/load"));
    assert_eq!(tide.process().output().out, Vec::<String>::new());
}
