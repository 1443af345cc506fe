//! A YAML text as a tree of stretches: where each value begins and ends, to the byte.
//!
//! The index of the loader knows where values begin, which is all that a diagnostic needs; who writes into a text has to
//! know where they end, too. Nothing here may interpret a value.

use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use super::Cannot;

/// What a value is made of.
#[derive(Debug)]
pub enum Kind {
    /// A word, in quotes or not.
    Scalar,
    /// `*name`
    Alias,
    /// A list; its values by number.
    List(Vec<usize>),
    /// A mapping: the text of each key, where it stands, and the number of its value.
    Map(Vec<(String, Range<usize>, usize)>),
}

/// One value.
#[derive(Debug)]
pub struct Value {
    /// From its first byte to the one after its last; of a block, without what follows its last value.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// What it stands in; the root stands in nothing.
    pub within: Option<usize>,
}

/// The values of one text.
#[derive(Debug)]
pub struct Tree<'a> {
    /// The text.
    pub text: &'a str,
    /// Its values, each after the one it stands in.
    pub values: Vec<Value>,
}

impl<'a> Tree<'a> {
    /// Reads a text that the loader has accepted.
    ///
    /// # Errors
    /// When it is not YAML after all.
    pub fn of(text: &'a str) -> Result<Tree<'a>, Cannot> {
        let bytes = Bytes::of(text);
        let mut growing = Growing {
            tree: Tree {
                text,
                values: Vec::new(),
            },
            open: Vec::new(),
        };
        for event in Parser::new_from_str(text) {
            let (event, span) =
                event.map_err(|error| Cannot::new(format!("the text is not YAML: {error}")))?;
            let (from, to) = bytes.range(span);
            growing.event(event, from, to);
        }
        Ok(growing.tree)
    }

    /// The text of a value.
    pub fn word(&self, value: usize) -> &'a str {
        &self.text[self.values[value].range.clone()]
    }

    /// Whether a list or mapping is written in brackets.
    pub fn is_flow(&self, value: usize) -> bool {
        self.word(value).starts_with(['[', '{'])
    }

    /// The value that begins at a byte and is an entry of a list: the list, and which of its entries.
    pub fn entry_at(&self, byte: usize) -> Option<(usize, usize)> {
        let begins = |value: &&usize| self.values[**value].range.start == byte;
        self.values.iter().enumerate().find_map(|(list, value)| {
            let Kind::List(items) = &value.kind else {
                return None;
            };
            let at = items.iter().position(|item| begins(&item))?;
            Some((list, at))
        })
    }

    /// The entries of a list; none of anything else.
    pub fn items(&self, value: usize) -> &[usize] {
        match &self.values[value].kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// Which child of which child… a value is.
    pub fn path(&self, mut value: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while let Some(outer) = self.values[value].within {
            let at = self.children(outer).position(|child| child == value);
            path.extend(at);
            value = outer;
        }
        path.reverse();
        path
    }

    /// The value at a path.
    pub fn follow(&self, path: &[usize]) -> Option<usize> {
        let mut at = 0;
        for step in path {
            at = self.children(at).nth(*step)?;
        }
        Some(at)
    }

    fn children(&self, value: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.values[value].kind {
            Kind::List(items) => Box::new(items.iter().copied()),
            Kind::Map(pairs) => Box::new(pairs.iter().map(|(_, _, value)| *value)),
            Kind::Scalar | Kind::Alias => Box::new(std::iter::empty()),
        }
    }
}

/// A key of a mapping and where it stands.
type Key = (String, Range<usize>);

/// The tree while events arrive.
struct Growing<'a> {
    tree: Tree<'a>,
    /// Lists and mappings without an end yet; in a mapping, the key whose value comes next.
    open: Vec<(usize, Option<Key>)>,
}

