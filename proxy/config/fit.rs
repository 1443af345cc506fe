//! Fits the values of a file to the shape they should have.
//!
//! One walk finds every key that is unknown, misspelt, given under another name or not supported yet, and every
//! value of the wrong kind. What does not fit is told and taken out, so that serde meets only what it can read and
//! later checks still see the rest. Leaves become words: as written for numbers (`010` stays `010`), expanded for
//! variables. Nothing here may decide what a word means.

use serde_yaml::{Mapping, Value};

use super::expand::{Env, expand};
use super::index::At;
use super::problem::{Problem, Problems, closest};
use super::schema::FILE;
use super::schema::shape::{Key, Shape, home_of};

/// The walk.
pub struct Fit<'a> {
    /// Where variables come from.
    pub env: Env<'a>,
    /// Where mistakes go.
    pub problems: &'a mut Problems,
}

/// What a value is called in messages, and how it is written.
#[derive(Clone, Copy)]
pub struct Called<'a> {
    /// Its key, or that of the list it is in.
    pub name: &'a str,
    /// How it is written.
    pub example: &'a str,
    /// Whether it is an entry of that list.
    pub entry: bool,
}

impl Called<'_> {
    fn title(&self) -> String {
        let name = shorten(self.name);
        match self.entry {
            true => format!("an entry of `{name}`"),
            false => format!("`{name}`"),
        }
    }
}

