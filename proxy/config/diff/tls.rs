//! Differences of `tls:` of a data port. A key is never told, only that it is another one.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::{Certificate, ListenTls};
use crate::config::validate::tls::{CLIENT_AUTH, UNKNOWN_NAMES, VERSIONS};

/// Differences between two ports of one address.
pub(super) fn tls(
    out: &mut Changes,
    what: impl Fn(&str) -> String,
    was: Option<&ListenTls>,
    is: Option<&ListenTls>,
) {
    let (was, is) = match (was, is) {
        (None, None) => return,
        (Some(was), Some(is)) => (was, is),
        (was, _) => {
            let word = |on: bool| if on { "on" } else { "off" };
            return out.shown(&what("tls"), word(was.is_some()), word(was.is_none()));
        }
    };
    certs(out, &what, was, is);
    for (key, before, now) in [
        (
            "min_version",
            VERSIONS.word(was.min_version).to_owned(),
            VERSIONS.word(is.min_version).to_owned(),
        ),
        ("alpn", alpn(was), alpn(is)),
        (
            "unknown_names",
            UNKNOWN_NAMES.word(was.unknown_names).to_owned(),
            UNKNOWN_NAMES.word(is.unknown_names).to_owned(),
        ),
        ("client_auth", client_auth(was), client_auth(is)),
        ("client_header", client_header(was), client_header(is)),
        ("tickets", was.tickets.to_string(), is.tickets.to_string()),
        (
            "handshake_timeout",
            show_duration(was.handshake_timeout),
            show_duration(is.handshake_timeout),
        ),
        ("handshakes", handshakes(was), handshakes(is)),
        ("acme", names(&was.acme), names(&is.acme)),
    ] {
        out.shown(&what(&format!("tls.{key}")), &before, &now);
    }
    let ca = |tls: &ListenTls| tls.clients.as_ref().map(|clients| clients.ca.clone());
    if let (Some(before), Some(now)) = (ca(was), ca(is))
        && before != now
    {
        let other =
            "other authorities of clients; open connections are closed at their next request";
        out.say(format!("{} {other}", what("tls.client_ca")));
    }
}

fn certs(out: &mut Changes, what: impl Fn(&str) -> String, was: &ListenTls, is: &ListenTls) {
    let of = |cert: &Certificate| format!("{} ({})", cert.path.display(), names(&cert.facts.names));
    for cert in &is.certs {
        match was.certs.iter().find(|old| old.path == cert.path) {
            Some(old) if old == cert => {}
            Some(_) => out.say(format!("{} renewed: {}", what("tls.certs"), of(cert))),
            None => out.say(format!("{} + {}", what("tls.certs"), of(cert))),
        }
    }
    for old in &was.certs {
        if !is.certs.iter().any(|cert| cert.path == old.path) {
            out.say(format!("{} - {}", what("tls.certs"), of(old)));
        }
    }
    let order = |tls: &ListenTls| -> Vec<_> { tls.certs.iter().map(|c| c.path.clone()).collect() };
    let (before, now) = (order(was), order(is));
    if before != now && before.len() == now.len() && now.iter().all(|path| before.contains(path)) {
        out.say(format!("{} in another order", what("tls.certs")));
    }
}

fn alpn(tls: &ListenTls) -> String {
    let all: Vec<&str> = tls.alpn.iter().map(|protocol| protocol.as_str()).collect();
    all.join(", ")
}

fn names(names: &[String]) -> String {
    match names {
        [] => "no names".into(),
        names => names.join(", "),
    }
}

fn client_auth(tls: &ListenTls) -> String {
    let clients = tls.clients.as_ref();
    clients
        .map_or("off", |c| CLIENT_AUTH.word(c.required))
        .into()
}

fn client_header(tls: &ListenTls) -> String {
    let name = tls.client_header.as_ref();
    name.map_or_else(|| "none".into(), |name| name.to_string())
}

fn handshakes(tls: &ListenTls) -> String {
    tls.handshakes
        .map_or_else(|| "no limit".into(), |most| most.to_string())
}
