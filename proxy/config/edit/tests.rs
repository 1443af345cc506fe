//! Edits of files in every style that people write them in: the outcome means what was wanted, and every line that no
//! edit is about is the same, byte for byte.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::apply::{Edit, Spot, apply};
use super::{by_hand, edited, patch};
use crate::base::node::Intent;
use crate::config::checked::{Config, Node, NodeAddr};
use crate::config::{Loaded, load_text, load_with};

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

/// How a list of nodes may be written.
#[derive(Debug, Clone, Copy)]
enum Style {
    Dashes,
    Brackets,
    BracketLines,
}

/// An entry as it may be written, and a comment behind it.
fn written(at: usize, form: u8, comment: bool, style: Style) -> String {
    let addr = format!("10.0.0.{at}:80");
    let in_line = |entry: String| match (style, comment) {
        (Style::Dashes, true) => format!("      - {entry} # nr {at}: \"kept\", [always] ü\n"),
        (Style::Dashes, false) => format!("      -  {entry}\n"),
        (Style::Brackets, _) => entry,
        (Style::BracketLines, true) => format!("      {entry}, # nr {at}\n"),
        (Style::BracketLines, false) => format!("      {entry},\n"),
    };
    match (form, style) {
        (0, _) => in_line(addr),
        (1, _) => in_line(format!("'{addr}'")),
        (2, _) => in_line(format!("{{ addr: {addr} }}")),
        (3, _) => in_line(format!("{{id: n{at}, addr: \"{addr}\", weight: 3}}")),
        (4, _) => in_line(format!(
            "{{ addr: {addr}, state: \"drain\", max_conns: 9, }}"
        )),
        (5, Style::Dashes) => format!("      - addr: {addr} # here\n"),
        (6, Style::Dashes) => {
            format!(
                "      # above {at}\n      - weight: 4 # w\n        # between\n        addr: {addr}\n\n"
            )
        }
        (7, Style::Dashes) => format!("      -\n        addr: {addr}\n        state: down\n"),
        _ => in_line(format!("{{ addr: {addr}, backup: true }}")),
    }
}

fn a_file() -> impl Strategy<Value = (String, Style)> {
    let style = prop_oneof![
        Just(Style::Dashes),
        Just(Style::Brackets),
        Just(Style::BracketLines)
    ];
    let entries = prop::collection::vec((0..9u8, any::<bool>()), 1..8);
    (style, entries, any::<bool>()).prop_map(|(style, entries, crlf)| {
        let entries = entries.iter().enumerate();
        let all: Vec<String> = entries
            .map(|(at, (form, comment))| written(at + 1, *form, *comment, style))
            .collect();
        let nodes = match style {
            Style::Dashes => format!("    nodes: # list\n{}", all.concat()),
            Style::Brackets => format!("    nodes: [ {} ] # list\n", all.join(", ")),
            Style::BracketLines => format!("    nodes: [\n{}      ]\n", all.concat()),
        };
        let text = file(&(nodes + "    # the end of web\n    balance: random"));
        match crlf {
            true => (text.replace('\n', "\r\n"), style),
            false => (text, style),
        }
    })
}

#[derive(Debug, Clone)]
enum Ask {
    State(usize, u8),
    Weight(usize, u32),
    Remove(usize),
    Add(u8, Option<u32>, bool),
}

fn an_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        (0..8usize, 0..3u8).prop_map(|(at, state)| Ask::State(at, state)),
        (0..8usize, 0..9u32).prop_map(|(at, weight)| Ask::Weight(at, weight)),
        (0..8usize).prop_map(Ask::Remove),
        (0..50u8, prop::option::of(1..9u32), any::<bool>())
            .prop_map(|(at, most, named)| Ask::Add(at, most, named)),
    ]
}