impl Fit<'_> {
    /// The value as the shape wants it; `None` when it is absent or does not fit.
    pub fn fit(
        &mut self,
        value: Value,
        at: &At,
        shape: &Shape,
        called: Called<'_>,
    ) -> Option<Value> {
        if let Value::Tagged(tagged) = &value {
            let what = format!("the YAML tag `{}` is not supported", tagged.tag);
            self.error(
                at,
                what,
                "remove it; quote the value if the `!` is part of it",
            );
            return None;
        }
        match (shape, value) {
            (Shape::Word, Value::Null) => {
                let what = format!("`{}` has no value", called.name);
                self.error(
                    at,
                    what,
                    &format!("write `{}`, or remove the key", called.example),
                );
                None
            }
            // A section without a value is one whose keys are all commented out.
            (_, Value::Null) => None,
            (Shape::WordOr(inner), value @ Value::Mapping(_)) => self.fit(value, at, inner, called),
            (Shape::Word | Shape::WordOr(_), value) => self.word(&value, at, shape, called),
            (Shape::Words, Value::Sequence(items)) => {
                Some(self.list(items, at, &Shape::Word, called))
            }
            (Shape::Words, value) => {
                let word = self.word(&value, at, shape, called)?;
                Some(Value::Sequence(vec![word]))
            }
            (Shape::List(inner), Value::Sequence(items)) => {
                Some(self.list(items, at, inner, called))
            }
            (Shape::Map(keys), Value::Mapping(map)) => Some(self.map(map, at, keys)),
            (Shape::Named(inner), Value::Mapping(map)) => Some(self.named(map, at, inner, called)),
            (shape, value) => {
                self.misfit(&value, at, shape, called);
                None
            }
        }
    }

    /// A leaf, as a word.
    fn word(&mut self, value: &Value, at: &At, shape: &Shape, called: Called<'_>) -> Option<Value> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => at.raw().map_or_else(|| number.to_string(), str::to_string),
            Value::Bool(flag) => at.raw().map_or_else(|| flag.to_string(), str::to_string),
            _ => {
                self.misfit(value, at, shape, called);
                return None;
            }
        };
        match expand(&text, self.env) {
            Ok(text) => Some(Value::String(text)),
            Err((what, help)) => {
                self.error(at, what, &help);
                None
            }
        }
    }

    /// A list; what does not fit leaves a gap, so that the others keep their positions.
    fn list(&mut self, items: Vec<Value>, at: &At, shape: &Shape, called: Called<'_>) -> Value {
        let mut out = Vec::with_capacity(items.len());
        let called = Called {
            entry: true,
            ..called
        };
        for (i, item) in items.into_iter().enumerate() {
            let here = at.item(i);
            if item.is_null() {
                let what = format!("an entry of `{}` is empty", called.name);
                self.error(&here, what, "fill it in or remove its `-`");
            }
            out.push(self.entry(item, &here, shape, called));
        }
        Value::Sequence(out)
    }

    /// An entry of a list or of a mapping of names; `Null` when it is empty or does not fit.
    fn entry(&mut self, value: Value, at: &At, shape: &Shape, called: Called<'_>) -> Value {
        match value {
            Value::Null => Value::Null,
            value => self.fit(value, at, shape, called).unwrap_or(Value::Null),
        }
    }

    /// A mapping with known keys.
    fn map(&mut self, map: Mapping, at: &At, keys: &'static [Key]) -> Value {
        let mut out = Mapping::new();
        for (key, value) in map {
            let Some(name) = key_text(&key) else {
                self.error(at, "a key here is not a word", "write `name: value`");
                continue;
            };
            let here = at.key(&name);
            let Some(key) = self.known(&name, at, keys) else {
                continue;
            };
            if out.contains_key(key.name) {
                let what = format!(
                    "`{name}` is another name for `{}`, which is given too",
                    key.name
                );
                self.error(&here, what, &format!("keep `{}`", key.name));
                continue;
            }
            let called = Called {
                name: key.name,
                example: key.example,
                entry: false,
            };
            if let Some(value) = self.fit(value, &here, &key.shape, called) {
                out.insert(key.name.into(), value);
            }
        }
        Value::Mapping(out)
    }

    /// The key of this name, if it can be used; else says why not.
    fn known(&mut self, name: &str, outer: &At, keys: &'static [Key]) -> Option<&'static Key> {
        let place = outer.key(name).key_place();
        if let Some(key) = keys.iter().find(|k| k.name == name) {
            if let Shape::Elsewhere(instead) = key.shape {
                let what = format!("`{name}` is a key of other proxies");
                self.problems
                    .push(Problem::error(place, what).help(instead));
                return None;
            }
            return Some(key);
        }
        if let Some(key) = keys.iter().find(|k| k.aka == Some(name)) {
            let what = format!("`{name}` is taken for `{}`", key.name);
            self.problems
                .push(Problem::note(place, what).help(format!("write `{}`", key.name)));
            return Some(key);
        }
        let known = || keys.iter().filter(|k| k.supported()).map(|k| k.name);
        let guess = closest(name, known());
        if let Some(guess) = guess {
            self.problems.meant(outer.place(), guess);
        }
        let mut problem =
            Problem::error(place, format!("unknown key `{}`", shorten(name))).did_you_mean(guess);
        if let (None, Some(home)) = (guess, home_of(name, &FILE)) {
            let home = match home.contains('.') {
                true => format!("belongs to `{home}`"),
                false => "belongs at the top of the main file".into(),
            };
            problem = problem.help(format!("`{name}` {home}"));
        }
        let all: Vec<&str> = known().collect();
        self.problems
            .push(problem.help(format!("keys that can stand here: {}", all.join(", "))));
        None
    }

    /// A mapping whose keys are names.
    fn named(&mut self, map: Mapping, at: &At, shape: &Shape, called: Called<'_>) -> Value {
        let mut out = Mapping::new();
        for (key, value) in map {
            let Some(name) = key_text(&key) else {
                self.error(
                    at,
                    format!("a name in `{}` is not a word", called.name),
                    "write `name:` before it",
                );
                continue;
            };
            let here = at.key(&name);
            if value.is_null() {
                let what = format!("`{}` has no value", shorten(&name));
                self.error(
                    &here,
                    what,
                    &format!("fill it in as in `{}`, or remove it", called.example),
                );
            }
            let called = Called {
                name: &name,
                example: called.example,
                entry: false,
            };
            let value = self.entry(value, &here, shape, called);
            out.insert(Value::String(name), value);
        }
        Value::Mapping(out)
    }

    /// A value of the wrong kind.
    fn misfit(&mut self, value: &Value, at: &At, shape: &Shape, called: Called<'_>) {
        let wanted = match shape {
            Shape::Word => "one value",
            Shape::Words => "a value or a list of values",
            Shape::Map(_) | Shape::Named(_) => "a mapping (`key: value` lines)",
            Shape::List(_) => "a list",
            Shape::WordOr(_) => "a value or a mapping",
            Shape::Elsewhere(_) => "removed",
        };
        let found = match value {
            Value::Mapping(_) => "a mapping",
            Value::Sequence(_) => "a list",
            _ => "a single value",
        };
        let what = format!("{} must be {wanted}, not {found}", called.title());
        self.error(at, what, &format!("write it as in `{}`", called.example));
    }

    fn error(&mut self, at: &At, what: impl Into<String>, help: &str) {
        self.problems
            .push(Problem::error(at.place(), what).help(help));
    }
}

/// A key as a word.
fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A word, cut to what fits into a message.
pub fn shorten(word: &str) -> String {
    const SHOWN: usize = 80;
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    match word.chars().nth(SHOWN) {
        None => word.chars().map(plain).collect(),
        Some(_) => word
            .chars()
            .take(SHOWN)
            .map(plain)
            .chain("...".chars())
            .collect(),
    }
}
