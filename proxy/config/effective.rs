//! The whole configuration as it is in force, written as a file that loads again.
//!
//! Every key is there, also those that the files leave to their defaults; a comment says where each value came
//! from. Nothing here may print a password: what looks like one in an address is redacted, and then that one value
//! does not load again as it was.

use std::fmt::Write;
use std::time::Duration;

use ipnet::IpNet;

use super::Loaded;
use super::checked::{
    Access, Action, Config, HostPattern, Limits, LogPath, Match, PathPattern, RateLimit, Requests,
    Route, Upstream,
};
use super::index::At;
use super::validate::{self, rate, top};
use crate::base::units::{Rate, show_duration, show_size};

mod acme;
mod admin;
mod cache;
mod compress;
mod dns;
mod health;
mod node_tls;

pub(super) use health::shown;
mod sticky;
mod tls;
mod tracing;
mod upstream;

/// Writes the configuration in force; `None` when there is none.
pub fn effective(loaded: &Loaded) -> Option<String> {
    let (config, origins) = (loaded.config.as_ref()?, loaded.origins.as_ref()?);
    let mut out = Writer::default();
    top_sections(&mut out, config, &origins.root);
    tracing::tracing(&mut out, &config.tracing, &origins.root.key("tracing"));
    dns::dns(&mut out, &config.dns, &origins.root.key("dns"));
    cache::cache(&mut out, config, &origins.root.key("cache"));
    out.section("upstreams", config.upstreams.is_empty());
    for (checked, (at, nodes)) in config.upstreams.iter().zip(&origins.upstreams) {
        upstream::one_upstream(&mut out, checked, at, nodes);
    }
    out.close();
    out.section("routes", config.routes.is_empty());
    for (route, at) in config.routes.iter().zip(&origins.routes) {
        one_route(&mut out, route, at, &config.upstreams);
    }
    out.close();
    Some(out.text)
}

/// Lines of YAML, each with its origin.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
    /// The next line opens an entry of a list.
    dash: bool,
}

impl Writer {
    /// A key and its value, which is YAML already.
    fn line(&mut self, key: &str, value: &str, from: &At) {
        let origin = match from.given() {
            true => from.origin(),
            false => "default".into(),
        };
        let dash = if std::mem::take(&mut self.dash) {
            "- "
        } else {
            ""
        };
        let indent = self.depth * 2 - dash.len();
        let _ = writeln!(self.text, "{:indent$}{dash}{key}: {value} # {origin}", "");
    }

    /// A key of a mapping, named as in the file.
    fn value(&mut self, at: &At, key: &str, value: &str) {
        self.line(key, value, &at.key(key));
    }

    /// Opens a mapping or list.
    fn section(&mut self, key: &str, empty: bool) {
        let dash = if std::mem::take(&mut self.dash) {
            "- "
        } else {
            ""
        };
        let indent = self.depth * 2 - dash.len();
        let value = if empty { " {}" } else { "" };
        let _ = writeln!(self.text, "{:indent$}{dash}{key}:{value}", "");
        self.depth += 1;
    }

    /// Closes it.
    fn close(&mut self) {
        self.depth -= 1;
    }

    /// Opens an entry of a list.
    fn entry(&mut self) {
        self.depth += 1;
        self.dash = true;
    }
}

