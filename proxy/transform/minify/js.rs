//! A script without its comments and the whitespace that says nothing.
//!
//! Every token stays byte for byte, and where two stood on different lines they still do if that may end a statement
//! (ECMA-262 §12.10): what a script does hangs on its tokens and its line ends, and on nothing that goes here. Nothing is
//! renamed, folded or printed anew.
//!
//! A parser finds the tokens, because only a grammar tells a division from a regular expression. One that descends by
//! recursion would end the process on a script that nests deep enough, and nothing catches that. This one keeps a stack
//! of its own; what little recursion it has, on scripts that may be read in two ways, gets a thread with room for the worst.

use std::ops::ControlFlow;

use tree_sitter::{Language, Node, ParseOptions, ParseState, Parser, Tree};

/// Bytes of the largest script that is minified: beyond it a data thread would be busy for too long.
const MOST: usize = 128 * 1024;

/// How often the parser may ask whether to go on, for each 100 bytes of a script. Scripts make it ask less than once;
/// brackets in brackets and nothing else, five times.
const PATIENCE: usize = 3;

/// Bytes of stack for the parser. It recurses at most once for each token, so for each byte, and measured with less than
/// 200 bytes; memory is taken only where that happens.
const STACK: usize = 512 * MOST;

/// Comments that say more than their author's thoughts: licences, and words for tools.
const KEPT: [&str; 6] = [
    "@license",
    "@preserve",
    "@cc_on",
    "copyright",
    "webpack",
    "@vite",
];

/// The script without what says nothing; `None`: it is not understood, or takes too long.
pub(super) fn minified(text: &str) -> Option<Vec<u8>> {
    // Comments of HTML in scripts (Annex B.1.1) hang on where a line begins.
    if text.len() > MOST || ["#!", "<!--", "-->"].iter().any(|odd| text.contains(odd)) {
        return None;
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let thread = builder.spawn_scoped(scope, || stripped(text)).ok()?;
        thread.join().ok().flatten() // a panic ends that thread alone: the script stays as it is
    })
}

/// The same, with room enough on the stack.
fn stripped(text: &str) -> Option<Vec<u8>> {
    let language = Language::new(tree_sitter_javascript::LANGUAGE);
    let tree = parsed(text, &language)?;
    let kinds = Kinds::new(&language);
    let mut writer = Writer {
        source: text.as_bytes(),
        out: Vec::with_capacity(text.len()),
        end: 0,
        seen: 0,
        is_spare: true,
    };
    leaves(&tree, &kinds, |node| {
        if node.kind_id() == kinds.comment {
            writer.comment(node)
        } else {
            writer.token(node)
        }
    })?;
    writer.rest();
    Some(writer.out)
}

/// The tree of a script without any error.
fn parsed(text: &str, language: &Language) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(language).ok()?;
    let most = 16 + text.len() * PATIENCE / 100;
    let mut asked = 0;
    let mut go_on = |state: &ParseState| {
        asked += 1;
        if state.has_error() || asked > most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let mut read = |from: usize, _| text.as_bytes().get(from..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut go_on);
    let tree = parser.parse_with_options(&mut read, None, Some(options))?;
    (!tree.root_node().has_error()).then_some(tree)
}

/// Numbers of the grammar's symbols that matter here.
struct Kinds {
    comment: u16,
    /// What is one token to us, whatever is in it.
    whole: [u16; 3],
    /// Not of the language: a page within a script.
    foreign: [u16; 2],
}

impl Kinds {
    fn new(language: &Language) -> Kinds {
        let id = |name| language.id_for_node_kind(name, true);
        Kinds {
            comment: id("comment"),
            whole: ["string", "template_string", "regex"].map(id),
            foreign: ["jsx_element", "jsx_self_closing_element"].map(id),
        }
    }
}

/// Visits every token and comment in order. `None`: it is not a script after all, or the visitor says so.
fn leaves(tree: &Tree, kinds: &Kinds, mut visit: impl FnMut(Node<'_>) -> Option<()>) -> Option<()> {
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let kind = node.kind_id();
        if kinds.foreign.contains(&kind) {
            return None;
        }
        if !kinds.whole.contains(&kind) && cursor.goto_first_child() {
            continue;
        }
        visit(node)?;
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Some(());
            }
        }
    }
}

