//! Rows of words in columns, as wide as they need to be and no wider than the terminal.

/// A table: what its columns are called, and its rows.
pub struct Table {
    heads: &'static [Head],
    rows: Vec<Vec<String>>,
}

/// A column.
#[derive(Clone, Copy)]
pub enum Head {
    /// Words, which may be cut where there is no room.
    Left(&'static str),
    /// Numbers, never cut.
    Right(&'static str),
}

/// A column of words is never cut to less.
const LEAST: usize = 8;
/// Between two columns.
const GAP: usize = 2;

impl Table {
    /// No rows yet.
    pub fn new(heads: &'static [Head]) -> Self {
        Table {
            heads,
            rows: Vec::new(),
        }
    }

    /// Adds a row: a word for each column.
    pub fn row(&mut self, words: Vec<String>) {
        debug_assert_eq!(words.len(), self.heads.len());
        self.rows.push(words);
    }

    /// Its lines, the heads first, each behind `indent` blanks and at most `width` wide.
    pub fn lines(&self, indent: usize, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width.map(|w| w.saturating_sub(indent)));
        let heads: Vec<String> = self.heads.iter().map(|h| h.name().to_owned()).collect();
        let line = |words: &Vec<String>| {
            let mut line = " ".repeat(indent);
            for ((word, head), width) in words.iter().zip(self.heads).zip(&widths) {
                let blanks = " ".repeat(width.saturating_sub(length(word)));
                match head {
                    Head::Left(_) => line.extend([cut(word, *width), blanks]),
                    Head::Right(_) => line.extend([blanks, word.clone()]),
                }
                line.push_str(&" ".repeat(GAP));
            }
            line.truncate(line.trim_end().len());
            line
        };
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(line)
            .collect()
    }

    /// How wide each column is.
    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|h| length(h.name())).collect();
        for row in &self.rows {
            for (width, word) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(word));
            }
        }
        let Some(most) = most else { return widths };
        let all = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
        // The widest words give way first, one letter at a time.
        while all(&widths) > most {
            let words = (0..widths.len()).filter(|at| matches!(self.heads[*at], Head::Left(_)));
            match words.max_by_key(|at| widths[*at]) {
                Some(at) if widths[at] > LEAST => widths[at] -= 1,
                _ => break,
            }
        }
        widths
    }
}

impl Head {
    fn name(self) -> &'static str {
        match self {
            Head::Left(name) | Head::Right(name) => name,
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A text of at most so many letters.
pub fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// How wide the terminal is; `None`: there is none, and nothing is cut.
pub fn width() -> Option<usize> {
    use std::io::IsTerminal;
    let size = std::io::stdout()
        .is_terminal()
        .then(crossterm::terminal::size)?;
    size.ok()
        .map(|(columns, _)| usize::from(columns))
        .filter(|w| *w > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADS: &[Head] = &[Head::Left("node"), Head::Right("req/s"), Head::Left("why")];

    fn table(rows: &[[&str; 3]]) -> Table {
        let mut table = Table::new(HEADS);
        for row in rows {
            table.row(row.iter().map(|word| (*word).to_owned()).collect());
        }
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_word() {
        let table = table(&[["app-1", "1,200", ""], ["é", "7", "connection refused"]]);
        assert_eq!(
            table.lines(2, None),
            [
                "  node   req/s  why",
                "  app-1  1,200",
                "  é          7  connection refused",
            ]
        );
        assert_eq!(table.lines(2, Some(28))[2], "  é          7  connection …");
    }

    proptest! {
        #[test]
        fn a_table_fits_where_it_can_and_never_panics(
            rows in proptest::collection::vec(["\\PC{0,40}", "[0-9]{1,6}", "\\PC{0,40}"], 0..5),
            width in 0_usize..80,
        ) {
            let mut table = Table::new(HEADS);
            rows.iter().for_each(|row| table.row(row.to_vec()));
            let least = LEAST * 2 + 6 + GAP * 2;
            for line in table.lines(0, Some(width)) {
                prop_assert!(length(&line) <= width.max(least), "{line:?}");
            }
        }
    }
}
