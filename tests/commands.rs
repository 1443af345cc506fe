//! The commands: what they print, what they answer to a shell, and that `--help` teaches.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::process::Process;
use crate::support::proxy::{BINARY, Tidegate, complete, ports, tidegate, web};
use crate::support::reply::Reply;
use crate::support::strangers::free_port;
use crate::support::{Gate, check, eventually, ms};

/// A folder with this configuration, and its path.
fn file(yaml: &str) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tidegate.yaml");
    fs::write(&path, complete(yaml)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

const FINE: &str = "health: { path: /healthz }";

#[tokio::test]
async fn check_is_content_with_a_good_file() {
    let (_dir, path) = file(&web(FINE, "[127.0.0.1:3000, 127.0.0.1:3001]"));
    let done = tidegate(&["check", "-c", &path]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    let strict = tidegate(&["check", "-c", &path, "--strict"]).await;
    assert_eq!(strict.code, 0, "{}", strict.all());
    let json = tidegate(&["check", "-c", &path, "-o", "json"]).await;
    assert_eq!(json.code, 0);
    let said = json.json();
    assert_eq!(said["ok"], true, "{said}");
    assert_eq!(said["problems"], serde_json::json!([]), "{said}");
}

#[tokio::test]
async fn check_tells_every_mistake_with_its_place_and_a_remedy() {
    let yaml = web(
        "balance: least_con\nretires: 3",
        "[127.0.0.1:3000, \"127.0.0.1:x\"]",
    );
    let (_dir, path) = file(&yaml.replace("upstream: web", "upstream: wep"));
    let done = tidegate(&["check", "-c", &path]).await;
    assert_eq!(done.code, 1, "{}", done.all());
    let said = done.all();
    for told in [
        "error: unknown balance method \"least_con\"",
        "tidegate.yaml:7:14",
        "^^^^^^^^^ did you mean \"least_conn\"?",
        "retires",
        "127.0.0.1:x",
        "wep",
    ] {
        assert!(said.contains(told), "{told:?} is missing in:\n{said}");
    }
    let json = tidegate(&["check", "-c", &path, "-o", "json"]).await;
    assert_eq!(json.code, 1);
    let said = json.json();
    assert_eq!(said["ok"], false, "{said}");
    let problems = said["problems"].as_array().unwrap();
    let errors = problems.iter().filter(|p| p["severity"] == "error");
    let lines: Vec<_> = errors.map(|e| e["line"].as_u64()).collect();
    assert!(lines.len() >= 4, "{said}");
    assert!(lines.iter().all(|l| *l > Some(0)), "{said}");
}

#[tokio::test]
async fn check_warns_and_a_strict_one_minds() {
    let (_dir, path) = file(&web("", "[127.0.0.1:3000]"));
    let done = tidegate(&["check", "-c", &path]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(done.all().contains("warning"), "{}", done.all());
    let strict = tidegate(&["check", "-c", &path, "--strict"]).await;
    assert_eq!(strict.code, 2, "{}", strict.all());
    let json = tidegate(&["check", "-c", &path, "-o", "json"]).await;
    let said = json.json();
    assert_eq!(said["ok"], true, "{said}");
    assert_eq!(said["problems"][0]["severity"], "warning", "{said}");
}

#[tokio::test]
async fn what_a_later_version_brings_is_refused_and_not_ignored() {
    let port = "listen: [{ addr: 127.0.0.1:0, tls: { certs: [] } }]\n";
    let (_dir, path) = file(&format!("{port}{}", web("", "[127.0.0.1:3000]")));
    let done = tidegate(&["check", "-c", &path]).await;
    assert_eq!(done.code, 1, "{}", done.all());
    assert!(done.all().contains("not supported yet"), "{}", done.all());
}

#[tokio::test]
async fn the_effective_configuration_shows_defaults_and_variables() {
    let yaml = web(
        "balance: rr",
        "[\"127.0.0.1:${APP_PORT:-3000}\", \"${OTHER}:3001\"]",
    );
    let (_dir, path) = file(&yaml);
    let mut command = Command::new(BINARY);
    command
        .args(["config", "--effective", "-c", &path])
        .env("OTHER", "127.0.0.9");
    let done = crate::support::process::finish(&mut command).await;
    assert_eq!(done.code, 0, "{}", done.all());
    for told in [
        "127.0.0.1:3000",
        "127.0.0.9:3001",
        "round_robin",
        "grace",
        "header",
        "default",
    ] {
        assert!(
            done.out.contains(told),
            "{told:?} is missing in:\n{}",
            done.out
        );
    }
    let (dir, again) = file("");
    fs::write(dir.path().join("tidegate.yaml"), &done.out).unwrap();
    let reread = tidegate(&["check", "-c", &again]).await;
    assert_eq!(
        reread.code,
        0,
        "it can be read again: {}\n{}",
        reread.all(),
        done.out
    );
}

#[tokio::test]
async fn an_included_file_may_not_say_a_name_again() {
    let (dir, path) = file(&format!(
        "include: conf.d/*.yaml\n{}",
        web(FINE, "[127.0.0.1:3000]")
    ));
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    let twice = "upstreams:\n  web: { nodes: [127.0.0.1:3001] }\n";
    fs::write(dir.path().join("conf.d/a.yaml"), twice).unwrap();
    let done = tidegate(&["check", "-c", &path]).await;
    assert_eq!(done.code, 1, "{}", done.all());
    assert!(done.all().contains("a.yaml:2"), "{}", done.all());
}

// -- talking to a running one

#[tokio::test]
async fn diff_says_in_words_what_a_reload_would_do() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps[..1]))).await;
    let path = tide.path();
    let path = path.to_str().unwrap();
    let same = tide.command(&["diff", "-c", path]).await;
    assert_eq!(same.code, 0, "{}", same.all());
    let dir = TempDir::new().unwrap();
    let other = dir.path().join("other.yaml");
    let list = format!("[{}, {}]", apps[0].with("weight: 5"), apps[1]);
    let yaml = format!("threads: 3\n{}", web("balance: least_conn", list));
    fs::write(&other, complete(&yaml)).unwrap();
    let changed = tide.command(&["diff", "-c", other.to_str().unwrap()]).await;
    for told in ["app-2", "weight", "5", "least_conn", "threads", "restart"] {
        assert!(
            changed.out.contains(told),
            "{told:?} is missing in:\n{}",
            changed.all()
        );
    }
    assert_eq!(tide.generation().await, 1, "nothing was applied");
}

