//! A changed file takes effect by itself, within a second, and nobody who is being served notices.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::Request;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::process::finish;
use crate::support::proxy::{BINARY, Tidegate, complete, web};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// From writing the file to its effect: the promise.
pub const PROMPT: Duration = Duration::from_secs(1);

/// A configuration that shows on the data port which one it is: `/which` leads to `/WORD`.
pub fn marked(word: &str, yaml: &str) -> String {
    let route = "  - { match: { path_exact: /which }, redirect: { to: \"/WORD\", status: 302 } }\n";
    yaml.to_owned() + &route.replace("WORD", word)
}

/// The word of the configuration that serves.
pub async fn which(tide: &Tidegate) -> String {
    let answer = tide.get("/which").await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    answer.head.get("location").unwrap_or_default()[1..].to_owned()
}

/// Waits until the configuration with this word serves; returns how long it took.
pub async fn serves(tide: &Tidegate, word: &str) -> Duration {
    let began = Instant::now();
    eventually(&format!("{word} serves"), ms(6_000), async || {
        let seen = which(tide).await;
        check(seen == word, seen)
    })
    .await;
    began.elapsed()
}

/// One node, `first` serving.
pub async fn one_node() -> (Origin, String, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = web("", nodes([&app]));
    let tide = Tidegate::run(marked("first", &yaml)).await;
    assert_eq!(which(&tide).await, "first");
    (app, yaml, tide)
}

/// `POST /api/v1/reload`: its status and what it said.
pub async fn reload(tide: &Tidegate) -> (u16, Value) {
    let answer = tide.api("POST", "/api/v1/reload", "").await;
    (answer.status, answer.json())
}

// -- ways to ask for it

#[tokio::test]
async fn a_post_to_the_stats_port_reloads_and_says_what_happened() {
    let (_app, yaml, tide) = one_node().await;
    tide.write(&marked("second", &yaml));
    let (status, said) = reload(&tide).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(
        which(&tide).await,
        "second",
        "applied when the answer comes"
    );
    assert_eq!(said["generation"], 2, "{said}");
    let (_, again) = reload(&tide).await;
    assert_eq!(again["result"], "unchanged", "{again}");

    tide.write(&format!("threads: 3\n{}", marked("third", &yaml)));
    let (status, said) = reload(&tide).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(which(&tide).await, "third");
    assert!(
        said["notes"].to_string().contains("restart"),
        "threads need one: {said}"
    );
}

#[tokio::test]
async fn a_hundred_sighups_in_a_second_hurt_nobody_and_the_last_content_wins() {
    let (app, yaml, tide) = one_node().await;
    let load = Load::at(300).new_connection_every(4).start(tide.addr());
    app.holds(0).await;
    for n in 0..100 {
        if n % 10 == 0 {
            tide.write(&marked(&format!("word-{n}"), &yaml));
        }
        tide.signal(Signal::SIGHUP);
        tokio::time::sleep(ms(10)).await;
    }
    let took = serves(&tide, "word-90").await;
    assert!(took < PROMPT, "{took:?}");
    load.stop().await.nothing_failed_of(200);
    assert!(tide.generation().await <= 11, "one generation a content");
}

#[tokio::test]
async fn two_hundred_reloads_under_load_lose_nothing() {
    const RELOADS: u64 = 200;
    let apps = Origin::several(4).await;
    let one = marked("one", &web("balance: round_robin", nodes(&apps[..3])));
    let list = format!("[{}, {}, {}]", apps[1], apps[2].with("weight: 3"), apps[3]);
    let two = marked("two", &web("balance: least_conn", list));
    for app in &apps {
        app.answers(|seen| Reply::usual(seen).after(ms(seen.serial as u64 % 20)));
    }
    let tide = Tidegate::run(&one).await;
    let load = Load::at(300).new_connection_every(5).start(tide.addr());
    let mut pace = tokio::time::interval(ms(45));
    for n in 0..RELOADS {
        let (yaml, word) = if n % 2 == 0 {
            (&two, "two")
        } else {
            (&one, "one")
        };
        tide.write(yaml);
        let (status, said) = reload(&tide).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(which(&tide).await, word);
        pace.tick().await;
    }
    load.stop().await.nothing_failed_of(2_000);
    assert_eq!(tide.generation().await, RELOADS + 1);
    tide.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
        .await;
    for app in &apps {
        let labels = [("upstream", "web"), ("node", app.name())];
        let gauge = tide
            .metric("tidegate_upstream_requests_in_flight", &labels)
            .await;
        assert!(
            gauge.is_none_or(|n| n == 0.0),
            "{} has {gauge:?}",
            app.name()
        );
    }
}

