//! The README's tables of metrics, which are what everything else is held against.

use std::collections::{BTreeMap, BTreeSet};

/// A row: a family as it is promised.
#[derive(Debug, Clone)]
pub struct Row {
    pub kind: String,
    /// Each with the words it may have; `None`: a status code, or a name of the file.
    pub labels: BTreeMap<String, Option<BTreeSet<String>>>,
}

/// Every row, by the whole name of the family.
pub fn rows() -> BTreeMap<String, Row> {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Metrics\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another behind it");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut all = BTreeMap::new();
    for line in rows {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, what, _] = cells[..] else {
            panic!("five columns: {line}");
        };
        assert!(!what.is_empty(), "what is counted? {line}");
        let name = match name.trim_matches('`') {
            name if name.starts_with("process_") => name.to_owned(),
            name => format!("tidegate_{name}"),
        };
        let row = Row {
            kind: kind.into(),
            labels: labels.split('`').filter_map(label).collect(),
        };
        assert!(all.insert(name, row).is_none(), "twice: {line}");
    }
    all
}

fn label(text: &str) -> Option<(String, Option<BTreeSet<String>>)> {
    let (name, words) = match text.split_once('=') {
        Some((name, words)) => (name, Some(words.split(',').map(String::from).collect())),
        None => (text, None),
    };
    (!name.trim().is_empty()).then(|| (name.into(), words))
}
