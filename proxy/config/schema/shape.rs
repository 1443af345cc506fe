//! The shape of a section as data: which keys it has and what each may look like.
//!
//! serde stops at the first mistake and knows no "did you mean". The shapes say the same as the structs beside them
//! in a form that `config/fit` walks to find every mistake at once. A shape must agree with its struct: a test
//! loads a file with every key of every shape. Nothing here may know what a value means.

/// What a value may look like.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One word: text, number, duration, yes or no.
    Word,
    /// One word or a list of words.
    Words,
    /// A mapping with these keys.
    Map(&'static [Key]),
    /// A mapping whose keys are names the operator chose.
    Named(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// One word, or else this.
    WordOr(&'static Shape),
    /// Known from elsewhere, and what stands in its place here.
    Elsewhere(&'static str),
}

/// A key of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Another name that people know it by; accepted, with a hint.
    pub aka: Option<&'static str>,
    /// What its value may look like.
    pub shape: Shape,
    /// How it is written, for remedies.
    pub example: &'static str,
}

impl Key {
    /// A supported key.
    pub const fn new(name: &'static str, shape: Shape, example: &'static str) -> Key {
        Key {
            name,
            aka: None,
            shape,
            example,
        }
    }

    /// A supported key with a second name.
    pub const fn aka(mut self, aka: &'static str) -> Key {
        self.aka = Some(aka);
        self
    }

    /// A key of other proxies: refused with what does the same here.
    pub const fn elsewhere(name: &'static str, instead: &'static str) -> Key {
        Key::new(name, Shape::Elsewhere(instead), "")
    }

    /// Whether it can be used.
    pub fn supported(&self) -> bool {
        !matches!(self.shape, Shape::Elsewhere(_))
    }
}

/// Where a key belongs, as a path below `shape`: for a key that was written on the wrong level.
pub fn home_of(key: &str, shape: &Shape) -> Option<String> {
    match shape {
        Shape::Map(keys) => keys.iter().filter(|k| k.supported()).find_map(|k| {
            if k.name == key {
                return Some(k.name.to_string());
            }
            home_of(key, &k.shape).map(|below| format!("{}.{below}", k.name))
        }),
        Shape::Named(inner) => home_of(key, inner).map(|below| format!("NAME.{below}")),
        Shape::List(inner) | Shape::WordOr(inner) => home_of(key, inner),
        Shape::Word | Shape::Words | Shape::Elsewhere(_) => None,
    }
}
