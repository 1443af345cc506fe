//! `limits:` and `requests:`, how much a client may take and what is done to its requests first.
//!
//! Nothing here may let a limit disappear unsaid: a `0` that leaves a client without bound is told, and one that
//! would leave the reading of requests without bound is refused.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use http::HeaderName;

use super::rate;
use super::words::{self, Choices};
use crate::base::units::{self, Rate, show_size};
use crate::config::checked::{
    H2Limits, Limits, MAX_H2_STREAMS, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URI_BYTES, Requests,
    Underscores,
};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::File;
use crate::config::schema::limits::H2;

/// The least room for a request head: a browser's fits in it.
const MIN_HEADER_BYTES: usize = 1024;

/// The least room for a request target.
const MIN_URI_BYTES: usize = 64;

/// The most that a count may be: far beyond what a machine can hold.
const MAX_COUNT: u32 = 1_000_000_000;

/// Fields without which a request would no longer be the one that was sent.
const NEEDED: [(&str, &str); 4] = [
    ("host", "nodes and routes tell sites apart by it"),
    ("content-length", "it says where the body ends"),
    ("transfer-encoding", "it says where the body ends"),
    (
        "connection",
        "the proxy itself has to read it, and never passes it on",
    ),
];

/// `requests.underscores`
pub const UNDERSCORES: Choices<Underscores> = Choices {
    what: "treatment of underscores",
    words: &[("drop", Underscores::Drop), ("keep", Underscores::Keep)],
    aka: &[
        ("remove", "drop"),
        ("off", "drop"),
        ("false", "drop"),
        ("allow", "keep"),
        ("pass", "keep"),
        ("on", "keep"),
        ("true", "keep"),
    ],
    later: &[],
};

/// `limits:`
pub fn limits(file: &File, root: &At, problems: &mut Problems) -> Limits {
    let default = defaults::LIMITS;
    let Some(keys) = &file.limits else {
        return default;
    };
    let at = root.key("limits");
    let header_bytes = bytes(
        keys.header_bytes.as_deref(),
        &at.key("header_bytes"),
        MIN_HEADER_BYTES..=MAX_HEADER_BYTES,
        default.header_bytes,
        problems,
    );
    let uri_bytes = bytes(
        keys.uri_bytes.as_deref(),
        &at.key("uri_bytes"),
        MIN_URI_BYTES..=MAX_URI_BYTES,
        // A smaller head has room for a shorter target only.
        default.uri_bytes.min(header_bytes),
        problems,
    );
    if uri_bytes > header_bytes {
        let here = at.key("uri_bytes");
        let most = show_size(header_bytes as u64);
        let what = format!(
            "a target of {} does not fit into a head of {most}",
            show_size(uri_bytes as u64)
        );
        let problem = Problem::error(here.place(), what)
            .help(format!("the target is part of the head: write at most {most} here, or raise `limits.header_bytes`"));
        let head = at.key("header_bytes");
        problems.push(match head.given() {
            true => problem.also(head.place(), "the head"),
            false => problem,
        });
    }
    let headers = words::whole(
        keys.headers.as_deref(),
        &at.key("headers"),
        1..=MAX_HEADERS as u32,
        default.headers as u32,
        problems,
    ) as usize;
    let mut amount = |name: &str, word: &Option<String>, default: Option<u64>, cost: &str| {
        let here = at.key(name);
        let read = size(word.as_deref(), &here, problems);
        unless_none(
            read,
            &here,
            default.map(|d| (d, show_size(d))),
            cost,
            problems,
        )
    };
    let body = amount(
        "body",
        &keys.body,
        default.body,
        "one request may send for ever",
    );
    let body_rate = amount(
        "body_rate",
        &keys.body_rate,
        default.body_rate,
        "a client that sends a byte now and then holds its connection and its node for ever",
    );
    let send_rate = amount(
        "send_rate",
        &keys.send_rate,
        default.send_rate,
        "a client that takes a byte now and then holds its connection and its node for ever",
    );
    let mut count = |name: &str, word: &Option<String>, default: Option<u64>, cost: &str| {
        let here = at.key(name);
        let read = word.as_deref().map(|word| {
            let most = 0..=MAX_COUNT;
            let fallback = default.unwrap_or_default() as u32;
            u64::from(words::whole(Some(word), &here, most, fallback, problems))
        });
        unless_none(
            read,
            &here,
            default.map(|d| (d, d.to_string())),
            cost,
            problems,
        )
    };
    let wide = |n: Option<usize>| n.map(|n| n as u64);
    let narrow = |n: Option<u64>| n.map(|n| n as usize);
    Limits {
        header_bytes,
        headers,
        uri_bytes,
        body,
        connections: narrow(count(
            "connections",
            &keys.connections,
            wide(default.connections),
            "whoever opens enough connections takes all memory and file handles",
        )),
        connections_per_ip: narrow(count(
            "connections_per_ip",
            &keys.connections_per_ip,
            wide(default.connections_per_ip),
            "",
        )),
        pipeline: narrow(count(
            "pipeline",
            &keys.pipeline,
            wide(default.pipeline),
            "a client may send requests ahead without end, and each of them is kept",
        )),
        requests_per_connection: count(
            "requests_per_connection",
            &keys.requests_per_connection,
            default.requests_per_connection,
            "a client may stay with this process for ever; behind a balancer the load never spreads anew",
        ),
        body_rate,
        send_rate,
        h2: h2(keys.h2.as_ref(), &at.key("h2"), problems),
    }
}

