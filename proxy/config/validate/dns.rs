//! `dns:` how names of nodes are resolved.
//!
//! Nothing here may ask a server: one that is away is no mistake of the file.

use std::net::{IpAddr, SocketAddr};

use super::words::{self, Choices};
use crate::config::checked::{Dns, Family};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::File;
use crate::config::schema::dns::Dns as Keys;

/// The most servers: more would only make a failure last longer.
const MAX_SERVERS: usize = 8;
/// Where DNS is served.
const PORT: u16 = 53;

/// `dns.family`
pub const FAMILIES: Choices<Family> = Choices {
    what: "family of addresses",
    words: &[
        ("any", Family::Any),
        ("ipv4", Family::Ipv4),
        ("ipv6", Family::Ipv6),
    ],
    aka: &[
        ("both", "any"),
        ("v4", "ipv4"),
        ("v6", "ipv6"),
        ("inet", "ipv4"),
        ("inet6", "ipv6"),
    ],
    later: &[],
};

/// Reads `dns:`.
pub fn check(file: &File, root: &At, problems: &mut Problems) -> Dns {
    let (none, at) = (Keys::default(), root.key("dns"));
    let keys = file.dns.as_ref().unwrap_or(&none);
    let servers = servers(keys, &at.key("servers"), problems);
    // Who names a server wants to hear what it says; the system's resolver does not tell how long an answer holds.
    let ttl = words::flag(
        keys.ttl.as_deref(),
        &at.key("ttl"),
        !servers.is_empty(),
        problems,
    );
    let mut time = |word: &Option<String>, key: &str, default| {
        words::positive(word.as_deref(), &at.key(key), default, problems)
    };
    let interval = time(&keys.interval, "interval", defaults::DNS_INTERVAL);
    let min_ttl = time(&keys.min_ttl, "min_ttl", defaults::DNS_MIN_TTL);
    let max_ttl = time(&keys.max_ttl, "max_ttl", defaults::DNS_MAX_TTL.max(min_ttl));
    if keys.max_ttl.is_none() && min_ttl > defaults::DNS_MAX_TTL {
        let what = "`min_ttl` is longer than the default of `max_ttl`, which is as long now";
        let problem = Problem::warning(at.key("min_ttl").place(), what);
        problems.push(problem.help("give both"));
    }
    if max_ttl < min_ttl {
        let problem = Problem::error(at.key("max_ttl").place(), "`max_ttl` is below `min_ttl`")
            .also(at.key("min_ttl").place(), "the shortest time")
            .help("make `max_ttl` the longer one of the two");
        problems.push(problem);
    }
    for (name, given) in [
        ("min_ttl", keys.min_ttl.is_some()),
        ("max_ttl", keys.max_ttl.is_some()),
    ] {
        if given && !ttl {
            let what = format!("`{name}` does nothing with `ttl: false`");
            let problem = Problem::warning(at.key(name).key_place(), what);
            problems.push(problem.help(format!("add `ttl: true`, or remove `{name}`")));
        }
    }
    Dns {
        interval,
        servers,
        ttl,
        family: FAMILIES.read(
            keys.family.as_deref(),
            &at.key("family"),
            defaults::DNS_FAMILY,
            problems,
        ),
        min_ttl,
        max_ttl,
    }
}

fn servers(keys: &Keys, at: &At, problems: &mut Problems) -> Vec<SocketAddr> {
    let words = keys.servers.as_deref().unwrap_or_default();
    if words.len() > MAX_SERVERS {
        let what = format!("more than {MAX_SERVERS} servers of DNS");
        let problem = Problem::error(at.key_place(), what);
        problems
            .push(problem.help("keep two or three: one after the other is asked when one fails"));
        return Vec::new();
    }
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let Some(word) = word else { continue };
        let bare = |ip: IpAddr| SocketAddr::new(ip, PORT);
        match word
            .parse::<SocketAddr>()
            .or_else(|_| word.parse().map(bare))
        {
            Ok(server) if server.port() > 0 => {
                if !out.contains(&server) {
                    out.push(server);
                }
            }
            _ => {
                let what = format!("\"{}\" is not the address of a server", shorten(word));
                let help = "write an IP address, with a port where it is not 53: 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:53";
                problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
            }
        }
    }
    out
}
