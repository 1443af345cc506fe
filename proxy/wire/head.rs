//! Where a request head ends, and whether it may come in.
//!
//! The data path's own parser repairs much of what it should refuse and answers the rest under its own name. What
//! passes here passes there, so every refusal has our words, is counted and is logged. Nothing is repaired: a head
//! is good or refused; what a good one has that nobody may send is left out by `canon`.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

use memchr::{memchr_iter, memmem};

use super::fields::Facts;
use super::parsed::Parsed;
use crate::base::path;
use crate::base::reason::Refusal;

/// The most header fields that any rules may allow.
pub const MAX_FIELDS: usize = 250;
/// The longest method: the longest that is registered has 17 letters.
const MAX_METHOD: usize = 32;
/// Empty lines before a request line, in bytes, that are forgiven (RFC 9112 §2.2 wants one line to be).
pub const MAX_EMPTY_LINES: usize = 64;
/// Methods that no reverse proxy carries: a tunnel, and echoes that show what scripts must not see.
const NEVER: [&str; 4] = ["CONNECT", "TRACE", "TRACK", "DEBUG"];

/// What is let in. Made once per generation of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Bytes of a head.
    pub max_head: usize,
    /// Fields of a head; at most [`MAX_FIELDS`].
    pub max_fields: usize,
    /// Bytes of a target.
    pub max_target: usize,
    /// Bytes of a body.
    pub max_body: Option<u64>,
    /// `//` in a path is `/`.
    pub merge_slashes: bool,
    /// Fields with a `_` in their name stay.
    pub keep_underscores: bool,
    /// Fields that no client may send.
    pub drop: Vec<String>,
}

/// Position after the empty line that ends the head in `bytes`. `from` is how much was searched before.
///
/// Lines may end with LF alone here, so that a head written so is found and refused instead of waited for.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    memchr_iter(b'\n', &bytes[start..])
        .map(|at| start + at)
        .find(|at| {
            let line_end = |at: usize| bytes[..at].last() == Some(&b'\n');
            line_end(*at) || (bytes[..*at].last() == Some(&b'\r') && line_end(*at - 1))
        })
        .map(|at| at + 1)
}

/// Number of bytes before the request line: empty lines a client may send after a body (RFC 9112 §2.2).
pub fn empty_lines(bytes: &[u8]) -> usize {
    bytes
        .chunks(2)
        .take_while(|line| *line == b"\r\n")
        .map(<[u8]>::len)
        .sum()
}

/// What a good head says that the connection has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// How its body is framed.
    pub body: Body,
    /// The client sends its body only once it is told to go on.
    pub asks_first: bool,
    /// It is not handed on as it came: [`super::canon::write`] before it goes on.
    pub rewrite: bool,
    /// The client wants the connection closed after its answer.
    pub closes: bool,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// This many bytes, perhaps none.
    Sized(u64),
    /// By chunks.
    Chunked,
}

/// Whether the complete head in `bytes` may come in. `trusted`: the peer may say who its client is.
///
/// # Errors
/// What is wrong with it.
pub fn check(bytes: &[u8], rules: &Rules, trusted: bool) -> Result<Good, Refusal> {
    check_and(bytes, rules, trusted, |good, _| good)
}

/// The same, and what `then` makes of a head that may come in.
///
/// # Errors
/// As [`check`].
pub fn check_and<T>(
    bytes: &[u8],
    rules: &Rules,
    trusted: bool,
    then: impl FnOnce(Good, &Parsed<'_, '_>) -> T,
) -> Result<T, Refusal> {
    if bytes.len() > rules.max_head {
        return Err(too_large(bytes, rules));
    }
    if has_bare_lf(bytes) {
        return Err(Refusal::BadRequest);
    }
    with_parsed(bytes, rules.max_fields, |request| {
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Refusal::BadRequest);
        };
        too_long(method, target, rules)?;
        let mut facts = Facts::of(request.headers, rules, trusted)?;
        let host_is_fine = match facts.host {
            None => minor == 0,
            Some(host) => is_host(host) || (minor == 0 && host.is_empty()),
        };
        let read = Target::read(target, method).filter(|_| host_is_fine);
        let read = read.ok_or(Refusal::BadRequest)?;
        if !read.is_for(facts.host) {
            return Err(Refusal::BadRequest);
        }
        let normal = read.is_normal(rules)?;
        let body = facts.body(minor, rules)?;
        let good = Good {
            body,
            asks_first: facts.asks_first(minor),
            rewrite: facts.rewrite || !normal,
            closes: facts.connection.close,
        };
        let parsed = Parsed::new((method, target, minor), facts.host, request.headers);
        Ok(then(good, &parsed))
    })
}

