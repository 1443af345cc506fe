//! Whatever way a file changes, the change is seen: by rename, in place, by symbolic link, in a file it names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::reload::{PROMPT, marked, one_node, reload, serves, which};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete, web};
use crate::support::{check, eventually, ms};

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
