//! Random files in every style, and random changes of them.

use proptest::prelude::*;

use super::{edited, file, load, node};
use crate::base::node::Intent;
use crate::config::checked::{Node, NodeAddr};
use crate::config::edit::apply::{Edit, Spot, apply};
use crate::config::edit::plan::entry;

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
                if nodes.iter().all(|n| entry(n).find(&addr).is_none()) {
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
