//! Reads Rust sources as far as the import rule needs: names, paths, `use` trees, test code.
//!
//! A scanner, not a parser: it knows comments, strings, braces and `::`. It expands no macros and follows no
//! re-exports; a file that hides an import from it would be found in review.

use std::collections::BTreeSet;

/// One name or punctuation mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Line, from 1.
    pub line: usize,
    /// An identifier, `::`, or one character.
    pub text: String,
    /// Stands in code that only tests see.
    pub in_test: bool,
}

/// A path as written, one per leaf of a `use` tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Line, from 1.
    pub line: usize,
    /// Its segments, resolved to the crate's root when it began with `crate`, `super` or `self`.
    pub segments: Vec<String>,
    /// Whether it was resolved to the crate's root.
    pub is_own: bool,
    /// Stands in code that only tests see.
    pub in_test: bool,
}

/// What a file says, comments and strings apart.
#[derive(Debug, Default)]
pub struct Scan {
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// Its paths of more than one segment, and everything it `use`s.
    pub paths: Vec<Path>,
    /// Modules in files of their own that only tests see: `#[cfg(test)] mod laws;`.
    pub test_modules: BTreeSet<String>,
}

/// Reads a file whose module path is `module`.
pub fn scan(source: &str, module: &[String]) -> Scan {
    let mut tokens = tokens(&without_text(source));
    let test_modules = mark_tests(&mut tokens);
    let paths = paths(&tokens, module);
    Scan {
        tokens,
        paths,
        test_modules,
    }
}

/// The source with comments and the insides of literals blanked; lines stay where they were.
fn without_text(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = |n: usize| chars.get(at + n).copied().unwrap_or(' ');
    let begins_word = at == 0 || !is_word(chars[at - 1]);
    match chars[at] {
        '/' if next(1) == '/' => find(chars, at, |c| c == '\n'),
        '/' if next(1) == '*' => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'b' | 'c' if begins_word && next(1) == '"' => string_end(chars, at + 2),
        'r' if begins_word => raw_string_end(chars, at, at + 1),
        'b' | 'c' if begins_word && next(1) == 'r' => raw_string_end(chars, at, at + 2),
        '\'' if next(1) == '\\' => find(chars, at + 3, |c| c == '\'') + 1,
        '\'' if next(2) == '\'' => at + 3,
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    let from = from.min(chars.len());
    chars[from..]
        .iter()
        .position(|c| wanted(*c))
        .map_or(chars.len(), |n| from + n)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) if depth == 1 => return i + 2,
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `r#"…"#`; `none` when it is a raw identifier or an ordinary word.
fn raw_string_end(chars: &[char], none: usize, hashes: usize) -> usize {
    let open = find(chars, hashes, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return none;
    }
    let closing: Vec<char> = std::iter::once('"')
        .chain(chars[hashes..open].iter().copied())
        .collect();
    let rest = &chars[open + 1..];
    let end = rest.windows(closing.len()).position(|w| w == closing);
    end.map_or(chars.len(), |n| open + 1 + n + closing.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokens(code: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            let (text, after) = rest.split_at(length);
            out.push(Token {
                line: line + 1,
                text: text.to_string(),
                in_test: false,
            });
            rest = after.trim_start();
        }
    }
    out
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|t| t.text == text)
}

/// Marks what stands under `#[cfg(test)]`; returns the modules there that live in files of their own.
fn mark_tests(tokens: &mut [Token]) -> BTreeSet<String> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut modules = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        if !ATTRIBUTE
            .iter()
            .enumerate()
            .all(|(n, text)| is(tokens, at + n, text))
        {
            at += 1;
            continue;
        }
        let item = at + ATTRIBUTE.len();
        let end = item_end(tokens, item);
        if let Some(n) = (item..end).find(|n| is(tokens, *n, "mod") && is(tokens, n + 2, ";")) {
            modules.insert(tokens[n + 1].text.clone());
        }
        for token in &mut tokens[at..end] {
            token.in_test = true;
        }
        at = end;
    }
    modules
}

