//! Edits of files in every style that people write them in: the outcome means what was wanted, and every line that no
//! edit is about is the same, byte for byte.

use std::path::{Path, PathBuf};

use super::{by_hand, edited, patch};
use crate::base::node::Intent;
use crate::config::checked::{Config, Node, NodeAddr};
use crate::config::{Loaded, load_text, load_with};

/// Whatever is changed.
mod laws;

fn none(_: &str) -> Option<String> {
    None
}

fn load(text: &str) -> Loaded {
    let loaded = load_text(text, "t.yaml", &none);
    assert!(
        loaded.config.is_some(),
        "{text}\n{:?}",
        loaded.errors().map(ToString::to_string).collect::<Vec<_>>()
    );
    loaded
}

/// A whole file around these lines of `web`.
fn file(nodes: &str) -> String {
    format!(
        "# ours\nlisten: [{{ addr: \":1\" }}]\nupstreams:\n  web: # the shop\n{nodes}\nroutes:\n  - upstream: web\n"
    )
}

/// The file with these changes of what is loaded from it.
fn change(text: &str, how: impl Fn(&mut Vec<Node>)) -> Result<String, String> {
    let loaded = load(text);
    let mut wanted: Config = loaded.config.clone().unwrap();
    how(&mut wanted.upstreams[0].nodes);
    let files = edited(&loaded, &wanted)?;
    let after = files.first().map_or(text.to_string(), |f| f.after.clone());
    let read = load(&after).config.unwrap();
    assert_eq!(read, wanted, "{after}");
    Ok(after)
}

/// Exactly these lines of `nodes` after a change.
#[track_caller]
fn becomes(nodes: &str, how: impl Fn(&mut Vec<Node>), after: &str) {
    let changed = change(&file(nodes), how).unwrap();
    assert_eq!(changed, file(after));
}

fn node(addr: &str) -> Node {
    Node {
        id: addr.into(),
        addr: NodeAddr::Socket(addr.parse().unwrap()),
        weight: 1,
        state: Intent::Up,
        backup: false,
        priority: 0,
        max_conns: None,
    }
}

#[test]
fn a_value_that_is_there_is_replaced_in_its_quotes() {
    becomes(
        "    nodes:\n      - { addr: 10.0.0.1:1, weight:  2 , state: 'up' } # a\n      - addr: 10.0.0.2:1 # b\n        weight: \"3\"   # c\n      - addr: '10.0.0.3:1' # d",
        |nodes| {
            nodes[0].weight = 7;
            nodes[0].state = Intent::Down;
            nodes[1].weight = 9;
        },
        "    nodes:\n      - { addr: 10.0.0.1:1, weight:  7 , state: 'down' } # a\n      - addr: 10.0.0.2:1 # b\n        weight: \"9\"   # c\n      - addr: '10.0.0.3:1' # d",
    );
}

#[test]
fn a_key_that_is_missing_comes_behind_the_others() {
    becomes(
        "    nodes:\n      - {addr: 10.0.0.1:1} # a\n      -   addr: 10.0.0.2:1 # b\n          # of old\n          id: two # c\n\n      # the last\n      - { addr: 10.0.0.3:1,\n          id: x, }",
        |nodes| nodes.iter_mut().for_each(|n| n.state = Intent::Drain),
        "    nodes:\n      - {addr: 10.0.0.1:1, state: drain} # a\n      -   addr: 10.0.0.2:1 # b\n          # of old\n          id: two # c\n          state: drain\n\n      # the last\n      - { addr: 10.0.0.3:1,\n          id: x, state: drain, }",
    );
}

#[test]
fn an_entry_of_one_word_becomes_one_in_brackets() {
    let set = |nodes: &mut Vec<Node>| {
        nodes[0].weight = 5;
        nodes[1].weight = 0;
        nodes[1].state = Intent::Down;
    };
    becomes(
        "    nodes:\n    - 10.0.0.1:1 # a\n    - \"[::1]:1\"",
        set,
        "    nodes:\n    - { addr: 10.0.0.1:1, weight: 5 } # a\n    - { addr: \"[::1]:1\", state: down, weight: 0 }",
    );
    becomes(
        "    nodes: [10.0.0.1:1, '[::1]:1']",
        set,
        "    nodes: [{ addr: 10.0.0.1:1, weight: 5 }, { addr: '[::1]:1', state: down, weight: 0 }]",
    );
}

