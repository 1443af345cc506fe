//! A changed file takes effect by itself, within a second, and nobody who is being served notices.

use std::fs;
use std::os::unix::fs::symlink;
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
const PROMPT: Duration = Duration::from_secs(1);

/// A configuration that shows on the data port which one it is: `/which` leads to `/WORD`.
fn marked(word: &str, yaml: &str) -> String {
    let route = "  - { match: { path_exact: /which }, redirect: { to: \"/WORD\", status: 302 } }\n";
    yaml.to_owned() + &route.replace("WORD", word)
}

/// The word of the configuration that serves.
async fn which(tide: &Tidegate) -> String {
    let answer = tide.get("/which").await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    answer.head.get("location").unwrap_or_default()[1..].to_owned()
}

/// Waits until the configuration with this word serves; returns how long it took.
async fn serves(tide: &Tidegate, word: &str) -> Duration {
    let began = Instant::now();
    eventually(&format!("{word} serves"), ms(6_000), async || {
        let seen = which(tide).await;
        check(seen == word, seen)
    })
    .await;
    began.elapsed()
}

async fn one_node() -> (Origin, String, Tidegate) {
    let app = Origin::start("app-1").await;
    let yaml = web("", nodes([&app]));
    let tide = Tidegate::run(marked("first", &yaml)).await;
    assert_eq!(which(&tide).await, "first");
    (app, yaml, tide)
}

async fn reload(tide: &Tidegate) -> (u16, Value) {
    let answer = tide.api("POST", "/api/v1/reload", "").await;
    (answer.status, answer.json())
}

// -- ways a file changes

#[tokio::test]
async fn a_file_replaced_by_rename_serves_within_a_second() {
    let (_app, yaml, tide) = one_node().await;
    for word in ["second", "third", "fourth"] {
        tide.write(&marked(word, &yaml));
        let took = serves(&tide, word).await;
        assert!(took < PROMPT, "{took:?}");
    }
    assert_eq!(tide.generation().await, 4, "one generation a change");
}

#[tokio::test]
async fn a_file_rewritten_in_place_serves_within_a_second() {
    let (_app, yaml, tide) = one_node().await;
    for word in ["second", "third"] {
        tide.write_in_place(&marked(word, &yaml));
        let took = serves(&tide, word).await;
        assert!(took < PROMPT, "{took:?}");
    }
    assert_eq!(tide.generation().await, 3);
}

#[tokio::test]
async fn a_file_that_is_half_written_for_a_while_changes_nothing_until_it_is_whole() {
    use std::io::Write;
    let (_app, yaml, tide) = one_node().await;
    let whole = complete(&marked("second", &yaml));
    let (begin, end) = whole.split_at(whole.len() / 2);
    let mut file = fs::File::create(tide.path()).unwrap();
    assert_eq!(
        which(&tide).await,
        "first",
        "an empty file is not a configuration"
    );
    file.write_all(begin.as_bytes()).unwrap();
    assert_eq!(which(&tide).await, "first");
    file.write_all(end.as_bytes()).unwrap();
    drop(file);
    serves(&tide, "second").await;
    assert_eq!(tide.generation().await, 2);
}

#[tokio::test]
async fn an_emptied_or_deleted_file_keeps_the_old_one_serving_and_a_new_one_is_found() {
    let (_app, yaml, tide) = one_node().await;
    fs::write(tide.path(), "").unwrap();
    assert_eq!(reload(&tide).await.0, 422);
    assert_eq!(which(&tide).await, "first");
    fs::remove_file(tide.path()).unwrap();
    assert_eq!(reload(&tide).await.0, 422);
    assert_eq!(which(&tide).await, "first");
    for word in ["second", "third"] {
        tide.write(&marked(word, &yaml));
        let took = serves(&tide, word).await;
        assert!(took < PROMPT, "{took:?}");
        fs::remove_file(tide.path()).unwrap();
    }
}

#[tokio::test]
async fn a_symlink_swap_as_kubernetes_does_it_is_seen() {
    let app = Origin::start("app-1").await;
    let yaml = web("", nodes([&app]));
    let dir = TempDir::new().unwrap();
    let at = dir.path().to_owned();
    let publish = |n: usize, word: &str| swap(&at, n, &complete(&marked(word, &yaml)));
    publish(0, "first");
    symlink("..data/tidegate.yaml", dir.path().join("tidegate.yaml")).unwrap();
    let tide = Tidegate::run_in(dir).await;
    for (n, word) in ["second", "third", "fourth"].into_iter().enumerate() {
        publish(n + 1, word);
        let took = serves(&tide, word).await;
        assert!(took < PROMPT, "{took:?}");
    }
}

/// One more version of a mounted ConfigMap: a new folder, then `..data` leads to it.
fn swap(dir: &Path, n: usize, text: &str) {
    let data = format!("..data-{n}");
    fs::create_dir(dir.join(&data)).unwrap();
    fs::write(dir.join(&data).join("tidegate.yaml"), text).unwrap();
    symlink(&data, dir.join("..data.new")).unwrap();
    fs::rename(dir.join("..data.new"), dir.join("..data")).unwrap();
    // The first one has no forerunner to remove.
    let _ = fs::remove_dir_all(dir.join(format!("..data-{}", n.wrapping_sub(1))));
}

