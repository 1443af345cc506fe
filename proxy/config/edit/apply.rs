//! Edits of one text: its lines stay, byte for byte, but for what an edit is about.
//!
//! First values are set, then entries added, then entries removed; each step reads the text anew, so that none has to
//! know what the ones before it moved. Pure: whether the outcome means what was wanted is for the caller to check.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Cannot;
use super::tree::{Kind, Tree};

/// Where an entry of a list begins: line from 1, column in characters from 0.
pub type Spot = (usize, usize);

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The entry has this value at this key from now on.
    Set {
        /// The entry.
        at: Spot,
        /// The key.
        key: &'static str,
        /// A word that needs no quotes.
        value: String,
    },
    /// A further entry at the end of a list.
    Add {
        /// An entry of that list.
        beside: Spot,
        /// The entry, as it is written in brackets.
        entry: String,
    },
    /// The entry goes.
    Remove {
        /// The entry.
        at: Spot,
    },
}

/// A stretch of the text and what stands there instead.
pub(super) type Piece = (Range<usize>, String);

/// An entry: where its list stands, and its position there.
type Entry = (Vec<usize>, usize);

/// The text after all edits.
///
/// # Errors
/// When one of them cannot be made without touching what it is not about.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, Cannot> {
    let tree = Tree::of(text)?;
    let mut sets: BTreeMap<Entry, Vec<(&str, &str)>> = BTreeMap::new();
    let mut adds: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    let mut removes: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for edit in edits {
        match edit {
            Edit::Set { at, key, value } => {
                let keys = sets.entry(entry(&tree, *at)?).or_default();
                if !keys.contains(&(key, value)) {
                    keys.push((key, value));
                }
            }
            Edit::Add { beside, entry: new } => {
                let (list, _) = entry(&tree, *beside)?;
                let entries = adds.entry(list).or_default();
                if !entries.contains(&new.as_str()) {
                    entries.push(new);
                }
            }
            Edit::Remove { at } => {
                let (list, at) = entry(&tree, *at)?;
                removes.entry(list).or_default().push(at);
            }
        }
    }
    let mut pieces = Vec::new();
    for ((list, at), keys) in &sets {
        let entry = tree.follow(list).and_then(|l| tree.items(l).get(*at));
        set(&tree, *entry.ok_or_else(lost)?, keys, &mut pieces)?;
    }
    let text = replaced(text, pieces);
    let tree = Tree::of(&text)?;
    let mut pieces = Vec::new();
    for (list, entries) in &adds {
        let list = tree.follow(list).ok_or_else(lost)?;
        super::list::add(&tree, list, entries, &mut pieces)?;
    }
    let text = replaced(&text, pieces);
    let tree = Tree::of(&text)?;
    let mut pieces = Vec::new();
    for (list, gone) in &mut removes {
        let list = tree.follow(list).ok_or_else(lost)?;
        gone.sort_unstable();
        gone.dedup();
        super::list::remove(&tree, list, gone, &mut pieces)?;
    }
    Ok(replaced(&text, pieces))
}

fn lost() -> Cannot {
    Cannot::new("an entry is not where it was a moment ago")
}

/// The list that an entry stands in, and which of its entries it is.
fn entry(tree: &Tree<'_>, (line, column): Spot) -> Result<(Vec<usize>, usize), Cannot> {
    let found = byte_of(tree.text, line, column).and_then(|byte| tree.entry_at(byte));
    let (list, at) = found.ok_or_else(|| Cannot::at(line, "no entry of a list begins here"))?;
    Ok((tree.path(list), at))
}

fn byte_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start = match line {
        1 => 0,
        _ => text.match_indices('\n').nth(line - 2)?.0 + 1,
    };
    let rest = &text[start..];
    let offset = rest.char_indices().nth(column).map(|(at, _)| at);
    Some(start + offset.unwrap_or(rest.len()))
}

