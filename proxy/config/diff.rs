//! Two checked configurations, told apart in words an operator reads.
//!
//! Shown before and after a reload. Every difference that changes behaviour must be named: "nothing changed" is
//! believed. Upstreams are the same by name, nodes by id, routes by name.

use std::collections::HashMap;
use std::fmt;

use http::HeaderName;
use ipnet::IpNet;
use serde::Serialize;

use super::checked::{Access, AccessLog, Action, Config, Limits, LogPath, Requests, Route, Scope};
use super::effective::redact;
use super::validate::limits::UNDERSCORES;
use super::validate::{rate, top::LOG_FORMATS};
use crate::base::units::{Rate, show_duration, show_size};

mod acme;
mod admin;
mod cache;
mod compress;
mod dns;
mod health;
mod node_tls;
mod sticky;
mod tls;
mod tracing;
mod upstream;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is different.
    pub what: String,
    /// Whether a reload cannot bring it about.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.needs_restart {
            true => f.write_str(": takes effect after a restart or an upgrade"),
            false => Ok(()),
        }
    }
}

/// Every difference between two configurations; empty when they behave alike.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut out = Changes(Vec::new());
    out.restart("listen", &addrs(old), &addrs(new));
    ports(&mut out, old, new);
    admin::admin(&mut out, old.admin.as_ref(), new.admin.as_ref());
    out.restart(
        "threads",
        &old.threads.to_string(),
        &new.threads.to_string(),
    );
    out.plain(
        "trusted_proxies",
        &old.trusted_proxies,
        &new.trusted_proxies,
    );
    limits(&mut out, &old.limits, &new.limits);
    requests(&mut out, &old.requests, &new.requests);
    let limits = |c: &Config| {
        let t = c.timeouts;
        [
            ("header", t.header),
            ("idle", t.idle),
            ("body", t.body),
            ("write", t.write),
            ("request", t.request),
        ]
    };
    for ((key, was), (_, is)) in limits(old).into_iter().zip(limits(new)) {
        out.shown(&format!("timeouts.{key}"), &limit(was), &limit(is));
    }
    out.shown(
        "shutdown.pre_stop",
        &show_duration(old.shutdown.pre_stop),
        &show_duration(new.shutdown.pre_stop),
    );
    out.shown(
        "shutdown.grace",
        &show_duration(old.shutdown.grace),
        &show_duration(new.shutdown.grace),
    );
    out.shown(
        "shutdown.handover",
        &show_duration(old.shutdown.handover),
        &show_duration(new.shutdown.handover),
    );
    let (was, is) = (&old.access_log, &new.access_log);
    out.shown("access_log.path", &log_path(&was.path), &log_path(&is.path));
    let format = |log: &AccessLog| LOG_FORMATS.word(log.format);
    out.shown("access_log.format", format(was), format(is));
    out.plain("access_log.sample", &was.sample, &is.sample);
    acme::acme(&mut out, old.acme.as_ref(), new.acme.as_ref());
    tracing::tracing(&mut out, &old.tracing, &new.tracing);
    dns::dns(&mut out, &old.dns, &new.dns);
    cache::cache(&mut out, &old.cache, &new.cache);
    upstream::upstreams(&mut out, old, new);
    routes(&mut out, old, new);
    out.0
}

fn log_path(path: &LogPath) -> String {
    match path {
        LogPath::Stdout => "-".into(),
        LogPath::File(path) => path.display().to_string(),
    }
}

struct Changes(Vec<Change>);

impl Changes {
    fn say(&mut self, what: String) {
        self.0.push(Change {
            what,
            needs_restart: false,
        });
    }

    fn shown(&mut self, what: &str, was: &str, is: &str) {
        if was != is {
            self.say(format!("{what} {was} → {is}"));
        }
    }

    fn plain<T: PartialEq + fmt::Debug>(&mut self, what: &str, was: &T, is: &T) {
        if was != is {
            self.say(format!("{what} {was:?} → {is:?}"));
        }
    }

    fn restart(&mut self, what: &str, was: &str, is: &str) {
        if was != is {
            self.0.push(Change {
                what: format!("{what} {was} → {is}"),
                needs_restart: true,
            });
        }
    }
}

fn addrs(config: &Config) -> String {
    let all: Vec<String> = config.listen.iter().map(|l| l.addr.to_string()).collect();
    all.join(", ")
}

fn limit(value: Option<std::time::Duration>) -> String {
    value.map_or_else(|| "no limit".into(), show_duration)
}

/// Ports that are in both, by address.
fn ports(out: &mut Changes, old: &Config, new: &Config) {
    for is in &new.listen {
        let Some(was) = old.listen.iter().find(|l| l.addr == is.addr) else {
            continue;
        };
        let what = |key: &str| format!("listen {}: {key}", is.addr);
        out.shown(
            &what("proxy_protocol"),
            &ranges(&was.proxy_protocol, "nobody"),
            &ranges(&is.proxy_protocol, "nobody"),
        );
        out.shown(&what("h2c"), &was.h2c.to_string(), &is.h2c.to_string());
        access(out, what, &was.access, &is.access);
        tls::tls(out, what, was.tls.as_deref(), is.tls.as_deref());
    }
}

fn access(out: &mut Changes, what: impl Fn(&str) -> String, was: &Access, is: &Access) {
    for (key, nobody, was, is) in [
        ("allow", "everybody", &was.allow, &is.allow),
        ("deny", "nobody", &was.deny, &is.deny),
    ] {
        if was != is {
            out.say(format!(
                "{} {} → {}",
                what(key),
                ranges(was, nobody),
                ranges(is, nobody)
            ));
        }
    }
}

