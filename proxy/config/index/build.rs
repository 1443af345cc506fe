//! Parser events become the tree of places.
//!
//! What could cost unbounded time or memory later (deep nesting, alias bombs) is refused here, before any value
//! exists; the events themselves come one at a time and need no recursion. Keys given twice are told here too,
//! because a tree of values could hold only one of them.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{At, Below, Index, Spot};
use crate::config::lines::{Lines, Stretch};
use crate::config::problem::{Place, Problem, Problems};

/// The deepest nesting accepted: a configuration needs seven levels; recursion over the values stays shallow.
const MAX_DEPTH: usize = 32;

/// The most values a file may hold once its aliases are expanded: about ten thousand nodes in long form.
const MAX_VALUES: usize = 100_000;

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

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let marker = error.marker();
        let place = self.point(marker.line(), marker.col() + 1);
        Box::new(syntax_problem(place, error.info()))
    }
}

/// A syntax error with the remedy that fits what stands there.
pub fn syntax_problem(place: Place, info: &str) -> Problem {
    let line = place.text.to_string();
    let here: String = line.chars().skip(place.before).collect();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim());
    let odd = |text: &str| text.starts_with(['*', '&', '!', '%', '@', '`']);
    let help = if info.contains("128") {
        "write a smaller number: this one is out of every range"
    } else if indent.contains('\t') {
        "the line is indented with a tab; YAML wants spaces"
    } else if odd(&here) || odd(value) {
        "a value that begins with one of * & ! % @ ` needs quotes: \"*.example.com\""
    } else if here.starts_with('-') || line.contains(" - }") {
        "a `-` alone needs quotes: \"-\""
    } else if line.matches('"').count() % 2 == 1 || line.matches('\'').count() % 2 == 1 {
        "look for a quote that is not closed"
    } else if !line.contains('{') && value.contains(": ") {
        "a value that contains `: ` needs quotes"
    } else {
        "look at this line and the one before: indentation, a missing `:`, an open [ { or quote"
    };
    let what = match info.contains("128") {
        true => "a number here is far too large".to_string(),
        false => format!("this is not YAML: {info}"),
    };
    Problem::error(place, what).help(help)
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
                    "this alias refers to a value that contains it",
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