/// `limits.h2:`
fn h2(keys: Option<&H2>, at: &At, problems: &mut Problems) -> H2Limits {
    let default = defaults::LIMITS.h2;
    let Some(keys) = keys else {
        return default;
    };
    let streams = words::whole(
        keys.streams.as_deref(),
        &at.key("streams"),
        1..=MAX_H2_STREAMS,
        default.streams,
        problems,
    );
    let mut rate = |name: &str, word: &Option<String>, default: Option<Rate>, cost: &str| {
        let here = at.key(name);
        match word.as_deref() {
            None => default,
            Some("0") => {
                let shown = default.map(|d| (1, rate::show(d.count, d.per)));
                unless_none(Some(0), &here, shown, cost, problems).and(None)
            }
            Some(word) => rate::plain(word, &here, problems).or(default),
        }
    };
    H2Limits {
        streams,
        resets: rate(
            "resets",
            &keys.resets,
            default.resets,
            "a client may begin requests and take them back for ever, and nodes work for nothing",
        ),
        frames: rate(
            "frames",
            &keys.frames,
            default.frames,
            "a client may send frames that ask for nothing for ever, each answered or looked at",
        ),
    }
}

/// A limit, of which 0 is none; says so.
fn unless_none(
    read: Option<u64>,
    at: &At,
    default: Option<(u64, String)>,
    cost: &str,
    problems: &mut Problems,
) -> Option<u64> {
    match (read, default) {
        (None, default) => default.map(|d| d.0),
        (Some(0), Some((_, shown))) => {
            let problem = Problem::warning(at.place(), "0 means no limit at all");
            problems.push(
                problem
                    .label("no limit")
                    .help(format!("{cost}; the default is {shown}")),
            );
            None
        }
        (Some(0), None) => {
            let what = "0 means no limit, as without this key";
            problems.push(Problem::note(at.place(), what));
            None
        }
        (Some(value), _) => Some(value),
    }
}

/// Reads a size; `None` when it is absent or none, which is told.
pub(super) fn size(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<u64> {
    let word = word?;
    let refused = |why: String| {
        let what = format!("\"{}\" is not a size: {why}", shorten(word));
        let mut problem = Problem::error(at.place(), what);
        // A bare number is the commonest slip; nginx and HAProxy take it for bytes.
        if word.parse::<u64>().is_ok() {
            problem = problem.label(format!("did you mean \"{word}B\"?"));
        }
        if let Some(plain) = word.strip_suffix("/s").filter(|w| units::size(w).is_ok()) {
            problem = problem.label(format!(
                "did you mean \"{plain}\"? it is per second already"
            ));
        }
        problems.push(problem.help(format!("write {}", units::SIZE_FORMS)));
    };
    units::size(word).map_err(refused).ok()
}

/// Reads a size that has bounds.
fn bytes(
    word: Option<&str>,
    at: &At,
    range: RangeInclusive<usize>,
    default: usize,
    problems: &mut Problems,
) -> usize {
    let Some(value) = size(word, at, problems) else {
        return default;
    };
    match usize::try_from(value).ok().filter(|v| range.contains(v)) {
        Some(value) => value,
        None => {
            let (low, high) = (*range.start() as u64, *range.end() as u64);
            let what = match value {
                0 => "this limit cannot be switched off".into(),
                _ => format!("{} is out of range", show_size(value)),
            };
            let help = format!(
                "write a size from {} to {}",
                show_size(low),
                show_size(high)
            );
            problems.push(Problem::error(at.place(), what).help(help));
            default
        }
    }
}

/// `requests:`
pub fn requests(file: &File, root: &At, problems: &mut Problems) -> Requests {
    let default = defaults::requests();
    let Some(keys) = &file.requests else {
        return default;
    };
    let at = root.key("requests");
    Requests {
        merge_slashes: words::flag(
            keys.merge_slashes.as_deref(),
            &at.key("merge_slashes"),
            default.merge_slashes,
            problems,
        ),
        underscores: UNDERSCORES.read(
            keys.underscores.as_deref(),
            &at.key("underscores"),
            default.underscores,
            problems,
        ),
        drop: match &keys.drop {
            None => default.drop,
            Some(names) => fields(names, &at.key("drop"), problems),
        },
        half_close: words::duration(
            keys.half_close.as_deref(),
            &at.key("half_close"),
            default.half_close,
            problems,
        ),
    }
}

/// Reads `drop`: names of fields, each once.
fn fields(names: &[Option<String>], at: &At, problems: &mut Problems) -> Vec<HeaderName> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (i, word) in names.iter().enumerate() {
        let Some(word) = word else { continue };
        let here = at.item_or_self(i);
        let Ok(name) = HeaderName::from_bytes(word.as_bytes()) else {
            let what = format!("\"{}\" is not the name of a header field", shorten(word));
            let help =
                "write it as X-Original-URL, without colon or value; `drop: []` drops nothing";
            problems.push(Problem::error(here.place(), what).help(help));
            continue;
        };
        if let Some((_, why)) = NEEDED.iter().find(|(needed, _)| *needed == name.as_str()) {
            let what = format!("the field \"{}\" cannot be dropped: {why}", shorten(word));
            problems.push(Problem::error(here.place(), what).help("remove it from the list"));
            continue;
        }
        if seen.insert(name.clone()) {
            out.push(name);
        }
    }
    out
}
