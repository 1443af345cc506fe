//! `compress:` of a route.
//!
//! A level or an encoding that no encoder has never gets past here. What compresses nothing, or costs and gains
//! nothing, is told.

use std::ops::RangeInclusive;

use super::failure::{Said, said};
use super::words::{self, Choices};
use super::{Origins, limits};
use crate::base::coding::{Coding, PerCoding};
use crate::config::checked::{AcceptEncoding, Action, Compress, Config, Decode, LEVELS};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::compress as schema;
use crate::config::schema::failure::WordOr;

/// Media types.
mod types;

/// An entry of `encodings`. The value of a word that is none is `None`.
const ENCODINGS: Choices<Option<Coding>> = Choices {
    what: "encoding",
    words: &[
        ("zstd", Some(Coding::Zstd)),
        ("br", Some(Coding::Brotli)),
        ("gzip", Some(Coding::Gzip)),
        ("deflate", Some(Coding::Deflate)),
    ],
    aka: &[
        ("brotli", "br"),
        ("zstandard", "zstd"),
        ("x_gzip", "gzip"),
        ("gz", "gzip"),
        ("zlib", "deflate"),
    ],
    later: &[],
};

/// `accept_encoding`
pub const ACCEPT_ENCODINGS: Choices<AcceptEncoding> = Choices {
    what: "treatment of `Accept-Encoding`",
    words: &[
        ("auto", AcceptEncoding::Auto),
        ("identity", AcceptEncoding::Identity),
        ("client", AcceptEncoding::Client),
    ],
    aka: &[("none", "identity"), ("pass", "client")],
    later: &[],
};

/// Levels from which on a page takes tens of milliseconds; those of the others never do.
const SLOW: PerCoding<u32> = PerCoding {
    zstd: 12,
    br: 8,
    gzip: u32::MAX,
    deflate: u32::MAX,
};

/// The key.
const NAME: &str = "compress";

/// Times its own size that a body may grow when it is decoded: less is no limit but a refusal.
const RATIOS: RangeInclusive<u32> = 2..=100_000;

