//! Where every value of a YAML file stands.
//!
//! `serde_yaml` gives values without positions; one pass over parser events gives positions without values. The
//! index is the second half: a tree of places that mirrors the tree of values, walked with `At` by the same keys.
//! The pass also refuses what could cost unbounded time or memory (deep nesting, alias bombs) before any value
//! exists. Nothing here may interpret a value.

use std::collections::HashMap;
use std::sync::Arc;

use super::lines::{Lines, Stretch};
use super::problem::Place;

/// From parser events to the tree.
mod build;

pub use build::syntax_problem;

/// What lies below a spot.
#[derive(Debug)]
enum Below {
    Nothing,
    Items(Vec<usize>),
    Keys(HashMap<Box<str>, usize>),
    Alias(usize),
}

/// One value: where it and its key stand.
#[derive(Debug)]
struct Spot {
    key: Option<Stretch>,
    value: Stretch,
    /// The text of a plain scalar as written: `010` and `1.0` are words before they are numbers.
    raw: Option<Box<str>>,
    below: Below,
    /// Values in it, itself included, aliases expanded.
    size: usize,
}

/// The places of one file.
#[derive(Debug)]
pub struct Index {
    lines: Lines,
    spots: Vec<Spot>,
}

/// A place in the tree of values: a cursor that is moved by the keys of the values.
#[derive(Debug, Clone)]
pub struct At {
    index: Arc<Index>,
    spot: usize,
    given: bool,
}

impl At {
    /// The value of a key; when the key is not there, the mapping it is missing from.
    pub fn key(&self, key: &str) -> At {
        self.step(self.find(self.spot, key))
    }

    /// The value of a key under either of its names.
    pub fn either(&self, key: &str, aka: &str) -> At {
        match self.key(key) {
            found if found.given => found,
            _ => self.key(aka),
        }
    }

    /// A place by line and column, both from 1: for errors of a parser.
    pub fn point(&self, line: usize, column: usize) -> Place {
        self.index.point(line, column)
    }

    /// An item of a list; when it is not there, the list it is missing from.
    pub fn item(&self, at: usize) -> At {
        let spot = match &self.index.spots[self.target(self.spot)].below {
            Below::Items(items) => items.get(at).copied(),
            _ => None,
        };
        self.step(spot)
    }

    /// An item of a list; of a single word that stands for a list of one, the word.
    pub fn item_or_self(&self, at: usize) -> At {
        match self.item(at) {
            item if item.given => item,
            _ => self.clone(),
        }
    }

    /// Whether the last step found something.
    pub fn given(&self) -> bool {
        self.given
    }

    /// The text of a plain scalar as written.
    pub fn raw(&self) -> Option<&str> {
        self.index.spots[self.target(self.spot)].raw.as_deref()
    }

    /// Where the value stands; of a mapping or a list, where its key or first entry stands.
    pub fn place(&self) -> Place {
        let spot = &self.index.spots[self.spot];
        match &spot.below {
            Below::Items(_) | Below::Keys(_) => self.key_place(),
            _ if spot.value.length == 0 => self.key_place(),
            _ => self.index.lines.place(spot.value),
        }
    }

    /// Where the key stands; of an item without one, where its value begins.
    pub fn key_place(&self) -> Place {
        let spot = &self.index.spots[self.spot];
        self.index.lines.place(spot.key.unwrap_or(spot.value))
    }

    /// Whether the key is there, but nothing is written after it.
    pub fn is_blank(&self) -> bool {
        self.given && matches!(self.raw(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether a mapping is written there.
    pub fn is_mapping(&self) -> bool {
        matches!(
            self.index.spots[self.target(self.spot)].below,
            Below::Keys(_)
        )
    }

    /// Whether a list is written there.
    pub fn is_list(&self) -> bool {
        matches!(
            self.index.spots[self.target(self.spot)].below,
            Below::Items(_)
        )
    }

    /// `tidegate.yaml:12`, for telling where a value came from.
    pub fn origin(&self) -> String {
        let spot = &self.index.spots[self.spot];
        let line = match &spot.below {
            Below::Items(_) | Below::Keys(_) => spot.key.unwrap_or(spot.value).line,
            _ => spot.value.line,
        };
        // It goes into a comment, which a line break in a file's name would end.
        let file = self.index.lines.file().replace(char::is_control, "?");
        format!("{file}:{line}")
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        self.index.lines.file()
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        self.index.lines.text()
    }

    /// Where the value itself begins: line from 1, column in characters from 0.
    pub fn begins(&self) -> (usize, usize) {
        let value = &self.index.spots[self.spot].value;
        (value.line, value.column)
    }

    fn step(&self, to: Option<usize>) -> At {
        At {
            index: self.index.clone(),
            spot: to.unwrap_or(self.spot),
            // Missing stays missing: a key below a missing mapping is missing too.
            given: self.given && to.is_some(),
        }
    }

    /// What a spot stands for: itself, or what its alias names. An alias names something before it, so that the
    /// walk ends.
    fn target(&self, mut spot: usize) -> usize {
        while let Below::Alias(to) = self.index.spots[spot].below {
            spot = to;
        }
        spot
    }

    /// The spot of a key, also through `<<`.
    fn find(&self, spot: usize, key: &str) -> Option<usize> {
        let Below::Keys(keys) = &self.index.spots[self.target(spot)].below else {
            return None;
        };
        if let Some(found) = keys.get(key) {
            return Some(*found);
        }
        let merged = self.target(*keys.get("<<")?);
        match &self.index.spots[merged].below {
            Below::Keys(_) => self.find(merged, key),
            Below::Items(items) => items.iter().find_map(|item| self.find(*item, key)),
            Below::Nothing | Below::Alias(_) => None,
        }
    }
}

impl Index {
    /// A place by line and column, both from 1: for errors of a parser.
    fn point(&self, line: usize, column: usize) -> Place {
        self.lines.place(Stretch {
            line,
            column: column.saturating_sub(1),
            length: 1,
        })
    }
}