fn top_sections(out: &mut Writer, config: &Config, root: &At) {
    out.section("listen", false);
    for (i, listen) in config.listen.iter().enumerate() {
        let at = root.key("listen").item(i);
        out.entry();
        out.value(&at, "addr", &quoted(&listen.addr.to_string()));
        if !listen.proxy_protocol.is_empty() {
            out.section("proxy_protocol", false);
            let from = nets(&listen.proxy_protocol);
            out.value(&at.key("proxy_protocol"), "from", &from);
            out.close();
        }
        out.value(&at, "h2c", yes_no(listen.h2c));
        access(out, &listen.access, &at);
        if let Some(tls) = &listen.tls {
            tls::tls(out, tls, &at);
        }
        out.close();
    }
    out.close();
    admin::admin(out, config.admin.as_ref(), root);
    acme::acme(out, config.acme.as_ref(), &root.key("acme"));
    out.value(root, "threads", &config.threads.to_string());
    out.value(root, "trusted_proxies", &nets(&config.trusted_proxies));
    limits(out, &config.limits, &root.key("limits"));
    requests(out, &config.requests, &root.key("requests"));
    let (at, t) = (root.key("timeouts"), &config.timeouts);
    out.section("timeouts", false);
    for (key, value) in [
        ("header", t.header),
        ("idle", t.idle),
        ("body", t.body),
        ("write", t.write),
        ("request", t.request),
    ] {
        out.value(&at, key, &limit(value));
    }
    out.close();
    let at = root.key("shutdown");
    out.section("shutdown", false);
    out.value(&at, "pre_stop", &show_duration(config.shutdown.pre_stop));
    out.value(&at, "grace", &show_duration(config.shutdown.grace));
    out.value(&at, "handover", &show_duration(config.shutdown.handover));
    out.close();
    let (at, log) = (root.key("access_log"), &config.access_log);
    out.section("access_log", false);
    let path = match &log.path {
        LogPath::Stdout => quoted("-"),
        LogPath::File(path) => quoted(&path.to_string_lossy()),
    };
    out.value(&at, "path", &path);
    out.value(&at, "format", top::LOG_FORMATS.word(log.format));
    out.value(&at, "sample", &format!("{:?}", log.sample));
    out.close();
}

fn limits(out: &mut Writer, limits: &Limits, at: &At) {
    let size = |n: Option<u64>| n.map_or_else(|| "0".into(), show_size);
    let count = |n: Option<usize>| n.unwrap_or_default().to_string();
    out.section("limits", false);
    for (key, value) in [
        ("header_bytes", show_size(limits.header_bytes as u64)),
        ("headers", limits.headers.to_string()),
        ("uri_bytes", show_size(limits.uri_bytes as u64)),
        ("body", size(limits.body)),
        ("connections", count(limits.connections)),
        ("connections_per_ip", count(limits.connections_per_ip)),
        ("pipeline", count(limits.pipeline)),
        (
            "requests_per_connection",
            limits
                .requests_per_connection
                .unwrap_or_default()
                .to_string(),
        ),
        ("body_rate", size(limits.body_rate)),
        ("send_rate", size(limits.send_rate)),
    ] {
        out.value(at, key, &value);
    }
    let (at, h2) = (at.key("h2"), &limits.h2);
    let rate = |r: Option<Rate>| r.map_or_else(|| "0".into(), |r| rate::show(r.count, r.per));
    out.section("h2", false);
    out.value(&at, "streams", &h2.streams.to_string());
    out.value(&at, "resets", &rate(h2.resets));
    out.value(&at, "frames", &rate(h2.frames));
    out.close();
    out.close();
}

fn requests(out: &mut Writer, requests: &Requests, at: &At) {
    out.section("requests", false);
    out.value(at, "merge_slashes", yes_no(requests.merge_slashes));
    let underscores = validate::limits::UNDERSCORES.word(requests.underscores);
    out.value(at, "underscores", underscores);
    let dropped = requests.drop.iter().map(|name| quoted(name.as_str()));
    out.value(at, "drop", &list(dropped));
    out.value(at, "half_close", &show_duration(requests.half_close));
    out.close();
}

/// Who may come in, where that is said: without it, everybody.
fn access(out: &mut Writer, access: &Access, at: &At) {
    for (key, ranges) in [("allow", &access.allow), ("deny", &access.deny)] {
        if !ranges.is_empty() {
            out.value(at, key, &nets(ranges));
        }
    }
}

fn rate_limit(out: &mut Writer, limit: &RateLimit, at: &At) {
    out.section("rate_limit", false);
    out.value(at, "key", &quoted(&rate::show_key(&limit.key)));
    out.value(at, "rate", &quoted(&rate::show(limit.requests, limit.per)));
    out.value(at, "burst", &limit.burst.to_string());
    out.value(at, "scope", rate::SCOPES.word(limit.scope));
    out.value(at, "dry_run", yes_no(limit.dry_run));
    out.close();
}