/// Changes what `asks` say; the positions of entries of the file that were touched.
fn ask(nodes: &mut Vec<Node>, asks: &[Ask]) {
    for ask in asks {
        let count = nodes.len();
        match ask {
            Ask::State(at, state) => {
                nodes[at % count].state =
                    [Intent::Up, Intent::Drain, Intent::Down][usize::from(*state)];
            }
            Ask::Weight(at, weight) => nodes[at % count].weight = *weight,
            Ask::Remove(at) => {
                // The last one of the file stays: an empty list is no configuration.
                if nodes.iter().filter(|n| is_of_file(n)).count() > 1
                    || !is_of_file(&nodes[at % count])
                {
                    nodes.remove(at % count);
                }
            }
            Ask::Add(at, most, named) => {
                let addr = format!("10.9.9.{at}:80");
                if nodes
                    .iter()
                    .all(|n| super::plan::entry(n).find(&addr).is_none())
                {
                    nodes.push(Node {
                        id: if *named {
                            format!("new-{at}")
                        } else {
                            addr.clone()
                        },
                        max_conns: *most,
                        ..node(&addr)
                    });
                }
            }
        }
    }
}

fn is_of_file(node: &Node) -> bool {
    matches!(node.addr, NodeAddr::Socket(addr) if addr.to_string().starts_with("10.0.0."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_is_changed_the_file_says_it_and_the_other_lines_stay(
        (text, style) in a_file(),
        asks in prop::collection::vec(an_ask(), 1..7),
    ) {
        let loaded = load(&text);
        let was = loaded.config.clone().unwrap();
        let mut wanted = was.clone();
        ask(&mut wanted.upstreams[0].nodes, &asks);
        let files = edited(&loaded, &wanted).unwrap();
        let after = files.first().map_or(text.clone(), |f| f.after.clone());
        prop_assert_eq!(load(&after).config.unwrap(), wanted.clone(), "{}", after);

        // Lines of which nothing changed are there as they were, in their order.
        let (was, is) = (&was.upstreams[0].nodes, &wanted.upstreams[0].nodes);
        let touched: Vec<String> = was
            .iter()
            .filter(|n| !is.contains(n))
            .filter_map(|n| n.addr_text())
            .collect();
        let stays = |line: &&str| match style {
            // A list in one line is one line; a comma may come behind the last entry.
            Style::Brackets => !line.contains("nodes:"),
            _ => !touched.iter().any(|t| block_of(&text, line).contains(t.as_str())),
        };
        let mut rest = after.split_inclusive('\n');
        for line in text.split_inclusive('\n').filter(stays) {
            prop_assert!(rest.any(|l| l == line), "{:?} is gone from\n{}", line, after);
        }
        // And none came that nobody asked for.
        let new = is.iter().filter(|n| !was.contains(n)).count();
        let (before, now) = (text.lines().count(), after.lines().count());
        prop_assert!(now <= before + 2 * new, "{}", after);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\u{e4}]{0,60}", line in 1..5usize, column in 0..9usize) {
        let at: Spot = (line, column);
        for edit in [
            Edit::Set { at, key: "state", value: "up".into() },
            Edit::Remove { at },
            Edit::Add { beside: at, entry: "x".into() },
        ] {
            let _ = apply(&text, &[edit]);
        }
    }
}

impl Node {
    /// Its address, where it is one.
    fn addr_text(&self) -> Option<String> {
        match &self.addr {
            NodeAddr::Socket(addr) => Some(addr.to_string()),
            NodeAddr::Name { .. } => None,
        }
    }
}

/// The lines of the entry that a line belongs to: up to its dash and on to the next one.
fn block_of(text: &str, line: &str) -> String {
    let aside = line.trim_start().starts_with('#') && !line.starts_with("        ");
    if aside || line.trim().is_empty() {
        return String::new();
    }
    let at = line.as_ptr() as usize - text.as_ptr() as usize;
    let dash = |l: &str| l.trim_start().starts_with('-') && l.starts_with("      ");
    let inside = |l: &str| l.starts_with("        ") || l.trim().is_empty();
    let mut from = at;
    while !dash(&text[from..]) && inside(&text[from..]) && from > 0 {
        from = text[..from - 1].rfind('\n').map_or(0, |n| n + 1);
    }
    let mut block = String::new();
    for (n, l) in text[from..].split_inclusive('\n').enumerate() {
        if n > 0 && !inside(l) {
            break;
        }
        block.push_str(l);
    }
    block
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