/// Whether some line ends with LF alone.
fn has_bare_lf(bytes: &[u8]) -> bool {
    // Lines are short: looking at every pair without a branch is quicker than finding one line end after the other.
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let bare = |any, (before, byte): (&u8, &u8)| any | ((*byte == b'\n') & (*before != b'\r'));
    bytes.first() == Some(&b'\n') || pairs.fold(false, bare)
}

/// Refuses what no rules let in, whatever the target means.
pub(super) fn too_long(method: &str, target: &str, rules: &Rules) -> Result<(), Refusal> {
    if method.len() > MAX_METHOD {
        Err(Refusal::LongMethod)
    } else if target.len() > rules.max_target {
        Err(Refusal::UriTooLong)
    } else if NEVER.iter().any(|m| method.eq_ignore_ascii_case(m)) {
        Err(Refusal::Method)
    } else {
        Ok(())
    }
}

/// Parses the complete head in `bytes` and hands it to `then`.
pub(super) fn with_parsed<T>(
    bytes: &[u8],
    max_fields: usize,
    then: impl FnOnce(&httparse::Request<'_, '_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields[..max_fields.min(MAX_FIELDS)]) {
        Ok(httparse::Status::Complete(_)) => then(&request),
        Ok(httparse::Status::Partial) => Err(Refusal::BadRequest),
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeaderTooLarge),
        Err(httparse::Error::Version) => Err(version_or_syntax(bytes)),
        Err(_) => Err(Refusal::BadRequest),
    }
}

/// What is too large about a head, complete or not, that is larger than the rules allow.
pub fn too_large(bytes: &[u8], rules: &Rules) -> Refusal {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    match memchr::memchr(b' ', &bytes[..line]) {
        None => Refusal::LongMethod,
        Some(method) if method > MAX_METHOD => Refusal::LongMethod,
        Some(method) if line - method > rules.max_target + " HTTP/1.1\r\n".len() => {
            Refusal::UriTooLong
        }
        Some(_) => Refusal::HeaderTooLarge,
    }
}

/// Method, path and host of a head that was refused, as far as it can be read: for the log only.
pub fn sketch(bytes: &[u8]) -> (http::Method, String, String) {
    const MOST: usize = 256;
    let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.by_ref().find(|l| !l.is_empty()).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().and_then(|m| http::Method::from_bytes(m).ok());
    let path = match (&method, words.next()) {
        (Some(_), Some(target)) => text(target.split(|b| *b == b'?').next().unwrap_or_default()),
        _ => text(line),
    };
    let host = lines.find_map(|l| {
        let (name, value) = l.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"host:")
            .then(|| text(value.trim_ascii()))
    });
    (method.unwrap_or_default(), path, host.unwrap_or_default())
}

/// How many requests, at least, wait in `bytes`: behind a head that announces a body nobody knows what is one.
pub fn waiting(bytes: &[u8]) -> usize {
    let (mut rest, mut heads) = (bytes, 0);
    while let Some(at) = memmem::find(rest, b"\r\n\r\n") {
        heads += 1;
        let announces_body = |line: &[u8]| {
            let name = line.split(|b| *b == b':').next().unwrap_or_default();
            name.eq_ignore_ascii_case(b"content-length")
                || name.eq_ignore_ascii_case(b"transfer-encoding")
        };
        if rest[..at].split(|b| *b == b'\n').any(announces_body) {
            break;
        }
        rest = &rest[at + 4..];
    }
    heads
}

/// A well-formed request line of another version, or one that is not well formed.
fn version_or_syntax(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    match (words.nth(2), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::BadRequest,
    }
}

