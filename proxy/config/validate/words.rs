//! Words of the file become values: durations, numbers, choices.
//!
//! One reader per kind, so that the same mistake reads the same everywhere. A reader tells what is wrong and returns
//! the default, so that checking goes on. Nothing here may let a word pass that it does not understand.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::units;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Place, Problem, Problems, closest};

/// A choice between words.
pub struct Choices<T: 'static> {
    /// What is chosen, as in `balance method`.
    pub what: &'static str,
    /// The words and what they mean, in the order of the documentation.
    pub words: &'static [(&'static str, T)],
    /// Other words that people know; accepted, with a note.
    pub aka: &'static [(&'static str, &'static str)],
    /// Words that are planned.
    pub later: &'static [&'static str],
}

impl<T: Copy + PartialEq> Choices<T> {
    /// The word of a value.
    pub fn word(&self, value: T) -> &'static str {
        let found = self.words.iter().find(|(_, v)| *v == value);
        found.map_or("", |(word, _)| word)
    }

    /// The words, for a remedy.
    pub fn all(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        words.join(", ")
    }

    /// Reads a word.
    pub fn read(&self, word: Option<&str>, at: &At, default: T, problems: &mut Problems) -> T {
        let Some(word) = word else {
            return default;
        };
        let value = |word: &str| self.words.iter().find(|(w, _)| *w == word).map(|w| w.1);
        if let Some(value) = value(word) {
            return value;
        }
        let plain = word.to_lowercase().replace('-', "_");
        let canonical = self.aka.iter().find(|(a, _)| *a == plain).map(|a| a.1);
        if let Some(found) = canonical.or(Some(plain.as_str()).filter(|p| value(p).is_some())) {
            let what = format!("\"{}\" is read as {} \"{found}\"", shorten(word), self.what);
            problems.push(Problem::note(at.place(), what).help(format!("write `{found}`")));
            return value(found).unwrap_or(default);
        }
        let help = format!("one of {}", self.all());
        let problem = match self.later.contains(&plain.as_str()) {
            true => Problem::error(
                at.place(),
                format!("{} `{plain}` is not supported yet", self.what),
            ),
            false => {
                let known = self
                    .words
                    .iter()
                    .map(|w| w.0)
                    .chain(self.aka.iter().map(|a| a.0));
                let guess = closest(&plain, known);
                let guess = guess.map(|g| self.aka.iter().find(|a| a.0 == g).map_or(g, |a| a.1));
                let what = format!("unknown {} \"{}\"", self.what, shorten(word));
                Problem::error(at.place(), what).did_you_mean(guess)
            }
        };
        problems.push(problem.help(help));
        default
    }
}

/// Reads a duration.
pub fn duration(
    word: Option<&str>,
    at: &At,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    word.and_then(|word| read_duration(word, at, problems))
        .unwrap_or(default)
}

/// Reads a duration; `None` when it is none, which is told.
fn read_duration(word: &str, at: &At, problems: &mut Problems) -> Option<Duration> {
    let refused = |why: String| {
        let what = format!("\"{}\" is not a duration: {why}", shorten(word));
        let mut problem = Problem::error(at.place(), what);
        // A bare number is the commonest slip; offer what it most likely meant.
        if word.parse::<u64>().is_ok() {
            problem = problem.label(format!("did you mean \"{word}s\"?"));
        }
        problems.push(problem.help(format!("write {}", units::DURATION_FORMS)));
    };
    units::duration(word).map_err(refused).ok()
}

/// Reads a duration that must not be zero.
pub fn positive(
    word: Option<&str>,
    at: &At,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    let value = duration(word, at, default, problems);
    if value.is_zero() {
        let what = "this duration must be longer than 0";
        problems.push(
            Problem::error(at.place(), what).help("write a duration like 5s, or remove the key"),
        );
        return default;
    }
    value
}

