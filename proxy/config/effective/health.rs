//! Health checks as they are in force, written so that they load again.
//!
//! A field that looks like a secret is redacted; that one value does not load again as it was.

use http::{HeaderName, HeaderValue, header};

use super::{Writer, list, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::{BodyMatch, Health, HttpProbe, NodeTls, Probe, codes};
use crate::config::index::At;
use crate::config::validate::health::{INITIALS, ProbeType, TYPES};

/// Writes `health:` of the upstream at `at`.
pub(super) fn health(out: &mut Writer, check: Option<&Health>, at: &At) {
    let Some(check) = check else {
        return out.value(at, "health", "off");
    };
    let (at, asking) = (at.key("health"), &check.asking);
    out.section("health", false);
    out.value(&at, "type", TYPES.word(ProbeType::of(asking)));
    match &asking.probe {
        Probe::Tcp => {}
        Probe::Http(probe) => http(out, probe, &at),
        Probe::Grpc { service } if service.is_empty() => {}
        Probe::Grpc { service } => out.value(&at, "service", &quoted(service)),
    }
    if let Some(host) = asking.host.as_ref().and_then(|h| h.to_str().ok()) {
        out.value(&at, "host", &quoted(host));
    }
    if !asking.headers.is_empty() {
        let at = at.key("headers");
        out.section("headers", false);
        for (name, value) in &asking.headers {
            out.value(&at, name.as_str(), &quoted(&shown(name, value)));
        }
        out.close();
    }
    if let Some(port) = asking.port {
        out.value(&at, "port", &port.to_string());
    }
    tls(out, asking.tls.as_ref(), &at);
    out.value(&at, "interval", &show_duration(asking.interval));
    let when_ill = show_duration(asking.unhealthy_interval);
    out.value(&at, "unhealthy_interval", &when_ill);
    out.value(&at, "timeout", &show_duration(asking.timeout));
    out.value(&at, "rise", &check.rise.to_string());
    out.value(&at, "fall", &check.fall.to_string());
    out.value(&at, "initial", INITIALS.word(check.initial));
    if matches!(asking.probe, Probe::Http(_)) {
        out.value(&at, "agent", yes_no(check.agent));
    }
    out.close();
}

fn http(out: &mut Writer, probe: &HttpProbe, at: &At) {
    out.value(at, "method", probe.method.as_str());
    out.value(at, "path", &quoted(&probe.path));
    out.value(at, "expect", &list(codes(&probe.expect).into_iter()));
    match &probe.body {
        Some(BodyMatch::Text(text)) => out.value(at, "body", &quoted(text)),
        Some(BodyMatch::Regex(regex)) => out.value(at, "body_regex", &quoted(regex.as_str())),
        None => {}
    }
}

fn tls(out: &mut Writer, tls: Option<&NodeTls>, at: &At) {
    out.value(at, "tls", yes_no(tls.is_some()));
    let Some(tls) = tls else { return };
    out.value(at, "verify", yes_no(tls.verify));
    if let Some(ca) = &tls.ca {
        out.value(at, "ca", &quoted(&ca.path.to_string_lossy()));
    }
}

/// The value of a field, unless it looks like a secret.
pub fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    match is_secret(name) {
        true => "REDACTED".into(),
        false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}

/// Whether the name of a field says that its value lets somebody in.
fn is_secret(name: &HeaderName) -> bool {
    const PARTS: [&str; 6] = ["auth", "token", "secret", "passw", "key", "credential"];
    *name == header::COOKIE || PARTS.iter().any(|part| name.as_str().contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        for (name, shown_as) in [
            ("authorization", "REDACTED"),
            ("proxy-authorization", "REDACTED"),
            ("cookie", "REDACTED"),
            ("x-api-key", "REDACTED"),
            ("x-vault-token", "REDACTED"),
            ("x-probe", "v"),
            ("user-agent", "v"),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(
                shown(&name, &HeaderValue::from_static("v")),
                shown_as,
                "{name}"
            );
        }
    }
}
