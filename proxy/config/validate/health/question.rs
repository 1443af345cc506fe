//! What a probe says, and which answer is a good one.
//!
//! A probe that no answer could satisfy is a mistake of the file and told as one.

use std::collections::HashSet;

use http::Method;
use http::header::{self, HeaderName, HeaderValue};

use crate::config::checked::{BodyMatch, HttpProbe};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::health::HealthKeys;
use crate::config::validate::words::Choices;
use crate::config::validate::{fields, matcher};

/// The longest text or expression that is looked for in a body: a page is not pasted into a configuration.
const LONGEST_BODY: usize = 4096;
/// The longest name of a gRPC service.
const LONGEST_SERVICE: usize = 256;

/// How a probe may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Get,
    Head,
    Options,
}

/// `health.method`
const METHODS: Choices<Asks> = Choices {
    what: "health check method",
    words: &[
        ("GET", Asks::Get),
        ("HEAD", Asks::Head),
        ("OPTIONS", Asks::Options),
    ],
    aka: &[("get", "GET"), ("head", "HEAD"), ("options", "OPTIONS")],
    later: &[],
};

/// Fields that concern the connection or say what another key says.
const OURS: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
];

/// An HTTP probe.
pub fn http(keys: &HealthKeys, at: &At, problems: &mut Problems) -> HttpProbe {
    let path = keys.path.as_deref().unwrap_or(defaults::HEALTH_PATH);
    let fine = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !fine {
        let what = format!("\"{}\" is not a path", shorten(path));
        let help =
            "write a path that begins with `/`, as /healthz; blanks and other letters %-encoded";
        problems.push(Problem::error(at.key("path").place(), what).help(help));
    }
    let method = method(keys, at, problems);
    let body = body(keys, at, problems);
    if method == Method::HEAD && body.is_some() {
        let what = "an answer to HEAD has no body to look into: the check would always fail";
        let problem = Problem::error(at.key("method").place(), what);
        problems.push(problem.help("write `method: GET`, or remove `body` and `body_regex`"));
    }
    HttpProbe {
        method,
        path: path.into(),
        expect: expect(keys, at, problems),
        body,
    }
}