// -- refused files

#[tokio::test]
async fn a_broken_file_keeps_the_old_one_serving_and_says_why_until_it_is_mended() {
    let (_app, yaml, tide) = one_node().await;
    let successful = "tidegate_config_last_reload_successful";
    assert_eq!(tide.metric(successful, &[]).await, Some(1.0));
    tide.write(&yaml.replace("upstream: web", "upstream: wbe"));
    tide.metric_is(successful, &[], 0.0).await;
    let config = tide.status().await["config"].clone();
    assert_eq!(config["last_reload"]["ok"], false, "{config}");
    let why = config["last_reload"]["errors"].to_string();
    assert!(why.contains("wbe") && why.contains("did you mean"), "{why}");
    assert!(tide.log().contains("wbe"), "the log says it too");
    assert_eq!(which(&tide).await, "first");
    assert_eq!(tide.generation().await, 1);

    tide.write(&marked("mended", &yaml));
    serves(&tide, "mended").await;
    tide.metric_is(successful, &[], 1.0).await;
    assert_eq!(tide.status().await["config"]["last_reload"]["ok"], true);
    let counted = tide.metric("tidegate_config_reloads_total", &[]).await;
    assert!(counted >= Some(2.0), "{counted:?}");
}

#[tokio::test]
async fn each_broken_file_is_refused_with_a_line_while_the_old_one_serves() {
    let (_app, yaml, tide) = one_node().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let files = fs::read_dir(&folder).expect("tests/broken holds the broken files");
    let mut broken: Vec<_> = files.map(|f| f.unwrap().path()).collect();
    broken.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    broken.sort();
    assert!(broken.len() >= 40, "only {} broken files", broken.len());
    let parts = fs::read_dir(folder.join("conf.d")).expect("what some of them include");
    fs::create_dir(tide.dir().join("conf.d")).unwrap();
    for part in parts.map(|f| f.unwrap()) {
        fs::copy(
            part.path(),
            tide.dir().join("conf.d").join(part.file_name()),
        )
        .unwrap();
    }
    for path in &broken {
        let name = path.file_name().unwrap().to_string_lossy();
        fs::copy(path, tide.path()).unwrap();
        let (status, problem) = reload(&tide).await;
        assert_eq!(status, 422, "{name}: {problem}");
        let errors = problem["errors"].as_array().unwrap();
        assert!(!errors.is_empty(), "{name}: {problem}");
        for error in errors {
            assert!(error["line"].as_u64() >= Some(1), "{name}: {error}");
            assert!(
                !error["message"].as_str().unwrap().is_empty(),
                "{name}: {error}"
            );
        }
        assert_eq!(which(&tide).await, "first", "{name}");
    }
    assert_eq!(tide.generation().await, 1);
    tide.write(&marked("mended", &yaml));
    serves(&tide, "mended").await;
}

#[tokio::test]
async fn a_first_start_with_a_broken_file_opens_no_port_and_says_the_line() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tidegate.yaml");
    let mut run = Command::new(BINARY);
    run.args(["run", "-c"]).arg(&path);
    let missing = finish(&mut run).await;
    assert_eq!(missing.code, 1, "{}", missing.all());
    assert!(missing.err.contains("tidegate.yaml"), "{}", missing.err);

    fs::write(&path, complete(&web("balance: least_con", "[127.0.0.1:9]"))).unwrap();
    let broken = finish(&mut run).await;
    assert_eq!(broken.code, 1, "{}", broken.all());
    assert!(broken.err.contains("tidegate.yaml:7:14"), "{}", broken.err);
    assert!(
        broken.err.contains("did you mean \"least_conn\""),
        "{}",
        broken.err
    );
    assert!(!broken.err.contains("listening on"), "{}", broken.err);
}

// -- what survives