/// Reads a limit, of which `0s` is none; says so.
pub fn limit(
    word: Option<&str>,
    at: &At,
    default: Option<Duration>,
    problems: &mut Problems,
) -> Option<Duration> {
    let Some(value) = word.and_then(|word| read_duration(word, at, problems)) else {
        return default;
    };
    if !value.is_zero() {
        return Some(value);
    }
    match default {
        Some(default) => problems.push(
            Problem::warning(at.place(), "0s means no limit at all")
                .label("no limit")
                .help(format!(
                    "whoever hangs here holds its connection for ever; the default is {}",
                    units::show_duration(default)
                )),
        ),
        None => problems.push(Problem::note(
            at.place(),
            "0s means no limit, as without this key",
        )),
    }
    None
}

/// Reads a whole number.
pub fn whole(
    word: Option<&str>,
    at: &At,
    range: RangeInclusive<u32>,
    default: u32,
    problems: &mut Problems,
) -> u32 {
    let Some(word) = word else {
        return default;
    };
    // Digits only: a sign, a fraction, an exponent or an underscore is a sign that something else was meant.
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    if let (true, Ok(value)) = (digits, word.parse::<u32>())
        && range.contains(&value)
    {
        return value;
    }
    let (low, high) = (range.start(), range.end());
    let what = match digits
        || word
            .strip_prefix('-')
            .is_some_and(|w| w.parse::<f64>().is_ok())
    {
        true => format!("{} is out of range", shorten(word)),
        false => format!("\"{}\" is not a whole number", shorten(word)),
    };
    let help = format!("write a whole number from {low} to {high}");
    problems.push(Problem::error(at.place(), what).help(help));
    default
}

/// Reads a share from 0 to 1.
pub fn share(word: Option<&str>, at: &At, default: f64, problems: &mut Problems) -> f64 {
    let Some(word) = word else {
        return default;
    };
    match word.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => value,
        _ => {
            let what = format!("\"{}\" is not a share from 0.0 to 1.0", shorten(word));
            let help = "write 1.0 for all, 0.1 for one in ten, 0 for failures only";
            problems.push(Problem::error(at.place(), what).help(help));
            default
        }
    }
}

/// Reads a whole percentage, in hundredths.
pub fn percent(word: Option<&str>, at: &At, default: u32, problems: &mut Problems) -> u32 {
    let Some(word) = word else {
        return default;
    };
    let number = word.strip_suffix('%').map(str::trim_end);
    let value = number.or((word == "0").then_some(word));
    match value.and_then(|v| v.parse::<u32>().ok()) {
        Some(value @ ..=100) => value,
        _ => {
            let what = format!("\"{}\" is not a percentage", shorten(word));
            let help = "write a whole number from 0% to 100%, with its sign";
            problems.push(Problem::error(at.place(), what).help(help));
            default
        }
    }
}

/// Reads yes or no.
pub fn flag(word: Option<&str>, at: &At, default: bool, problems: &mut Problems) -> bool {
    match word {
        None => default,
        Some("true" | "yes" | "on" | "True" | "TRUE") => true,
        Some("false" | "no" | "off" | "False" | "FALSE") => false,
        Some(word) => {
            let what = format!("\"{}\" is neither true nor false", shorten(word));
            problems.push(Problem::error(at.place(), what).help("write true or false"));
            default
        }
    }
}

/// Whether a word is the file's way to switch something off.
pub fn is_off(word: &str) -> bool {
    matches!(word, "off" | "false" | "no" | "none")
}

/// Checks a name that becomes a metric label and part of an address of the stats port.
pub fn name(word: &str, what: &str, place: Place, problems: &mut Problems) {
    const LONGEST: usize = 128;
    let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '"' | '\\' | '?' | '#' | '%');
    // Addresses are cleaned of `.` and `..` before anybody reads them.
    let is_step = matches!(word, "." | "..");
    if word.is_empty() || word.len() > LONGEST || is_step || !word.chars().all(fine) {
        let what = format!("\"{}\" cannot be the name of {what}", shorten(word));
        let help = "use letters, digits and . _ - : (at most 128); no blanks, / or quotes";
        problems.push(Problem::error(place, what).help(help));
    }
}
