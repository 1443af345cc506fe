//! `tls:` and `proxy_protocol:` of an upstream: how connections to its nodes begin.
//!
//! Files are judged here to the last certificate, and a key must fit: what is wrong with them must not first be seen
//! when every request fails. What a key holds is never told.

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};

use super::health::authorities;
use super::words::{self, Choices};
use crate::config::checked::{Identity, NodeTls, NodeTlsVersion, ProxyProtocol};
use crate::config::defaults;
use crate::config::files::{RawUpstream, TextFile, TlsFiles};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::failure::WordOr;
use crate::config::schema::node_tls::NodeTls as Keys;

/// `tls.min_version`
pub const VERSIONS: Choices<NodeTlsVersion> = Choices {
    what: "version of TLS",
    words: &[("1.2", NodeTlsVersion::V1_2), ("1.3", NodeTlsVersion::V1_3)],
    aka: &[
        ("tlsv1.2", "1.2"),
        ("tls1.2", "1.2"),
        ("tlsv1.3", "1.3"),
        ("tls1.3", "1.3"),
    ],
    later: &[],
};

/// `proxy_protocol`
pub const PROXY_PROTOCOLS: Choices<Option<ProxyProtocol>> = Choices {
    what: "version of the PROXY protocol",
    words: &[
        ("off", None),
        ("v1", Some(ProxyProtocol::V1)),
        ("v2", Some(ProxyProtocol::V2)),
    ],
    aka: &[("1", "v1"), ("2", "v2"), ("false", "off"), ("no", "off")],
    later: &[],
};

/// Reads `tls:`; `None` where nodes are spoken to without.
pub fn check(raw: &RawUpstream, at: &At, problems: &mut Problems) -> Option<NodeTls> {
    if at.is_blank() {
        let what = "`tls` says nothing";
        let help = "write `tls: true`, or its keys below it, or remove it";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    let keys = match raw.keys.tls.as_ref()? {
        WordOr::Word(word) => {
            let on = words::flag(Some(word), at, false, problems);
            return on.then(NodeTls::default);
        }
        WordOr::Keys(keys) => keys,
    };
    let files = &raw.tls_files;
    let verify = words::flag(
        keys.verify.as_deref(),
        &at.key("verify"),
        defaults::NODE_TLS_VERIFY,
        problems,
    );
    if !verify && keys.ca.is_some() {
        let what = "`ca` does nothing beside `verify: false`";
        let problem = Problem::warning(at.key("ca").key_place(), what);
        problems.push(problem.help("remove `verify: false`: with the right `ca` it is not needed"));
    }
    let ca = files.ca.as_ref();
    let ca = ca.and_then(|file| authorities(file, &at.key("ca"), problems));
    Some(NodeTls {
        sni: sni(keys, at, problems),
        verify,
        ca,
        identity: identity(keys, files, at, problems),
        min_version: VERSIONS.read(
            keys.min_version.as_deref(),
            &at.key("min_version"),
            NodeTlsVersion::default(),
            problems,
        ),
    })
}

fn sni(keys: &Keys, at: &At, problems: &mut Problems) -> Option<String> {
    let word = keys.sni.as_deref()?;
    if ServerName::try_from(word).is_ok() {
        return Some(word.to_owned());
    }
    let what = format!(
        "\"{}\" is no name that a certificate can be for",
        shorten(word)
    );
    let help = "write a host name without port, as in `sni: app.internal`, or an IP address";
    let at = at.either("sni", "server_name");
    problems.push(Problem::error(at.place(), what).help(help));
    None
}

/// Our certificate with its key.
fn identity(keys: &Keys, files: &TlsFiles, at: &At, problems: &mut Problems) -> Option<Identity> {
    let (named, alone, other) = match (&keys.cert, &keys.key) {
        (None, None) => return None,
        (Some(_), None) => (at.key("cert"), "cert", "key"),
        (None, Some(_)) => (at.key("key"), "key", "cert"),
        (Some(_), Some(_)) => {
            let (cert, key) = (files.cert.as_ref()?, files.key.as_ref()?);
            return pair(cert, key, at, problems);
        }
    };
    let what = format!("`{alone}` without `{other}`");
    let help = format!("a certificate is shown with its key: add `{other}: FILE`, in PEM");
    problems.push(Problem::error(named.key_place(), what).help(help));
    None
}

fn pair(cert: &TextFile, key: &TextFile, at: &At, problems: &mut Problems) -> Option<Identity> {
    let (its, name) = (at.key("cert"), cert.path.display());
    let mut refuse = |at: &At, what: String, help: &str| {
        problems.push(Problem::error(at.place(), what).help(help));
        None
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(cert.text.as_bytes()).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            let help = "name a PEM file: our certificate first, then those that signed it";
            return refuse(&its, format!("there is no certificate in {name}"), help);
        }
        Err(_) => {
            let help = "write the file again: each certificate between its BEGIN and END lines";
            let what = format!("{name} is not a PEM file, or a damaged one");
            return refuse(&its, what, help);
        }
    };
    let (key_at, key_name) = (at.key("key"), key.path.display());
    let Ok(secret) = PrivateKeyDer::from_pem_slice(key.text.as_bytes()) else {
        let help =
            "name a PEM file with the key of `cert`, without a passphrase (PKCS#8, PKCS#1 or SEC1)";
        return refuse(&key_at, format!("there is no key in {key_name}"), help);
    };
    match CertifiedKey::from_der(chain.clone(), secret.clone_key(), &ring::default_provider()) {
        Ok(_) => Some(Identity {
            cert: cert.path.clone(),
            key_file: key.path.clone(),
            chain: chain.into(),
            key: secret.into(),
        }),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let what = format!("the key in {key_name} is not that of the certificate in {name}");
            let help = "name the key that the certificate was made with; the certificate of ours must come first in its file";
            refuse(&key_at, what, help)
        }
        Err(Error::InvalidCertificate(_)) => {
            let what = format!("the first certificate in {name} is damaged, or none (X.509)");
            refuse(&its, what, "write the file again")
        }
        Err(_) => {
            let what = format!("the key in {key_name} is of a kind that cannot be used");
            let help = "make an ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits or more) key";
            refuse(&key_at, what, help)
        }
    }
}

/// Nodes that are believed whoever they are.
pub(super) fn hints(tls: Option<&NodeTls>, name: &str, at: &At, problems: &mut Problems) {
    if tls.is_some_and(|tls| !tls.verify) {
        let what = format!("the nodes of upstream `{name}` are believed whoever they are");
        let help = "whoever stands between can read and change everything; remove `verify: false`, and name in `ca` who signed their certificates";
        let at = at.key("tls").key("verify");
        problems.push(Problem::warning(at.place(), what).help(help));
    }
}
