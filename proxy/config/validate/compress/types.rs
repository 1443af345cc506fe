//! `types` of `compress:`: media types (RFC 9110 §8.3.1), as an answer has them.
//!
//! A word that can match no answer never gets past here; of types that gain nothing it is told.

use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// The most entries: every answer is compared with each.
const MOST: usize = 64;

/// Everything; `*` is short for it.
const ALL: &str = "*/*";

/// What people write in place of a media type, and what they mean.
const MEANT: [(&str, &str); 12] = [
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("javascript", "text/javascript"),
    ("mjs", "text/javascript"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("wasm", "application/wasm"),
    ("txt", "text/plain"),
    ("text", "text/*"),
];

/// Types that are compressed in themselves; those of films all are.
const COMPRESSED: [&str; 31] = [
    "image/jpeg",
    "image/jpg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/jxl",
    "image/heic",
    "image/heif",
    "image/*",
    "audio/*",
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "audio/ogg",
    "audio/opus",
    "audio/webm",
    "audio/flac",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-xz",
    "application/vnd.rar",
    "application/java-archive",
    "application/epub+zip",
    "font/woff",
    "font/woff2",
    "application/font-woff",
];

/// Reads `types`: lower-case, each once, at least one.
pub(super) fn check(words: &[Option<String>], at: &At, problems: &mut Problems) -> Vec<String> {
    if words.len() > MOST {
        let what = format!("more than {MOST} media types in `types`");
        let help = "`text/*` stands for all that begin so, `*/*+json` for all that end so, `\"*\"` for everything";
        problems.push(Problem::error(at.key_place(), what).help(help));
        return Vec::new();
    }
    if words.is_empty() {
        let what = "without a media type nothing is compressed";
        let help = "name some, as `types: [\"text/*\", application/json]`; remove the key for what usually gains, or write `compress: false`";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    let mut out: Vec<String> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let (Some(word), here) = (word, at.item_or_self(i)) else {
            continue;
        };
        let plain = word.to_ascii_lowercase();
        let plain = if plain == "*" { ALL.into() } else { plain };
        if let Err((what, help)) = read(&plain, word) {
            problems.push(Problem::error(here.place(), what).help(help));
        } else if !out.contains(&plain) {
            gains(&plain, &here, problems);
            out.push(plain);
        }
    }
    if out.len() > 1 && out.iter().any(|one| one == ALL) {
        let what = "`\"*\"` is every type: the others have no effect";
        let help = "remove them, or the `\"*\"`";
        problems.push(Problem::warning(at.key_place(), what).help(help));
        return vec![ALL.into()];
    }
    out
}

/// Whether a word in lower case is an entry; else what is wrong with it, and the remedy.
fn read(plain: &str, word: &str) -> Result<(), (String, String)> {
    let refused = |why: &str, help: &str| {
        let what = format!("\"{}\" is not a media type{why}", shorten(word));
        Err((what, help.to_string()))
    };
    const FORMS: &str = "write one as `text/html`, all that begin alike as `text/*`, all that end alike as `*/*+json`, or `\"*\"` for everything";
    if plain == ALL {
        return Ok(());
    }
    if plain.contains(';') {
        let why = " alone: it has parameters";
        return refused(
            why,
            "write it without what follows the `;`: `text/html` matches with any parameters",
        );
    }
    let Some((kind, sub)) = plain.split_once('/') else {
        let name = plain.trim_start_matches(['.', '*']);
        return match MEANT.iter().find(|(other, _)| *other == name) {
            Some((_, meant)) => refused("", &format!("did you mean `{meant}`? {FORMS}")),
            None => refused("", FORMS),
        };
    };
    let fine = match sub.strip_prefix("*+") {
        Some(suffix) => (kind == "*" || is_token(kind)) && is_token(suffix),
        None => is_token(kind) && (sub == "*" || is_token(sub)),
    };
    match fine {
        true => Ok(()),
        false => refused("", FORMS),
    }
}

/// Whether it is a name of a registry (RFC 6838 §4.2): a `*` is none.
fn is_token(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
    !name.is_empty() && name.bytes().all(fine)
}

/// Tells of a type that gains nothing, or is never compressed.
fn gains(plain: &str, at: &At, problems: &mut Problems) {
    let (what, help) = if COMPRESSED.contains(&plain) || plain.starts_with("video/") {
        let all = match plain.ends_with("/*") {
            true => "nearly all of ",
            false => "",
        };
        let what = format!(
            "{all}`{plain}` is compressed already: doing it again costs time and gains nothing"
        );
        let help = "remove it; text, JSON, SVG, WebAssembly and plain fonts are what gains";
        (what, help)
    } else if plain == "text/event-stream" {
        let what = "event streams are never compressed: no event may wait for the next one";
        (what.into(), "remove it: it has no effect")
    } else if plain.starts_with("application/grpc") {
        let what = "gRPC is never compressed: it compresses its own messages, and none may wait for the next one";
        (what.into(), "remove it: it has no effect")
    } else {
        return;
    };
    problems.push(Problem::warning(at.place(), what).help(help));
}
