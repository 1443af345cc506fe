//! Differences in how names are resolved.
//!
//! Told by key, as the file has them.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::Dns;
use crate::config::validate::dns::FAMILIES;

/// Tells what is different.
pub(super) fn dns(out: &mut Changes, was: &Dns, is: &Dns) {
    let told = |dns: &Dns| {
        let servers: Vec<String> = dns.servers.iter().map(ToString::to_string).collect();
        let servers = match servers.is_empty() {
            true => "the system's".into(),
            false => servers.join(", "),
        };
        [
            ("interval", show_duration(dns.interval)),
            ("servers", servers),
            ("ttl", dns.ttl.to_string()),
            ("family", FAMILIES.word(dns.family).into()),
            ("min_ttl", show_duration(dns.min_ttl)),
            ("max_ttl", show_duration(dns.max_ttl)),
        ]
    };
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&format!("dns.{key}"), &was, &is);
    }
}
