//! `match:` of a route: hosts, paths, methods, header fields, the scheme.
//!
//! Conditions come out in the one form requests are compared with: hosts in lower case without port and trailing
//! dot. Nothing here may accept a condition that no request can meet.

use std::collections::HashSet;
use std::hash::Hash;

use http::Method;

use super::words::Choices;
use super::{addr, fields};
use crate::base::path;
use crate::config::checked::{HostPattern, Match, PathPattern, Scheme};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::route::Match as Keys;

/// The most memory a compiled expression may take; the crate's own default is ten times as much, per expression.
const REGEX_LIMIT: usize = 1 << 20;

/// `scheme:`
pub const SCHEMES: Choices<Scheme> = Choices {
    what: "scheme",
    words: &[("http", Scheme::Http), ("https", Scheme::Https)],
    aka: &[("tls", "https"), ("plain", "http")],
    later: &[],
};

/// Reads `match:`.
pub fn check(keys: Option<&Keys>, at: &At, problems: &mut Problems) -> Match {
    let Some(keys) = keys else {
        return Match::default();
    };
    let empty = [
        ("host", keys.host.as_ref().map(Vec::len)),
        ("methods", keys.methods.as_ref().map(Vec::len)),
    ];
    for (name, _) in empty.iter().filter(|(_, len)| *len == Some(0)) {
        let problem = Problem::error(
            at.key(name).place(),
            format!("an empty `{name}` matches no request"),
        );
        problems.push(problem.help("fill it in, or remove the key to match every request"));
    }
    Match {
        hosts: each(keys.host.as_deref(), &at.key("host"), host, problems),
        path: path(keys, at, problems),
        methods: each(
            keys.methods.as_deref(),
            &at.key("methods"),
            method,
            problems,
        ),
        headers: fields::read(keys.headers.as_ref(), &at.key("headers"), problems),
        scheme: keys
            .scheme
            .as_deref()
            .map(|word| SCHEMES.read(Some(word), &at.key("scheme"), Scheme::Http, problems)),
    }
}

/// Reads each word of a list; one that is given twice counts once.
fn each<T: Clone + Eq + Hash>(
    words: Option<&[Option<String>]>,
    at: &At,
    read: fn(&str) -> Result<T, addr::Refusal>,
    problems: &mut Problems,
) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (i, word) in words.unwrap_or_default().iter().enumerate() {
        let Some(word) = word else { continue };
        match read(word) {
            Ok(value) if !seen.insert(value.clone()) => {}
            Ok(value) => out.push(value),
            Err((what, help)) => {
                problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
            }
        }
    }
    out
}

/// Reads a host.
pub(super) fn host(word: &str) -> Result<HostPattern, addr::Refusal> {
    let low = word.to_ascii_lowercase();
    let refuse =
        |what: &str, help: &str| Err((format!("\"{}\" {what}", shorten(word)), help.to_string()));
    if low == "*" {
        return refuse(
            "is every host",
            "remove `host`: a route without it serves every host",
        );
    }
    if low.contains("://") || low.contains('/') {
        return refuse(
            "is not a host",
            "write the name alone, as shop.example.com; paths go into `path`",
        );
    }
    let bare = low.strip_suffix('.').unwrap_or(&low);
    if bare.starts_with('[') {
        let inner = bare.strip_prefix('[').and_then(|b| b.strip_suffix(']'));
        return match inner.map(str::parse::<std::net::Ipv6Addr>) {
            Some(Ok(ip)) => Ok(HostPattern::Exact(format!("[{ip}]"))),
            _ => refuse(
                "is not a host",
                "write an IPv6 address as [::1], without port",
            ),
        };
    }
    if bare.contains(':') {
        return refuse(
            "has a port",
            "remove it: hosts are compared without their port",
        );
    }
    let name = bare.strip_prefix("*.").unwrap_or(bare);
    if name.contains('*') {
        return refuse(
            "has a `*` in the wrong place",
            "a wildcard is a whole first label: *.example.com",
        );
    }
    addr::host_name(name)?;
    Ok(match name.len() == bare.len() {
        true => HostPattern::Exact(name.into()),
        false => HostPattern::Suffix(format!(".{name}")),
    })
}

/// Reads a method.
fn method(word: &str) -> Result<Method, addr::Refusal> {
    let upper = word.to_ascii_uppercase();
    if upper != word {
        return Err((
            format!("the method \"{}\" is not in capitals", shorten(word)),
            format!("write {}: methods are case-sensitive", shorten(&upper)),
        ));
    }
    let letters = !word.is_empty()
        && word.len() <= 32
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b"-_".contains(&b));
    Method::from_bytes(word.as_bytes())
        .ok()
        .filter(|_| letters)
        .ok_or_else(|| {
            (
                format!("\"{}\" is not a method", shorten(word)),
                "write methods as [GET, HEAD]".into(),
            )
        })
}

