//! A configuration of several files: what is joined, what is refused, what is watched.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn load_in(dir: &Path) -> Loaded {
    load(&dir.join("main.yaml"), &no_env)
}

const MAIN: &str = "listen: [{ addr: 127.0.0.1:8080 }]
include: [conf.d/*.yaml, extra.yaml]
upstreams: { web: { health: off, nodes_file: nodes.yaml, nodes: [10.0.0.1:80] } }
routes: [{ upstream: web }]
";

const API: &str = "upstreams: { api: { health: off, nodes: [10.0.1.1:80, 10.0.1.2:80] } }
routes: [{ match: { path: /api/ }, upstream: api }, { match: { path: /w }, upstream: web }]
";

fn whole() -> TempDir {
    folder(&[
        ("main.yaml", MAIN),
        ("nodes.yaml", "nodes: [10.0.0.2:80]\n"),
        ("conf.d/b.yaml", API),
        ("conf.d/a.yaml", "routes: []\n"),
        ("conf.d/ignored.txt", "}"),
        ("extra.yaml", "upstreams:\n"),
    ])
}

#[test]
fn files_are_joined_and_routes_may_name_upstreams_of_any_file() {
    let dir = whole();
    let loaded = load_in(dir.path());
    let config = good(&loaded);
    let ids: Vec<&str> = config.upstreams[0]
        .nodes
        .iter()
        .map(|n| n.id.as_str())
        .collect();
    assert_eq!(ids, ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(config.upstreams[1].name, "api");
    assert_eq!(config.routes.len(), 3);
    assert_eq!(loaded.files.len(), 5);
}

#[test]
fn everything_whose_change_matters_is_watched() {
    let dir = whole();
    let loaded = load_in(dir.path());
    let at = |name: &str| dir.path().join(name);
    for expected in [
        "main.yaml",
        "nodes.yaml",
        "conf.d",
        "conf.d/a.yaml",
        "conf.d/b.yaml",
        "extra.yaml",
    ] {
        assert!(
            loaded.watch.contains(&at(expected)),
            "{expected}: {:?}",
            loaded.watch
        );
    }
}

#[test]
fn a_named_file_that_is_missing_is_watched_so_that_its_arrival_is_seen() {
    let dir = folder(&[("main.yaml", MAIN)]);
    let loaded = load_in(dir.path());
    assert!(loaded.config.is_none());
    assert!(loaded.watch.contains(&dir.path().join("nodes.yaml")));
    assert!(loaded.watch.contains(&dir.path().join("conf.d")));
    assert!(loaded.errors().all(|e| e.place.line > 0));
}

#[test]
fn the_fingerprint_follows_contents_and_nothing_else() {
    let dir = whole();
    let first = load_in(dir.path()).fingerprint;
    assert_eq!(first, load_in(dir.path()).fingerprint);
    fs::write(dir.path().join("nodes.yaml"), "nodes: [10.0.0.3:80]\n").expect("a file");
    assert_ne!(first, load_in(dir.path()).fingerprint);
}

#[test]
fn a_file_of_nodes_may_be_a_bare_list_or_empty_while_other_nodes_exist() {
    for (nodes, count) in [
        ("- 10.0.0.2:80\n- { addr: 10.0.0.3:80 }\n", 3),
        ("[]\n", 1),
        ("nodes:\n", 1),
    ] {
        let dir = whole();
        fs::write(dir.path().join("nodes.yaml"), nodes).expect("a file");
        let loaded = load_in(dir.path());
        assert_eq!(good(&loaded).upstreams[0].nodes.len(), count, "{nodes}");
    }
}

#[test]
fn a_name_given_in_two_files_is_refused_with_both_places() {
    let dir = whole();
    fs::write(dir.path().join("conf.d/c.yaml"), API).expect("a file");
    let loaded = load_in(dir.path());
    let error = loaded.errors().next().expect("`api` is given twice");
    let (also, _) = error.also.as_ref().expect("both places");
    assert!(
        error.place.file.ends_with("c.yaml") && also.file.ends_with("b.yaml"),
        "{error}"
    );
}

#[test]
fn a_pattern_that_matches_the_main_file_leaves_it_out() {
    let dir = folder(&[
        (
            "main.yaml",
            "listen: [{ addr: 127.0.0.1:80 }]\ninclude: '*.yaml'\n",
        ),
        (
            "api.yaml",
            API.split("routes").next().expect("its first part"),
        ),
    ]);
    let loaded = load_in(dir.path());
    assert_eq!(good(&loaded).upstreams.len(), 1, "{}", rendered(&loaded));
    let api: PathBuf = dir.path().join("api.yaml");
    assert_eq!(loaded.files[1], api);
}
