//! What was changed at run time, written into the files: by edits of single lines, so that comments, order and quotes
//! stay as their owner wrote them.
//!
//! Pure: texts in, texts out. An edit that would touch what it is not about is refused with the reason, and told as a
//! patch for a human hand. Whether the texts mean what was wanted is checked by loading them: see `config::load_with`.

mod apply;
mod list;
mod plan;
mod tree;

use similar::TextDiff;

use super::Loaded;
use super::checked::Config;
use plan::Difference;

/// Why a text cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cannot {
    /// Where, from 1; none: the text as a whole.
    line: Option<usize>,
    what: String,
}

impl Cannot {
    fn new(what: impl Into<String>) -> Cannot {
        Cannot {
            line: None,
            what: what.into(),
        }
    }

    fn at(line: usize, what: impl Into<String>) -> Cannot {
        Cannot {
            line: Some(line),
            what: what.into(),
        }
    }
}

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Its name, as diagnostics have it.
    pub file: String,
    /// Its text as it was loaded, without a byte order mark.
    pub before: String,
    /// Its text with the changes.
    pub after: String,
}

/// The files that `loaded` came from, edited so that the nodes of its upstreams are those of `wanted`.
///
/// # Errors
/// Why that cannot be done, in words.
pub fn edited(loaded: &Loaded, wanted: &Config) -> Result<Vec<Edited>, String> {
    let (Some(files), Some(origins)) = (&loaded.config, &loaded.origins) else {
        return Err("the files in use cannot be read".into());
    };
    let differences = plan::differences(files, Some(origins), wanted);
    let places = differences.iter().filter_map(|one| one.at);
    let texts: std::collections::BTreeMap<&str, &str> =
        places.map(|at| (at.file(), at.text())).collect();
    let mut all = Vec::new();
    for (file, edits) in plan::plan(&differences) {
        let before = texts.get(file.as_str()).copied().unwrap_or_default();
        let after = apply::apply(before, &edits).map_err(|cannot| match cannot.line {
            Some(line) => format!("{file}:{line}: {}", cannot.what),
            None => format!("{file}: {}", cannot.what),
        })?;
        all.push(Edited {
            before: before.to_string(),
            file,
            after,
        });
    }
    Ok(all)
}

/// What the edits change, as `diff -u` shows it.
pub fn patch(edited: &[Edited]) -> String {
    let one = |edited: &Edited| {
        let diff = TextDiff::from_lines(&edited.before, &edited.after);
        let mut diff = diff.unified_diff();
        diff.header(&edited.file, &edited.file).to_string()
    };
    edited.iter().map(one).collect()
}

/// The same for a human hand, where no line can be edited: what stands there, and what should be meant.
pub fn by_hand(loaded: &Loaded, wanted: &Config) -> String {
    let Some(files) = &loaded.config else {
        return String::new();
    };
    let differences = plan::differences(files, loaded.origins.as_ref(), wanted);
    differences.iter().map(hunk).collect()
}

fn hunk(one: &Difference<'_>) -> String {
    let (line, file) = match one.at {
        Some(at) => (at.begins().0, at.file()),
        None => (1, "the file"),
    };
    let id = one.was.or(one.is).map_or("", |node| &node.id);
    let mut text = format!(
        "--- {file}\n+++ {file}\n@@ -{line} +{line} @@ upstream {}, node {id}\n",
        one.upstream
    );
    for (sign, node) in [('-', one.was), ('+', one.is)] {
        if let Some(node) = node {
            text.push_str(&format!("{sign}- {}\n", plan::entry(node)));
        }
    }
    text
}

#[cfg(test)]
mod tests;
