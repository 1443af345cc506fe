//! A page with one space or line end where there were several in a row, and without the comments of its authors.
//!
//! Everything else stays byte for byte: tags and their ends, attributes, scripts, styles, `pre`, `textarea`. No text
//! node goes, so what scripts count stays as it was. A page whose text is not laid out by the rules of HTML alone (styles
//! that keep whitespace, elements of its own, templates) keeps its whitespace; a comment that may be read by a program
//! stays. The tokenizer is not recursive and follows the standard's tree construction as far as tokens hang on it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use lol_html::html_content::{Comment, Element, TextChunk, TextType};
use lol_html::{HtmlRewriter, MemorySettings, Settings, doc_comments, doc_text, element};
use regex::Regex;

/// Bytes that the tokenizer may hold: the longest tag of a page, and how its elements nest.
const MOST_MEMORY: usize = 4 * 1024 * 1024;

/// What may be in a `pre` for its end to be beyond doubt.
const PHRASING: [&str; 30] = [
    "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "data", "del", "dfn", "em", "font", "i",
    "img", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time",
    "tt", "u", "var",
];

/// Signs that whitespace in text says something: a style or a class that keeps it, an expression in double braces.
static MATTERS: LazyLock<Regex> = LazyLock::new(|| {
    let signs =
        r"(?i)white-?space(-collapse)?\s*[:-]\s*(pre|break-spaces)|xml:space|contenteditable|\{\{";
    Regex::new(signs).expect("a constant that a test compiles")
});

/// A comment that people wrote to people: words with spaces around and the signs of prose between. Whatever a program might
/// look for (`[if`, `#include`, `ko if:`, `wp:`, `/region`, `$`) has another sign or is one word.
static PROSE: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"^\s+[A-Za-z][A-Za-z0-9'-]*([,.]?\s+[A-Za-z0-9][A-Za-z0-9'-]*)+[.!?]?\s+$";
    Regex::new(words).expect("a constant that a test compiles")
});

/// The page without what says nothing; `None`: it is not understood.
pub(super) fn minified(text: &str) -> Option<Vec<u8>> {
    let texts = Rc::new(Texts::new(MATTERS.is_match(text)));
    let (seen, read) = (Rc::clone(&texts), Rc::clone(&texts));
    let mut out = Vec::with_capacity(text.len());
    let settings = Settings::new()
        .append_element_content_handler(element!("*", |element| seen.element(element)))
        .append_document_content_handler(doc_text!(|chunk| {
            read.chunk(chunk);
            Ok(())
        }))
        .append_document_content_handler(doc_comments!(|comment| {
            if is_prose(comment) {
                comment.remove();
            }
            Ok(())
        }))
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MOST_MEMORY))
        .with_strict(true);
    let mut rewriter = HtmlRewriter::new(settings, |bytes: &[u8]| out.extend_from_slice(bytes));
    rewriter.write(text.as_bytes()).ok()?;
    rewriter.end().ok()?;
    Some(out)
}

/// Whether nobody but people reads a comment.
fn is_prose(comment: &Comment<'_>) -> bool {
    let text = comment.text();
    let lower = text.to_lowercase();
    PROSE.is_match(&text)
        && !["copyright", "licen", "noindex"]
            .iter()
            .any(|word| lower.contains(word))
}

/// What is known while a page goes by, and what becomes of its texts.
struct Texts {
    /// Whether all that follows keeps its whitespace.
    is_kept: Cell<bool>,
    /// `pre` elements that are open.
    open: Rc<Cell<usize>>,
    /// What the run of whitespace becomes that is not out yet.
    run: Cell<Option<char>>,
}

impl Texts {
    fn new(is_kept: bool) -> Texts {
        Texts {
            is_kept: Cell::new(is_kept),
            open: Rc::new(Cell::new(0)),
            run: Cell::new(None),
        }
    }

    /// An element begins.
    fn element(&self, element: &mut Element<'_, '_>) -> lol_html::HandlerResult {
        let name = element.tag_name();
        if matches!(name.as_str(), "pre" | "listing") {
            self.open.set(self.open.get() + 1);
            let open = Rc::clone(&self.open);
            element.on_end_tag(lol_html::end_tag!(move |_| {
                open.set(open.get().saturating_sub(1));
                Ok(())
            }))?;
        } else if name.contains('-') || self.open.get() > 0 && !PHRASING.contains(&name.as_str()) {
            // What an element of the page's own does with its text nobody knows here; and where a `pre` ends that is
            // not written by the rules, browsers decide by more than tags.
            self.is_kept.set(true);
        }
        Ok(())
    }

    /// A part of a text; whitespace may go on in the next.
    fn chunk(&self, chunk: &mut TextChunk<'_>) {
        if self.is_kept.get() || self.open.get() > 0 || chunk.text_type() != TextType::Data {
            return;
        }
        let mut text = String::with_capacity(chunk.as_str().len() + 1);
        for character in chunk.as_str().chars() {
            let run = self.run.get();
            match character {
                // A line end swallows the spaces around it (CSS Text 3 §4.1.1).
                '\n' | '\r' => self.run.set(Some('\n')),
                ' ' | '\t' => self.run.set(run.or(Some(' '))),
                _ => {
                    text.extend(run);
                    text.push(character);
                    self.run.set(None);
                }
            }
        }
        if chunk.last_in_text_node() {
            text.extend(self.run.take());
        }
        if text != chunk.as_str() {
            chunk.set_str(text);
        }
    }
}

#[cfg(test)]
mod tests;
