//! Entries that come to a list and entries that go.
//!
//! A line with an entry goes with what stands behind it on that line. A line with a comment alone stays, also where it
//! stood above an entry that went: it may be about several, and only who wrote it knows.

use std::ops::Range;

use super::Cannot;
use super::apply::{Piece, eol, line_end, line_of, line_start, next_line};
use super::tree::Tree;

/// Adds entries at the end of a list.
pub(super) fn add(
    tree: &Tree<'_>,
    list: usize,
    entries: &[&str],
    pieces: &mut Vec<Piece>,
) -> Result<(), Cannot> {
    let (text, eol) = (tree.text, eol(tree.text));
    let here = line_of(text, tree.values[list].range.start);
    let Some(&last) = tree.items(list).last() else {
        return Err(Cannot::at(here, "the list is empty"));
    };
    let range = tree.values[last].range.clone();
    if !tree.is_flow(list) {
        let dash = dash_of(tree, last)?;
        let indent = &text[line_start(text, dash)..dash];
        let end = line_end(text, range.end);
        let lines: Vec<String> = entries
            .iter()
            .map(|entry| format!("{eol}{indent}- {entry}"))
            .collect();
        pieces.push((end..end, lines.concat()));
        return Ok(());
    }
    let first = line_start(text, range.start);
    let indent = &text[first..range.start];
    let end = range.end;
    let (rest, comma) = match text[end..].trim_start().starts_with(',') {
        true => (end + text[end..].find(',').map_or(0, |at| at + 1), true),
        false => (end, false),
    };
    let tail = text[rest..line_end(text, rest)].trim();
    let own_line = indent.trim().is_empty() && (tail.is_empty() || tail.starts_with('#'));
    if !own_line {
        let more: Vec<String> = entries.iter().map(|entry| format!(", {entry}")).collect();
        pieces.push((end..end, more.concat()));
        return Ok(());
    }
    if !comma {
        pieces.push((end..end, ",".into()));
    }
    let at = line_end(text, rest);
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| format!("{eol}{indent}{entry}"))
        .collect();
    let after = if comma { "," } else { "" };
    pieces.push((at..at, lines.join(",") + after));
    Ok(())
}

/// Removes entries of a list, which are given in their order. Comments on lines above them stay.
pub(super) fn remove(
    tree: &Tree<'_>,
    list: usize,
    gone: &[usize],
    pieces: &mut Vec<Piece>,
) -> Result<(), Cannot> {
    let items = tree.items(list);
    if gone.len() >= items.len() {
        let here = line_of(tree.text, tree.values[list].range.start);
        return Err(Cannot::at(here, "no entry would be left in the list"));
    }
    let whole: Result<Vec<_>, Cannot> = gone
        .iter()
        .map(|at| whole_lines(tree, list, items[*at]))
        .collect();
    match whole {
        Ok(lines) => pieces.extend(lines.into_iter().map(|range| (range, String::new()))),
        Err(cannot) if !tree.is_flow(list) => return Err(cannot),
        Err(_) => {
            for run in runs(gone) {
                pieces.push((between(tree, items, run)?, String::new()));
            }
        }
    }
    Ok(())
}

/// The lines of an entry that has them for itself.
fn whole_lines(tree: &Tree<'_>, list: usize, item: usize) -> Result<Range<usize>, Cannot> {
    let (text, range) = (tree.text, &tree.values[item].range);
    let no = || {
        let line = line_of(text, range.start);
        Err(Cannot::at(
            line,
            "the entry shares its line with something else",
        ))
    };
    let (start, end) = match tree.is_flow(list) {
        false => (dash_of(tree, item)?, range.end),
        true => {
            let rest = &text[range.end..];
            let comma = rest.len() - rest.trim_start().len();
            let end = match rest[comma..].starts_with(',') {
                true => range.end + comma + 1,
                false => range.end,
            };
            (range.start, end)
        }
    };
    let from = line_start(text, start);
    let tail = text[end..line_end(text, end)].trim();
    let alone = text[from..start].trim().is_empty() && (tail.is_empty() || tail.starts_with('#'));
    if !alone {
        return no();
    }
    let to = next_line(text, end);
    // The last line of a file without a line break: the one before it loses its own instead.
    match to == text.len() && !text.ends_with('\n') && from > 0 {
        true => {
            let before = text[..from].trim_end_matches('\n');
            Ok(before.trim_end_matches('\r').len()..to)
        }
        false => Ok(from..to),
    }
}

/// Entries that follow each other.
fn runs(gone: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &at in gone {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == at => *last = at,
            _ => runs.push((at, at)),
        }
    }
    runs
}

/// What goes with a run of entries between brackets: up to the next one, or from the end of the one before.
fn between(
    tree: &Tree<'_>,
    items: &[usize],
    (first, last): (usize, usize),
) -> Result<Range<usize>, Cannot> {
    let range = |at: usize| tree.values[items[at]].range.clone();
    let (cut, seams) = match items.get(last + 1) {
        Some(_) => {
            let seams = (first..=last).map(|at| range(at).end..range(at + 1).start);
            (range(first).start..range(last + 1).start, seams.collect())
        }
        // Not all of them go, so that one stands before the run.
        None => {
            let seams = (first..=last).map(|at| range(at - 1).end..range(at).start);
            (
                range(first - 1).end..range(last).end,
                seams.collect::<Vec<_>>(),
            )
        }
    };
    let clean = |seam: Range<usize>| !tree.text[seam].contains('#');
    match seams.into_iter().all(clean) {
        true => Ok(cut),
        false => {
            let line = line_of(tree.text, cut.start);
            Err(Cannot::at(
                line,
                "a comment stands between entries of one line",
            ))
        }
    }
}

/// The dash of an entry of a block, with nothing but spaces before it.
fn dash_of(tree: &Tree<'_>, item: usize) -> Result<usize, Cannot> {
    let (text, at) = (tree.text, tree.values[item].range.start);
    let line = line_of(text, at);
    let head = text[..at].trim_end();
    // An anchor or a tag may stand between the two.
    let head = match head.rfind(char::is_whitespace) {
        Some(space) if head[space..].trim_start().starts_with(['&', '!']) => {
            head[..space].trim_end()
        }
        _ => head,
    };
    let no = || Cannot::at(line, "the entry does not follow its dash");
    let dash = head.strip_suffix('-').ok_or_else(no)?.len();
    let indent = &text[line_start(text, dash)..dash];
    match indent.bytes().all(|b| b == b' ') {
        true => Ok(dash),
        false => Err(Cannot::at(
            line,
            "the entry shares its line with something else",
        )),
    }
}