/// A request target in one of the forms that reach a proxy like this (RFC 9112 §3.2).
pub(super) enum Target<'a> {
    /// Path and query.
    Origin(&'a str),
    /// Authority, then path and query, each perhaps empty.
    Absolute {
        authority: &'a str,
        port: &'static str,
        rest: &'a str,
    },
    /// `*`, of OPTIONS only.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Reads a target; `None` when it is none.
    pub fn read(target: &'a str, method: &str) -> Option<Self> {
        if !is_clean(target.as_bytes()) {
            return None;
        }
        if target.starts_with('/') {
            return Some(Target::Origin(target));
        }
        if target == "*" {
            return (method == "OPTIONS").then_some(Target::Asterisk);
        }
        let (scheme, rest) = target.split_once("://")?;
        let port = match scheme {
            s if s.eq_ignore_ascii_case("http") => ":80",
            s if s.eq_ignore_ascii_case("https") => ":443",
            _ => return None,
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        is_host(authority.as_bytes()).then_some(Target::Absolute {
            authority,
            port,
            rest,
        })
    }

    /// Whether it does not contradict `Host` (RFC 9112 §3.2.2): the same name in any case, the same port.
    fn is_for(&self, host: Option<&[u8]>) -> bool {
        let (
            Target::Absolute {
                authority, port, ..
            },
            Some(host),
        ) = (self, host)
        else {
            return true;
        };
        let authority = bare_of(authority.as_bytes(), port);
        host.is_empty() || authority.eq_ignore_ascii_case(bare_of(host, port))
    }

    /// Path and query in origin-form; `*` as it is.
    pub fn path_and_query(&self) -> (&'a str, Option<&'a str>) {
        let whole = match self {
            Target::Origin(target) => target,
            Target::Absolute { rest, .. } => rest,
            Target::Asterisk => "*",
        };
        match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole, None),
        }
    }

    /// Whether it is handed on as it is.
    pub(super) fn is_normal(&self, rules: &Rules) -> Result<bool, Refusal> {
        let (path, _) = self.path_and_query();
        match self {
            Target::Asterisk => Ok(true),
            Target::Absolute { .. } if path.is_empty() => Ok(false),
            _ => path::is_normal(path.as_bytes(), rules.merge_slashes)
                .map(|normal| normal && matches!(self, Target::Origin(_)))
                .map_err(|path::Ambiguous| Refusal::Path),
        }
    }
}

/// A host without the port that its scheme has anyway.
fn bare_of<'a>(host: &'a [u8], port: &str) -> &'a [u8] {
    let bare = host.strip_suffix(port.as_bytes());
    bare.or(host.strip_suffix(b":")).unwrap_or(host)
}

/// A host with an optional port: an authority of RFC 3986 §3.2 without user information.
pub(super) fn is_host(value: &[u8]) -> bool {
    let plain = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']')
    };
    // The common case is decided by a look at the letters; brackets and colons need the whole grammar.
    !value.is_empty()
        && value.iter().all(plain)
        && (memchr::memchr3(b':', b'[', b']', value).is_none() || is_authority(value))
}

fn is_authority(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let (host_is_fine, after) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((addr, after)) => (addr.parse::<Ipv6Addr>().is_ok(), after),
        None => {
            let (host, after) = text.split_at(text.find(':').unwrap_or(text.len()));
            (!host.is_empty() && !host.contains(['[', ']']), after)
        }
    };
    let port = after.strip_prefix(':');
    let digits = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    host_is_fine
        && (after.is_empty()
            || port.is_some_and(|p| p.is_empty() || (digits(p) && p.parse::<u16>().is_ok())))
}

/// Bytes that may stand in a path or a query (RFC 3986 §3.3, §3.4), and the brackets that forms put there. A `%`
/// stands before two digits.
fn is_clean(target: &[u8]) -> bool {
    let allowed = |b: u8| {
        b.is_ascii_graphic()
            && !matches!(
                b,
                b'#' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    };
    let escape = |at: usize| {
        let digits = target.get(at + 1..at + 3);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    target.iter().all(|b| allowed(*b)) && memchr_iter(b'%', target).all(escape)
}

#[cfg(test)]
mod tests;
