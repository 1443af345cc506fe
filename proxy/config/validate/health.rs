//! `health:` of an upstream.
//!
//! Nothing here may ask a node anything: a probe that would fail is no mistake of the file.

use super::words::{self, Choices};
use crate::config::checked::{Asking, Health, InitialHealth, NodeTls, Probe, ProxyProtocol};
use crate::config::defaults;
use crate::config::files::RawUpstream;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::health::{Health as Written, HealthKeys};

/// What an HTTP or gRPC probe says and what must be answered.
mod question;
/// How TLS is spoken.
mod tls;

pub use tls::authorities;

pub(super) use question::{codes, statuses};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeType {
    /// `GET path`
    Http,
    /// The same over TLS.
    Https,
    /// A connection that opens.
    Tcp,
    /// The gRPC health protocol.
    Grpc,
}

impl ProbeType {
    /// The type of a probe, with or without TLS.
    pub fn of(asking: &Asking) -> Self {
        match (&asking.probe, &asking.tls) {
            (Probe::Http(_), None) => ProbeType::Http,
            (Probe::Http(_), Some(_)) => ProbeType::Https,
            (Probe::Tcp, _) => ProbeType::Tcp,
            (Probe::Grpc { .. }, _) => ProbeType::Grpc,
        }
    }
}

/// `health.type`
pub const TYPES: Choices<ProbeType> = Choices {
    what: "health check type",
    words: &[
        ("http", ProbeType::Http),
        ("https", ProbeType::Https),
        ("tcp", ProbeType::Tcp),
        ("grpc", ProbeType::Grpc),
    ],
    aka: &[],
    later: &[],
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

/// How the connections of requests begin, which those of checks follow.
type Begins<'a> = (Option<&'a NodeTls>, Option<ProxyProtocol>);

/// Reads `health:`; `None` when there are no checks.
pub fn check(
    raw: &RawUpstream,
    begins: Begins<'_>,
    at: &At,
    problems: &mut Problems,
) -> Option<Health> {
    match raw.keys.health.as_ref()? {
        Written::Word(word) if words::is_off(word) => None,
        Written::Word(word) => {
            let what = format!(
                "`health` must be a mapping or `off`, not \"{}\"",
                shorten(word)
            );
            let help = "write `health: { path: /healthz }`, or `health: { type: tcp }`";
            problems.push(Problem::error(at.place(), what).help(help));
            None
        }
        Written::Keys(keys) => Some(read(keys, raw, begins, at, problems)),
    }
}

fn read(
    keys: &HealthKeys,
    raw: &RawUpstream,
    begins: Begins<'_>,
    at: &At,
    problems: &mut Problems,
) -> Health {
    let count = |word: &Option<String>, key: &str, default, problems: &mut Problems| {
        let at = at.key(key);
        words::whole(word.as_deref(), &at, 1..=MAX_ROW, default, problems)
    };
    let asking = asking(keys, raw, begins, at, problems);
    let agent = words::flag(
        keys.agent.as_deref(),
        &at.key("agent"),
        defaults::HEALTH_AGENT,
        problems,
    );
    Health {
        // Only an HTTP answer has a field to say it with.
        agent: agent && matches!(asking.probe, Probe::Http(_)),
        asking,
        rise: count(&keys.rise, "rise", defaults::HEALTH_RISE, problems),
        fall: count(&keys.fall, "fall", defaults::HEALTH_FALL, problems),
        initial: INITIALS.read(
            keys.initial.as_deref(),
            &at.key("initial"),
            defaults::HEALTH_INITIAL,
            problems,
        ),
    }
}

/// How a node is asked, and how often.
fn asking(
    keys: &HealthKeys,
    raw: &RawUpstream,
    begins: Begins<'_>,
    at: &At,
    problems: &mut Problems,
) -> Asking {
    let kind = TYPES.read(
        keys.r#type.as_deref(),
        &at.key("type"),
        ProbeType::Http,
        problems,
    );
    let port = port(keys, at, problems);
    // What another port speaks is not known from what requests' port does.
    let (as_requests, proxy_protocol) = match port {
        None => begins,
        Some(_) => (None, None),
    };
    let tls = tls::check(
        keys,
        kind,
        as_requests,
        raw.health_ca.as_ref(),
        at,
        problems,
    );
    idle(keys, kind, tls.is_some(), at, problems);
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
    Asking {
        probe: match kind {
            ProbeType::Http | ProbeType::Https => Probe::Http(question::http(keys, at, problems)),
            ProbeType::Tcp => Probe::Tcp,
            ProbeType::Grpc => Probe::Grpc {
                service: question::service(keys, at, problems),
            },
        },
        host: question::host(keys, at, problems),
        headers: question::headers(keys, at, problems),
        port,
        tls,
        proxy_protocol,
        interval,
        unhealthy_interval: words::positive(
            keys.unhealthy_interval.as_deref(),
            &at.key("unhealthy_interval"),
            interval,
            problems,
        ),
        timeout,
    }
}

fn port(keys: &HealthKeys, at: &At, problems: &mut Problems) -> Option<u16> {
    let word = keys.port.as_deref()?;
    let range = 1..=u32::from(u16::MAX);
    let port = words::whole(Some(word), &at.key("port"), range, 0, problems);
    // The default is told by then, and out of the range.
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// Keys that do nothing in a probe of this kind are told of.
fn idle(keys: &HealthKeys, kind: ProbeType, tls: bool, at: &At, problems: &mut Problems) {
    let http = matches!(kind, ProbeType::Http | ProbeType::Https);
    let grpc = kind == ProbeType::Grpc;
    let given = [
        ("method", keys.method.is_some(), http),
        ("path", keys.path.is_some(), http),
        ("host", keys.host.is_some(), http || grpc || tls),
        ("headers", keys.headers.is_some(), http || grpc),
        ("expect", keys.expect.is_some(), http),
        ("body", keys.body.is_some(), http),
        ("body_regex", keys.body_regex.is_some(), http),
        ("agent", keys.agent.is_some(), http),
        ("service", keys.service.is_some(), grpc),
    ];
    let kind = TYPES.word(kind);
    for (name, _, _) in given.iter().filter(|(_, given, used)| *given && !used) {
        let what = format!("`{name}` does nothing in a {kind} health check");
        let help = match *name {
            "service" => "remove `service`, or write `type: grpc`".to_string(),
            _ => format!("remove `{name}`, or `type: {kind}`"),
        };
        problems.push(Problem::warning(at.key(name).key_place(), what).help(help));
    }
}
