//! `minify:` of a route.
//!
//! A kind that this build cannot do never gets past here: it would be served as it came, and nobody would know why.

use super::words::{self, Choices};
use crate::config::checked::{Action, Minify};
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// What can be minified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Html,
    Css,
    Js,
}

/// An entry of `minify`. The value of a word that is none is `None`.
const KINDS: Choices<Option<Kind>> = Choices {
    what: "kind of text to minify",
    words: &[
        ("json", Some(Kind::Json)),
        ("html", Some(Kind::Html)),
        ("css", Some(Kind::Css)),
        ("js", Some(Kind::Js)),
    ],
    aka: &[("javascript", "js"), ("htm", "html")],
    later: &[],
};

impl Kind {
    /// Its place.
    fn of(self, minify: &mut Minify) -> &mut bool {
        match self {
            Kind::Json => &mut minify.json,
            Kind::Html => &mut minify.html,
            Kind::Css => &mut minify.css,
            Kind::Js => &mut minify.js,
        }
    }
}

/// Reads `minify:` of a route with this action (`None`: it has none, which is told) that stores answers or not.
pub fn check(
    list: Option<&[Option<String>]>,
    (action, stores): (Option<&Action>, bool),
    at: &At,
    problems: &mut Problems,
) -> Minify {
    if at.is_blank() {
        let what = "`minify` has no value";
        let help = "write `minify: true` for all that this build can, `minify: [json]`, or `minify: false`";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    let minify = match list {
        None => return Minify::default(),
        Some([Some(word)]) if !at.is_list() && is_flag(word) => {
            match words::flag(Some(word), at, false, problems) {
                true => Minify::AVAILABLE,
                false => return Minify::default(),
            }
        }
        Some(words) => kinds(words, at, problems),
    };
    if let Some(Action::Redirect { .. }) = action {
        let what = "a route that redirects has no answers of nodes to minify";
        let help = "remove `minify`, or `redirect`";
        problems.push(Problem::error(at.key_place(), what).help(help));
    } else if !stores {
        let what = "`minify` has no effect: this route stores nothing, and only what is stored is minified";
        let help = "add `cache: true`, or remove it";
        problems.push(Problem::warning(at.key_place(), what).help(help));
        return Minify::default();
    }
    minify
}

fn is_flag(word: &str) -> bool {
    words::is_off(word) || matches!(word, "true" | "yes" | "on")
}

/// Reads kinds, at least one.
fn kinds(words: &[Option<String>], at: &At, problems: &mut Problems) -> Minify {
    let mut out = Minify::default();
    for (i, word) in words.iter().enumerate() {
        let here = at.item_or_self(i);
        let Some(kind) = KINDS.read(word.as_deref(), &here, None, problems) else {
            continue;
        };
        *kind.of(&mut out) = true;
        if !*kind.of(&mut { Minify::AVAILABLE }) {
            let name = KINDS.word(Some(kind));
            let what = format!("this build of Tidegate cannot minify {name}");
            let help = format!(
                "build it with `cargo build --release --features minify-{name}`, or remove `{name}`"
            );
            problems.push(Problem::error(here.place(), what).help(help));
        }
    }
    if words.is_empty() {
        let what = "`minify` names nothing";
        let help = format!(
            "name one or more of {}, or write `minify: false`",
            KINDS.all()
        );
        problems.push(Problem::error(at.place(), what).help(help));
    }
    out
}

/// The kinds by their words, in the order of the documentation.
pub fn show(mut minify: Minify) -> Vec<&'static str> {
    let words = KINDS.words.iter();
    let chosen = words.filter(|(_, kind)| kind.is_some_and(|kind| *kind.of(&mut minify)));
    chosen.map(|(word, _)| *word).collect()
}
