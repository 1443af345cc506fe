//! `tls:` of a data port as it is in force. A key is the file it is in.

use std::path::Path;

use super::{Writer, list, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::ListenTls;
use crate::config::index::At;
use crate::config::validate::tls::{CLIENT_AUTH, UNKNOWN_NAMES, VERSIONS};

/// Writes `tls:` of the port at `port`.
pub(super) fn tls(out: &mut Writer, tls: &ListenTls, port: &At) {
    let at = port.key("tls");
    let file = |path: &Path| quoted(&path.to_string_lossy());
    out.section("tls", false);
    if !tls.certs.is_empty() {
        out.section("certs", false);
        for (i, cert) in tls.certs.iter().enumerate() {
            let at = at.key("certs").item(i);
            out.entry();
            out.value(&at, "cert", &file(&cert.path));
            out.value(&at, "key", &file(&cert.key_path));
            if let Some(ocsp) = &cert.ocsp_path {
                out.value(&at, "ocsp", &file(ocsp));
            }
            out.close();
        }
        out.close();
    }
    let version = quoted(VERSIONS.word(tls.min_version));
    out.value(&at, "min_version", &version);
    let alpn = tls.alpn.iter().map(|protocol| quoted(protocol.as_str()));
    out.value(&at, "alpn", &list(alpn));
    let unknown = UNKNOWN_NAMES.word(tls.unknown_names);
    out.value(&at, "unknown_names", unknown);
    if let Some(clients) = &tls.clients {
        out.value(&at, "client_ca", &file(&clients.ca.path));
        out.value(&at, "client_auth", CLIENT_AUTH.word(clients.required));
    }
    if let Some(name) = &tls.client_header {
        out.value(&at, "client_header", &quoted(name.as_str()));
    }
    out.value(&at, "tickets", yes_no(tls.tickets));
    let timeout = show_duration(tls.handshake_timeout);
    out.value(&at, "handshake_timeout", &timeout);
    if let Some(most) = tls.handshakes {
        out.value(&at, "handshakes", &most.to_string());
    }
    if !tls.acme.is_empty() {
        let names = tls.acme.iter().map(|name| quoted(name));
        out.value(&at, "acme", &list(names));
    }
    out.close();
}
