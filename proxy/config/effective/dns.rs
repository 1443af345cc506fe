//! How names are resolved, written so that it loads again.
//!
//! Keys that do nothing are left out: they would be warned of when the text is loaded.

use super::{Writer, list, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::Dns;
use crate::config::index::At;
use crate::config::validate::dns::FAMILIES;

/// Writes `dns:`.
pub(super) fn dns(out: &mut Writer, dns: &Dns, at: &At) {
    out.section("dns", false);
    out.value(at, "interval", &show_duration(dns.interval));
    if !dns.servers.is_empty() {
        let servers = dns.servers.iter().map(|server| quoted(&server.to_string()));
        out.value(at, "servers", &list(servers));
    }
    out.value(at, "ttl", yes_no(dns.ttl));
    out.value(at, "family", FAMILIES.word(dns.family));
    if dns.ttl {
        out.value(at, "min_ttl", &show_duration(dns.min_ttl));
        out.value(at, "max_ttl", &show_duration(dns.max_ttl));
    }
    out.close();
}