#[tokio::test]
async fn a_removed_node_finishes_what_it_has_and_gets_nothing_new() {
    let apps = Origin::several(2).await;
    let gate = Gate::closed();
    let held = gate.clone();
    apps[0].answers(move |seen| Reply::usual(seen).when(&held));
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    let slow = Load::at(400).count(40).named("slow").start(tide.addr());
    apps[0].holds(20).await;
    tide.apply(&web("balance: round_robin", nodes(&apps[1..])))
        .await;
    let after = Load::at(400)
        .count(100)
        .named("after")
        .run(tide.addr())
        .await;
    after.nothing_failed_of(100);
    assert_eq!(after.of("app-1"), 0, "{after}");
    let leaving = tide.node("web/app-1").await;
    assert_eq!(leaving["removed"], true, "{leaving}");
    assert_eq!(leaving["drain"]["remaining"], 20, "{leaving}");
    gate.open();
    let tally = slow.done().await;
    tally.nothing_failed_of(40);
    assert_eq!(tally.of("app-1"), 20, "{tally}");
    eventually("it is gone from the list", ms(5_000), async || {
        let web = tide.json("/api/v1/upstreams/web").await;
        check(web["nodes"].as_array().unwrap().len() == 1, &web)
    })
    .await;
    eventually("its idle connections are closed", ms(8_000), async || {
        check(apps[0].open_connections() == 0, apps[0].open_connections())
    })
    .await;
}

#[tokio::test]
async fn counters_and_requests_in_flight_go_on_over_a_reload() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    Load::at(500)
        .count(50)
        .run(tide.addr())
        .await
        .nothing_failed_of(50);
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let slow = Load::at(500).count(5).start(tide.addr());
    app.holds(5).await;
    let heavier = format!("[{}]", app.with("weight: 7"));
    tide.apply(&web("balance: least_conn", heavier)).await;
    let seen = tide.node("web/app-1").await;
    assert_eq!(seen["in_flight"], 5, "{seen}");
    assert_eq!(seen["weight"], 7, "{seen}");
    assert!(seen["requests_total"].as_u64() >= Some(50), "{seen}");
    gate.open();
    slow.done().await.nothing_failed_of(5);
    tide.node_has("web/app-1", "in_flight", 0).await;
    let labels = [("upstream", "web"), ("node", "app-1"), ("code", "200")];
    tide.metric_is("tidegate_upstream_requests_total", &labels, 55.0)
        .await;
}

#[tokio::test]
async fn a_node_that_moves_keeps_its_name() {
    let old = Origin::start("app-1").await;
    let new = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&old]))).await;
    let load = Load::at(300).start(tide.addr());
    eventually("some requests", ms(5_000), async || {
        check(old.requests() > 50, old.requests())
    })
    .await;
    tide.apply(&web("", nodes([&new]))).await;
    let at_old = old.requests();
    eventually("some more", ms(5_000), async || {
        check(new.requests() > 50, new.requests())
    })
    .await;
    load.stop().await.nothing_failed_of(100);
    assert!(
        old.requests() <= at_old + 3,
        "nothing new at the old address"
    );
    assert_eq!(tide.node("web/app-1").await["addr"], new.addr().to_string());
}

#[tokio::test]
async fn a_changed_data_port_waits_for_a_restart_and_says_so() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    // The watcher may be quicker than the request; then there is nothing left to say, and another change is made.
    for n in 3..10 {
        let other = format!("listen: [{{ addr: \"127.0.0.{n}:0\" }}]\n");
        tide.write(&marked("second", &(other + &web("", nodes([&app])))));
        let (status, said) = reload(&tide).await;
        assert_eq!(status, 200, "{said}");
        if said["result"] == "applied" {
            let notes = said["notes"].to_string();
            assert!(
                notes.contains("restart") && notes.contains(&format!("127.0.0.{n}")),
                "{said}"
            );
            break;
        }
        assert!(n < 9, "seven times too late: {said}");
    }
    assert_eq!(
        which(&tide).await,
        "second",
        "the rest is in use, at the old port"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_never_fatal() {
    let app = Origin::start("app-1").await;
    let list = format!("[{app}, \"no-such-host.invalid:80\"]");
    let tide = Tidegate::run(web("", list)).await;
    assert_eq!(tide.get("/").await.node(), "app-1");
    let web_ = tide.json("/api/v1/upstreams/web").await;
    assert_eq!(
        web_["unresolved"],
        serde_json::json!(["no-such-host.invalid:80"]),
        "{web_}"
    );

    let by_name = format!("[\"localhost:{}\"]", app.addr().port());
    tide.apply(&web("", by_name)).await;
    eventually("the name is resolved", ms(5_000), async || {
        let answer = tide.ask(&Request::get("/")).await;
        check(answer.status == 200, answer.text())
    })
    .await;
}