#[tokio::test]
async fn status_shows_the_nodes_and_reload_says_what_happened() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    let status = tide.command(&["status"]).await;
    assert_eq!(status.code, 0, "{}", status.all());
    for told in ["web", "app-1", "app-2", "up", "healthy"] {
        assert!(
            status.out.contains(told),
            "{told:?} is missing in:\n{}",
            status.out
        );
    }
    let json = tide.command(&["status", "-o", "json"]).await;
    assert_eq!(json.json()["generation"], 1, "{}", json.all());

    let unchanged = tide.command(&["reload"]).await;
    assert_eq!(unchanged.code, 0, "{}", unchanged.all());
    assert!(unchanged.all().contains("unchanged"), "{}", unchanged.all());
    tide.write("nonsense: true\n");
    let refused = tide.command(&["reload"]).await;
    assert_eq!(refused.code, 1, "{}", refused.all());
    assert!(refused.all().contains("nonsense"), "{}", refused.all());
    tide.write(&web("balance: least_conn", nodes(&apps)));
    let applied = tide.command(&["reload"]).await;
    assert_eq!(applied.code, 0, "{}", applied.all());
    assert_eq!(tide.generation().await, 2);
}

#[tokio::test]
async fn the_verbs_change_a_node_and_an_unknown_one_is_said() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    for (args, key, value) in [
        (
            vec!["weight", "web/app-1", "5"],
            "weight",
            serde_json::json!(5),
        ),
        (vec!["down", "web/app-1"], "state", "down".into()),
        (vec!["undrain", "web/app-1"], "state", "up".into()),
        (vec!["drain", "web/app-1"], "state", "drain".into()),
    ] {
        let done = tide.command(&args).await;
        assert_eq!(done.code, 0, "{args:?}: {}", done.all());
        assert_eq!(tide.node("web/app-1").await[key], value, "{args:?}");
    }
    for wrong in [
        vec!["drain", "web/app-9"],
        vec!["drain", "other/app-1"],
        vec!["weight", "web/app-1", "much"],
        vec!["down", "app-1"],
    ] {
        let done = tide.command(&wrong).await;
        assert_ne!(done.code, 0, "{wrong:?}");
        assert!(
            !done.err.is_empty() && !done.err.contains("panicked"),
            "{wrong:?}: {}",
            done.err
        );
    }
}

#[tokio::test]
async fn without_a_proxy_a_command_says_where_it_looked() {
    let nobody = Origin::refusing("nobody").addr().to_string();
    let done = tidegate(&["status", "--admin", &nobody]).await;
    assert_ne!(done.code, 0);
    assert!(done.err.contains(&nobody), "{}", done.err);
}

// -- running without a file