/// Some ranges; of many, how many there are.
fn ranges(nets: &[IpNet], none: &str) -> String {
    const SHOWN: usize = 5;
    let all = || nets.iter().map(IpNet::to_string).collect::<Vec<_>>();
    match nets.len() {
        0 => none.into(),
        1..=SHOWN => all().join(", "),
        many => format!("{many} ranges"),
    }
}

fn limits(out: &mut Changes, old: &Limits, new: &Limits) {
    let told = |l: &Limits| {
        let size = |n: Option<u64>| n.map_or_else(|| "no limit".into(), show_size);
        let count = |n: Option<u64>| n.map_or_else(|| "no limit".into(), |n| n.to_string());
        let wide = |n: Option<usize>| n.map(|n| n as u64);
        let rate =
            |r: Option<Rate>| r.map_or_else(|| "no limit".into(), |r| rate::show(r.count, r.per));
        [
            ("header_bytes", size(Some(l.header_bytes as u64))),
            ("headers", l.headers.to_string()),
            ("uri_bytes", size(Some(l.uri_bytes as u64))),
            ("body", size(l.body)),
            ("connections", count(wide(l.connections))),
            ("connections_per_ip", count(wide(l.connections_per_ip))),
            ("pipeline", count(wide(l.pipeline))),
            ("requests_per_connection", count(l.requests_per_connection)),
            ("body_rate", size(l.body_rate)),
            ("send_rate", size(l.send_rate)),
            ("h2.streams", l.h2.streams.to_string()),
            ("h2.resets", rate(l.h2.resets)),
            ("h2.frames", rate(l.h2.frames)),
        ]
    };
    for ((key, was), (_, is)) in told(old).into_iter().zip(told(new)) {
        out.shown(&format!("limits.{key}"), &was, &is);
    }
}

fn requests(out: &mut Changes, old: &Requests, new: &Requests) {
    let told = |r: &Requests| {
        let drop: Vec<&str> = r.drop.iter().map(HeaderName::as_str).collect();
        let drop = match drop.is_empty() {
            true => "nothing".into(),
            false => drop.join(", "),
        };
        [
            ("merge_slashes", r.merge_slashes.to_string()),
            ("underscores", UNDERSCORES.word(r.underscores).into()),
            ("drop", drop),
            ("half_close", show_duration(r.half_close)),
        ]
    };
    for ((key, was), (_, is)) in told(old).into_iter().zip(told(new)) {
        out.shown(&format!("requests.{key}"), &was, &is);
    }
}

fn routes(out: &mut Changes, old: &Config, new: &Config) {
    let before: HashMap<&str, &Route> = old.routes.iter().map(|r| (r.name.as_str(), r)).collect();
    let after: HashMap<&str, &Route> = new.routes.iter().map(|r| (r.name.as_str(), r)).collect();
    for gone in old
        .routes
        .iter()
        .filter(|r| !after.contains_key(r.name.as_str()))
    {
        out.say(format!("route {} removed", gone.name));
    }
    for is in &new.routes {
        let to = target(is, new);
        match before.get(is.name.as_str()) {
            None => out.say(format!("route {} added: {to}", is.name)),
            Some(was) => {
                out.shown(&format!("route {}:", is.name), &target(was, old), &to);
                if was.matcher != is.matcher {
                    out.say(format!("route {}: its match changed", is.name));
                }
                let what = |key: &str| format!("route {}: {key}", is.name);
                out.shown(
                    &what("split"),
                    &sticky::split(was, old),
                    &sticky::split(is, new),
                );
                cache::route(out, what, was.cache.as_ref(), is.cache.as_ref());
                compress::compress(out, what, was.compress.as_ref(), is.compress.as_ref());
                out.shown(
                    &what("minify"),
                    &compress::minify(was),
                    &compress::minify(is),
                );
                access(out, what, &was.access, &is.access);
                out.shown(&what("rate_limit"), &rate_limit(was), &rate_limit(is));
                out.shown(&what("slow"), &limit(was.slow), &limit(is.slow));
            }
        }
    }
    let order = |c: &Config, other: &HashMap<&str, &Route>| -> Vec<String> {
        let kept = c
            .routes
            .iter()
            .filter(|r| other.contains_key(r.name.as_str()));
        kept.map(|r| r.name.clone()).collect()
    };
    if order(old, &after) != order(new, &before) {
        out.say("routes in another order".into());
    }
}

/// Where a route leads, by name: positions of upstreams move when one is added.
pub fn target(route: &Route, config: &Config) -> String {
    match &route.action {
        Action::Proxy(to) => {
            let name = config.upstreams.get(*to).map_or("", |u| u.name.as_str());
            format!("upstream {name}")
        }
        Action::Redirect { to, status } => {
            format!("redirect {} to {}", status.as_str(), redact(to))
        }
    }
}

/// A route's rate limit in a few words.
fn rate_limit(route: &Route) -> String {
    let Some(limit) = &route.rate_limit else {
        return "none".into();
    };
    let who = match limit.scope {
        Scope::Local => "",
        Scope::Cluster => ", counted by all proxies",
    };
    let only = if limit.dry_run { ", dry run" } else { "" };
    format!(
        "{} by {}, burst {}{who}{only}",
        rate::show(limit.requests, limit.per),
        rate::show_key(&limit.key),
        limit.burst
    )
}