/// Gives keys of one entry other values.
fn set(
    tree: &Tree<'_>,
    entry: usize,
    keys: &[(&str, &str)],
    pieces: &mut Vec<Piece>,
) -> Result<(), Cannot> {
    let value = &tree.values[entry];
    let told = |sep: &str| -> String {
        let pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k}: {v}")).collect();
        pairs.join(sep)
    };
    let Kind::Map(pairs) = &value.kind else {
        let line = line_of(tree.text, value.range.start);
        let Kind::Scalar = &value.kind else {
            let what = "the entry is an alias: what it names may be used elsewhere, too";
            return Err(Cannot::at(line, what));
        };
        let addr = in_brackets(tree.word(entry)).ok_or_else(|| {
            Cannot::at(
                line,
                "the entry's address cannot be written between brackets",
            )
        })?;
        let new = format!("{{ addr: {addr}, {} }}", told(", "));
        pieces.push((value.range.clone(), new));
        return Ok(());
    };
    let mut missing = Vec::new();
    for (key, to) in keys {
        match pairs.iter().find(|(name, ..)| name == key) {
            Some((_, _, old)) => pieces.push((
                tree.values[*old].range.clone(),
                instead_of(tree, *old, key, to)?,
            )),
            None => missing.push(format!("{key}: {to}")),
        }
    }
    let Some((_, first, _)) = pairs.first().filter(|_| !missing.is_empty()) else {
        return Ok(());
    };
    let last = pairs.last().map_or(entry, |(_, _, value)| *value);
    if tree.is_flow(entry) {
        let end = tree.values[last].range.end;
        pieces.push((end..end, format!(", {}", missing.join(", "))));
        return Ok(());
    }
    let start = line_start(tree.text, first.start);
    let indent = " ".repeat(tree.text[start..first.start].chars().count());
    let end = line_end(tree.text, value.range.end);
    let eol = eol(tree.text);
    let lines: Vec<String> = missing
        .iter()
        .map(|pair| format!("{eol}{indent}{pair}"))
        .collect();
    pieces.push((end..end, lines.concat()));
    Ok(())
}

/// What stands in place of a value, in the quotes that it had.
fn instead_of(tree: &Tree<'_>, old: usize, key: &str, to: &str) -> Result<String, Cannot> {
    let word = tree.word(old);
    let line = line_of(tree.text, tree.values[old].range.start);
    let no = |what: &str| Err(Cannot::at(line, format!("`{key}` {what}")));
    match &tree.values[old].kind {
        Kind::Scalar if word.contains("${") => no("comes from a variable"),
        Kind::Scalar if word.is_empty() => no("is left blank"),
        Kind::Scalar if word.contains(['\n', '\r']) => no("is written over several lines"),
        Kind::Scalar => Ok(match word.chars().next() {
            Some(quote @ ('"' | '\'')) => format!("{quote}{to}{quote}"),
            _ => to.to_string(),
        }),
        Kind::Alias => no("is an alias: what it names may be used elsewhere, too"),
        Kind::List(_) | Kind::Map(_) => no("is not a word"),
    }
}

/// A word of a block as it can stand between brackets.
fn in_brackets(word: &str) -> Option<String> {
    let quoted = word.starts_with(['"', '\'']);
    if word.contains(['\n', '\r']) {
        return None;
    }
    if quoted || !word.contains(['{', '}', '[', ']', ',']) {
        return Some(word.to_string());
    }
    (!word.contains(['"', '\\'])).then(|| format!("\"{word}\""))
}

/// The text with other pieces in it; those at one place in their order.
pub(super) fn replaced(text: &str, mut pieces: Vec<Piece>) -> String {
    pieces.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (range, new) in pieces {
        // Stretches never overlap; should they, the check of the outcome finds it.
        out.push_str(text.get(done..range.start).unwrap_or_default());
        out.push_str(&new);
        done = range.end.max(done);
    }
    out.push_str(&text[done..]);
    out
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, byte: usize) -> usize {
    text[..byte].rfind('\n').map_or(0, |at| at + 1)
}

/// Where the line of a byte ends, before its line break.
pub(super) fn line_end(text: &str, byte: usize) -> usize {
    let end = text[byte..].find('\n').map_or(text.len(), |at| byte + at);
    match text[byte..end].ends_with('\r') {
        true => end - 1,
        false => end,
    }
}

/// Behind the line break of a line.
pub(super) fn next_line(text: &str, byte: usize) -> usize {
    text[byte..]
        .find('\n')
        .map_or(text.len(), |at| byte + at + 1)
}

/// How lines end in this text.
pub(super) fn eol(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}
