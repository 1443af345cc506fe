//! Where every value of a YAML file stands.
//!
//! `serde_yaml` gives values without positions; one pass over parser events gives positions without values. The
//! index is the second half: a tree of places that mirrors the tree of values, walked with [`At`] by the same keys.
//! The pass also refuses what could cost unbounded time or memory (deep nesting, alias bombs) before any value
//! exists. Nothing here may interpret a value.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::lines::{Lines, Stretch};
use super::problem::{Place, Problem, Problems};

/// The deepest nesting accepted: a configuration needs seven levels; recursion over the values stays shallow.
const MAX_DEPTH: usize = 32;

/// The most values a file may hold once its aliases are expanded: about ten thousand nodes in long form.
const MAX_VALUES: usize = 100_000;

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
    /// Indexes a text. `None`: it cannot be used, and `problems` says why.
    pub fn build(file: &str, text: &str, problems: &mut Problems) -> Option<At> {
        let mut building = Building {
            index: Index {
                lines: Lines::new(file, text),
                spots: Vec::new(),
            },
            open: Vec::new(),
            anchors: HashMap::new(),
            documents: 0,
            duplicates: Vec::new(),
        };
        for event in Parser::new_from_str(text) {
            let done = match event {
                Ok((event, span)) => building.event(event, span),
                Err(error) => Err(building.index.syntax(&error)),
            };
            if let Err(problem) = done {
                problems.push(*problem);
                return None;
            }
        }
        let Building {
            index, duplicates, ..
        } = building;
        let usable = duplicates.is_empty() && !index.spots.is_empty();
        duplicates.into_iter().for_each(|p| problems.push(p));
        usable.then(|| At {
            index: Arc::new(index),
            spot: 0,
            given: true,
        })
    }

    /// A place by line and column, both from 1: for errors of a parser.
    fn point(&self, line: usize, column: usize) -> Place {
        self.lines.place(Stretch {
            line,
            column: column.saturating_sub(1),
            length: 1,
        })
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let marker = error.marker();
        let place = self.point(marker.line(), marker.col() + 1);
        Box::new(syntax_problem(place, error.info()))
    }
}

/// A syntax error with the remedies that fit what stands there.
pub fn syntax_problem(place: Place, info: &str) -> Problem {
    let line = place.text.to_string();
    let problem = Problem::error(place, format!("this is not YAML: {info}"));
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let value = line.split_once(':').map_or("", |(_, value)| value.trim());
    if indent.contains('\t') {
        problem.help("the line is indented with a tab; YAML wants spaces")
    } else if value.starts_with(['*', '&', '!', '%', '@', '`']) {
        problem.help("a value that begins with one of * & ! % @ ` needs quotes: \"*.example.com\"")
    } else if value.starts_with(['"', '\'']) || line.matches('"').count() % 2 == 1 {
        problem.help("look for a quote that is not closed, or text after the closing quote")
    } else if value.contains(": ") {
        problem.help("a value that contains `: ` needs quotes")
    } else {
        problem.help("look at this line and the one before: indentation, a missing `:`, an open [ { or quote")
    }
}

/// The index while events arrive.
struct Building {
    index: Index,
    open: Vec<Open>,
    anchors: HashMap<usize, usize>,
    documents: usize,
    duplicates: Vec<Problem>,
}

/// A mapping or list whose end has not come yet.
struct Open {
    spot: usize,
    anchor: usize,
    /// In a mapping: the key whose value comes next.
    key: Option<(Box<str>, Stretch)>,
}

type Step = Result<(), Box<Problem>>;