fn one_route(out: &mut Writer, route: &Route, at: &At, upstreams: &[Upstream]) {
    out.entry();
    out.value(at, "name", &quoted(&route.name));
    matcher(out, &route.matcher, &at.key("match"));
    match &route.action {
        Action::Proxy(to) => {
            let name = upstreams.get(*to).map_or("", |u| u.name.as_str());
            out.value(at, "upstream", &quoted(name));
            if let Some(split) = &route.split {
                sticky::split(out, split, &at.key("split"), upstreams);
            }
            cache::route(out, route.cache.as_ref(), at);
            compress::compress(out, route.compress.as_ref(), at);
            compress::minify(out, route, at);
        }
        Action::Redirect { to, status } => {
            let at = at.key("redirect");
            out.section("redirect", false);
            out.value(&at, "to", &quoted(&redact(to)));
            out.value(&at, "status", status.as_str());
            out.close();
        }
    }
    access(out, &route.access, at);
    if let Some(limit) = &route.rate_limit {
        rate_limit(out, limit, &at.key("rate_limit"));
    }
    out.value(at, "slow", &limit(route.slow));
    out.close();
}

fn matcher(out: &mut Writer, matcher: &Match, at: &At) {
    if *matcher == Match::default() {
        return;
    }
    out.section("match", false);
    if !matcher.hosts.is_empty() {
        let hosts = matcher.hosts.iter().map(|host| match host {
            HostPattern::Exact(host) => quoted(host),
            HostPattern::Suffix(suffix) => quoted(&format!("*{suffix}")),
        });
        out.value(at, "host", &list(hosts));
    }
    match &matcher.path {
        PathPattern::Any => {}
        PathPattern::Prefix(path) => out.value(at, "path", &quoted(path)),
        PathPattern::Exact(path) => out.value(at, "path_exact", &quoted(path)),
        PathPattern::Regex(regex) => out.value(at, "path_regex", &quoted(regex.as_str())),
    }
    if !matcher.methods.is_empty() {
        let methods = matcher.methods.iter().map(|m| quoted(m.as_str()));
        out.value(at, "methods", &list(methods));
    }
    if let Some(scheme) = matcher.scheme {
        out.value(at, "scheme", validate::matcher::SCHEMES.word(scheme));
    }
    if !matcher.headers.is_empty() {
        let at = at.key("headers");
        out.section("headers", false);
        for (name, value) in &matcher.headers {
            out.value(&at, name.as_str(), &quoted(&shown(name, value)));
        }
        out.close();
    }
    out.close();
}

fn limit(value: Option<Duration>) -> String {
    value.map_or_else(|| "0s".into(), show_duration)
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn nets(nets: &[IpNet]) -> String {
    list(nets.iter().map(|net| quoted(&net.to_string())))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A text as a YAML value: bare where nothing can be misread, else in quotes; a `$` must not start a variable.
pub(super) fn quoted(text: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"./_-".contains(&b);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let addr = text.parse::<std::net::SocketAddrV4>().is_ok();
    let word = matches!(
        text.to_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if addr || (starts && text.bytes().all(bare) && !word) {
        return text.to_string();
    }
    let json = serde_json::Value::String(text.replace('$', "$$")).to_string();
    // JSON leaves some characters be that YAML takes for line ends or refuses.
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let escaped = json.chars().map(|c| match odd(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    });
    escaped.collect()
}

/// An address without its password.
pub(super) fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_string();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or("");
            format!("{scheme}://{name}:REDACTED@{host}{tail}")
        }
        None => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, redact};

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let shown = redact("https://deploy:s3cret@example.com/a@b");
        assert_eq!(shown, "https://deploy:REDACTED@example.com/a@b");
        assert_eq!(redact("https://example.com/a@b"), "https://example.com/a@b");
    }

    #[test]
    fn only_what_cannot_be_misread_stands_without_quotes() {
        assert_eq!(quoted("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(quoted("/healthz"), "/healthz");
        assert_eq!(quoted("off"), "\"off\"");
        assert_eq!(quoted("1e3"), "\"1e3\"");
        assert_eq!(quoted("^/a$"), "\"^/a$$\"");
    }
}
