//! What is wrong, where, why, and what to do about it.
//!
//! Everything the configuration has to say to an operator is a `Problem`; it renders in the look of a compiler's
//! diagnostics and serialises for `check -o json`. Nothing here may decide what is wrong: it only tells.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// How much a problem matters, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably not with the outcome that was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word that opens a diagnostic.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A stretch of one line of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file as the operator named it.
    #[serde(serialize_with = "as_str")]
    pub file: Arc<str>,
    /// Line, from 1; 0 when the file as a whole is meant (it cannot be read).
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters, at least 1.
    pub length: usize,
    /// The part of the line worth showing; empty when there is none.
    #[serde(skip)]
    pub text: Arc<str>,
    /// Characters of `text` before the place.
    #[serde(skip)]
    pub before: usize,
}

fn as_str<S: serde::Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

impl Place {
    /// A file as a whole.
    pub fn file(name: &str) -> Place {
        Place {
            file: name.into(),
            line: 0,
            column: 0,
            length: 0,
            text: "".into(),
            before: 0,
        }
    }

    /// The same without the line that stands there, which may hold a secret.
    pub fn without_text(&self) -> Place {
        Place {
            text: "".into(),
            ..self.clone()
        }
    }
}

/// One thing the configuration has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// A few words right at the carets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A second place that has to do with it, and what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<(Place, String)>,
    /// Why it matters and what to do.
    pub help: Vec<String>,
}

/// Parts of words after which a line may hold what lets somebody in.
const SECRETS: [&str; 7] = [
    "auth",
    "token",
    "secret",
    "passw",
    "key",
    "credential",
    "cookie",
];

impl Problem {
    /// As it is told to whoever may read the stats port: without lines of the file that may hold a secret.
    pub fn told_to_all(&self) -> String {
        let bare = |place: &Place| {
            let text = place.text.to_ascii_lowercase();
            match SECRETS.iter().any(|part| text.contains(part)) {
                true => place.without_text(),
                false => place.clone(),
            }
        };
        let shown = Problem {
            place: bare(&self.place),
            also: (self.also.as_ref()).map(|(place, what)| (bare(place), what.clone())),
            ..self.clone()
        };
        shown.to_string()
    }

    /// A problem of this weight.
    pub fn new(severity: Severity, place: Place, message: impl Into<String>) -> Problem {
        Problem {
            severity,
            message: message.into(),
            place,
            label: None,
            also: None,
            help: Vec::new(),
        }
    }

    /// Something that makes the configuration unusable.
    pub fn error(place: Place, message: impl Into<String>) -> Problem {
        Problem::new(Severity::Error, place, message)
    }

    /// Something that was probably not meant.
    pub fn warning(place: Place, message: impl Into<String>) -> Problem {
        Problem::new(Severity::Warning, place, message)
    }

    /// Something worth knowing.
    pub fn note(place: Place, message: impl Into<String>) -> Problem {
        Problem::new(Severity::Note, place, message)
    }

