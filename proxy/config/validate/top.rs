//! The sections at the top of the file: ports, threads, limits towards clients, the log.
//!
//! Nothing here may open a port or a file: an address that is taken shows when it is bound.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::words::{self, Choices};
use super::{addr, nets, tls};
use crate::config::checked::{AccessLog, ClientTimeouts, Listen, LogFormat, LogPath, Shutdown};
use crate::config::defaults;
use crate::config::files::Gathered;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::{self, File};

/// The most worker threads: far more than cores exist, so that a slip does not start a million.
const MAX_THREADS: u32 = 1024;

/// The most data ports: each costs a socket and a task, and is compared with every other.
const MAX_LISTEN: usize = 256;

/// `access_log.format`
pub const LOG_FORMATS: Choices<LogFormat> = Choices {
    what: "log format",
    words: &[("json", LogFormat::Json), ("off", LogFormat::Off)],
    aka: &[("false", "off"), ("none", "off")],
    later: &["logfmt", "combined"],
};

/// `listen:`
pub fn listen(all: &Gathered, problems: &mut Problems) -> Vec<Listen> {
    let (file, at) = (&all.file, all.at.key("listen"));
    let entries = file.listen.as_deref().unwrap_or_default();
    if entries.is_empty() && (!at.given() || file.listen.is_some() || at.is_blank()) {
        let what = "`listen` is missing: there is no port to serve on";
        let help =
            "add `listen: [{ addr: \"0.0.0.0:8080\" }]`, or 127.0.0.1:8080 for this machine only";
        problems.missing("listen", Problem::error(at.place(), what).help(help));
    }
    if entries.len() > MAX_LISTEN {
        let what = format!("`listen` has more than {MAX_LISTEN} entries");
        problems.push(
            Problem::error(at.place(), what).help("listen on :PORT for every address at once"),
        );
        return Vec::new();
    }
    let mut out: Vec<Listen> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let port = at.item(i);
        let here = port.key("addr");
        let Some(entry) = entry else { continue };
        let proxy_protocol = proxy_protocol(entry, &port, problems);
        let h2c = words::flag(entry.h2c.as_deref(), &port.key("h2c"), false, problems);
        let (allow, deny) = (entry.allow.as_deref(), entry.deny.as_deref());
        let access = nets::access(allow, deny, &port, problems);
        let tls = tls::check(entry.tls.as_ref(), all.tls.get(i), &port, problems);
        if let (Some(_), true) = (&tls, h2c) {
            let what = "`h2c` does nothing on a port that speaks TLS";
            let problem = Problem::warning(port.key("h2c").key_place(), what);
            problems.push(problem.help("remove it: HTTP/2 is agreed on with `alpn`"));
        }
        let Some(word) = &entry.addr else {
            if !here.given() {
                let problem = Problem::error(here.place(), "this entry of `listen` has no `addr`");
                problems.missing("addr", problem.help("write `addr: \"0.0.0.0:8080\"`"));
            }
            continue;
        };
        if let Some(addr) = bind(word, &here, problems) {
            clash(
                addr,
                out.iter().map(|l| l.addr),
                &here,
                "another entry of `listen`",
                problems,
            );
            out.push(Listen {
                addr,
                proxy_protocol,
                h2c,
                access,
                tls,
            });
        }
    }
    out
}

/// `proxy_protocol:` of a port: whose connections begin with a prelude.
fn proxy_protocol(
    entry: &schema::listen::Listen,
    port: &At,
    problems: &mut Problems,
) -> Vec<IpNet> {
    let at = port.key("proxy_protocol");
    let from = at.key("from");
    let words = entry
        .proxy_protocol
        .as_ref()
        .and_then(|p| p.from.as_deref());
    let unsaid = at.is_blank() || (entry.proxy_protocol.is_some() && !from.given());
    if unsaid || nets::blank(words, &from) {
        let place = if from.given() { &from } else { &at };
        let problem = Problem::error(place.place(), "`proxy_protocol` does not say from whom");
        problems.missing("from", problem.help("add `from: [10.0.0.0/8]`, with the addresses of the balancers in front: whoever is believed can pretend to be any client"));
    }
    nets::list(words, &from, problems)
}

