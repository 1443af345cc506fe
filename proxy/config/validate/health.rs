//! `health:` of an upstream.
//!
//! Nothing here may ask a node anything: a probe that would fail is no mistake of the file.

use std::collections::HashSet;

use http::HeaderValue;

use super::words::{self, Choices};
use crate::config::checked::{Health, InitialHealth, Probe};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::health::{self as schema, HealthKeys};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeType {
    /// `GET path`
    Http,
    /// A connection that opens.
    Tcp,
}

/// `health.type`
pub const TYPES: Choices<ProbeType> = Choices {
    what: "health check type",
    words: &[("http", ProbeType::Http), ("tcp", ProbeType::Tcp)],
    aka: &[],
    later: &["grpc", "https"],
};

/// `health.initial`
pub const INITIALS: Choices<InitialHealth> = Choices {
    what: "initial health",
    words: &[
        ("probe", InitialHealth::Probe),
        ("healthy", InitialHealth::Healthy),
        ("unhealthy", InitialHealth::Unhealthy),
    ],
    aka: &[("up", "healthy"), ("down", "unhealthy")],
    later: &[],
};

/// The most probes in a row that may be asked for.
const MAX_ROW: u32 = 1000;

/// Reads `health:`; `None` when there are no checks.
pub fn check(health: Option<&schema::Health>, at: &At, problems: &mut Problems) -> Option<Health> {
    match health? {
        schema::Health::Word(word) if words::is_off(word) => None,
        schema::Health::Word(word) => {
            let what = format!(
                "`health` must be a mapping or `off`, not \"{}\"",
                shorten(word)
            );
            let help = "write `health: { path: /healthz }`, or `health: { type: tcp }`";
            problems.push(Problem::error(at.place(), what).help(help));
            None
        }
        schema::Health::Keys(keys) => Some(read(keys, at, problems)),
    }
}

fn read(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Health {
    let interval = words::positive(
        keys.interval.as_deref(),
        &at.key("interval"),
        defaults::HEALTH_INTERVAL,
        problems,
    );
    let timeout = words::positive(
        keys.timeout.as_deref(),
        &at.key("timeout"),
        // A probe is never still running when the next is due, unless the file asks for it.
        defaults::HEALTH_TIMEOUT.min(interval),
        problems,
    );
    if timeout > interval {
        let here = at.key("timeout");
        let what = "the timeout of a health check is longer than its interval";
        let help =
            "a probe would still run when the next is due: make `timeout` at most `interval`";
        problems.push(Problem::warning(here.place(), what).help(help));
    }
    let kind = TYPES.read(
        keys.r#type.as_deref(),
        &at.key("type"),
        ProbeType::Http,
        problems,
    );
    Health {
        probe: match kind {
            ProbeType::Http => http(keys, at, problems),
            ProbeType::Tcp => tcp(keys, at, problems),
        },
        interval,
        timeout,
        rise: words::whole(
            keys.rise.as_deref(),
            &at.key("rise"),
            1..=MAX_ROW,
            defaults::HEALTH_RISE,
            problems,
        ),
        fall: words::whole(
            keys.fall.as_deref(),
            &at.key("fall"),
            1..=MAX_ROW,
            defaults::HEALTH_FALL,
            problems,
        ),
        initial: INITIALS.read(
            keys.initial.as_deref(),
            &at.key("initial"),
            defaults::HEALTH_INITIAL,
            problems,
        ),
    }
}

/// An HTTP probe.
fn http(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Probe {
    let path = keys.path.as_deref().unwrap_or(defaults::HEALTH_PATH);
    let fine = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !fine {
        let what = format!("\"{}\" is not a path", shorten(path));
        let help =
            "write a path that begins with `/`, as /healthz; blanks and other letters %-encoded";
        problems.push(Problem::error(at.key("path").place(), what).help(help));
    }
    let host = keys.host.as_deref().and_then(|host| {
        let fine = !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'@'));
        let value = HeaderValue::from_str(host).ok().filter(|_| fine);
        if value.is_none() {
            let problem = Problem::error(
                at.key("host").place(),
                format!("\"{}\" is not a host", shorten(host)),
            );
            problems.push(problem.help("write the name alone, as app.internal"));
        }
        value
    });
    Probe::Http {
        path: path.into(),
        expect: expect(keys, at, problems),
        host,
    }
}

/// A TCP probe; keys that only an HTTP one has are told of.
fn tcp(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Probe {
    let idle = [
        ("path", keys.path.is_some()),
        ("host", keys.host.is_some()),
        ("expect", keys.expect.is_some()),
    ];
    for (name, _) in idle.iter().filter(|(_, given)| *given) {
        let problem = Problem::warning(
            at.key(name).key_place(),
            format!("`{name}` does nothing in a tcp health check"),
        );
        problems.push(problem.help(format!("remove `{name}`, or `type: tcp`")));
    }
    Probe::Tcp
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
pub(super) fn statuses(
    words: &[Option<String>],
    at: &At,
    problems: &mut Problems,
) -> Vec<(u16, u16)> {
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
fn codes(word: &str) -> Option<(u16, u16)> {
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