#[tokio::test]
async fn two_words_are_enough_for_a_proxy() {
    let apps = Origin::several(2).await;
    let to = format!("{},{}", apps[0].addr(), apps[1].addr());
    let args = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &to,
        "--admin",
        "127.0.0.1:0",
    ];
    let process = Process::start(Command::new(BINARY).args(args));
    let (data, _admin) = ports(&process).await;
    let tally = Load::at(300).count(60).run(data).await;
    tally.nothing_failed_of(60);
    assert!(tally.of("app-1") > 10 && tally.of("app-2") > 10, "{tally}");
    process.signal(Signal::SIGINT);
    assert_eq!(process.ended(ms(5_000)).await, 0);
}

#[tokio::test]
async fn a_third_word_is_enough_for_a_cache() {
    let app = Origin::start("app-1").await;
    let to = app.addr().to_string();
    let args = ["run", "--listen", "127.0.0.1:0", "--to", &to];
    let admin = ["--admin", "127.0.0.1:0", "--cache", "60s"];
    let process = Process::start(Command::new(BINARY).args(args).args(admin));
    let (data, _admin) = ports(&process).await;
    for _ in 0..3 {
        let mut client = Client::connect(data).await.unwrap();
        assert_eq!(
            client.ask(&Request::get("/once")).await.unwrap().status,
            200
        );
    }
    assert_eq!(
        app.seen()
            .iter()
            .filter(|seen| seen.target() == "/once")
            .count(),
        1
    );
    process.signal(Signal::SIGINT);
    assert_eq!(process.ended(ms(5_000)).await, 0);
    let unclear = ["--to", "127.0.0.1:9", "--cache", "soon"];
    let done = tidegate(&[&["run", "--listen", ":0"], &unclear[..]].concat()).await;
    assert_eq!(done.code, 2, "{}", done.all());
    assert!(done.err.contains("--cache"), "{}", done.err);
}

#[tokio::test]
async fn the_demo_has_three_nodes_says_what_to_try_and_ends_cleanly() {
    let dir = TempDir::new().unwrap();
    let mut command = Command::new(BINARY);
    let (listen, stats) = (free_port().await, free_port().await);
    command.args([
        "demo",
        "--listen",
        &listen.to_string(),
        "--admin",
        &stats.to_string(),
    ]);
    command.args(["--apps", "0", "--file", "demo.yaml"]);
    let demo = Process::start(command.current_dir(&dir));
    let (data, admin) = ports(&demo).await;
    assert_eq!((data, admin), (listen, stats));
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let mut client = Client::connect(data).await.unwrap();
        let answer = client.ask(&Request::get("/")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answers.insert(answer.text());
    }
    assert!(
        answers.len() >= 3,
        "three nodes answer, each for itself: {answers:?}"
    );
    let admin = admin.to_string();
    eventually("its nodes are probed", ms(5_000), async || {
        let status = tidegate(&["status", "-o", "json", "--admin", &admin]).await;
        let available = status.json()["upstreams"][0]["available"].clone();
        check(available == 3, available)
    })
    .await;
    let printed = demo.output();
    let printed = [printed.out, printed.err].concat().join("\n");
    for told in [&data.to_string(), &admin, "curl", "drain", "Ctrl-C"] {
        assert!(printed.contains(told), "{told:?} is missing in:\n{printed}");
    }
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.ended(ms(5_000)).await, 0);
}

#[tokio::test]
async fn help_teaches() {
    for (args, told) in [
        (
            vec!["--help"],
            "run check config diff reload status top log events audit drain undrain down weight demo schema completions man",
        ),
        (vec!["run", "--help"], "--listen --to --config Watched"),
        (vec!["check", "--help"], "--strict json 0 1 2"),
        (
            vec!["drain", "--help"],
            "--wait UPSTREAM/NODE --admin TIDEGATE_ADMIN",
        ),
        (vec!["config", "--help"], "--effective"),
    ] {
        let done = tidegate(&args).await;
        assert_eq!(done.code, 0, "{args:?}: {}", done.all());
        for word in told.split(' ') {
            assert!(
                done.out.contains(word),
                "{args:?} does not mention {word}:\n{}",
                done.out
            );
        }
    }
    let version = tidegate(&["--version"]).await;
    assert!(
        version.out.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.all()
    );
    assert_ne!(tidegate(&["nonsense"]).await.code, 0);
}

#[tokio::test]
async fn a_node_that_came_back_while_it_was_waited_for_is_not_called_empty() {
    let app = Origin::start("app-1").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    let mut client = tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    app.holds(1).await;
    let admin = tide.admin().to_string();
    let args = ["drain", "web/app-1", "--wait", "2s", "--admin", &admin];
    let waiting = Process::start(Command::new(BINARY).args(args));
    tide.node_has("web/app-1", "state", "drain").await;
    tide.verb("web/app-1", "undrain").await;
    gate.open();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
    assert_eq!(waiting.ended(ms(6_000)).await, 1, "it serves again");
}