impl Growing<'_> {
    fn event(&mut self, event: Event<'_>, from: usize, to: usize) {
        match event {
            Event::Scalar(text, ..) => {
                if self.expects_key() {
                    if let Some((_, key)) = self.open.last_mut() {
                        *key = Some((text.into_owned(), from..to));
                    }
                    return;
                }
                // One that is not written has its place somewhere behind; a block text ends with its line.
                let written = match quoted(&self.tree.text[from..]) {
                    Some(quoted) => quoted,
                    None => self.tree.text[from..to].trim_end(),
                };
                let range = match written.is_empty() {
                    true => self.nowhere(from),
                    false => from..from + written.len(),
                };
                self.add(range, Kind::Scalar);
            }
            Event::Alias(_) => {
                let word = self.tree.text[from..to].trim_end();
                self.add(from..from + word.len(), Kind::Alias);
            }
            Event::SequenceStart(..) => self.begin(from, Kind::List(Vec::new())),
            Event::MappingStart(..) => self.begin(from, Kind::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => self.end(to),
            _ => {}
        }
    }

    /// Where a value that is not written stands: right behind its key.
    fn nowhere(&self, from: usize) -> Range<usize> {
        let key = self.open.last().and_then(|(_, key)| key.as_ref());
        let at = key.map_or(from, |(_, range)| range.end);
        at..at
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|(value, key)| {
            key.is_none() && matches!(self.tree.values[*value].kind, Kind::Map(_))
        })
    }

    fn add(&mut self, range: Range<usize>, kind: Kind) -> usize {
        let number = self.tree.values.len();
        let within = self.open.last().map(|(value, _)| *value);
        self.tree.values.push(Value {
            range,
            kind,
            within,
        });
        if let Some((outer, key)) = self.open.last_mut() {
            match &mut self.tree.values[*outer].kind {
                Kind::List(items) => items.push(number),
                Kind::Map(pairs) => {
                    let (key, at) = key.take().unwrap_or_default();
                    pairs.push((key, at, number));
                }
                Kind::Scalar | Kind::Alias => {}
            }
        }
        number
    }

    fn begin(&mut self, from: usize, kind: Kind) {
        let number = self.add(from..from, kind);
        self.open.push((number, None));
    }

    fn end(&mut self, to: usize) {
        let Some((number, _)) = self.open.pop() else {
            return;
        };
        let value = &self.tree.values[number];
        let flow = self.tree.text[value.range.start..].starts_with(['[', '{']);
        let last = match &value.kind {
            Kind::List(items) => items.last().copied(),
            Kind::Map(pairs) => pairs.last().map(|(_, _, value)| *value),
            Kind::Scalar | Kind::Alias => None,
        };
        let end = match (flow, last) {
            (false, Some(last)) => self.tree.values[last].range.end,
            (false, None) => value.range.start,
            (true, last) => {
                let inside = last.map_or(value.range.start + 1, |last| {
                    self.tree.values[last].range.end
                });
                closed(self.tree.text, inside).unwrap_or(to)
            }
        };
        self.tree.values[number].range.end = end.max(value.range.start);
    }
}

/// A word in quotes at the beginning of a text: the parser ends it only before what comes next, comments included.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if quote == '"' => drop(rest.next()),
            _ if c != quote => {}
            // Twice is the quote itself.
            '\'' if rest.peek().is_some_and(|(_, next)| *next == '\'') => drop(rest.next()),
            _ => return Some(&text[..=at]),
        }
    }
    None
}

/// Behind the bracket that closes what a last value ends in: the parser tells of it together with what follows.
fn closed(text: &str, from: usize) -> Option<usize> {
    let mut rest = text[from..].char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '}' | ']' => return Some(from + at + 1),
            '#' => drop(rest.find(|(_, c)| *c == '\n')),
            c if c == ',' || c.is_whitespace() => {}
            _ => return None,
        }
    }
    None
}

/// From the parser's characters to bytes.
struct Bytes {
    /// Where each character begins; empty where characters are bytes.
    starts: Vec<usize>,
    length: usize,
}

impl Bytes {
    fn of(text: &str) -> Bytes {
        let starts = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(at, _)| at).collect(),
        };
        Bytes {
            starts,
            length: text.len(),
        }
    }

    fn range(&self, span: Span) -> (usize, usize) {
        let at = |index: usize| match self.starts.is_empty() {
            true => index.min(self.length),
            false => self.starts.get(index).copied().unwrap_or(self.length),
        };
        let from = at(span.start.index());
        (from, at(span.end.index()).max(from))
    }
}