impl Building {
    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, style, anchor, _) => self.scalar(&text, style, anchor, span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, _) => self.open(anchor, span, Below::Items(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(anchor, span, Below::Keys(HashMap::new())),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Step {
        self.documents += 1;
        match self.documents {
            1 => Ok(()),
            _ => Err(Box::new(
                Problem::error(
                    self.index.lines.place(stretch(span)),
                    "a second YAML document begins here",
                )
                .help(
                    "a file holds one document: remove `---`, or move the rest to a file of `include`",
                ),
            )),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Step {
        let mut at = stretch(span);
        if text.is_empty() && style == ScalarStyle::Plain {
            at.length = 0;
        }
        if self.expects_key() {
            return self.take_key(text, at);
        }
        let raw = (style == ScalarStyle::Plain).then(|| text.into());
        let spot = self.add(at, Below::Nothing, 1)?;
        self.index.spots[spot].raw = raw;
        self.anchor(anchor, spot);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        let at = stretch(span);
        // Inside of what it names an alias has no end; the spot of an open anchor is not known yet.
        let Some(&to) = self.anchors.get(&anchor) else {
            return Err(Box::new(
                Problem::error(
                    self.index.lines.place(at),
                    "this alias stands for what it is in",
                )
                .help("write the value out instead of `*name`"),
            ));
        };
        if self.expects_key() {
            return Err(self.key_problem(at));
        }
        let size = self.index.spots[to].size;
        self.add(at, Below::Alias(to), size).map(|_| ())
    }

    fn open(&mut self, anchor: usize, span: Span, below: Below) -> Step {
        let mut at = stretch(span);
        at.length = 1;
        if self.expects_key() {
            return Err(self.key_problem(at));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(
                Problem::error(
                    self.index.lines.place(at),
                    format!("nested more than {MAX_DEPTH} levels deep"),
                )
                .help("no key of the configuration lies that deep: look for [ or { too many"),
            ));
        }
        let spot = self.add(at, below, 1)?;
        self.open.push(Open {
            spot,
            anchor,
            key: None,
        });
        Ok(())
    }

    fn close(&mut self) -> Step {
        if let Some(open) = self.open.pop() {
            self.anchor(open.anchor, open.spot);
            if let Some(outer) = self.open.last() {
                let (outer, size) = (outer.spot, self.index.spots[open.spot].size);
                self.index.spots[outer].size += size - 1;
            }
        }
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, spot: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, spot);
        }
    }

    /// Whether the next event is a key: it is in a mapping whose last key has got its value.
    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| {
            open.key.is_none() && matches!(self.index.spots[open.spot].below, Below::Keys(_))
        })
    }

    fn take_key(&mut self, text: &str, at: Stretch) -> Step {
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.key = Some((text.into(), at));
        let spot = &self.index.spots[open.spot];
        if let Below::Keys(keys) = &spot.below
            && let Some(first) = keys.get(text)
        {
            let first = &self.index.spots[*first];
            let first = self.index.lines.place(first.key.unwrap_or(first.value));
            let problem = Problem::error(
                self.index.lines.place(at),
                format!("`{text}` is given twice"),
            )
            .also(first, "first given here")
            .help("which of the two is meant? keep one");
            self.duplicates.push(problem);
        }
        Ok(())
    }

    fn key_problem(&self, at: Stretch) -> Box<Problem> {
        Box::new(
            Problem::error(self.index.lines.place(at), "a key must be a plain word")
                .help("text like {{ name }} or [a]: b needs quotes"),
        )
    }

    /// Adds a spot below the innermost open one.
    fn add(&mut self, value: Stretch, below: Below, size: usize) -> Result<usize, Box<Problem>> {
        let id = self.index.spots.len();
        let mut key = None;
        if let Some(open) = self.open.last_mut() {
            let outer = &mut self.index.spots[open.spot];
            // What an inner mapping gains later is added when it closes.
            outer.size += size;
            match &mut outer.below {
                Below::Items(items) => items.push(id),
                Below::Keys(keys) => {
                    if let Some((name, at)) = open.key.take() {
                        keys.entry(name).or_insert(id);
                        key = Some(at);
                    }
                }
                Below::Nothing | Below::Alias(_) => {}
            }
        }
        self.index.spots.push(Spot {
            key,
            value,
            raw: None,
            below,
            size,
        });
        let total: usize = self
            .open
            .iter()
            .map(|o| self.index.spots[o.spot].size)
            .sum();
        match total > MAX_VALUES {
            false => Ok(id),
            true => Err(Box::new(
                Problem::error(
                    self.index.lines.place(value),
                    format!(
                        "the file holds more than {MAX_VALUES} values with its aliases written out"
                    ),
                )
                .help("an alias of aliases grows fast; split a really large file with `include`"),
            )),
        }
    }
}

/// The part of a span on its first line.
fn stretch(span: Span) -> Stretch {
    let length = match span.end.line() == span.start.line() {
        true => span.end.col().saturating_sub(span.start.col()),
        false => 1,
    };
    Stretch {
        line: span.start.line(),
        column: span.start.col(),
        length,
    }
}
