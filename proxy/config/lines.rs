//! The lines of a file, to show the one a problem stands on.
//!
//! Built once per file; a line is cut to a window only when a problem wants it. Nothing here may copy the file or
//! take time in proportion to it per problem: a file may hold a hundred thousand mistakes, all on one line.

use std::sync::Arc;

use super::problem::Place;

/// The widest part of a line that is shown: a minified file must not flood a terminal.
const SHOWN: usize = 140;

/// What is shown before the place when a line is cut.
const SHOWN_BEFORE: usize = 40;

/// Beyond this, characters of a line that is not ASCII are not counted, and the line is not shown.
const COUNTED: usize = 4096;

/// A stretch of a line: line from 1, column from 0, length in characters.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 0.
    pub column: usize,
    /// Length in characters; 0 for a value that is not written.
    pub length: usize,
}

/// A file's text, cut into lines.
#[derive(Debug)]
pub struct Lines {
    file: Arc<str>,
    text: Arc<str>,
    ascii: bool,
    starts: Vec<u32>,
}

impl Lines {
    /// Finds the lines of a text, which is at most 4 GiB long.
    pub fn new(file: &str, text: &str) -> Lines {
        let bytes = text.as_bytes();
        let ends = (0..bytes.len()).filter(|i| match bytes[*i] {
            b'\n' => true,
            b'\r' => bytes.get(i + 1) != Some(&b'\n'),
            _ => false,
        });
        Lines {
            file: file.into(),
            text: text.into(),
            ascii: text.is_ascii(),
            starts: std::iter::once(0)
                .chain(ends.map(|i| i as u32 + 1))
                .collect(),
        }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A stretch as a place to show.
    pub fn place(&self, at: Stretch) -> Place {
        let line = at.line.clamp(1, self.starts.len());
        let (text, before) = self.window(self.line(line), at.column);
        Place {
            file: self.file.clone(),
            line,
            column: at.column + 1,
            length: at.length.max(1),
            text: text.into(),
            before,
        }
    }

    /// A line without its end, from 1.
    fn line(&self, line: usize) -> &str {
        let from = self.starts[line - 1] as usize;
        let to = self
            .starts
            .get(line)
            .map_or(self.text.len(), |next| *next as usize);
        self.text[from..to].trim_end_matches(['\n', '\r'])
    }

    /// The part of a line around a column, and the characters of it before that column.
    fn window(&self, line: &str, column: usize) -> (String, usize) {
        if line.len() <= SHOWN && column <= line.len() {
            return (line.to_string(), column);
        }
        if !self.ascii && line.len() > COUNTED {
            return (String::new(), 0);
        }
        let chars = match self.ascii {
            true => line.len(),
            false => line.chars().count(),
        };
        let column = column.min(chars);
        if chars <= SHOWN {
            return (line.to_string(), column);
        }
        let from = column.saturating_sub(SHOWN_BEFORE);
        let to = chars.min(from + SHOWN);
        let cut = match self.ascii {
            true => line[from..to].to_string(),
            false => line.chars().skip(from).take(to - from).collect(),
        };
        let (left, right) = (
            if from > 0 { "..." } else { "" },
            if to < chars { "..." } else { "" },
        );
        (format!("{left}{cut}{right}"), column - from + left.len())
    }
}