    /// Adds words at the carets.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = Some(label.into());
        self
    }

    /// Adds `did you mean`, when there is something to mean.
    pub fn did_you_mean(self, guess: Option<&str>) -> Problem {
        match guess {
            Some(guess) => self.label(format!("did you mean \"{guess}\"?")),
            None => self,
        }
    }

    /// Adds a line of remedy or reason.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help.push(help.into());
        self
    }

    /// Adds a second place.
    pub fn also(mut self, place: Place, what: impl Into<String>) -> Problem {
        self.also = Some((place, what.into()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity.as_str(), self.message)?;
        let lines = [Some(self.place.line), self.also.as_ref().map(|a| a.0.line)];
        let gutter = lines
            .iter()
            .flatten()
            .max()
            .map_or(1, |n| n.to_string().len());
        show_place(
            f,
            gutter,
            "-->",
            &self.place,
            self.label.as_deref().unwrap_or(""),
        )?;
        if let Some((place, what)) = &self.also {
            show_place(f, gutter, ":::", place, what)?;
        }
        for help in &self.help {
            writeln!(f, "{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Shows a place: where, the line, the carets and what to say at them.
fn show_place(
    f: &mut fmt::Formatter<'_>,
    gutter: usize,
    arrow: &str,
    place: &Place,
    label: &str,
) -> fmt::Result {
    if place.line == 0 {
        return writeln!(f, "{:gutter$}{arrow} {}", "", place.file);
    }
    let (file, line, column) = (&place.file, place.line, place.column);
    writeln!(f, "{:gutter$}{arrow} {file}:{line}:{column}", "")?;
    if place.text.is_empty() {
        return Ok(()); // an empty line, or bytes nobody should see
    }
    // A tab has no fixed width and a control character may move the cursor: neither may shift the carets.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = place.text.chars().map(plain).collect();
    let carets = place
        .length
        .clamp(1, shown.chars().count().saturating_sub(place.before).max(1));
    let marks = format!("{}{} {label}", " ".repeat(place.before), "^".repeat(carets));
    writeln!(f, "{:gutter$} |", "")?;
    writeln!(f, "{line:gutter$} | {}", shown.trim_end())?;
    writeln!(f, "{:gutter$} | {}", "", marks.trim_end())
}

/// The most errors, warnings or notes of a kind that are kept: nobody reads more, and a hostile file could make
/// millions.
const MAX_OF_A_KIND: usize = 100;

/// Collects problems, so that all are told at once.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
    others: usize,
    /// Keys that were probably meant by misspelt ones, each with the place of its mapping.
    meant: HashSet<(Place, &'static str)>,
}

impl Problems {
    /// Keeps a problem; beyond a hundred of a kind it is only counted.
    pub fn push(&mut self, problem: Problem) {
        let count = match problem.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning | Severity::Note => &mut self.others,
        };
        *count += 1;
        if *count <= MAX_OF_A_KIND {
            self.list.push(problem);
        }
    }

    /// Keeps a problem, if there is one.
    pub fn extend(&mut self, problem: Option<Problem>) {
        if let Some(problem) = problem {
            self.push(problem);
        }
    }

    /// Remembers that a mapping holds a misspelt key which was probably this one.
    pub fn meant(&mut self, mapping: Place, key: &'static str) {
        if self.meant.len() < MAX_OF_A_KIND {
            self.meant.insert((mapping, key));
        }
    }

    /// Tells of a key that is missing from the mapping the problem points at, unless it is there, only misspelt.
    pub fn missing(&mut self, key: &'static str, problem: Problem) {
        if !self.meant.contains(&(problem.place.clone(), key)) {
            self.push(problem);
        }
    }

    /// Whether anything makes the configuration unusable.
    pub fn any_error(&self) -> bool {
        self.errors > 0
    }

    /// Whether further errors will only be counted.
    pub fn enough(&self) -> bool {
        self.errors >= MAX_OF_A_KIND
    }

    /// Everything collected: errors first, each kind in the order of the files' lines.
    pub fn into_sorted(mut self, main: &str) -> Vec<Problem> {
        if self.errors > 0 {
            // Beside errors, remarks on what is fine would only be in the way.
            self.list.retain(|p| p.severity != Severity::Note);
        }
        self.list
            .sort_by(|a, b| (a.severity, &a.place).cmp(&(b.severity, &b.place)));
        self.list.dedup();
        if let Some(more) = self.errors.checked_sub(MAX_OF_A_KIND).filter(|n| *n > 0) {
            let last = self
                .list
                .iter()
                .rposition(|p| p.severity == Severity::Error);
            let place = last.map_or_else(|| Place::file(main), |i| self.list[i].place.clone());
            let rest = Problem::error(place, format!("{more} more errors are not shown"))
                .help("mend the ones above first; many may come from one of them");
            self.list.insert(last.map_or(0, |i| i + 1), rest);
        }
        if self.errors == 0 && self.others > MAX_OF_A_KIND {
            let more = self.others - MAX_OF_A_KIND;
            let what = format!("{more} more warnings and notes are not shown");
            self.list.push(Problem::note(Place::file(main), what));
        }
        self.list
    }
}

/// The candidate most like what was written, if one is like enough to be worth offering.
pub fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A word far longer than any name is not a slip of the finger, and measuring it would take quadratic time.
    if written.len() > 64 {
        return None;
    }
    let low = written.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Swapped and dropped letters in short words, which the other measure takes for different words.
        let slips = strsim::osa_distance(&low, &candidate);
        let few = slips <= 1 + low.chars().count() / 6 && slips < candidate.chars().count();
        strsim::jaro_winkler(&low, &candidate) + if few { 1.0 } else { 0.0 }
    };
    candidates
        .into_iter()
        .map(|c| (likeness(c), c))
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}
