//! Differences between two health checks.
//!
//! Of fields only their names are told: a value may be a secret.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::{Asking, BodyMatch, Health, Probe, codes};
use crate::config::validate::health::{INITIALS, ProbeType, TYPES};

/// Tells what is different; `what` is whose health check it is.
pub(super) fn health(out: &mut Changes, what: &str, was: Option<&Health>, is: Option<&Health>) {
    let (was, is) = match (was, is) {
        (None, Some(_)) => return out.say(format!("{what} check added")),
        (Some(_), None) => return out.say(format!("{what} check removed")),
        (None, None) => return,
        (Some(was), Some(is)) => (was, is),
    };
    for ((key, a), (_, b)) in told(was).into_iter().zip(told(is)) {
        out.shown(&format!("{what} {key}"), &a, &b);
    }
    let (a, b) = (&was.asking, &is.asking);
    // Between two kinds of probe the type says it all.
    if std::mem::discriminant(&a.probe) == std::mem::discriminant(&b.probe) {
        for ((key, a), (_, b)) in asked(a).into_iter().zip(asked(b)) {
            out.shown(&format!("{what} {key}"), &a, &b);
        }
    }
    if a.headers != b.headers {
        out.say(format!("{what} headers changed"));
    }
    if a.tls.as_ref().map(|t| &t.ca) != b.tls.as_ref().map(|t| &t.ca) {
        out.say(format!("{what} ca changed"));
    }
}

fn told(health: &Health) -> [(&'static str, String); 12] {
    let a = &health.asking;
    let none = || "none".to_string();
    let verify = |t: &crate::config::checked::NodeTls| t.verify.to_string();
    [
        ("type", TYPES.word(ProbeType::of(a)).into()),
        ("tls", a.tls.is_some().to_string()),
        ("verify", a.tls.as_ref().map_or("true".into(), verify)),
        (
            "host",
            a.host.as_ref().map_or_else(none, |h| format!("{h:?}")),
        ),
        (
            "port",
            a.port
                .map_or_else(|| "the node's".into(), |p| p.to_string()),
        ),
        ("interval", show_duration(a.interval)),
        ("unhealthy_interval", show_duration(a.unhealthy_interval)),
        ("timeout", show_duration(a.timeout)),
        ("rise", health.rise.to_string()),
        ("fall", health.fall.to_string()),
        ("initial", INITIALS.word(health.initial).into()),
        ("agent", health.agent.to_string()),
    ]
}

/// What is asked and expected, where both are of one type.
fn asked(asking: &Asking) -> Vec<(&'static str, String)> {
    match &asking.probe {
        Probe::Tcp => Vec::new(),
        Probe::Grpc { service } => vec![("service", format!("{service:?}"))],
        Probe::Http(probe) => vec![
            ("method", probe.method.to_string()),
            ("path", probe.path.clone()),
            ("expect", codes(&probe.expect).join(", ")),
            (
                "body",
                match &probe.body {
                    None => "none".into(),
                    Some(BodyMatch::Text(text)) => format!("{text:?}"),
                    Some(BodyMatch::Regex(regex)) => format!("/{}/", regex.as_str()),
                },
            ),
        ],
    }
}