#[test]
fn entries_come_to_the_end_and_go_with_their_lines() {
    let swap = |nodes: &mut Vec<Node>| {
        nodes.remove(0);
        nodes.push(node("10.0.0.9:1"));
        nodes.push(Node {
            id: "true".into(),
            max_conns: Some(3),
            ..node("[::9]:1")
        });
    };
    let two = "- 10.0.0.9:1";
    let three = "{ addr: \"[::9]:1\", id: \"true\", max_conns: 3 }";
    becomes(
        "    nodes:\n      # one\n      - addr: 10.0.0.1:1 # a\n        # inside\n        weight: 2\n      # two\n      - 10.0.0.2:1 # b\n    balance: random",
        swap,
        &format!(
            "    nodes:\n      # one\n      # two\n      - 10.0.0.2:1 # b\n      {two}\n      - {three}\n    balance: random"
        ),
    );
    becomes(
        "    nodes: [10.0.0.1:1, 10.0.0.2:1] # all",
        swap,
        &format!("    nodes: [10.0.0.2:1, 10.0.0.9:1, {three}] # all"),
    );
    becomes(
        "    nodes: [\n      10.0.0.1:1, # a\n      10.0.0.2:1 # b\n    ]",
        swap,
        &format!("    nodes: [\n      10.0.0.2:1, # b\n      10.0.0.9:1,\n      {three}\n    ]"),
    );
    becomes(
        "    nodes: [\n      10.0.0.1:1,\n      10.0.0.2:1, # b\n    ]",
        swap,
        &format!("    nodes: [\n      10.0.0.2:1, # b\n      10.0.0.9:1,\n      {three},\n    ]"),
    );
}

#[test]
fn runs_of_entries_go_from_between_brackets() {
    let list = "    nodes: [10.0.0.1:1, 10.0.0.2:1 ,10.0.0.3:1,10.0.0.4:1 ]";
    let keep = |kept: &'static [usize]| {
        move |nodes: &mut Vec<Node>| *nodes = kept.iter().map(|k| nodes[*k].clone()).collect()
    };
    becomes(list, keep(&[0]), "    nodes: [10.0.0.1:1 ]");
    becomes(list, keep(&[3]), "    nodes: [10.0.0.4:1 ]");
    becomes(list, keep(&[1]), "    nodes: [10.0.0.2:1 ]");
    becomes(list, keep(&[0, 3]), "    nodes: [10.0.0.1:1, 10.0.0.4:1 ]");
}

#[test]
fn a_file_without_a_last_line_break_and_one_of_another_system_stay_so() {
    let text = "listen: [{ addr: \":1\" }]\r\nroutes: [{ upstream: web }]\r\nupstreams:\r\n  web:\r\n    nodes: # ä\r\n    - 10.0.0.1:1 # ö\r\n    - addr: 10.0.0.2:1";
    let after = change(text, |nodes| {
        nodes[1].weight = 4;
        nodes.push(node("10.0.0.3:1"));
    });
    assert_eq!(
        after.unwrap(),
        format!("{text}\r\n      weight: 4\r\n    - 10.0.0.3:1")
    );
    let after = change(text, |nodes| {
        nodes.remove(1);
    });
    let cut = text.len() - "\r\n    - addr: 10.0.0.2:1".len();
    assert_eq!(after.unwrap(), text[..cut]);
}