#[tokio::test]
async fn a_file_written_again_with_the_same_words_is_no_change() {
    let (_app, yaml, tide) = one_node().await;
    for _ in 0..3 {
        tide.write(&marked("first", &yaml));
        let (status, said) = reload(&tide).await;
        assert_eq!(
            (status, &said["result"]),
            (200, &"unchanged".into()),
            "{said}"
        );
    }
    assert_eq!(tide.generation().await, 1);
}

#[tokio::test]
async fn a_changed_nodes_file_moves_the_traffic() {
    let apps = Origin::several(3).await;
    let dir = TempDir::new().unwrap();
    let yaml = "upstreams:\n  web: { nodes_file: nodes.yaml }\nroutes: [{ upstream: web }]\n";
    let list = |apps: &[Origin]| format!("nodes: {}\n", nodes(apps));
    fs::write(dir.path().join("tidegate.yaml"), complete(yaml)).unwrap();
    fs::write(dir.path().join("nodes.yaml"), list(&apps[..1])).unwrap();
    let tide = Tidegate::run_in(dir).await;
    assert_eq!(tide.get("/").await.node(), "app-1");
    let began = Instant::now();
    tide.write_file("nodes.yaml", &list(&apps[1..]));
    eventually("the new nodes serve", PROMPT, async || {
        let answer = tide.get("/").await;
        check(["app-2", "app-3"].contains(&answer.node()), answer.node())
    })
    .await;
    println!("{:?}", began.elapsed());
    tide.write_file("nodes.yaml", "nodes: [{ addr: nonsense }]\n");
    let (status, problem) = reload(&tide).await;
    assert_eq!(status, 422);
    let place = &problem["errors"][0];
    assert!(
        place["file"].as_str().unwrap().ends_with("nodes.yaml"),
        "{problem}"
    );
    assert_eq!(place["line"], 1, "{problem}");
    assert_eq!(tide.get("/").await.status, 200);
}

#[tokio::test]
async fn a_file_added_to_or_changed_in_an_included_folder_counts() {
    let apps = Origin::several(2).await;
    let dir = TempDir::new().unwrap();
    let yaml = format!("include: conf.d/*.yaml\n{}", web("", nodes(&apps[..1])));
    fs::write(dir.path().join("tidegate.yaml"), complete(&yaml)).unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    let tide = Tidegate::run_in(dir).await;
    assert_eq!(tide.get("/api/").await.node(), "app-1");
    let api = |path: &str| {
        let app = &apps[1];
        format!(
            "upstreams:\n  api: {{ nodes: [{app}] }}\n\
             routes:\n  - {{ match: {{ path: {path} }}, upstream: api }}\n"
        )
    };
    for path in ["/api/", "/v2/"] {
        let fresh = tide.dir().join("conf.d/api.yaml.part");
        fs::write(&fresh, api(path)).unwrap();
        fs::rename(&fresh, tide.dir().join("conf.d/api.yaml")).unwrap();
        eventually("the included route serves", PROMPT, async || {
            let answer = tide.get(path).await;
            check(answer.node() == "app-2", answer.node())
        })
        .await;
    }
    fs::remove_file(tide.dir().join("conf.d/api.yaml")).unwrap();
    eventually("it is gone", PROMPT, async || {
        let answer = tide.get("/v2/").await;
        check(answer.node() == "app-1", answer.node())
    })
    .await;
}

#[tokio::test]
async fn a_change_while_it_starts_is_not_lost() {
    let app = Origin::start("app-1").await;
    let yaml = web("", nodes([&app]));
    for n in 0..20 {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tidegate.yaml");
        let fresh = dir.path().join("fresh");
        fs::write(&path, complete(&marked("first", &yaml))).unwrap();
        fs::write(&fresh, complete(&marked("second", &yaml))).unwrap();
        let gap = ms(2) * n;
        let change = tokio::spawn(async move {
            tokio::time::sleep(gap).await;
            fs::rename(fresh, path).unwrap();
        });
        let tide = Tidegate::run_in(dir).await;
        change.await.unwrap();
        println!("changed {gap:?} after its start");
        serves(&tide, "second").await;
    }
}

#[tokio::test]
async fn a_change_right_behind_another_is_never_lost() {
    let (_app, yaml, tide) = one_node().await;
    let (first, second) = (marked("one", &yaml), marked("two", &yaml));
    // A watcher waits for a quiet moment; sooner or later the second change comes while it reads the first.
    for n in 0..30 {
        let gap = ms(99) + Duration::from_micros(250) * n;
        tide.write(&first);
        tokio::time::sleep(gap).await;
        tide.write(&second);
        let took = serves(&tide, "two").await;
        assert!(took < PROMPT, "{took:?} with {gap:?} between them");
    }
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
