//! What the front door says of a request that is good HTTP, told a second time and as plainly as possible.
//!
//! The proxy is compared with it; it shares no line with the proxy. Where two answers are right it names both. It
//! never says what a node answers.

use super::strict::{self, Not, Request};

/// What is to become of the bytes a client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It reaches a node: this target, and the connection may (`true`) be used again.
    Forward {
        /// As it was read.
        request: Box<Request>,
        /// Target the node sees.
        target: String,
        /// Whether another request may follow.
        stays: bool,
    },
    /// Answered by the proxy itself.
    Local(u16),
    /// One of these statuses, and the connection ends.
    Refuse(&'static [u16]),
    /// More has to come.
    Wait,
}

/// Bytes of a head, fields, bytes of a target: the limits that hold when the file says nothing.
pub const HEAD: usize = 32 * 1024;
const FIELDS: usize = 100;
const TARGET: usize = 8 * 1024;
/// A request of more empty lines than this is none; fewer may be tolerated.
const EMPTY_LINES: usize = 4;

/// What becomes of everything in `bytes`, request by request, until one ends the connection or waits for more.
pub fn stream(bytes: &[u8]) -> Vec<Verdict> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let said = verdict(rest);
        let skipped = rest.len() - after_empty_lines(rest).len();
        let goes_on = match &said {
            Verdict::Forward { request, stays, .. } => {
                rest = &rest[skipped + request.length..];
                *stays
            }
            _ => false,
        };
        out.push(said);
        if !goes_on {
            break;
        }
    }
    out
}

fn after_empty_lines(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..EMPTY_LINES {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    rest
}

const BAD: Verdict = Verdict::Refuse(&[400]);

/// What the front door says of the request `bytes` begin with.
pub fn verdict(bytes: &[u8]) -> Verdict {
    let rest = after_empty_lines(bytes);
    let request = match strict::read(rest) {
        Ok(request) => request,
        Err(Not::Yet) if rest.len() > HEAD && strict::head(rest).is_err() => {
            return Verdict::Refuse(&[431, 414, 400]);
        }
        Err(Not::Yet) => {
            // What is refused for its head is refused before its body.
            return match strict::head(rest).map(judge) {
                Ok(refused @ Verdict::Refuse(_)) => refused,
                _ => Verdict::Wait,
            };
        }
        Err(Not::Ever(_)) => return Verdict::Refuse(&[400, 414, 431, 501, 505, 405, 413, 417]),
    };
    judge(request)
}

fn judge(request: Request) -> Verdict {
    let method = request.method.as_str();
    if request.head > HEAD || request.fields.len() > FIELDS {
        return Verdict::Refuse(&[431]);
    }
    if request.target.len() > TARGET {
        return Verdict::Refuse(&[414]);
    }
    if ["CONNECT", "TRACE", "TRACK", "DEBUG"].contains(&method) {
        return Verdict::Refuse(&[405, 400]);
    }
    if method.len() > 32 {
        return Verdict::Refuse(&[501]);
    }
    let expects: Vec<_> = request.all("expect");
    if expects
        .iter()
        .any(|e| !e.eq_ignore_ascii_case(b"100-continue"))
    {
        return Verdict::Refuse(&[417, 400]);
    }
    let host = request.one("host").unwrap_or_default();
    let target = match target(&request.target, method, &host, request.minor) {
        Some(target) => target,
        None => return BAD,
    };
    if target == "*" {
        return Verdict::Local(204);
    }
    let stays = request.minor == 1 && !request.names("connection", "close");
    Verdict::Forward {
        request: Box::new(request),
        target,
        stays,
    }
}

/// The target a node sees.
fn target(target: &str, method: &str, host: &str, minor: u8) -> Option<String> {
    if target == "*" {
        return (method == "OPTIONS").then(|| "*".into());
    }
    let wrong = |b: u8| b"#\"<>\\^`{|}".contains(&b);
    if target.bytes().any(wrong) || !escapes_are_whole(target) {
        return None;
    }
    if target.starts_with('/') {
        return path_and_query(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => "80",
        "https" => "443",
        _ => return None,
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let whole = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        match authority.rsplit_once(':') {
            Some((host, "")) => format!("{host}:{default}"),
            Some((_, port)) if !port.ends_with(']') => authority,
            _ => format!("{authority}:{default}"),
        }
    };
    if !strict::is_host(authority.as_bytes()) {
        return None;
    }
    if whole(authority) != whole(host) && (minor == 1 || !host.is_empty()) {
        return None;
    }
    match path {
        "" if method == "OPTIONS" => Some("*".into()),
        path if path.starts_with('/') => path_and_query(path),
        path => path_and_query(&format!("/{path}")),
    }
}

fn escapes_are_whole(target: &str) -> bool {
    let mut parts = target.split('%');
    parts.next();
    parts.all(|p| p.len() >= 2 && p.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

/// A path without empty and dot segments, its query untouched; `None` when it hides some.
fn path_and_query(target: &str) -> Option<String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let lower = path.to_ascii_lowercase();
    let control = |(at, _): (usize, _)| {
        let code = lower.get(at + 1..at + 3);
        code.is_some_and(|c| c == "7f" || c.starts_with(['0', '1']))
    };
    if lower.match_indices('%').any(control) {
        return None;
    }
    let mut out: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/').skip(1) {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(out.pop()),
            _ if segment.starts_with(';') || hides_dots(segment) => return None,
            _ => out.push(segment),
        }
    }
    let mut clean = without_needless_escapes(&format!("/{}", out.join("/")));
    if folder && !out.is_empty() {
        clean.push('/');
    }
    if let Some(query) = query {
        clean = format!("{clean}?{query}");
    }
    Some(clean)
}

/// Letters, digits and `-._~` need no escape.
fn without_needless_escapes(path: &str) -> String {
    let mut parts = path.split('%');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let letter = char::from(u8::from_str_radix(&part[..2], 16).unwrap_or(0));
        if letter.is_ascii_alphanumeric() || "-._~".contains(letter) {
            clean.push(letter);
            clean.push_str(&part[2..]);
        } else {
            clean.push('%');
            clean.push_str(part);
        }
    }
    clean
}