#[test]
fn what_no_line_edit_can_do_is_refused_with_the_place() {
    let drain = |nodes: &mut Vec<Node>| nodes[0].state = Intent::Drain;
    let gone = |nodes: &mut Vec<Node>| drop(nodes.remove(0));
    for (nodes, gone_too, why) in [
        (
            "    nodes:\n      - { addr: 10.0.0.1:1, state: \"${S:-up}\" }\n      - 10.0.0.2:1",
            false,
            ":6: `state` comes from a variable",
        ),
        (
            "    nodes:\n      - { addr: &a 10.0.0.2:1, id: a, state: &s up }\n      - { addr: 10.0.0.1:1, id: b, state: *s }",
            false,
            "",
        ),
        (
            "    nodes: [10.0.0.1:1]",
            true,
            ":5: no entry would be left in the list",
        ),
    ] {
        let loaded = load(&file(nodes));
        let mut wanted = loaded.config.clone().unwrap();
        let list = &mut wanted.upstreams[0].nodes;
        if gone_too {
            gone(list)
        } else {
            drain(list)
        }
        match edited(&loaded, &wanted) {
            Err(said) => {
                assert!(!why.is_empty() && said.ends_with(why), "{said}");
            }
            // What an anchor names changes in two places: the check of the outcome finds that.
            Ok(files) => {
                assert!(why.is_empty(), "{why}");
                assert_ne!(load(&files[0].after).config.unwrap(), wanted);
            }
        }
        let told = by_hand(&loaded, &wanted);
        assert!(told.contains("upstream web, node "), "{told}");
        assert!(told.contains("\n-- "), "{told}");
    }
}

#[test]
fn a_patch_is_what_diff_would_show() {
    let loaded = load(&file(
        "    nodes:\n      - 10.0.0.1:1 # a\n      - 10.0.0.2:1",
    ));
    let mut wanted = loaded.config.clone().unwrap();
    wanted.upstreams[0].nodes[0].weight = 2;
    let told = patch(&edited(&loaded, &wanted).unwrap());
    assert!(
        told.starts_with("--- t.yaml\n+++ t.yaml\n@@ -3,7 +3,7 @@\n"),
        "{told}"
    );
    let lines = "-      - 10.0.0.1:1 # a\n+      - { addr: 10.0.0.1:1, weight: 2 } # a\n";
    assert!(told.contains(lines), "{told}");
}

#[test]
fn an_entry_is_edited_in_the_file_it_stands_in() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "main.yaml",
        "listen: [{ addr: \":1\" }]\ninclude: \"more.yaml\"\nupstreams: { web: { nodes: [10.0.0.1:1], nodes_file: list.yaml } }\nroutes: [{ upstream: web }]\n",
    );
    write("list.yaml", "\u{feff}# of the deploy tool\n- 10.0.0.2:1\n");
    write(
        "more.yaml",
        "upstreams:\n  api:\n    nodes:\n      - 10.0.0.3:1\nroutes: [{ match: { path: /api }, upstream: api }]\n",
    );
    let main = dir.path().join("main.yaml");
    let loaded = crate::config::load(&main, &none);
    let mut wanted = loaded.config.clone().unwrap();
    for (upstream, at) in [("web", 1), ("api", 0)] {
        let upstream = wanted.upstreams.iter_mut().find(|u| u.name == upstream);
        let nodes = &mut upstream.unwrap().nodes;
        nodes[at].state = Intent::Drain;
        nodes.push(node("10.0.0.9:1"));
    }
    let files = edited(&loaded, &wanted).unwrap();
    let names: Vec<&str> = files
        .iter()
        .map(|f| f.file.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["list.yaml", "more.yaml"]);
    assert_eq!(
        files[0].after,
        "# of the deploy tool\n- { addr: 10.0.0.2:1, state: drain }\n- 10.0.0.9:1\n"
    );
    let contents = files
        .iter()
        .map(|f| (PathBuf::from(&f.file), f.after.clone().into_bytes()));
    let read = load_with(&main, contents.collect(), &none);
    assert_eq!(read.config, Some(wanted));
}

#[test]
fn the_paths_of_files_are_found_again() {
    let loaded = load(&file("    nodes: [10.0.0.1:1]"));
    assert!(
        edited(&loaded, loaded.config.as_ref().unwrap())
            .unwrap()
            .is_empty()
    );
    assert_eq!(Path::new("t.yaml"), loaded.origins.unwrap().root.file());
}