/// Reads `path`, `path_exact` or `path_regex`, of which there may be one.
fn path(keys: &Keys, at: &At, problems: &mut Problems) -> PathPattern {
    let given = [
        ("path", &keys.path),
        ("path_exact", &keys.path_exact),
        ("path_regex", &keys.path_regex),
    ];
    let given: Vec<_> = given
        .iter()
        .filter_map(|(name, word)| Some((*name, word.as_deref()?)))
        .collect();
    if let [(first, _), (second, _), ..] = given[..] {
        let problem = Problem::error(
            at.key(second).key_place(),
            format!("`{second}` beside `{first}`: a route matches one path"),
        )
        .also(at.key(first).key_place(), "the other one")
        .help("keep one of path, path_exact, path_regex; make another route for the other path");
        problems.push(problem);
    }
    let mut pattern = PathPattern::Any;
    for (name, word) in given {
        match one_path(name, word) {
            Ok(path) => pattern = in_one_form(path, &at.key(name), problems),
            Err((what, help)) => {
                problems.push(Problem::error(at.key(name).place(), what).help(help))
            }
        }
    }
    pattern
}

/// A path in the form that requests have when they are matched.
fn in_one_form(pattern: PathPattern, at: &At, problems: &mut Problems) -> PathPattern {
    let mut form = |word: String| {
        let known = path::is_normal(word.as_bytes(), false).map(|_| path::normal(&word, false));
        let Ok(form) = known else {
            let what = format!("no request has the path \"{}\"", shorten(&word));
            let help = "requests with escaped dot segments, control characters or broken escapes are refused; write the path without them";
            problems.push(Problem::error(at.place(), what).help(help));
            return word;
        };
        let form = path::capital(&form).into_owned();
        if form != word {
            let what = format!("\"{}\" is read as \"{}\"", shorten(&word), shorten(&form));
            let help = format!(
                "write `{}`, the form in which requests are matched",
                shorten(&form)
            );
            problems.push(Problem::note(at.place(), what).help(help));
        }
        form
    };
    match pattern {
        PathPattern::Prefix(word) => PathPattern::Prefix(form(word)),
        PathPattern::Exact(word) => PathPattern::Exact(form(word)),
        other => other,
    }
}

/// Reads one path condition.
fn one_path(name: &str, word: &str) -> Result<PathPattern, addr::Refusal> {
    if name == "path_regex" {
        return expression(word).map(PathPattern::Regex);
    }
    if !word.starts_with('/') {
        let what = format!("the path \"{}\" does not begin with `/`", shorten(word));
        return Err((
            what,
            format!("write /{}", shorten(word.trim_start_matches(['*', '^']))),
        ));
    }
    if word.contains('?') || word.contains('#') {
        let what = format!("the path \"{}\" holds a `?` or `#`", shorten(word));
        return Err((
            what,
            "routes match the path without the query: remove what follows".into(),
        ));
    }
    if word.contains('*') {
        let what = format!("the path \"{}\" holds a `*`", shorten(word));
        return Err((what, "`path` is a prefix by itself: /api/ also matches /api/users; for patterns use `path_regex`".into()));
    }
    if !word.bytes().all(|b| b.is_ascii_graphic()) {
        let what = format!(
            "the path \"{}\" holds characters that a request cannot",
            shorten(word)
        );
        return Err((
            what,
            "write blanks and other letters as requests do, %-encoded".into(),
        ));
    }
    Ok(match name {
        "path_exact" => PathPattern::Exact(word.into()),
        _ => PathPattern::Prefix(word.into()),
    })
}

/// Reads a regular expression.
pub(super) fn expression(word: &str) -> Result<regex::Regex, addr::Refusal> {
    regex::RegexBuilder::new(word)
        .size_limit(REGEX_LIMIT)
        .build()
        .map_err(|error| regex_refusal(word, &error))
}

/// Why an expression cannot be used; the crate's drawing over several lines is cut to what it says.
fn regex_refusal(word: &str, error: &regex::Error) -> addr::Refusal {
    let said = error.to_string();
    let why = said
        .lines()
        .last()
        .unwrap_or("")
        .trim_start_matches("error: ");
    let why = match error {
        regex::Error::CompiledTooBig(_) => "it is too large",
        _ => why,
    };
    (
        format!("\"{}\" is not a regular expression: {why}", shorten(word)),
        "look-around and back-references do not exist here; put the expression in '…' quotes, and a `\\` before characters meant as themselves".into(),
    )
}