/// Whether a segment is a dot segment for somebody who decodes it, cuts it at `;` or takes `\` for `/`.
fn hides_dots(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let decoded = lower.replace("%2e", ".").replace("%2f", "/");
    let decoded = decoded.replace("%5c", "/").replace("%3b", ";");
    decoded
        .split('/')
        .map(|part| part.split(';').next().unwrap_or_default())
        .any(|part| matches!(part, "." | ".."))
}

#[test]
fn targets_are_normalised() {
    for (from, to) in [
        ("/", "/"),
        ("/a//b", "/a/b"),
        ("//a", "/a"),
        ("/a/../b", "/b"),
        ("/../x", "/x"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/./b?x=//..", "/a/b?x=//.."),
        ("/a%2fb%5Cc", "/a%2fb%5Cc"),
        ("/%61%2F%7e?%61", "/a%2F~?%61"),
        ("/...", "/..."),
        ("http://H.test:80/a", "/a"),
        ("http://h.test?q", "/?q"),
    ] {
        assert_eq!(
            target(from, "GET", "h.test", 1).as_deref(),
            Some(to),
            "{from}"
        );
    }
    for wrong in [
        "/%2e%2e/",
        "/.%2e",
        "/..%2f",
        "/%2f..",
        "/..%5c",
        "/..;x",
        "/;",
        "/a/;x/b",
        "/%00",
        "/%1f",
        "/%7F",
        "/%",
        "/%4",
        "/?%zz",
        "/a#b",
        "x",
        "*",
        "http://other/",
        "ftp://h.test/",
    ] {
        assert_eq!(target(wrong, "GET", "h.test", 1), None, "{wrong}");
    }
}