/// The end of an item: behind the `;` or the closing brace that it reaches first at its own depth.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn paths(tokens: &[Token], file_module: &[String]) -> Vec<Path> {
    let mut out = Vec::new();
    let mut module = file_module.to_vec();
    let mut open: Vec<bool> = Vec::new(); // braces; true for those of a module
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        let in_use = text == "use";
        if text == "mod" && is(tokens, at + 2, "{") {
            module.push(tokens[at + 1].text.clone());
            open.push(true);
            at += 3;
        } else if text == "{" {
            open.push(false);
            at += 1;
        } else if text == "}" {
            if open.pop() == Some(true) {
                module.pop();
            }
            at += 1;
        } else if in_use || (text.starts_with(is_word) && is(tokens, at + 1, "::")) {
            let mut leaves = Vec::new();
            let end = tree(tokens, at + usize::from(in_use), &[], &mut leaves);
            out.extend(
                leaves
                    .into_iter()
                    .filter(|(_, p)| in_use || p.len() > 1)
                    .map(|(line, segments)| {
                        let resolved = resolve(&segments, &module);
                        Path {
                            line,
                            is_own: resolved.is_some(),
                            segments: resolved.unwrap_or(segments),
                            in_test: tokens[at].in_test,
                        }
                    }),
            );
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    out
}

/// Reads one path or group of paths that begins at `at`; returns where it ends.
fn tree(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    leaves: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let line = tokens.get(at).map_or(0, |t| t.line);
    if is(tokens, at, "::") {
        at += 1;
    }
    loop {
        if is(tokens, at, "{") {
            at += 1;
            while at < tokens.len() && !is(tokens, at, "}") {
                at = if is(tokens, at, ",") {
                    at + 1
                } else {
                    tree(tokens, at, &path, leaves).max(at + 1)
                };
            }
            return at + 1;
        }
        match tokens.get(at) {
            Some(t) if t.text.starts_with(is_word) || t.text == "*" => path.push(t.text.clone()),
            _ => break,
        }
        at += 1;
        if !is(tokens, at, "::") {
            break;
        }
        at += 1;
    }
    if is(tokens, at, "as") {
        at += 2;
    }
    if path.len() > before.len() {
        leaves.push((line, path));
    }
    at
}

/// The path from the crate's root, when it says so or goes there by `super` and `self`.
fn resolve(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let (mut base, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" | "super" => (module.to_vec(), path),
        _ => return None,
    };
    while let Some(first) = rest.first() {
        match first.as_str() {
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = &rest[1..];
    }
    // `a::{self, b}` names `a` itself.
    base.extend(rest.iter().filter(|s| *s != "self").cloned());
    Some(base)
}

mod tests {
    use super::*;

    fn own(source: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|m| (*m).to_string()).collect();
        let paths = scan(source, &module).paths;
        paths
            .into_iter()
            .filter(|p| p.is_own)
            .map(|p| p.segments.join("::"))
            .collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let found = own("use crate::{a, b::{self, c as d}, e::*};", &["x"]);
        assert_eq!(found, ["a", "b", "b::c", "e::*"]);
    }

    #[test]
    fn super_counts_from_the_module_it_stands_in() {
        let source =
            "use super::pick; mod tests { use super::super::node; } fn f() { super::g(); }";
        assert_eq!(
            own(source, &["balance", "pool"]),
            ["balance::pick", "balance::node", "balance::g"]
        );
    }

    #[test]
    fn a_path_in_the_middle_of_an_expression_is_seen() {
        let found = own(
            "fn f(x: &crate::live::Hold) { let y = crate::wire::g::<u8>(x); }",
            &["a"],
        );
        assert_eq!(found, ["live::Hold", "wire::g"]);
    }

    #[test]
    fn comments_and_literals_say_nothing() {
        let source = r##"
            //! crate::a::b
            /* crate::a /* crate::b */ crate::c */
            const S: &str = "crate::a \" crate::b"; const C: char = '"'; const D: char = '\'';
            const R: &str = r#"crate::a " crate::b"#; const B: &[u8] = b"crate::c";
            fn f<'a>(x: &'a str) -> &'a str { crate::seen::g(x) }
        "##;
        assert_eq!(own(source, &["x"]), ["seen::g"]);
    }

    #[test]
    fn test_code_is_told_apart() {
        let source = "#[cfg(test)] mod laws; #[cfg(test)] #[rustfmt::skip] mod tests { fn f() { let t = Instant::now(); } }
            fn g() { let t = Instant::now(); }";
        let scan = scan(source, &[]);
        assert!(scan.test_modules.contains("laws"));
        let clock: Vec<bool> = scan
            .paths
            .iter()
            .filter(|p| p.segments[0] == "Instant")
            .map(|p| p.in_test)
            .collect();
        assert_eq!(clock, [true, false]);
    }
}
