//! Ranges of addresses: whom we trust, who may come in, who may not.
//!
//! A list that says who may come in must never be read as wider than it was meant: what is empty or cannot be read
//! is an error here, not everybody.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::config::checked::Access;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// Reads a list of ranges; each once, IPv4 mapped into IPv6 as IPv4.
pub fn list(words: Option<&[Option<String>]>, at: &At, problems: &mut Problems) -> Vec<IpNet> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (i, word) in words.unwrap_or_default().iter().enumerate() {
        let Some(word) = word else { continue };
        let here = at.item_or_self(i);
        let Some(net) = range(word) else {
            let what = format!("\"{}\" is not an address range", shorten(word));
            let help = "write 10.0.0.0/8, 2001:db8::/32, or a single address like 10.1.2.3";
            problems.push(Problem::error(here.place(), what).help(help));
            continue;
        };
        let whole = canonical(net.trunc());
        if net != net.trunc() {
            let what = format!("\"{}\" is read as {whole}", shorten(word));
            let help = format!("write {whole}, or {} for this address alone", net.addr());
            problems.push(Problem::note(here.place(), what).help(help));
        }
        if seen.insert(whole) {
            out.push(whole);
        }
    }
    out
}

/// Whether a list is written that holds nothing.
pub fn blank(words: Option<&[Option<String>]>, at: &At) -> bool {
    at.given() && (at.is_blank() || words.is_some_and(<[_]>::is_empty))
}

/// Reads `allow` and `deny` of the port or route at `at`.
pub fn access(
    allow: Option<&[Option<String>]>,
    deny: Option<&[Option<String>]>,
    at: &At,
    problems: &mut Problems,
) -> Access {
    let here = at.key("allow");
    if blank(allow, &here) {
        let problem = Problem::error(
            here.place(),
            "an empty `allow` does not say who may come in",
        );
        problems.push(problem.help("name the clients, as in `allow: [10.0.0.0/8]`; to let everybody in, remove the key; to let nobody in, write `deny: [0.0.0.0/0, \"::/0\"]`"));
    }
    Access {
        allow: list(allow, &here, problems),
        deny: list(deny, &at.key("deny"), problems),
    }
}

/// An address range, or an address as a range of one.
fn range(word: &str) -> Option<IpNet> {
    let one = || word.parse::<IpAddr>().map(IpNet::from);
    word.parse::<IpNet>().or_else(|_| one()).ok()
}

/// Clients are compared as IPv4 when they come mapped into IPv6: ranges must be too, or they would never match.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let four = six.addr().to_ipv4_mapped();
    let length = six.prefix_len().checked_sub(96);
    match four.zip(length) {
        Some((addr, length)) => Ipv4Net::new(addr, length).map_or(net, IpNet::V4),
        None => net,
    }
}
