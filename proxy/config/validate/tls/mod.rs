//! `tls:` of a data port.
//!
//! What is wrong with a certificate must be known before anybody meets it: a file that passes here can be served. Nothing
//! here may tell a byte of a key. Whether a certificate has expired is not asked here, where there is no clock.

mod cert;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};

use super::health::tls::authorities;
use super::words::{self, Choices};
use crate::config::checked::{Alpn, Certificate, ClientAuth, ListenTls, TlsVersion, UnknownNames};
use crate::config::defaults;
use crate::config::files::PortFiles;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::tls::Tls;

/// The most handshakes a second that can be said: far more than cores can do.
const MOST_HANDSHAKES: u32 = 1_000_000;

/// `min_version`
pub const VERSIONS: Choices<TlsVersion> = Choices {
    what: "version of TLS",
    words: &[("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)],
    aka: &[
        ("tlsv1.2", "1.2"),
        ("tlsv1.3", "1.3"),
        ("tls1.2", "1.2"),
        ("tls1.3", "1.3"),
    ],
    later: &[],
};

/// `alpn`
const PROTOCOLS: Choices<Alpn> = Choices {
    what: "protocol",
    words: &[("h2", Alpn::H2), ("http/1.1", Alpn::H1)],
    aka: &[("http/2", "h2"), ("http2", "h2"), ("h1", "http/1.1")],
    later: &[],
};

/// `unknown_names`
pub const UNKNOWN_NAMES: Choices<UnknownNames> = Choices {
    what: "treatment of unknown names",
    words: &[
        ("default", UnknownNames::Default),
        ("refuse", UnknownNames::Refuse),
    ],
    aka: &[("reject", "refuse")],
    later: &[],
};

/// `client_auth`: whether a certificate is required.
pub const CLIENT_AUTH: Choices<bool> = Choices {
    what: "treatment of clients without a certificate",
    words: &[("required", true), ("optional", false)],
    aka: &[("require", "required"), ("request", "optional")],
    later: &[],
};

/// Reads `tls:` of the port at `port`; `None` where none is spoken.
pub fn check(
    keys: Option<&Tls>,
    files: Option<&PortFiles>,
    port: &At,
    problems: &mut Problems,
) -> Option<Arc<ListenTls>> {
    let at = port.key("tls");
    if at.is_blank() {
        let problem = Problem::error(at.place(), "`tls` does not say with which certificate");
        problems.missing("certs", problem.help(HOW));
    }
    let keys = keys?;
    let acme = acme_names(keys, &at.key("acme"), problems);
    let certs = certs(keys, files, &at, problems);
    if keys.certs.as_ref().is_none_or(Vec::is_empty) && acme.is_empty() {
        let problem = Problem::error(at.place(), "`tls` does not say with which certificate");
        problems.missing("certs", problem.help(HOW));
    }
    let clients = clients(keys, files, &at, problems);
    let handshakes = words::whole(
        keys.handshakes.as_deref(),
        &at.key("handshakes"),
        0..=MOST_HANDSHAKES,
        0,
        problems,
    );
    Some(Arc::new(ListenTls {
        certs,
        min_version: VERSIONS.read(
            keys.min_version.as_deref(),
            &at.key("min_version"),
            defaults::TLS_MIN_VERSION,
            problems,
        ),
        alpn: alpn(keys, &at.key("alpn"), problems),
        unknown_names: UNKNOWN_NAMES.read(
            keys.unknown_names.as_deref(),
            &at.key("unknown_names"),
            UnknownNames::Default,
            problems,
        ),
        client_header: client_header(keys, clients.is_some(), &at, problems),
        tickets: tickets(keys, clients.is_some(), &at, problems),
        clients,
        handshake_timeout: words::positive(
            keys.handshake_timeout.as_deref(),
            &at.key("handshake_timeout"),
            defaults::TLS_HANDSHAKE_TIMEOUT,
            problems,
        ),
        handshakes: (handshakes > 0).then_some(handshakes),
        acme,
    }))
}

/// How long before its end a certificate is worth a warning: by then every renewal has been tried several times.
const SOON: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 86_400;

/// What there is to say of a certificate at `now`: whether it holds, and for how long.
pub fn expiry(cert: &Certificate, at: &At, now: SystemTime) -> Option<Problem> {
    let file = cert.path.display();
    let what = match cert.facts.left(now) {
        _ if cert.facts.not_before > now => {
            format!("the certificate in {file} does not hold yet: clients refuse it")
        }
        None => format!("the certificate in {file} has expired: clients refuse it"),
        Some(left) if left < SOON => {
            let days = left.as_secs() / DAY;
            format!("the certificate in {file} expires in {days} days")
        }
        Some(_) => return None,
    };
    let help = "renew it and replace the file (with its key, if that is new): the proxy sees that and takes it";
    Some(Problem::warning(at.place(), what).help(help))
}

const HOW: &str = "write `tls: { certs: [{ cert: site.pem, key: site.key }] }`";

fn certs(
    keys: &Tls,
    files: Option<&PortFiles>,
    at: &At,
    problems: &mut Problems,
) -> Vec<Arc<Certificate>> {
    let mut out: Vec<(Arc<Certificate>, At)> = Vec::new();
    let entries = keys.certs.iter().flatten().enumerate();
    for (i, entry) in entries {
        let (Some(entry), here) = (entry, at.key("certs").item(i)) else {
            continue;
        };
        let files = files.and_then(|files| files.certs.get(i));
        let Some(cert) = cert::check(entry, files, &here, problems) else {
            continue;
        };
        let same_key = |c: &Certificate| {
            std::mem::discriminant(&c.facts.key) == std::mem::discriminant(&cert.facts.key)
        };
        let covered = |name: &String| {
            let mut before = out.iter().filter(|(c, _)| same_key(c));
            before.any(|(c, _)| c.facts.names.contains(name))
        };
        if !cert.facts.names.is_empty() && cert.facts.names.iter().all(covered) {
            let what = format!(
                "nobody gets this certificate: the ones before it are for the same names ({})",
                shorten(&cert.facts.names.join(", "))
            );
            let help = "remove one of them; a pair for the same names is one with an ECDSA key and one with an RSA key";
            problems.push(Problem::warning(here.place(), what).help(help));
        }
        out.push((Arc::new(cert), here));
    }
    out.into_iter().map(|(cert, _)| cert).collect()
}

/// `alpn:`, each once.
fn alpn(keys: &Tls, at: &At, problems: &mut Problems) -> Vec<Alpn> {
    let Some(words) = &keys.alpn else {
        return defaults::TLS_ALPN.into();
    };
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let here = at.item_or_self(i);
        let protocol = PROTOCOLS.read(word.as_deref(), &here, Alpn::H1, problems);
        if word.is_some() && !out.contains(&protocol) {
            out.push(protocol);
        }
    }
    if out.is_empty() {
        let problem = Problem::error(at.place(), "`alpn` offers no protocol");
        problems.push(
            problem.help("write `alpn: [h2, http/1.1]`, or `alpn: [http/1.1]` without HTTP/2"),
        );
        return defaults::TLS_ALPN.into();
    }
    out
}

/// `client_ca:` and `client_auth:`
fn clients(
    keys: &Tls,
    files: Option<&PortFiles>,
    at: &At,
    problems: &mut Problems,
) -> Option<ClientAuth> {
    let required = CLIENT_AUTH.read(
        keys.client_auth.as_deref(),
        &at.key("client_auth"),
        true,
        problems,
    );
    if keys.client_auth.is_some() && !at.key("client_ca").given() {
        let what = "`client_auth` does not say who signs for clients";
        let help = "add `client_ca: clients.pem`, a PEM file with the certificates of those who do";
        let problem = Problem::error(at.key("client_auth").key_place(), what);
        problems.missing("client_ca", problem.help(help));
    }
    let file = files.and_then(|files| files.client_ca.as_ref())?;
    let ca = authorities(file, &at.key("client_ca"), problems)?;
    Some(ClientAuth { ca, required })
}

/// `tickets:`. Who resumes is not asked for a certificate again, nor is the one of the first time looked at again: where
/// clients are asked for one, nobody does.
fn tickets(keys: &Tls, asked: bool, at: &At, problems: &mut Problems) -> bool {
    let here = at.key("tickets");
    let word = keys.tickets.as_deref();
    let tickets = words::flag(word, &here, defaults::TLS_TICKETS, problems);
    if tickets && word.is_some() && asked {
        let what =
            "sessions are not resumed where clients are asked for a certificate (`client_ca`)";
        let help =
            "remove `tickets`: who resumed would keep coming in after the certificate has expired";
        problems.push(Problem::warning(here.place(), what).help(help));
    }
    tickets && !asked
}

/// `client_header:`
fn client_header(keys: &Tls, asked: bool, at: &At, problems: &mut Problems) -> Option<HeaderName> {
    let here = at.key("client_header");
    let word = keys.client_header.as_deref()?;
    if !asked && !at.key("client_ca").given() {
        let what = "`client_header` has nothing to tell: clients are not asked for a certificate";
        let problem = Problem::warning(here.key_place(), what);
        problems.push(problem.help("add `client_ca: clients.pem`, or remove `client_header`"));
    }
    let name = HeaderName::from_bytes(word.as_bytes()).ok();
    let ours = |name: &HeaderName| {
        [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, COOKIE].contains(name)
            || name.as_str().starts_with("x-forwarded-")
            || name == "forwarded"
            || name == "x-real-ip"
    };
    match name {
        Some(name) if !ours(&name) => Some(name),
        Some(name) => {
            let what = format!("`{name}` has a meaning of its own in every request");
            let help = "choose a name that nothing else uses, like X-Client-Subject";
            problems.push(Problem::error(here.place(), what).help(help));
            None
        }
        None => {
            let what = format!("\"{}\" is not the name of a header field", shorten(word));
            let help = "write it as X-Client-Subject: letters, digits and -";
            problems.push(Problem::error(here.place(), what).help(help));
            None
        }
    }
}

/// `acme:`, each name once, in lower case.
fn acme_names(keys: &Tls, at: &At, problems: &mut Problems) -> Vec<String> {
    let mut out = Vec::new();
    for (i, word) in keys.acme.iter().flatten().enumerate() {
        let (Some(word), here) = (word, at.item_or_self(i)) else {
            continue;
        };
        let name = word.trim_end_matches('.').to_ascii_lowercase();
        if !is_name(&name) {
            let what = format!(
                "\"{}\" is no name that a certificate is issued for",
                shorten(word)
            );
            let help = "write a host name like example.com; wildcards and addresses need another way to prove whose they are";
            problems.push(Problem::error(here.place(), what).help(help));
        } else if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Whether this is a host name of the internet: labels with at least one dot, no wildcard, no address.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && name.parse::<std::net::IpAddr>().is_err()
}