/// Reads `compress:` of a route with this action (`None`: it has none, which is told). `None`: nothing is compressed, or
/// it cannot be used, which is told.
pub fn check(
    section: Option<&WordOr<Box<schema::Compress>>>,
    action: Option<&Action>,
    at: &At,
    problems: &mut Problems,
) -> Option<Compress> {
    if at.is_blank() {
        let what = format!("`{NAME}` has no value");
        let help =
            "write `compress: true` to compress what gains from it, `compress: false`, or its keys";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    let compress = match said(section) {
        Said::Nothing | Said::Off => return None,
        Said::Word(word) => yes(word, at, problems)?,
        Said::Keys(keys) => read(keys, at, problems),
    };
    if let Action::Redirect { .. } = action? {
        let what = "a route that redirects has no answers of nodes to compress";
        let help = "remove `compress`, or `redirect`";
        problems.push(Problem::error(at.key_place(), what).help(help));
        return None;
    }
    Some(compress)
}

/// Reads `compress: true`; `None`: the word is something else, which is told.
fn yes(word: &str, at: &At, problems: &mut Problems) -> Option<Compress> {
    // Of an encoding it is clear what was meant.
    if let Some(coding) = Coding::of(word.as_bytes()).filter(|c| *c != Coding::Identity) {
        let what = format!(
            "`{NAME}` is true, false or a mapping, not \"{}\"",
            shorten(word)
        );
        let help = format!(
            "write `compress: {{ encodings: [{}] }}` for this one alone, or `compress: true` for all",
            coding.as_str()
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return None;
    }
    words::flag(Some(word), at, false, problems).then(Compress::default)
}

fn read(keys: &schema::Compress, at: &At, problems: &mut Problems) -> Compress {
    let default = Compress::default();
    let encodings = match &keys.encodings {
        Some(words) => encodings(words, &at.key("encodings"), problems),
        None => default.encodings,
    };
    let types = match &keys.types {
        Some(words) => types::check(words, &at.key("types"), problems),
        None => default.types,
    };
    let min_size = limits::size(keys.min_size.as_deref(), &at.key("min_size"), problems);
    let mut levels = |given: &Option<schema::Levels>, key: &str, usual| match given {
        Some(given) => levels(given, usual, &encodings, &at.key(key), problems),
        None => usual,
    };
    let level = levels(&keys.level, "level", default.level);
    let stored_level = levels(&keys.stored_level, "stored_level", default.stored_level);
    slow_levels(&keys.level, &level, &at.key("level"), problems);
    let mut flag = |word: &Option<String>, key: &str, usual| {
        words::flag(word.as_deref(), &at.key(key), usual, problems)
    };
    let dynamic = flag(&keys.dynamic, "dynamic", default.dynamic);
    let set_cookie = flag(&keys.set_cookie, "set_cookie", default.set_cookie);
    Compress {
        encodings,
        types,
        min_size: min_size.unwrap_or(default.min_size),
        level,
        stored_level,
        accept_encoding: ACCEPT_ENCODINGS.read(
            keys.accept_encoding.as_deref(),
            &at.key("accept_encoding"),
            default.accept_encoding,
            problems,
        ),
        dynamic,
        set_cookie,
        decode: decode(keys.decode.as_ref(), &at.key("decode"), problems),
        max_cpu: max_cpu(keys.max_cpu.as_deref(), &at.key("max_cpu"), problems),
    }
}

/// Reads `encodings`: each once, at least one.
fn encodings(words: &[Option<String>], at: &At, problems: &mut Problems) -> Vec<Coding> {
    let mut out: Vec<(Coding, At)> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let (Some(word), here) = (word, at.item_or_self(i)) else {
            continue;
        };
        if word.eq_ignore_ascii_case(Coding::Identity.as_str()) {
            let what = "`identity` is no encoding to offer: it is an answer as it is";
            let help = "remove it: who takes none of the others gets answers as they are anyway";
            problems.push(Problem::error(here.place(), what).help(help));
            continue;
        }
        let Some(coding) = ENCODINGS.read(Some(word), &here, None, problems) else {
            continue;
        };
        match out.iter().find(|(other, _)| *other == coding) {
            Some((_, first)) => {
                let what = format!("`{}` is in the list twice", coding.as_str());
                let problem = Problem::error(here.place(), what);
                let problem = problem.also(first.place(), "first given here");
                problems
                    .push(problem.help("the order says which is preferred: remove one of them"));
            }
            None => out.push((coding, here)),
        }
    }
    if words.is_empty() {
        let what = "without an encoding nothing is compressed";
        let help = format!(
            "name one or more of {}, or write `compress: false`",
            ENCODINGS.all()
        );
        problems.push(Problem::error(at.place(), what).help(help));
    }
    out.into_iter().map(|(coding, _)| coding).collect()
}

/// Reads `level` or `stored_level`. Of an encoding that is not offered it has no effect, which is told.
fn levels(
    given: &schema::Levels,
    usual: PerCoding<u32>,
    offered: &[Coding],
    at: &At,
    problems: &mut Problems,
) -> PerCoding<u32> {
    let mut one = |word: &Option<String>, coding: Coding, range, usual: u32| {
        let here = level_of(at, coding);
        let level = words::whole(word.as_deref(), &here, range, usual, problems);
        if word.is_none() || offered.contains(&coding) {
            return level;
        }
        let what = format!(
            "this has no effect: `{}` is not among `encodings`",
            coding.as_str()
        );
        let problem = Problem::warning(here.key_place(), what);
        problems.push(problem.help("add it there, or remove its level"));
        usual
    };
    PerCoding {
        zstd: one(&given.zstd, Coding::Zstd, LEVELS.zstd, usual.zstd),
        br: one(&given.br, Coding::Brotli, LEVELS.br, usual.br),
        gzip: one(&given.gzip, Coding::Gzip, LEVELS.gzip, usual.gzip),
        deflate: one(
            &given.deflate,
            Coding::Deflate,
            LEVELS.deflate,
            usual.deflate,
        ),
    }
}

/// Warns of levels that keep a client waiting, and all others on its thread.
fn slow_levels(
    given: &Option<schema::Levels>,
    level: &PerCoding<u32>,
    at: &At,
    problems: &mut Problems,
) {
    let usual = defaults::STORED_LEVEL;
    let slow = [
        (Coding::Zstd, level.zstd, SLOW.zstd, usual.zstd),
        (Coding::Brotli, level.br, SLOW.br, usual.br),
    ];
    for (coding, level, slow, usual) in slow {
        if given.is_none() || level < slow {
            continue;
        }
        let what = format!(
            "level {level} takes tens of milliseconds for a page, while its client and others of its thread wait"
        );
        let help = format!(
            "use one below {slow}; what is stored and popular is compressed at `stored_level` ({usual}) behind the answers"
        );
        let here = level_of(at, coding);
        problems.push(Problem::warning(here.place(), what).help(help));
    }
}

/// Where the level of an encoding stands in `level` or `stored_level`, under either of its names.
pub fn level_of(at: &At, coding: Coding) -> At {
    match coding {
        Coding::Brotli => at.either("br", "brotli"),
        other => at.key(other.as_str()),
    }
}

/// Reads `decode`.
fn decode(
    section: Option<&WordOr<schema::Decode>>,
    at: &At,
    problems: &mut Problems,
) -> Option<Decode> {
    let default = Decode::default();
    let keys = match said(section) {
        Said::Nothing => return Some(default),
        Said::Off => return None,
        Said::Word(word) => return words::flag(Some(word), at, true, problems).then_some(default),
        Said::Keys(keys) => keys,
    };
    let here = at.key("max_size");
    let max_size = limits::size(keys.max_size.as_deref(), &here, problems);
    if max_size == Some(0) {
        let what = "with this no encoded answer is decoded";
        let help =
            "write the size of the largest body that may come out, as 256MiB, or `decode: false`";
        problems.push(Problem::error(here.place(), what).help(help));
    }
    let max_ratio = words::whole(
        keys.max_ratio.as_deref(),
        &at.key("max_ratio"),
        RATIOS,
        default.max_ratio as u32,
        problems,
    );
    Some(Decode {
        max_size: max_size.unwrap_or(default.max_size),
        max_ratio: u64::from(max_ratio),
    })
}

/// Reads `max_cpu`.
fn max_cpu(word: Option<&str>, at: &At, problems: &mut Problems) -> u32 {
    let share = words::percent(word, at, defaults::COMPRESS_MAX_CPU, problems);
    if share == 0 {
        let what = "with 0% nothing is ever compressed";
        let help = "write a share like 80%, 100% to compress however busy a worker is, or `compress: false`";
        problems.push(Problem::error(at.place(), what).help(help));
        return defaults::COMPRESS_MAX_CPU;
    }
    share
}

/// Routes that would compress only what they do not store, and levels that nothing uses.
pub fn hints(config: &Config, origins: &Origins, problems: &mut Problems) {
    for (route, at) in config.routes.iter().zip(&origins.routes) {
        let Some(compress) = &route.compress else {
            continue;
        };
        let at = at.either(NAME, "compression");
        if route.cache.is_none() && !compress.dynamic {
            let what = "this route compresses nothing: `dynamic: false` leaves only what is stored, and it stores nothing";
            let help = "add `cache: true`, or remove `compress`";
            problems.push(Problem::warning(at.key("dynamic").key_place(), what).help(help));
        }
        if compress.stored_level == defaults::STORED_LEVEL {
            continue;
        }
        let (why, help) = match (&route.cache, config.cache.recompress) {
            (None, _) => (
                "this route stores nothing",
                "add `cache: true`, or remove it",
            ),
            (_, None) => (
                "nothing is compressed behind the answers, says `cache.recompress`",
                "remove it, or `recompress: false`",
            ),
            _ => continue,
        };
        let what = format!("`stored_level` has no effect: {why}");
        problems.push(Problem::warning(at.key("stored_level").key_place(), what).help(help));
    }
}