/// Reads an address to bind.
pub(super) fn bind(word: &str, at: &At, problems: &mut Problems) -> Option<SocketAddr> {
    addr::bind(word)
        .map_err(|(what, help)| problems.push(Problem::error(at.place(), what).help(help)))
        .ok()
}

/// Tells of an address that others bind already. Port 0 is a free port each time.
pub(super) fn clash(
    addr: SocketAddr,
    others: impl Iterator<Item = SocketAddr>,
    at: &At,
    whose: &str,
    problems: &mut Problems,
) {
    for other in others {
        let covers = addr.is_ipv4() == other.is_ipv4()
            && (addr.ip() == other.ip()
                || addr.ip().is_unspecified()
                || other.ip().is_unspecified());
        if addr.port() != 0 && addr.port() == other.port() && covers {
            let what = format!("{addr} is taken by {whose} ({other})");
            problems.push(
                Problem::error(at.place(), what)
                    .help("two ports cannot share an address: change one, or remove it"),
            );
            return;
        }
    }
}

/// `threads:`
pub fn threads(file: &File, root: &At, problems: &mut Problems) -> usize {
    match &file.threads {
        None => defaults::threads(),
        Some(word) => words::whole(
            Some(word),
            &root.key("threads"),
            1..=MAX_THREADS,
            1,
            problems,
        ) as usize,
    }
}

/// `trusted_proxies:`
pub fn trusted_proxies(file: &File, root: &At, problems: &mut Problems) -> Vec<IpNet> {
    let at = root.key("trusted_proxies");
    nets::list(file.trusted_proxies.as_deref(), &at, problems)
}

/// `timeouts:`
pub fn timeouts(file: &File, root: &At, problems: &mut Problems) -> ClientTimeouts {
    let default = defaults::CLIENT_TIMEOUTS;
    let Some(keys) = &file.timeouts else {
        return default;
    };
    let at = root.key("timeouts");
    let mut limit = |name: &str, word: &Option<String>, default| {
        words::limit(word.as_deref(), &at.key(name), default, problems)
    };
    ClientTimeouts {
        header: limit("header", &keys.header, default.header),
        idle: limit("idle", &keys.idle, default.idle),
        body: limit("body", &keys.body, default.body),
        write: limit("write", &keys.write, default.write),
        request: limit("request", &keys.request, default.request),
    }
}

/// `shutdown:`
pub fn shutdown(file: &File, root: &At, problems: &mut Problems) -> Shutdown {
    let default = defaults::SHUTDOWN;
    let Some(keys) = &file.shutdown else {
        return default;
    };
    let at = root.key("shutdown");
    Shutdown {
        pre_stop: words::duration(
            keys.pre_stop.as_deref(),
            &at.key("pre_stop"),
            default.pre_stop,
            problems,
        ),
        grace: words::duration(
            keys.grace.as_deref(),
            &at.key("grace"),
            default.grace,
            problems,
        ),
        handover: words::duration(
            keys.handover.as_deref(),
            &at.key("handover"),
            default.handover,
            problems,
        ),
    }
}

/// `access_log:`
pub fn access_log(file: &File, root: &At, problems: &mut Problems) -> AccessLog {
    let default = defaults::ACCESS_LOG;
    let Some(keys) = &file.access_log else {
        return default;
    };
    let at = root.key("access_log");
    let path = match keys.path.as_deref() {
        None => default.path,
        Some("-") => LogPath::Stdout,
        Some(path) => {
            if path.is_empty() || path.ends_with('/') {
                let problem = Problem::error(
                    at.key("path").place(),
                    format!("\"{}\" is not a file", shorten(path)),
                );
                problems.push(problem.help(
                    "write a file like /var/log/tidegate/access.log, or \"-\" for standard output",
                ));
            }
            LogPath::File(path.into())
        }
    };
    AccessLog {
        path,
        format: LOG_FORMATS.read(
            keys.format.as_deref(),
            &at.key("format"),
            default.format,
            problems,
        ),
        sample: words::share(
            keys.sample.as_deref(),
            &at.key("sample"),
            default.sample,
            problems,
        ),
    }
}
