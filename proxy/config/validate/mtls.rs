//! `client_ca` guards a port, never a route: what is behind one port is behind the others too.
//!
//! Told as a warning, since a second door may be meant. One that says itself whom it lets in (`allow`) is.

use super::Origins;
use crate::config::checked::{Action, Config, Listen, Route, Scheme};
use crate::config::problem::{Problem, Problems};

/// Tells of routes that are reached with a certificate by one port and without by another.
pub fn check(config: &Config, origins: &Origins, problems: &mut Problems) {
    let listen = origins.root.key("listen");
    for (i, guarded) in config.listen.iter().enumerate() {
        if !asks(guarded) {
            continue;
        }
        let open =
            (config.listen.iter()).filter(|port| !asks(port) && port.access.allow.is_empty());
        let found = open.clone().find_map(|port| {
            let both = |route: &&Route| serves(route, guarded) && serves(route, port);
            Some((port, config.routes.iter().find(both)?))
        });
        if let Some((port, route)) = found {
            let what = format!(
                "who has no certificate reaches the same by {}: `client_ca` guards a port, and route \"{}\" is served by every port",
                port.addr, route.name
            );
            let help = "ask for certificates there too, give that port an `allow` list, or run what is guarded as a proxy of its own";
            let at = listen.item(i).key("tls").key("client_ca");
            problems.push(Problem::warning(at.place(), what).help(help));
        }
    }
}

/// Whether nobody comes in by a port without a certificate.
fn asks(port: &Listen) -> bool {
    let clients = port.tls.as_ref().and_then(|tls| tls.clients.as_ref());
    clients.is_some_and(|clients| clients.required)
}

/// Whether a route gives something away to who comes by a port. A redirect does not.
fn serves(route: &Route, port: &Listen) -> bool {
    let own = match port.tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    let is_reached = route.matcher.scheme.is_none_or(|scheme| scheme == own);
    is_reached && matches!(route.action, Action::Proxy(_))
}