fn method(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Method {
    if keys.method.is_none() {
        return defaults::HEALTH_METHOD;
    }
    let at = at.key("method");
    match METHODS.read(keys.method.as_deref(), &at, Asks::Get, problems) {
        Asks::Get => Method::GET,
        Asks::Head => Method::HEAD,
        Asks::Options => Method::OPTIONS,
    }
}

/// What the body must have: `body` or `body_regex`.
fn body(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Option<BodyMatch> {
    if let (Some(_), Some(_)) = (&keys.body, &keys.body_regex) {
        let here = at.key("body_regex").key_place();
        let problem = Problem::error(here, "`body_regex` beside `body`: a body is looked at once")
            .also(at.key("body").key_place(), "the other one")
            .help("keep one of the two; an expression can find a text as well");
        problems.push(problem);
    }
    let (name, word) = match (&keys.body, &keys.body_regex) {
        (Some(text), _) => ("body", text),
        (None, Some(regex)) => ("body_regex", regex),
        (None, None) => return None,
    };
    let mut refuse = |what: String, help: &str| {
        problems.push(Problem::error(at.key(name).place(), what).help(help));
        None
    };
    if word.is_empty() {
        let what = format!("an empty `{name}` is in every body");
        return refuse(what, "write what a good answer has, or remove the key");
    }
    if word.len() > LONGEST_BODY {
        let what = format!("`{name}` is longer than {LONGEST_BODY} bytes");
        return refuse(
            what,
            "write the few words that tell a good answer from a bad one",
        );
    }
    if name == "body" {
        return Some(BodyMatch::Text(word.clone()));
    }
    match matcher::expression(word) {
        Ok(regex) => Some(BodyMatch::Regex(regex)),
        Err((what, help)) => refuse(what, &help),
    }
}

/// `Host`, and the name in the certificate.
pub fn host(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Option<HeaderValue> {
    let host = keys.host.as_deref()?;
    let fine = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'@'))
        && host.parse::<http::uri::Authority>().is_ok();
    let value = HeaderValue::from_str(host).ok().filter(|_| fine);
    if value.is_none() {
        let what = format!("\"{}\" is not a host", shorten(host));
        let problem = Problem::error(at.key("host").place(), what);
        problems.push(problem.help("write the name alone, as app.internal"));
    }
    value
}

/// Further fields.
pub fn headers(
    keys: &HealthKeys,
    at: &At,
    problems: &mut Problems,
) -> Vec<(HeaderName, HeaderValue)> {
    let at = at.key("headers");
    let read = fields::read(keys.headers.as_ref(), &at, problems);
    for (written, _) in keys.headers.iter().flat_map(|named| &named.0) {
        let Some(name) = OURS
            .iter()
            .find(|n| written.eq_ignore_ascii_case(n.as_str()))
        else {
            continue;
        };
        let help = match *name {
            header::HOST => "write `host: app.internal` beside `headers`",
            _ => "remove it: a probe has its own connection and no body",
        };
        let what = format!("a probe's `{name}` cannot be set");
        problems.push(Problem::error(at.key(written).key_place(), what).help(help));
    }
    read
}

/// Whose health a gRPC probe asks for; empty: the server's.
pub fn service(keys: &HealthKeys, at: &At, problems: &mut Problems) -> String {
    let name = keys.service.as_deref().unwrap_or_default();
    let fine = name.bytes().all(|b| b.is_ascii_graphic()) && name.len() <= LONGEST_SERVICE;
    if !fine {
        let what = format!("\"{}\" is not the name of a gRPC service", shorten(name));
        let help = "write it as in the .proto file, with its package: shop.Orders";
        problems.push(Problem::error(at.key("service").place(), what).help(help));
    }
    name.into()
}

/// The accepted status codes.
fn expect(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Vec<(u16, u16)> {
    let Some(words) = &keys.expect else {
        return defaults::HEALTH_EXPECT.to_vec();
    };
    let at = at.key("expect");
    if words.is_empty() {
        let problem = Problem::error(at.place(), "`expect` accepts no status code");
        problems.push(problem.help("write `expect: [200, 204]`, or remove the key for 200-399"));
    }
    statuses(words, &at, problems)
}

/// Reads a list of status codes.
pub fn statuses(words: &[Option<String>], at: &At, problems: &mut Problems) -> Vec<(u16, u16)> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let Some(word) = word else { continue };
        match codes(word) {
            Some(range) if !seen.insert(range) => {}
            Some(range) => out.push(range),
            None => {
                let what = format!("\"{}\" is not a status code", shorten(word));
                let help = "write a code from 100 to 599, a range as 200-299, or a class as 2xx";
                problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
            }
        }
    }
    out
}

/// `204`, `200-299` or `2xx` as an inclusive range.
pub(in crate::config::validate) fn codes(word: &str) -> Option<(u16, u16)> {
    let number = |w: &str| {
        let digits = w.len() == 3 && w.bytes().all(|b| b.is_ascii_digit());
        w.parse::<u16>()
            .ok()
            .filter(|n| digits && (100..=599).contains(n))
    };
    if let Some(class) = word.strip_suffix("xx").or_else(|| word.strip_suffix("XX")) {
        let low = number(&format!("{class}00"))?;
        return Some((low, low + 99));
    }
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    let (low, high) = (number(low.trim())?, number(high.trim())?);
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::codes;

    #[test]
    fn status_codes_come_alone_as_ranges_and_as_classes() {
        for (word, range) in [
            ("204", Some((204, 204))),
            ("200-299", Some((200, 299))),
            ("2xx", Some((200, 299))),
            ("5XX", Some((500, 599))),
            ("299-200", None),
            ("600", None),
            ("99", None),
            ("ok", None),
            ("+20", None),
            ("", None),
        ] {
            assert_eq!(codes(word), range, "{word}");
        }
    }
}
