//! How connections to nodes begin, as it is in force.
//!
//! Of a key only its file is told.

use std::path::Path;

use super::{Writer, quoted, yes_no};
use crate::config::checked::{NodeTls, Upstream};
use crate::config::index::At;
use crate::config::validate::node_tls::{PROXY_PROTOCOLS, VERSIONS};

/// Writes `tls:` and `proxy_protocol:` of the upstream at `at`.
pub(super) fn node_tls(out: &mut Writer, upstream: &Upstream, at: &At) {
    match &upstream.tls {
        None => out.value(at, "tls", "no"),
        Some(tls) => section(out, tls, &at.key("tls")),
    }
    let version = PROXY_PROTOCOLS.word(upstream.proxy_protocol);
    out.value(at, "proxy_protocol", version);
}

fn section(out: &mut Writer, tls: &NodeTls, at: &At) {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    out.section("tls", false);
    if let Some(sni) = &tls.sni {
        out.value(at, "sni", &quoted(sni));
    }
    out.value(at, "verify", yes_no(tls.verify));
    if let Some(ca) = &tls.ca {
        out.value(at, "ca", &path(&ca.path));
    }
    if let Some(ours) = &tls.identity {
        out.value(at, "cert", &path(&ours.cert));
        out.value(at, "key", &path(&ours.key_file));
    }
    let version = quoted(VERSIONS.word(tls.min_version));
    out.value(at, "min_version", &version);
    out.close();
}
