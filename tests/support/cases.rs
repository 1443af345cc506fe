//! The files of `tests/corpus/`: what is sent, and what has to become of it.
//!
//! ```text
//! template NAME              bytes with a hole, see `notation`; `\i` is the id of the run
//! | GET \@ HTTP/1.1\r\n
//!
//! rows NAME => EXPECTATION   one case a line: id, why, ` | `, what stands in the hole; more words behind ` => `
//! L05-a two spaces | \s/
//!
//! case ID WHY => EXPECTATION bytes of its own
//! | GET / HTTP/1.1\r\n
//! ```
//!
//! | word of an expectation | means |
//! |---|---|
//! | `200` `400/431` `400/-` `200h` | one answer: its status, or one of these, or none before the close, or one without a body |
//! | `close` `open` `any` | the connection afterwards; without a word: closed after 400 and above or no answer, and after `eof` |
//! | `cut` | the origin may see a part of it, never the whole; without it: not a byte |
//! | `local` | answered by the proxy itself: the origin sees nothing |
//! | `sees "…"` `lacks "…"` | the forwarded head has these bytes, or has not (letter case counts for nothing) |
//! | `body "…"` | what the origin takes for the body |
//! | `eof` | the client shuts its sending side behind it |
//! | `alone` | never followed by another request, because it waits for more |
//!
//! A word or line that is not understood is a mistake in the file, never skipped.

use std::path::Path;

use super::notation;

/// One thing to send.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in the table of promises, and a letter.
    pub id: String,
    /// What it is.
    pub why: String,
    text: String,
    /// What has to become of it.
    pub expect: Expect,
}

/// What has to become of a case.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The answers in their order.
    pub replies: Vec<Slot>,
    /// The connection afterwards; `None` both are right.
    pub closes: Option<bool>,
    /// The origin may see a part of it.
    pub cut: bool,
    /// Its answers are the proxy's own.
    pub local: bool,
    /// In the forwarded head.
    pub sees: Vec<Vec<u8>>,
    /// Not in the forwarded head.
    pub lacks: Vec<Vec<u8>>,
    /// Body at the origin.
    pub body: Option<Vec<u8>>,
    /// The client's sending side ends behind it.
    pub eof: bool,
    /// Nothing is sent behind it.
    pub alone: bool,
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Any of these.
    pub statuses: Vec<u16>,
    /// Or none, and a close.
    pub or_none: bool,
    /// Without a body, whatever its head says.
    pub headless: bool,
}

impl Case {
    /// What is sent when the run has this id.
    pub fn bytes(&self, id: &str) -> Vec<u8> {
        notation::bytes(&self.text, id).expect("read once when the file was")
    }
}

/// Every case of every file, in order.
pub fn all() -> Vec<Case> {
    in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"))
}

/// The same of a folder.
pub fn in_folder(dir: &Path) -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let mut cases: Vec<Case> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let name = file.file_name().unwrap_or_default().display().to_string();
        let found = parse(&text).unwrap_or_else(|e| panic!("tests/corpus/{name}: {e}"));
        cases.extend(found);
    }
    let mut ids: Vec<&str> = cases.iter().map(|c| c.id.as_str()).collect();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases of one name");
    }
    cases
}

enum Block {
    None,
    Template(String),
    Rows(String, Vec<String>),
    Case(Case),
}

fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut templates: Vec<(String, String)> = Vec::new();
    let mut cases = Vec::new();
    let mut block = Block::None;
    for (at, line) in text.lines().enumerate() {
        let wrong = |why: &str| format!("line {}: {why}: {line}", at + 1);
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (first, &mut block) {
            ("", _) | ("#", _) => continue,
            ("|", Block::Template(name)) => {
                let template = templates.iter_mut().find(|t| t.0 == *name);
                template
                    .ok_or_else(|| wrong("no template"))?
                    .1
                    .push_str(rest);
            }
            ("|", Block::Case(case)) => case.text.push_str(rest),
            ("template", _) => {
                close(&mut block, &mut cases)?;
                templates.push((rest.into(), String::new()));
                block = Block::Template(rest.into());
            }
            ("rows", _) => {
                close(&mut block, &mut cases)?;
                let (name, expect) = rest.split_once(" => ").ok_or_else(|| wrong("no =>"))?;
                block = Block::Rows(name.into(), words(expect)?);
            }
            ("case", _) => {
                close(&mut block, &mut cases)?;
                let (title, expect) = rest.split_once(" => ").ok_or_else(|| wrong("no =>"))?;
                let (id, why) = title.split_once(' ').ok_or_else(|| wrong("no why"))?;
                block = Block::Case(Case {
                    id: id.into(),
                    why: why.into(),
                    text: String::new(),
                    expect: expectation(&words(expect)?).map_err(|e| wrong(&e))?,
                });
            }
            (id, Block::Rows(template, shared)) => {
                let text = templates.iter().find(|t| t.0 == *template);
                let text = &text.ok_or_else(|| wrong("no template"))?.1;
                let (why, hole) = rest.split_once(" | ").ok_or_else(|| wrong("no ` | `"))?;
                let (hole, more) = hole.rsplit_once(" => ").unwrap_or((hole, ""));
                let mut words = [words(more)?, shared.clone()].concat();
                if is_reply(&words[0]) && !more.is_empty() {
                    // The row's own answers replace those of the block.
                    let own = words.len() - shared.len();
                    let kept = shared.iter().filter(|w| !is_reply(w)).cloned();
                    words.truncate(own);
                    words.extend(kept);
                }
                cases.push(checked(Case {
                    id: id.into(),
                    why: why.into(),
                    text: text.replace("\\@", hole),
                    expect: expectation(&words).map_err(|e| wrong(&e))?,
                })?);
            }
            _ => return Err(wrong("out of place")),
        }
    }
    close(&mut block, &mut cases)?;
    Ok(cases)
}

fn close(block: &mut Block, cases: &mut Vec<Case>) -> Result<(), String> {
    if let Block::Case(case) = std::mem::replace(block, Block::None) {
        cases.push(checked(case)?);
    }
    Ok(())
}

fn checked(case: Case) -> Result<Case, String> {
    match notation::bytes(&case.text, "~0~") {
        Ok(bytes) if bytes.is_empty() => Err(format!("{} sends nothing", case.id)),
        Ok(_) => Ok(case),
        Err(e) => Err(format!("{}: {e}", case.id)),
    }
}

/// Words of an expectation; `"…"` is one word.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => 2 + quoted.find('"').ok_or("a quote is missing")?,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

fn is_reply(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

fn expectation(words: &[String]) -> Result<Expect, String> {
    let mut expect = Expect::default();
    let mut closes = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut quoted = || {
            let text = words
                .next()
                .and_then(|w| w.strip_prefix('"')?.strip_suffix('"'));
            notation::bytes(text.ok_or("no quoted text")?, "~0~")
        };
        match word.as_str() {
            "close" => closes = Some(Some(true)),
            "open" => closes = Some(Some(false)),
            "any" => closes = Some(None),
            "cut" => expect.cut = true,
            "local" => expect.local = true,
            "eof" => expect.eof = true,
            "alone" => expect.alone = true,
            "sees" => expect.sees.push(quoted()?),
            "lacks" => expect.lacks.push(quoted()?),
            "body" => expect.body = Some(quoted()?),
            reply if is_reply(reply) => expect.replies.push(slot(reply)?),
            other => return Err(format!("no such word: {other}")),
        }
    }
    let last = expect.replies.last().ok_or("no answer is named")?;
    let refused = last.or_none || last.statuses.iter().any(|s| *s >= 400);
    let either = refused && last.statuses.iter().any(|s| *s < 300);
    expect.closes = closes.unwrap_or((!either).then_some(refused || expect.eof));
    Ok(expect)
}

fn slot(word: &str) -> Result<Slot, String> {
    let mut slot = Slot::default();
    for status in word.split('/') {
        match status.strip_suffix('h').unwrap_or(status) {
            "-" => slot.or_none = true,
            number => {
                let number = number.parse().map_err(|_| format!("no status: {status}"))?;
                slot.statuses.push(number);
            }
        }
        slot.headless |= status.ends_with('h');
    }
    Ok(slot)
}