/// Puts tokens one behind the other.
struct Writer<'a> {
    source: &'a [u8],
    out: Vec<u8>,
    /// Where the last token ended.
    end: usize,
    /// Up to where the gap behind it was looked at.
    seen: usize,
    /// Whether there is nothing in it that has to stay.
    is_spare: bool,
}

impl Writer<'_> {
    fn comment(&mut self, node: Node<'_>) -> Option<()> {
        self.look_at_gap(node.start_byte());
        let text = self.source.get(node.byte_range())?;
        self.is_spare &= !is_kept(text);
        self.seen = node.end_byte();
        Some(())
    }

    fn token(&mut self, node: Node<'_>) -> Option<()> {
        let token = self.source.get(node.byte_range())?;
        let Some(&next) = token.first() else {
            return Some(()); // a semicolon that nobody wrote
        };
        self.look_at_gap(node.start_byte());
        let gap = self.source.get(self.end..node.start_byte())?;
        match self.out.last() {
            _ if !self.is_spare => self.out.extend_from_slice(gap),
            Some(&last) if !gap.is_empty() => self.out.extend(needed(last, gap, next)),
            _ => {}
        }
        self.out.extend_from_slice(token);
        self.end = node.end_byte();
        self.seen = self.end;
        self.is_spare = true;
        Some(())
    }

    /// What is neither token nor comment is whitespace; where it is not the plain kind, it stays.
    fn look_at_gap(&mut self, to: usize) {
        let gap = self.source.get(self.seen..to).unwrap_or(b"?");
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        self.is_spare &= gap.iter().all(is_space);
    }

    /// What is behind the last token.
    fn rest(&mut self) {
        self.look_at_gap(self.source.len());
        if !self.is_spare {
            self.out.extend_from_slice(&self.source[self.end..]);
        }
    }
}

/// Whether a comment is read by others than people who work on the script: `/*!`, `//#`, `/*@`, licences.
fn is_kept(comment: &[u8]) -> bool {
    let text = String::from_utf8_lossy(comment).to_lowercase();
    matches!(comment.get(2), Some(b'!' | b'#' | b'@'))
        || KEPT.iter().any(|word| text.contains(word))
}

/// What must stand between two tokens, of which these are the last and the first byte, for the gap that was there.
fn needed(last: u8, gap: &[u8], next: u8) -> Option<u8> {
    if has_line_end(gap) {
        (!is_free_to_join(last, next)).then_some(b'\n')
    } else {
        (!is_parted(last, next)).then_some(b' ')
    }
}

/// Whether a gap ends a line (ECMA-262 §12.3); a comment with a line end in it does.
fn has_line_end(gap: &[u8]) -> bool {
    let has = |end: &[u8]| gap.windows(end.len()).any(|window| window == end);
    gap.contains(&b'\n')
        || gap.contains(&b'\r')
        || has("\u{2028}".as_bytes())
        || has("\u{2029}".as_bytes())
}

/// Whether a line end between these two never ends a statement that would go on without it.
fn is_free_to_join(last: u8, next: u8) -> bool {
    matches!(last, b'{' | b'(' | b'[' | b',' | b';')
        || matches!(next, b'}' | b')' | b']' | b',' | b';')
}

/// Whether two tokens on one line, of which these are the last and the first byte, stay two without whitespace.
/// What begins or ends with a slash or a dot is not sure of it: comments, flags, numbers.
fn is_parted(last: u8, next: u8) -> bool {
    let is_alone = |byte| b"{}()[];,\"'`".contains(&byte);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
    let is_sign = |byte| b"=+-*%&|^<>!~?:".contains(&byte);
    is_alone(last)
        || is_alone(next)
        || is_word(last) && is_sign(next)
        || is_sign(last) && is_word(next)
}

#[cfg(test)]
mod tests;
